"""Checks of a GaussianMixture's constructor parameters, made when it is fitted, and their error texts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.arguments import check_finite, choice_of, element_of, integer_in_range, real_in_range
from emix.exceptions import shown, warn
from emix.gaussian.covariance_checks import asymmetric_element, correlations, least_eigenvalue
from emix.gaussian.reg_covar import RegCovar, reg_covar_of
from emix.gaussian.structures import NAMES, OF_ONE_COLUMN, CovarianceStructure, structure_of
from emix.rows.conversion import as_numbers
from emix.starts.auto import INIT_PARAMS

__all__ = [
    "GivenStart",
    "Settings",
    "check_given_start",
    "check_means",
    "check_settings",
    "check_spread",
    "check_weights",
]


class Settings(NamedTuple):
    """The numbers and choices of a fit, checked.

    `covariance_type` is the user's name of the structure.
    """

    n_components: int
    covariance_type: str
    structure: CovarianceStructure
    tol: float
    reg_covar: RegCovar
    max_iter: int
    n_init: int
    init_params: str
    warm_start: bool
    verbose: int
    verbose_interval: int
    n_threads: int | None


class GivenStart(NamedTuple):
    """The parts of a start that the user gave, as float64; None for the others."""

    weights: NDArray[np.float64] | None
    means: NDArray[np.float64] | None
    precisions: NDArray[np.float64] | None


# Whether there is one column is asked when rows or means are there.
_NAMES = (*NAMES, *OF_ONE_COLUMN)

_NOTHING_GIVEN = GivenStart(None, None, None)


def check_settings(estimator: Any, caller: str | None = None) -> Settings:
    """Return the estimator's numbers and choices; `caller` is in messages, by default the estimator's class.

    Raises
    ------
    TypeError, ValueError
        If one is of the wrong type, out of range, or not among the choices.
    """
    values = (
        caller or type(estimator).__name__, estimator.n_components, estimator.covariance_type, estimator.tol,
        estimator.reg_covar, estimator.max_iter, estimator.n_init, estimator.init_params, estimator.warm_start,
        estimator.verbose, estimator.verbose_interval, estimator.n_threads,
    )  # fmt: skip
    try:
        return _checked(*values)
    except TypeError:  # of a wrong type, which may also be one that has no hash
        return _checked.__wrapped__(*values)


# A service fits again and again with the same settings: their checks are a twentieth of a fit of 200 × 2.
@lru_cache(maxsize=64, typed=True)
def _checked(
    caller: str, n_components: Any, covariance_type: Any, tol: Any, reg_covar: Any, max_iter: Any, n_init: Any,
    init_params: Any, warm_start: Any, verbose: Any, verbose_interval: Any, n_threads: Any,
) -> Settings:  # fmt: skip
    if n_threads is not None:
        integer_in_range("n_threads", n_threads, 1, caller=caller)
    if not isinstance(warm_start, (bool, np.bool_)):
        raise TypeError(
            f"The 'warm_start' parameter of {caller} must be True or False. Got {shown(warm_start)} instead."
        )
    structure = structure_of(choice_of("covariance_type", covariance_type, _NAMES, caller), caller)
    return Settings(
        n_components=integer_in_range("n_components", n_components, 1, caller=caller),
        covariance_type=covariance_type,
        structure=structure,
        tol=real_in_range("tol", tol, 0.0, caller=caller),
        reg_covar=reg_covar_of(reg_covar, caller),
        max_iter=integer_in_range("max_iter", max_iter, 0, caller=caller),
        n_init=integer_in_range("n_init", n_init, 1, caller=caller),
        init_params=choice_of("init_params", init_params, INIT_PARAMS, caller),
        warm_start=bool(warm_start),
        verbose=integer_in_range("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0, caller=caller),
        verbose_interval=integer_in_range("verbose_interval", verbose_interval, 1, caller=caller),
        n_threads=None if n_threads is None else int(n_threads),
    )


def check_given_start(estimator: Any, settings: Settings, n_features: int) -> GivenStart:
    """Return the start's weights, means and precisions as far as they were given.

    Raises
    ------
    TypeError, ValueError
        If one has the wrong shape, is not finite, or cannot be what it should be.
    """
    n_components = settings.n_components
    weights, means, precisions = estimator.weights_init, estimator.means_init, estimator.precisions_init
    if weights is None and means is None and precisions is None:
        return _NOTHING_GIVEN
    given = GivenStart(
        weights=None if weights is None else check_weights(weights, n_components, argument="weights_init"),
        means=None if means is None else check_means(means, (n_components, n_features), argument="means_init"),
        precisions=None
        if precisions is None
        else check_spread(
            precisions, settings.covariance_type, n_components, n_features, "precision", argument="precisions_init"
        ),
    )
    _warn_of_twins(given, settings.structure.is_common)
    return given


def _warn_of_twins(given: GivenStart, one_spread: bool) -> None:
    """Warn if two components start with one mean and one covariance."""
    if given.means is None:
        return
    # Zeros of either sign are one number.
    seen: dict[bytes, int] = {}
    for k, mean in enumerate(given.means + 0.0):
        start = mean.tobytes()
        if given.precisions is not None and not one_spread:
            start += (given.precisions[k] + 0.0).tobytes()
        first = seen.setdefault(start, k)
        if first < k:
            warn(
                f"means_init[{first}] and means_init[{k}] are equal, and so are the covariances that go with them. "
                "Such components stay one, counted twice, or rounding parts them. Give means that differ."
            )
            return


@np.errstate(under="ignore")
def check_weights(
    weights: Any, n_components: int, *, argument: str, parameter: str = "weights", of: str = "component"
) -> NDArray[np.float64]:
    """Return weights of components that sum to one.

    Parameters
    ----------
    weights : array_like
    n_components : int
    argument : str
        The argument's name in messages.
    parameter, of : str
        What the weights are called, and of what there is one each.

    Raises
    ------
    ValueError
        If they have the wrong shape, are outside [0, 1], or do not sum to one.
    """
    found = as_numbers(weights, argument)
    _check_shape(found, (n_components,), parameter, f"{argument} needs one number for each {of}")
    check_finite(found, argument)
    if found.min() < 0.0 or found.max() > 1.0:
        k = int(np.argmax((found < 0.0) | (found > 1.0)))
        raise ValueError(
            f"{argument}[{k}] is {found[k]:.5f}, expected {parameter} between 0 and 1 that sum to one: divide "
            f"{argument} by its sum. (The parameter '{parameter}' should be in the range [0, 1], "
            f"but got min value {found.min():.5f}, max value {found.max():.5f})"
        )
    total = float(found.sum(dtype=np.float64))
    # Weights that were normalized in their own precision.
    if abs(total - 1.0) > (1e-6 if found.dtype == np.float32 else 1e-8):
        raise ValueError(
            f"The parameter '{parameter}' should be normalized, but got sum({parameter}) = {total:.5f}: divide "
            f"{argument} by its sum."
        )
    return found.astype(np.float64) / total


def check_means(means: Any, shape: tuple[int, int], *, argument: str) -> NDArray[np.float64]:
    """Return means of the given shape.

    Raises
    ------
    ValueError
        If they have another shape or are not finite.
    """
    found = as_numbers(means, argument)
    _check_shape(found, shape, "means", f"{argument} needs one row for each component, one column for each feature")
    check_finite(found, argument)
    return found.astype(np.float64, order="C")


@np.errstate(under="ignore")
def check_spread(
    values: Any, covariance_type: str, n_components: int, n_features: int, kind: str, *, argument: str
) -> NDArray[np.float64]:
    """Return covariances or precisions, in the shape of a covariance type.

    Parameters
    ----------
    values : array_like
    covariance_type : str
        Name of the structure.
    n_components, n_features : int
    kind : {"covariance", "precision"}
        As messages call one of them.
    argument : str
        The argument's name in messages.

    Returns
    -------
    ndarray, float64
        Matrices are exactly symmetric.

    Raises
    ------
    ValueError
        If the shape is another, or a matrix is not symmetric and positive definite, a variance not positive.
    """
    found = as_numbers(values, argument)
    form = structure_of(covariance_type, "check_spread", parameter="covariance_type").form
    _check_shape(
        found,
        form.shape(n_components, n_features),
        f"{covariance_type} {kind}",
        f"that is the shape of {argument} with covariance_type={covariance_type!r}, n_components={n_components} "
        f"and {n_features} features",
    )
    check_finite(found, argument)
    found = found.astype(np.float64, order="C")
    if not form.has_matrices:
        if found.min() <= 0.0:
            place = np.unravel_index(int(np.argmax(found <= 0.0)), found.shape)
            raise ValueError(
                f"'{covariance_type} {kind}' should be positive: {element_of(argument, place)} is {found[place]:g}."
            )
        return found
    for k, matrix in enumerate(found[np.newaxis] if form.is_shared else found):
        which = argument if form.is_shared else f"{argument}[{k}]"
        start = f"'{covariance_type} {kind}' should be symmetric, positive-definite: {which} "
        if matrix.diagonal().min() <= 0.0:
            least = int(matrix.diagonal().argmin())
            raise ValueError(
                start
                + f"has {matrix[least, least]:g} at [{least}, {least}] of its diagonal, expected numbers above zero."
            )
        places = asymmetric_element(matrix)
        if places is not None:
            (i, j), _ = places
            raise ValueError(
                start + f"is not symmetric, its elements [{i}, {j}] and [{j}, {i}] are {matrix[i, j]:g} and "
                f"{matrix[j, i]:g}. Pass (A + A.T) / 2 if they differ by rounding."
            )
        # The units of the columns neither make a matrix singular nor hide that it is.
        lowest = least_eigenvalue(correlations(matrix))
        if lowest <= 0.0:
            raise ValueError(
                start + f"has the eigenvalue {lowest:g}, scaled to a diagonal of ones; expected all above zero. Add a "
                "small part of itself to its diagonal."
            )
    symmetric: NDArray[np.float64] = (found + found.swapaxes(-1, -2)) / 2
    return symmetric


def _check_shape(found: NDArray[Any], shape: tuple[int, ...], name: str, reason: str) -> None:
    if found.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {found.shape}: {reason}.")
