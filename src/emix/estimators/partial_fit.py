"""The method `partial_fit` of a mixture: stepwise EM over a stream of rows."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from emix.estimators.fit_attributes import all_count_once
from emix.estimators.fit_state import attributes_of, dtype_of, parameters_of
from emix.estimators.fit_warnings import warn_of_doubts, warn_of_infinite_precisions, warn_of_step
from emix.estimators.mixture_runs import fit_from_starts
from emix.estimators.mixture_statistics import MixtureStatistics, check_sizes, source_of_rows
from emix.estimators.parameters_check import Settings, check_given_start, check_settings
from emix.estimators.rows_to_fit import source_to_fit
from emix.estimators.sklearn_protocol import UNCHANGED
from emix.estimators.stream import Stream, statistics_of_parameters
from emix.exceptions import shown
from emix.gaussian.collapse import ColumnDoubts
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource

__all__ = ["PartialFit"]

# Most steps of EM on the first rows. A fit of a thousand rows to its end has their noise in it, along directions in
# which components overlap, and steps take long to go back there. With 20 to 50 iterations streams ended nearest to the
# fit of all rows (benchmarks/NOTES.md).
FIRST_ITERATIONS = 50

# Rows that a fit counts as, at most: weights of the fit and of later rows may be in different units.
_MOST_ROWS = 1e12

# Rows among which distinct ones are counted at one time.
_ROWS_AT_A_TIME = 4096


class PartialFit(MixtureStatistics):
    """The method `partial_fit` of a mixture."""

    _metadata: ClassVar[dict[str, tuple[str, ...]]] = {
        **MixtureStatistics._metadata,
        "partial_fit": ("sample_weight", "step"),
    }

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None, *, step: float | None = None
    ) -> Self:
        """Take in more rows, each of which is looked at once: stepwise EM.

        The first call starts from its rows: at most 50 iterations of EM from the starts that `fit` would take. Later
        calls go on from there, and so does the first call after `fit`, `load` or `from_parameters`: then what was
        fitted counts as much as the rows of that fit (`total_weight_`), or as much as those of the call if they are not
        known. `fit` starts anew.

        Rows of one call are taken in blocks of 50, or of as many as there are free parameters. A block is blended into
        the statistics of those before with the step (1 + t)^−0.55, t the number of blocks before, and the mixture is
        that of the average of these blends over the stream. So rows should come in random order, and a call needs no
        more than a few rows, though some thousands make it faster.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            In the first call at least as many distinct rows as components, and better some hundreds.
        y : object
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative.
        step : float, optional
            The part, above 0 and up to 1, that the rows of this call have in the statistics after it. They are taken as
            one block, and nothing is averaged. A fixed step, such as 0.05 with rows of a day in each call, follows data
            that drift, and ``1.0`` is a step of EM on these rows alone. A schedule of your own is a step of your own in
            each call. The first call, which starts, does not look at it.

        Returns
        -------
        self
            If anything goes wrong it is left as it was. With the parameters of now, and of the attributes of a fit:

            - `log_likelihood_` is that of the rows after the first call, and later an estimate for all rows of the
              stream, `lower_bound_` × `total_weight_`. `lower_bound_` is then an average of log-densities, each under
              the parameters just before its row was taken in. Later rows count for more in it; it falls if the stream
              changes. Use `score` for rows of your own.
            - `total_weight_` is the weight of all rows, also those of a fit before.
            - `n_iter_` counts steps of EM. `converged_` is False, as a stream has no end; `stopped_by_` is
              "partial_fit". `history_`, `lower_bounds_` and `runs_` are empty. `columns_in_doubt_` is of the first
              call, `fit_time_` the time of all.

        Raises
        ------
        TypeError, ValueError
            If a parameter, `X`, `sample_weight` or `step` is not what it should be; if the first call has fewer
            distinct rows than components, a later one has other columns, or the settings are for other parameters than
            those that are there.
        DegenerateCovarianceError
            If the covariance of a component collapsed.

        Warns
        -----
        ConvergenceWarning
            If a component collapsed: in the first call as in a fit, later if its covariance did, once as long as the
            component stays so.
        UserWarning
            As `fit`, in the first call.

        Notes
        -----
        The state is small: statistics of the mixture's size, twice. `save` and pickle keep it. A component that no row
        belongs to any more keeps its mean and its covariance, while its weight goes to 0, down to 1e-100; rows that
        come there again find it.

        References
        ----------
        O. Cappé and E. Moulines (2009), On-line expectation-maximization algorithm for latent data models, Journal of
        the Royal Statistical Society B 71, 593-613.

        Examples
        --------
        >>> import emix
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> gm = emix.GaussianMixture(2, random_state=0)
        >>> for _ in range(100):
        ...     rows = rng.normal(size=(500, 1))
        ...     rows[150:] += 4.0
        ...     gm = gm.partial_fit(rng.permutation(rows))
        >>> sorted(gm.weights_.round(2).tolist())
        [0.3, 0.7]
        >>> gm.total_weight_
        50000.0
        """
        began = time.perf_counter()
        settings = check_settings(self)
        if step is not None:
            step = _checked_step(step)
        before = vars(self)
        if "_parameters" in before:
            state = self._goes_on(before, settings, X, sample_weight, step)
        else:
            state = self._begins(before, settings, X, sample_weight)
        state["fit_time_"] += time.perf_counter() - began
        self.__dict__ = state
        return self

    def set_partial_fit_request(
        self, *, sample_weight: bool | str | None = UNCHANGED, step: bool | str | None = UNCHANGED
    ) -> Self:
        """Say whether meta-estimators of scikit-learn pass `sample_weight` and `step` on to `partial_fit`.

        Parameters
        ----------
        sample_weight, step : bool, str or None
            True: pass it. False: do not. None: raise an error if it is given. A name: pass what is given under it.

        Returns
        -------
        self

        Raises
        ------
        RuntimeError
            If scikit-learn's metadata routing is not enabled.
        """
        return self._request("partial_fit", sample_weight=sample_weight, step=step)

    def _begins(
        self, before: dict[str, Any], settings: Settings, X: Any, sample_weight: ArrayLike | None
    ) -> dict[str, Any]:
        """Return the attributes after the first rows."""
        source, names = source_to_fit(X, sample_weight, settings, type(self).__name__)
        given = check_given_start(self, settings, source.n_features)
        if any(part is None for part in given):
            _check_distinct_rows(source, settings.n_components)
        few = settings._replace(max_iter=min(settings.max_iter, FIRST_ITERATIONS))
        moderate = source.without_unit()
        result, reports, doubts = fit_from_starts(few, given, seed_of(self.random_state), moderate, names)
        chosen = next(report for report in reports if report.chosen)
        if chosen.degenerate or doubts:
            warn_of_doubts(source, settings, chosen, doubts, names)
        statistics = result.statistics
        stream = Stream(statistics, statistics, source.effective_rows, source.total_weight)
        state = {
            **before,
            **_published(result.parameters, source.dtype),
            **_report(stream, source.total_weight, result.n_iter, not all_count_once(source)),
            "columns_in_doubt_": doubts,
            "fit_time_": 0.0,
            "n_features_in_": source.n_features,
        }
        if names is not None:
            state["feature_names_in_"] = names
        return state

    def _goes_on(
        self,
        before: dict[str, Any],
        settings: Settings,
        X: Any,
        sample_weight: ArrayLike | None,
        step: float | None,
    ) -> dict[str, Any]:
        """Return the attributes after more rows."""
        parameters = parameters_of(before)
        K, d = parameters.means.shape
        remedy = " Call fit to start anew, or set the parameters back."
        check_sizes("partial_fit goes on from parameters", parameters.structure, (K, d), settings, d, remedy)
        source = source_of_rows(self, before, X, sample_weight)
        model = GaussianModel(K, d, settings.structure, settings.reg_covar, settings.n_threads)
        stream: Stream | None = before.get("_stream")
        # Without a report of their fit, parameters count as much as the rows that come.
        weight = float(before.get("total_weight_", source.total_weight))
        if stream is None or parameters is not before["_parameters"]:
            stream = _stream_of_fit(before, parameters, model, source, weight)
        # What was wrong after a call before has been warned of then; parameters that were given have not been judged.
        earlier = stream.average if "total_weight_" in before and parameters is before["_parameters"] else None
        if step is None:
            stream, found, n_steps = stream.advanced(model, source)
        else:
            stream, found, n_steps = stream.stepped(model, source, parameters, step)
        warn_of_step(
            stream.average,
            settings.reg_covar,
            parameters,
            found,
            stream.n_rows,
            before.get("feature_names_in_"),
            "Pass more and other rows, or a smaller step. The mixture before was better: save it before such calls.",
            of_few_rows=False,
            earlier=earlier,
        )
        weighted = before.get("_fit_weight") is not None or not all_count_once(source)
        return {
            **before,
            **_published(found, np.promote_types(dtype_of(before["means_"]), source.dtype)),
            **_report(stream, weight + source.total_weight, before.get("n_iter_", 0) + n_steps, weighted),
            "columns_in_doubt_": before.get("columns_in_doubt_", ColumnDoubts()),
            "fit_time_": before.get("fit_time_", 0.0),
        }


def _stream_of_fit(
    fitted: dict[str, Any], parameters: GaussianParameters, model: GaussianModel, source: ArraySource, weight: float
) -> Stream:
    """Return the stream that goes on from parameters of so much weight, before the rows of `source`."""
    mean = fitted.get("lower_bound_")
    if mean is None:
        moderate = source.without_unit()
        mean = model.e_step(moderate, parameters)[1] / moderate.total_weight
    n_rows = min(_MOST_ROWS, weight / source.total_weight * source.effective_rows)
    statistics = statistics_of_parameters(parameters, model.reg_covar, source.columns, round(n_rows), mean)
    return Stream(statistics, statistics, n_rows, weight)


def _published(parameters: GaussianParameters, dtype: np.dtype[Any]) -> dict[str, Any]:
    published = attributes_of(parameters, dtype)
    warn_of_infinite_precisions(parameters, published["precisions_"])
    return published


def _report(stream: Stream, total_weight: float, n_iter: int, weighted: bool) -> dict[str, Any]:
    """Return the attributes that tell of a stream."""
    mean = stream.average.log_likelihood / stream.average.total_weight
    return {
        "log_likelihood_": mean * total_weight,
        "total_weight_": total_weight,
        "lower_bound_": mean,
        "lower_bounds_": [],
        "history_": [],
        "runs_": [],
        "converged_": False,
        "n_iter_": n_iter,
        "stopped_by_": "partial_fit",
        "_fit_weight": total_weight if weighted else None,
        "_stream": stream,
    }


def _checked_step(step: Any) -> float:
    is_number = isinstance(step, (int, float, np.integer, np.floating)) and not isinstance(step, bool)
    if not is_number or not 0.0 < step <= 1.0:
        raise (ValueError if is_number else TypeError)(
            f"step is {shown(step)}, expected a number above 0 and up to 1: the part of these rows in the statistics, "
            "or None for steps that fall by themselves."
        )
    return float(step)


def _check_distinct_rows(source: ArraySource, n_components: int) -> None:
    """Refuse fewer distinct rows, of weight above zero, than components."""
    distinct: set[bytes] = set()
    for first in range(0, source.n_rows, _ROWS_AT_A_TIME):
        block = slice(first, first + _ROWS_AT_A_TIME)
        rows = source.X[block] + 0.0  # zeros of either sign are one number
        if source.sample_weight is not None:
            rows = rows[source.sample_weight[block] > 0.0]
        for row in rows:
            distinct.add(row.tobytes())
            if len(distinct) >= n_components:
                return
    raise ValueError(
        f"X has {len(distinct)} distinct rows of weight above zero, expected at least n_components = {n_components}: a "
        "stream starts from the rows of the first call. Pass more rows at first, or a start that is given whole "
        "(weights_init, means_init and precisions_init)."
    )
