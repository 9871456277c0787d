"""GaussianMixture: a mixture of Gaussians fitted by EM, with scikit-learn's names, shapes and meanings."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.em.restarts import RunReport
from emix.em.result import EMRecord
from emix.estimators.fit_attributes import attributes_of_fit
from emix.estimators.fit_state import parameters_of
from emix.estimators.fitted_mixture import FittedMixture
from emix.estimators.known_parameters import KnownParameters
from emix.estimators.mixture_display import MixtureDisplay
from emix.estimators.mixture_operations import MixtureOperations
from emix.estimators.mixture_runs import continue_fit, fit_from_starts
from emix.estimators.mixture_statistics import MixtureStatistics
from emix.estimators.mixture_storage import MixtureStorage
from emix.estimators.parameters_check import check_given_start, check_settings
from emix.estimators.partial_fit import PartialFit
from emix.estimators.progress import Callback, follow
from emix.estimators.rows_to_fit import rows_to_fit
from emix.estimators.sklearn_exchange import SklearnExchange
from emix.gaussian.collapse import ColumnDoubts
from emix.random_source import seed_of
from emix.rows.source import RowSource
from emix.rows.validation import FloatArray

if TYPE_CHECKING:
    from emix.estimators.checkpoint import Checkpoint

__all__ = ["GaussianMixture"]


class GaussianMixture(
    PartialFit,
    MixtureStatistics,
    FittedMixture,
    MixtureOperations,
    MixtureDisplay,
    MixtureStorage,
    KnownParameters,
    SklearnExchange,
):
    """Gaussian mixture, fitted by EM to the maximum of the likelihood.

    The parameters, attributes and methods are scikit-learn's, with these differences: the default `tol` is 1e-6, which
    goes further towards the mode than 1e-3; the default `reg_covar` follows the scale of each column; and
    `lower_bound_` is that of the parameters returned, not of those before the last step. What scikit-learn lacks:
    `sample_weight`, `n_threads`, the history of the fit, `icl`, `from_parameters`, `save` and `load`; operations on the
    mixture, from `marginal` and `conditional` to `density_threshold`; `partial_fit` for streams; `statistics` and
    `update_from` for rows that are in several places.

    Parameters
    ----------
    n_components : int
        Number of Gaussians.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI", "EII", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", \
"VEV", "EVV"}
        A covariance matrix for each component; one for all; a variance for each component and feature; a variance
        for each component; a variance for each feature, the same for all components; one variance for all components
        and features. mclust's names of the first four are accepted too: "VVV", "EEE", "VVI", "VII"; and for data in one
        column "E", one variance for all components, and "V", one for each.

        The other eight share a part of the covariances. The letters are for volume, shape and orientation: E is equal
        for all components, V varies, I is along the columns. Variances in the same proportions (VEI), or with the same
        product (EVI). Matrices that are multiples of one (VEE); with common axes (VVE) and the same determinant (EVE);
        with the same eigenvalues (EEV) or the same proportions of them (VEV); with the same determinant (EVV).
    tol : float
        EM stops when a step raises the log-likelihood by at most this, in nats per unit of weight.
    reg_covar : float or "auto"
        Added to the variances at each step, so that a component on equal values keeps a covariance. "auto" follows each
        column's scale: 1e-8 of its variance within components, 1e-14 of its total variance, and the variance that
        rounding to `X`'s dtype leaves; units do not matter. A number is absolute, in squared units of the data.
    max_iter : int
        Most steps of EM in a run. 0 leaves the start as it is.
    n_init : int
        Runs, each from a start of its own; the one with the highest log-likelihood is kept. Runs in which a component
        collapsed, onto a few rows or onto equal values, are set aside: their likelihood has no upper bound. The
        first of several runs is the run of ``n_init=1``.
    init_params : {"auto", "kmeans", "k-means++", "random", "random_from_data", "hierarchical"}
        How a run starts. "auto" tries several kinds on at most max(4096, 64 K) rows, makes a few neighbouring
        components anew time and again, and starts from the best mode that is no collapse. That takes less than a
        millisecond where kinds agree, and a second or two where modes are many. The second run of `n_init` is
        then the hierarchical one, later runs start from the next best. "kmeans" starts from clusters of k-means: a
        service that fits small data again and again saves most of the time with it. "k-means++" starts from rows
        that k-means++ has drawn, "random" from random responsibilities, "random_from_data" from random rows,
        "hierarchical" from clusters of an agglomeration of up to 2 000 rows (fewer from 31 columns on), which is done
        once for a fit; its runs differ only where there are more rows, of which each takes a sample of its own. Columns
        are standardized for the start. Where a part of the start is given, or `max_iter` is below 15, "auto" is
        "kmeans".
    weights_init : array_like of shape (n_components,), optional
        Weights to start from.
    means_init : array_like of shape (n_components, n_features), optional
        Means to start from. Where they are not given too, weights are equal, and the covariance is that of the rows
        about the nearest of the means, pooled over the components.
    precisions_init : array_like, optional
        Inverse covariances to start from, in the shape of `precisions_`. Where they are not of the covariance type, the
        start has the nearest covariances that are, by the components' weights: of one for all components the mean.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Source of the starts and of `sample`. An int gives the same result each time; None draws from the module
        numpy.random, as in scikit-learn: ``np.random.seed`` makes that repeatable.
    warm_start : bool
        Start from the parameters that are there, if the estimator is fitted; `n_init` and the start's parameters are
        not used then.
    verbose : int
        1 shows how the fit goes, from the search for a start on: run, iteration, log-likelihood (total, nats), its
        change, time since the fit began, iterations per second. In a terminal or a notebook that is one line, kept up
        to date by tqdm (the extra ``emix[progress]``); without tqdm, or where neither is there, lines on standard
        output. 2 prints lines in any case. Runs are then done one by one.
    verbose_interval : int
        Iterations from one line to the next.
    n_threads : int or None
        Most threads to use; None leaves it to the processors there are, and small work to one. Results do not depend
        on it. With ``EMIX_LEVEL=blas`` passes over the rows take one, as BLAS has threads of its own.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_ : ndarray
        Of shape (n_features, n_features) for "tied", (n_components, n_features) for "diag", "EEI", "VEI" and "EVI",
        (n_components,) for "spherical" and "EII", (n_components, n_features, n_features) for others. All these have
        the data's dtype.
    precisions_cholesky_ : ndarray
        For matrices upper triangular U with precision U Uᵀ; else the inverse standard deviations. All five
        are read-only. Another array may be put in the place of one and counts from then on; the others stay as they
        are: those of precisions do not follow new covariances. Of `covariances_` and `precisions_cholesky_`, if both
        are replaced, the latter counts, and a new `precisions_` is not looked at.
    n_parameters_ : int
        Number of free parameters.
    log_likelihood_ : float
        Total log-likelihood of the training data under these parameters, nats, rows weighted.
    total_weight_ : float
        Sum of the weights of the training data; without weights the number of rows.
    lower_bound_ : float
        `log_likelihood_` / `total_weight_`.
    lower_bounds_ : list of float
        The same after each accepted iteration, from the start (first) to the parameters returned (last).
    history_ : list of EMRecord
        One for each pass over the data in the run that was kept: log-likelihood, change, time.
    runs_ : list of RunReport
        The end of each run: the kind of start that it came from, how many runs ended in the same mode; where it was set
        aside, which component collapsed, in the direction of which column, and how many rows it holds.
    columns_in_doubt_ : ColumnDoubts
        Columns, by number, that are `constant`, that are linearly `dependent`, and that `reg_covar` has `swamped`: it
        is more than a hundredth of a component's own variance there. `fit` warns of them.
    converged_ : bool
    n_iter_ : int
        Steps of EM in the run that was kept.
    stopped_by_ : {"log_likelihood", "rounding", "max_iter", "callback", "partial_fit"}
        How the run that was kept ended. "rounding": no further rise could be told from rounding. "callback": the
        callback of `fit` ended it, and `converged_` is False. `partial_fit` says what attributes mean after it.
    fit_time_ : float
        Seconds.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,), object
        Names of the columns, where `X` had any.

    References
    ----------
    A. P. Dempster, N. M. Laird and D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
    Journal of the Royal Statistical Society B 39, 1-38.

    Examples
    --------
    >>> import emix
    >>> faithful = emix.load_faithful()
    >>> gm = emix.GaussianMixture(n_components=2, reg_covar=0.0, random_state=0).fit(faithful.data)
    >>> round(gm.log_likelihood_, 3)
    -1130.264
    >>> sorted(gm.weights_.round(3).tolist())
    [0.356, 0.644]
    """

    weights_: FloatArray
    means_: FloatArray
    covariances_: FloatArray
    precisions_: FloatArray
    precisions_cholesky_: FloatArray
    log_likelihood_: float
    total_weight_: float
    lower_bound_: float
    lower_bounds_: list[float]
    history_: list[EMRecord]
    runs_: list[RunReport]
    columns_in_doubt_: ColumnDoubts
    converged_: bool
    n_iter_: int
    stopped_by_: str
    fit_time_: float

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-6,
        reg_covar: float | Literal["auto"] = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: str = "auto",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        callback: Callable[[int, EMRecord], object] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
    ) -> Self:
        """Fit the mixture to the rows of `X`.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features), or a stream of rows
            float64 and float32 are fitted as they are, without a copy, memory maps too; anything else becomes float64.
            Streams are read again in each pass, in memory that does not grow with their rows: the path of a ``.npy``
            file, a list of such paths, the path of a Parquet file or of a folder of them, a pyarrow Dataset or long
            Table, a function that returns a new iterator of blocks of rows for each pass, and the sources
            `emix.ParquetSource` and `emix.BlockSource`, which name columns and weights. Arrays and data frames of Dask
            are fitted where their partitions lie; what scores them is lazy.
        y : object
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative. A weight of 2 counts as the row written twice, 0 as left out. Of a Dask
            collection: a Dask array or series in the same partitions, or an array.
        callback : callable, optional
            Called as ``callback(run, record)`` after each E-step with the number of the run, from 0, and its
            `EMRecord`. It ends the fit by returning True: the run keeps the parameters that it has, later runs are not
            begun, and the best of the runs that were done is kept. Anything else that it returns is ignored; an error
            that it raises ends the fit and leaves the estimator as it was. Runs are done one by one, each iteration by
            itself. The search for a start does not call it. A run that is done again from another start, because it
            collapsed on all of many rows, begins again with the same number.
        checkpoint : str or os.PathLike, optional
            A file in which the fit keeps how far it is. Killed, it is gone on from by the same call, with the bits of a
            fit that nothing ended: of `callback`'s records only those to come, and with ``random_state=None`` from the
            seed of before. An interrupt (Ctrl-C) writes the last iteration, an error nothing more, and the end of the
            fit, also that by `callback`, removes the file. Runs are done one by one, without shortcuts that learn from
            passes before: sums differ by rounding from those of a fit without a checkpoint.
        checkpoint_every : float
            Least seconds between two writes of the file, each at the end of an iteration. 0 writes it after each.
            Without `checkpoint` it is not looked at.

        Returns
        -------
        self
            If anything goes wrong it is left as it was. Another thread may use it meanwhile: each of its calls is of
            the fit before or of this one.

        Raises
        ------
        TypeError, ValueError
            If a parameter, `X` or `sample_weight` is not what it should be; if the checkpoint is of a fit with other
            settings, seed, rows (number, weight, ranges, partitions), start, version of emix or level of the kernel.
        DegenerateCovarianceError
            If in every run the covariance of a component collapsed.
        BlockingIOError, OSError, ModelFileError
            If the checkpoint is in use by another fit, cannot be written, or is damaged.

        Warns
        -----
        ConvergenceWarning
            If the run that is kept did not converge in `max_iter` iterations, or a component of it collapsed. None for
            a run that the callback ended.
        UserWarning
            If all rows are equal, or components start alike; if columns are constant or linearly dependent, or
            `reg_covar` is more than a hundredth of a component's own variance in one; if `precisions_` is infinite.
        """
        if checkpoint is None:
            self._fit(X, sample_weight, callback)
            return self
        from emix.estimators.checkpoint import checkpoint_at

        with checkpoint_at(checkpoint, checkpoint_every, type(self).__name__) as kept:
            self._fit(X, sample_weight, callback, kept)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """Fit the mixture and return the component of each row, as ``fit(X).predict(X)``.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), intp
            Of a Dask collection, a lazy array or series.
        """
        rows, fitted = self._fit(X, sample_weight)
        score: Any = self._score_rows if isinstance(rows, np.ndarray) else self._scores
        labels: NDArray[np.intp] = score(fitted, rows, labels=True).labels
        return labels

    def _fit(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        callback: Callback | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> tuple[FloatArray | RowSource, dict[str, Any]]:
        """Fit and set the attributes, all or none; return the rows, and the attributes of this fit."""
        began = time.perf_counter()
        settings = check_settings(self)
        goes_on = settings.warm_start and self.__sklearn_is_fitted__()
        random_state = 0 if goes_on else self.random_state
        seed = partial(seed_of, random_state)
        if checkpoint is not None:
            seed = partial(seed_of, checkpoint.seed_for(settings, seed(), random_state))
        caller = type(self).__name__
        follower = None
        if settings.verbose or callback is not None:
            follower = follow(settings.verbose, settings.verbose_interval, settings.n_init, callback)
        with nullcontext() if follower is None else follower:
            rows = rows_to_fit(X, sample_weight, settings, caller, seed)
            if checkpoint is not None:
                began -= checkpoint.go_on(settings, rows.source)
            source, moderate, names = rows.source, rows.moderate, rows.names
            if follower is not None:
                follower.knows(source.weight_unit, settings.tol * source.total_weight, settings.max_iter)
            if goes_on:
                before = parameters_of(self._fitted())
                found = continue_fit(settings, before, moderate, names, None, follower, checkpoint)
            else:
                given = check_given_start(self, settings, source.n_features)
                drawn = seed() if rows.seed is None else rows.seed
                found = fit_from_starts(
                    settings,
                    given,
                    drawn,
                    moderate,
                    names,
                    follower=follower,
                    sampled=rows.sampled,
                    checkpoint=checkpoint,
                )
        state = attributes_of_fit(self, settings, found, source, names, time.perf_counter() - began)
        self.__dict__ = state
        return rows.rows, state
