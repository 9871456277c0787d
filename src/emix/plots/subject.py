"""A fitted mixture and rows, checked, as the pictures need them."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from emix.arguments import counted, integer_in_range
from emix.plots.planes import View, choose_view
from emix.rows.validation import as_sample_weight
from emix.summary.fitted import (
    check_mixture,
    column_names,
    criteria,
    full_covariances,
    responsibilities,
    row_weights,
    rows_of,
    size_and_covariances,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from emix.estimators.gaussian_mixture import GaussianMixture
    from emix.rows.validation import FloatArray

__all__ = ["MAX_POINTS", "Subject", "subject_of"]

# More dots than this are a blot and slow to draw. The figure says that it shows a sample.
MAX_POINTS = 5_000
_ROWS_AT_A_TIME = 65_536
# A stream of its own: rows may have been made by default_rng(0), and a sample by the same numbers would prefer some.
_STREAM = 0x656D6978


@dataclass(frozen=True)
class Subject:
    """A fitted mixture, and rows to draw with it.

    Attributes
    ----------
    estimator : GaussianMixture
        A copy, which stays one fit.
    names : list of str
        Of the columns.
    rows : ndarray of shape (n_samples, n_features)
        Without rows where none were given.
    weight : ndarray of shape (n_samples,)
    max_points : int
        The most rows that are drawn as points.
    """

    estimator: GaussianMixture
    names: list[str]
    rows: FloatArray
    weight: NDArray[np.float64]
    max_points: int

    @cached_property
    def covariances(self) -> NDArray[np.float64]:
        """Covariances of all components as matrices."""
        return full_covariances(self.estimator)

    @cached_property
    def chosen(self) -> NDArray[np.intp]:
        """Rows to draw as points: all rows, or a sample that prefers rows of large weight."""
        w, most = self.weight, self.max_points
        if len(w) <= most:
            return np.arange(len(w))
        # The rows with the largest uniform^(1/w): weighted sampling without replacement (Efraimidis
        # and Spirakis, 2006). log(u)/w gives the same order.
        u = np.random.Generator(np.random.Philox(key=_STREAM)).random(len(w))
        keys = np.log(u) / np.where(w > 0.0, w, 1e-300)
        return np.sort(np.argpartition(keys, -most)[-most:])

    @property
    def are_many(self) -> bool:
        """True if there are more rows than are drawn as points."""
        return len(self.rows) > self.max_points

    @cached_property
    def sample(self) -> FloatArray:
        """The rows that are drawn as points."""
        return self.rows[self.chosen] if self.are_many else self.rows

    @property
    def note(self) -> str:
        """Words that say how many of the rows are drawn as points; empty if all are."""
        return f"{len(self.chosen):,} of {len(self.rows):,} rows" if self.are_many else ""

    @cached_property
    def constant(self) -> tuple[int, ...]:
        """Columns that are constant in the rows of the fit, and in the rows that are drawn."""
        doubts = getattr(self.estimator, "columns_in_doubt_", None)  # None if the parameters were given
        found = () if doubts is None else doubts.constant
        return tuple(j for j in found if not len(self.rows) or (self.rows[:, j] == self.rows[0, j]).all())

    def responsibilities(self, rows: FloatArray) -> NDArray[np.float64]:
        """Return the responsibilities of rows, (n_rows, n_components)."""
        return responsibilities(self.estimator, rows)

    def uncertainties(self) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return 1 − the largest responsibility, and the likeliest component, of each of all rows."""
        uncertainty, labels = np.empty(len(self.rows)), np.empty(len(self.rows), dtype=np.intp)
        for start in range(0, len(self.rows), _ROWS_AT_A_TIME):
            block = slice(start, start + _ROWS_AT_A_TIME)
            r = self.responsibilities(self.rows[block])
            labels[block], uncertainty[block] = r.argmax(axis=1), 1.0 - r.max(axis=1)
        return uncertainty, labels

    def view(self, features: Any, least: int = 2) -> View:
        """Return the view of the mixture on its columns, on those that are chosen, or on its principal plane."""
        gm = self.estimator
        return choose_view(gm.weights_, gm.means_, self.covariances, self.names, features, least, self.constant)

    def points(self, view: View) -> NDArray[np.float64]:
        """Return all rows on a view's axes, (n_samples, n_axes)."""
        points = np.empty((len(self.rows), view.n_axes))
        for start in range(0, len(self.rows), _ROWS_AT_A_TIME):
            block = slice(start, start + _ROWS_AT_A_TIME)
            points[block] = view.project(self.rows[block].astype(np.float64, copy=False))
        return points

    def description(self, note: str = "") -> str:
        """Return the lines of a title: the mixture, its criteria, and a note."""
        rows = f", {len(self.rows):,} rows" if len(self.rows) else ""
        parts = [f"{size_and_covariances(self.estimator)}{rows}"]
        values = criteria(self.estimator)
        if values is not None and values.bic is not None:
            numbers = (
                f"log-likelihood {values.log_likelihood:.3f} nats     BIC {values.bic:.2f}     AIC {values.aic:.2f}"
            )
            # A minus, not a hyphen, as on the axes. (The hyphen of "log-likelihood" has no digit after it.)
            parts.append(re.sub(r"-(?=[0-9])", "\u2212", numbers))
        if note:
            parts.append(note)
        return "\n".join(parts)

    def course(self) -> tuple[list[Any], str]:
        """Return the records of the fit, and in few words how it ended: the panel is narrow."""
        history = list(getattr(self.estimator, "history_", None) or [])
        if not history:
            return [], ""
        outcome = "converged" if self.estimator.converged_ else "NOT converged"
        if self.estimator.stopped_by_ == "callback":
            outcome = "stopped by the callback"
        return history, f"{outcome} after {counted(self.estimator.n_iter_, 'iteration')}"


def subject_of(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    feature_names: Sequence[str] | None = None,
    max_points: int = MAX_POINTS,
    *,
    caller: str,
    needs_rows: bool = True,
) -> Subject:
    """Check a mixture and rows for a picture; X may be None only where the picture does not need rows.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        If the mixture is not fitted or none of emix, or X, the weights or the names do not belong to it.
    """
    check_mixture(estimator)
    estimator = copy.copy(estimator)  # stays one fit, even if another thread fits again
    names = column_names(estimator, feature_names)
    max_points = integer_in_range("max_points", max_points, 1, caller=caller)
    rows: FloatArray
    if X is None and not needs_rows:
        if sample_weight is not None:
            raise ValueError("sample_weight is given, but not X: pass the rows that it weights")
        rows = np.empty((0, len(names)))
    else:
        rows = rows_of(estimator, X)
    weight = row_weights(rows, as_sample_weight(sample_weight, len(rows)))
    return Subject(estimator, names, rows, weight, max_points)
