"""bootstrap_lrt: the likelihood ratio of K components against K + 1, by the parametric bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emix.arguments import integer_in_range
from emix.choice.fits import CellFit, Fitter
from emix.choice.request import Cell, cells_of, check_covariance_types
from emix.choice.side_by_side import Stop, do_each
from emix.choice.sweep import start_from, threads_of_fits
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.parameters_check import check_settings
from emix.exceptions import DegenerateFitError, warn, warn_convergence
from emix.gaussian.drawing import draw
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import NAMES
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource
from emix.rows.validation import FloatArray, as_rows, check_column_range, feature_names
from emix.starts.neighbours import merged, split

__all__ = ["LikelihoodRatioTest", "bootstrap_lrt"]

Array = NDArray[np.float64]

# A share of samples without a statistic, or with a fit that did not converge, from which on the p-value is doubtful.
MANY = 0.1


@dataclass(frozen=True, eq=False)
class LikelihoodRatioTest:
    """The result of `bootstrap_lrt`.

    Attributes
    ----------
    n_components : int
        K of the null hypothesis, against K + 1.
    covariance_type : str
    statistic : float
        2 (ℓ_{K+1} − ℓ_K) of the data, nats.
    bootstrap_statistics : ndarray of shape (n_bootstrap,)
        The same of each sample that was drawn from the mixture of K components; NaN where a component collapsed.
    p_value : float
        (1 + number of bootstrap statistics not below the statistic) / (1 + number of bootstrap statistics).
    p_error : float
        Monte-Carlo standard error of the p-value: another seed gives another by about as much.
    """

    n_components: int
    covariance_type: str
    statistic: float
    bootstrap_statistics: Array
    p_value: float
    p_error: float

    def __str__(self) -> str:
        K = self.n_components
        drawn = np.count_nonzero(np.isfinite(self.bootstrap_statistics))
        return (
            f"{K} against {K + 1} components, covariance_type={self.covariance_type!r}: 2 Δ log-likelihood = "
            f"{self.statistic:.3f}, p = {self.p_value:.3g} ± {self.p_error:.1g} ({drawn} bootstrap samples)"
        )


def bootstrap_lrt(
    X: Any,
    n_components: int,
    covariance_type: str = "full",
    *,
    n_bootstrap: int = 99,
    n_init: int = 1,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
    n_threads: int | None = None,
    tol: float = 1e-6,
    reg_covar: float | Literal["auto"] = "auto",
    max_iter: int = 1000,
    init_params: str = "auto",
) -> LikelihoodRatioTest:
    """Test K components against K + 1, by the parametric bootstrap of the likelihood ratio.

    The usual χ² distribution does not hold for it: a mixture of K + 1 components that is one of K is no regular point.
    So as many rows as there are in `X` are drawn from the mixture of K components, again and again, and the statistic
    of the data is compared with theirs. Either mixture is also fitted from the other, by a merge or a split.

    Parameters
    ----------
    X : array_like or data frame of shape (n_samples, n_features)
        Rows without weights: the samples are drawn as if each counted once.
    n_components : int
        K of the null hypothesis.
    covariance_type : str
        As that of `GaussianMixture`; the same for both.
    n_bootstrap : int
        Number of samples. The least p-value is 1 / (n_bootstrap + 1).
    n_init : int
        Starts of each fit.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Source of the samples and the starts.
    n_threads : int or None
        Most threads to use; results do not depend on it.
    tol, reg_covar, max_iter, init_params
        As those of `GaussianMixture`.

    Returns
    -------
    LikelihoodRatioTest

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    DegenerateFitError
        If a component of K or of K + 1 collapsed in all fits to the data: the likelihood has no bound then.

    Warns
    -----
    UserWarning
        If in more than a tenth of the samples a component collapsed; they do not count.
    ConvergenceWarning
        If a fit to the data, or fits to more than a tenth of the samples, stopped at `max_iter`.

    References
    ----------
    G. J. McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of components in a
    normal mixture, Journal of the Royal Statistical Society C (Applied Statistics) 36, 318-324.

    Examples
    --------
    >>> import emix
    >>> X = emix.load_faithful().data
    >>> test = emix.bootstrap_lrt(X, 1, "tied", n_bootstrap=19, random_state=0)
    >>> test.p_value
    0.05
    """
    caller = "bootstrap_lrt"
    K = integer_in_range("n_components", n_components, 1, caller=caller)
    n_bootstrap = integer_in_range("n_bootstrap", n_bootstrap, 1, caller=caller)
    mixture = GaussianMixture(
        tol=tol, reg_covar=reg_covar, max_iter=max_iter, n_init=n_init, init_params=init_params, n_threads=n_threads
    )
    settings = check_settings(mixture, caller)
    names = feature_names(X)
    rows = as_rows(X, caller=caller, to_fit=True)
    source = ArraySource(rows)
    if isinstance(covariance_type, str) and covariance_type == "all":
        raise ValueError(
            f"The 'covariance_type' parameter of {caller} is 'all', expected one name among {', '.join(NAMES)}: choose "
            "the structure with select_mixture first."
        )
    given = covariance_type if isinstance(covariance_type, str) else [covariance_type]
    structures = check_covariance_types(
        given, source.n_features, caller=caller, parameter="covariance_type", with_all=False
    )
    few, more = _both(cells_of([K, K + 1], structures, source, caller=caller), K, source)
    check_column_range(source.columns, rows.dtype.char, names)
    seed = seed_of(random_state)

    observed = Fitter(source, settings, seed, names)
    null, alternative = _fits(observed, few, more)
    for cell, fit in ((few, null), (more, alternative)):
        if not fit.is_sound:
            raise _collapsed(cell, fit)
    assert null.runs is not None
    unfinished = [str(cell.n_components) for cell, fit in ((few, null), (more, alternative)) if not _converged(fit)]
    if unfinished:
        warn_convergence(
            f"With {' and with '.join(unfinished)} components the fit to the data stopped at max_iter={max_iter} "
            "before it converged: the statistic is doubtful. Raise max_iter."
        )
    parameters = null.runs.result.parameters
    at_once = threads_of_fits([few, more], source, n_threads, n_bootstrap)

    def of_sample(i: int, stop: Stop) -> tuple[float, bool]:
        drawn = _sample(parameters, source, seed, i)
        fits = _fits(Fitter(drawn, settings, seed + 1 + i, names), few, more, stop, at_once > 1)
        return _statistic(*fits), all(map(_converged, fits))

    found = [(math.nan, False)] * n_bootstrap
    do_each(n_bootstrap, of_sample, found.__setitem__, at_once)
    statistics = np.array([statistic for statistic, _ in found])
    n_unfinished = sum(not converged and not math.isnan(statistic) for statistic, converged in found)
    if n_unfinished > MANY * n_bootstrap:
        warn_convergence(
            f"In {n_unfinished} of {n_bootstrap} bootstrap samples a fit stopped at max_iter={max_iter} before it "
            "converged: the p-value is doubtful. Raise max_iter."
        )
    return _test(K, few.covariance_type, _statistic(null, alternative), statistics)


def _both(cells: list[Cell], n_components: int, source: ArraySource) -> tuple[Cell, Cell]:
    if len(cells) < 2:
        raise ValueError(
            f"n_components={n_components} is tested against {n_components + 1}, but X, of {source.n_rows} rows, has "
            f"fewer than {n_components + 1} distinct ones: test fewer components."
        )
    return cells[0], cells[1]


def _fits(fitter: Fitter, few: Cell, more: Cell, stop: Stop = None, alone: bool = False) -> tuple[CellFit, CellFit]:
    """Fit K components and K + 1, each also from the other; in the same way for the data and for all samples.

    A mode that one of them missed would be taken for a ratio of likelihoods.
    """
    null, alternative = fitter.fit(few, stop, alone=alone), fitter.fit(more, stop, alone=alone)
    if few.n_components > 1 and alternative.is_sound:  # one Gaussian has one mode
        start = f"{more.n_components} components", start_from(merged, alternative, few.structure)
        null = fitter.improve(few, null, [start], stop, alone=alone)
    if null.is_sound:
        start = f"{few.n_components} components", start_from(split, null, more.structure)
        alternative = fitter.improve(more, alternative, [start], stop, alone=alone)
    return null, alternative


def _converged(fit: CellFit) -> bool:
    return fit.runs is not None and fit.runs.result.converged


def _sample(parameters: GaussianParameters, source: ArraySource, seed: int, i: int) -> ArraySource:
    numbers = np.random.Generator(np.random.Philox(key=[seed % 2**64, i]))
    X: FloatArray
    X, _ = draw(parameters, source.n_rows, numbers)
    if source.dtype.char == "f":
        X = X.astype(np.float32)
    return ArraySource(X)


def _statistic(null: CellFit, alternative: CellFit) -> float:
    """Return 2 (ℓ_{K+1} − ℓ_K), NaN if a component collapsed, 0 where K + 1 components missed their mode."""
    if not (null.is_sound and alternative.is_sound):
        return math.nan
    return max(0.0, 2.0 * (alternative.log_likelihood - null.log_likelihood))


def _test(n_components: int, covariance_type: str, statistic: float, bootstrap: Array) -> LikelihoodRatioTest:
    """Return the test with its p-value.

    Raises
    ------
    DegenerateFitError
        If no sample has a statistic.
    """
    counted = bootstrap[np.isfinite(bootstrap)]
    n_left_out = len(bootstrap) - len(counted)
    advice = "Test fewer components, or a covariance_type with fewer parameters."
    if not len(counted):
        raise DegenerateFitError(f"A component collapsed in each of {len(bootstrap)} bootstrap samples. {advice}", 0)
    if n_left_out > MANY * len(bootstrap):
        warn(
            f"A component collapsed in {n_left_out} of {len(bootstrap)} bootstrap samples, which do not count: the "
            f"p-value is doubtful. {advice}"
        )
    p = (1.0 + np.count_nonzero(counted >= statistic)) / (1.0 + len(counted))
    error = math.sqrt(p * (1.0 - p) / len(counted))
    return LikelihoodRatioTest(n_components, covariance_type, statistic, bootstrap, float(p), error)


def _collapsed(cell: Cell, fit: CellFit) -> DegenerateFitError:
    reason = fit.failure
    if fit.runs is not None:
        reason = next(report.message for report in fit.runs.reports if report.chosen)
    return DegenerateFitError(
        f"With {cell.n_components} components the fit to the data is degenerate: {reason}. Its likelihood says little, "
        "and so would the ratio: test fewer components, raise n_init, or choose a covariance_type with fewer "
        "parameters.",
        0,
    )
