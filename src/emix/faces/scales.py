"""Columns whose scale does not suit reg_covar: constant ones, and those in too small a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.faces.fitted import as_array, as_table, full_covariances, row_weights, take_rows

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from emix import GaussianMixture

_ROWS_AT_A_TIME = 65_536
# Beyond this share of a column's variance reg_covar is no longer a safeguard but part of the result.
_DOMINATES = 0.01
_MAX_NAMED = 3


def column_variances(
    estimator: GaussianMixture, X: Any = None, sample_weight: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Variances of the columns, without reg_covar.

    Parameters
    ----------
    estimator : GaussianMixture
        A fitted mixture.
    X : array or frame of shape (n_samples, n_features), optional
        The data of the fit. Without them the variances are those of the mixture less reg_covar, which differ from
        the data's by what the fit left open.
    sample_weight : ndarray of shape (n_samples,), optional

    Returns
    -------
    ndarray of shape (n_features,)
    """
    pi, mu = np.asarray(estimator.weights_, dtype=np.float64), np.asarray(estimator.means_, dtype=np.float64)
    centre = pi @ mu
    if X is None:
        within = np.diagonal(full_covariances(estimator), axis1=1, axis2=2)
        return np.asarray(np.maximum(pi @ (within + (mu - centre) ** 2) - float(estimator.reg_covar), 0.0))
    X = as_table(X)
    w = row_weights(X, sample_weight)
    first, second = np.zeros(len(centre)), np.zeros(len(centre))
    for start in range(0, len(X), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        # About the mixture's mean, next to which that of the data lies: nothing cancels.
        distance = as_array(take_rows(X, block)) - centre
        first += w[block] @ distance
        second += w[block] @ (distance * distance)
    return np.asarray(np.maximum(second / w.sum() - (first / w.sum()) ** 2, 0.0))


def scale_warnings(
    estimator: GaussianMixture,
    names: list[str],
    X: Any = None,
    sample_weight: NDArray[np.floating] | None = None,
) -> list[str]:
    """Say which columns are constant, and in which reg_covar is a part of the variance that counts."""
    reg_covar = float(estimator.reg_covar)
    variances = column_variances(estimator, X, sample_weight)
    # What rounding leaves of a constant: of its value in the differences, of reg_covar in its removal.
    rounding = (1e-14 * np.abs(estimator.weights_ @ estimator.means_)) ** 2
    if X is None:
        rounding += 1e-12 * reg_covar
    constant = variances <= rounding
    dominated = ~constant & (reg_covar > _DOMINATES * variances)
    texts = []
    if constant.any():
        texts.append(f"{_named(names, constant)} constant, which tells no components apart: better left out")
    if dominated.any():
        j = int(np.argmin(np.where(dominated, variances, np.inf)))
        texts.append(
            f"reg_covar = {reg_covar:g} is large for {_named(names, dominated, verb=False)} (variance "
            f"{variances[j]:.3g}{f' of {names[j]}' if dominated.sum() > 1 else ''}): rescale, or lower reg_covar"
        )
    return texts


def _named(names: list[str], which: NDArray[np.bool_], *, verb: bool = True) -> str:
    chosen = [names[j] for j in np.flatnonzero(which)]
    more = "" if len(chosen) <= _MAX_NAMED else f" and {len(chosen) - _MAX_NAMED} more"
    plural = len(chosen) > 1
    text = f"column{'s' if plural else ''} {', '.join(chosen[:_MAX_NAMED])}{more}"
    return f"{text} {'are' if plural else 'is'}" if verb else text
