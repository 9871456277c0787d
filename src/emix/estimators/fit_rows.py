"""The rows of a fit, checked: numbers, weights, and as many columns and rows as the settings need."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from emix.estimators.parameters_check import Settings
from emix.gaussian.structures import OF_ONE_COLUMN, check_one_column
from emix.rows.arrays import ArraySource
from emix.rows.validation import as_rows, as_sample_weight, check_column_range, check_enough_rows, feature_names

__all__ = ["source_to_fit"]


def source_to_fit(X: Any, sample_weight: ArrayLike | None, settings: Settings, caller: str) -> tuple[ArraySource, Any]:
    """Return the rows that a fit starts from, as a source, and the names of their columns, None if they have none.

    Raises
    ------
    TypeError, ValueError
        If `X` or `sample_weight` is not what it should be, or there are fewer rows than components.
    """
    names = feature_names(X)
    rows = as_rows(X, caller=caller, to_fit=True)
    if settings.covariance_type in OF_ONE_COLUMN:
        check_one_column(settings.covariance_type, rows.shape[1], caller)
    source = ArraySource(rows, as_sample_weight(sample_weight, rows.shape[0]))
    check_enough_rows(source.n_rows, settings.n_components, source.sample_weight)
    check_column_range(source.columns, rows.dtype.char, names)
    return source, names
