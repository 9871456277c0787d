"""Scores of rows that come batch by batch, and their sums, for which nothing as long as the rows is held."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.estimators.criteria import TOTAL_OVERFLOWS, WeightFacts, entropies, unit_of, weighted_sum
from emix.estimators.fit_state import parameters_of
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import Scores, ZeroDensities, score_rows
from emix.rows.opening import is_mapped
from emix.rows.source import Batch, RowSource
from emix.rows.validation import FloatArray, check_feature_names, check_n_features

__all__ = ["Totals", "batches_to_score", "scores_of_stream", "totals_of_rows", "totals_of_stream"]

# Rows whose responsibilities are held at one time where all are needed, as for ICL.
_ROWS_AT_A_TIME = 8192

# Rows of a memory map whose log-densities are held at one time: 2 MB.
_MAPPED_ROWS = 1 << 18


class Totals(NamedTuple):
    """Sums over rows.

    Attributes
    ----------
    log_density : float
        Σ w log p(x), nats.
    weight : float
        Σ w.
    entropy : float
        −Σ w r log r; 0 where it was not asked for.
    weights : WeightFacts or None
        None without weights.
    unit : float
        Of w in these sums: the ratio of two does not overflow.
    """

    log_density: float
    weight: float
    entropy: float
    weights: WeightFacts | None
    unit: float = 1.0

    def in_unit(self) -> Totals:
        """Return the sums for weights as they were given.

        Raises
        ------
        ValueError
            If all log-densities are finite, and the sum, or twice it, as criteria have it, is not.
        """
        unit = self.unit
        if math.isfinite(self.log_density) and math.isinf(2.0 * unit * self.log_density):
            raise ValueError(TOTAL_OVERFLOWS)
        if math.isinf(2.0 * unit * self.entropy):
            raise ValueError("The sum of entropies overflows: divide sample_weight by its largest value.")
        return Totals(unit * self.log_density, unit * self.weight, unit * self.entropy, self.weights)

    def plus(self, other: Totals) -> Totals:
        """Return the sums over both, without facts of the weights."""
        return Totals(
            self.log_density + other.log_density, self.weight + other.weight, self.entropy + other.entropy, None
        )


def scores_of_stream(stream: RowSource, fitted: dict[str, Any], caller: str, **what: bool) -> Scores:
    """Score all rows of a stream, which is read once.

    Parameters
    ----------
    stream : RowSource
    fitted : dict
        The estimator's attributes.
    caller : str
        Its name in messages.
    **what : bool
        As for `score_rows`.

    Returns
    -------
    Scores
        Of all rows. A stream with a method `scores` returns its own: of rows that are elsewhere, computed there.
    """
    zeros, found = ZeroDensities(), list[Scores]()
    parameters = parameters_of(fitted)
    if (lazily := getattr(stream, "scores", None)) is not None:
        _check_columns(stream, fitted, caller)
        scores: Scores = lazily(parameters, fitted.get("feature_names_in_"), caller, **what)
        return scores
    for batch in batches_to_score(stream, fitted, caller):
        scores = score_rows(batch.X, parameters, n_threads=fitted["n_threads"], **{"log_density": False, **what})
        if scores.log_density is not None:
            zeros.add(batch.X, scores.log_density)
        found.append(scores)
    zeros.warn()
    joined = (None if parts[0] is None else np.concatenate(parts) for parts in zip(*found, strict=True))
    return Scores(*joined)


def totals_of_stream(stream: RowSource, fitted: dict[str, Any], caller: str, *, entropy: bool) -> Totals:
    """Sum over all rows of a stream, which is read once: where the rows are, if the stream has a method `summed`."""
    if (summed := getattr(stream, "summed", None)) is not None:
        _check_columns(stream, fitted, caller)
        parts: _Part | None = summed(partial(_part, parameters_of(fitted), entropy), _Part.plus)
        if parts is None:
            raise _no_rows(caller)
        return _of_stream(*parts)
    parameters, n_threads = parameters_of(fitted), fitted["n_threads"]
    zeros, total, weights, weighted = ZeroDensities(), Totals(0.0, 0.0, 0.0, None), WeightFacts(), False
    for batch in batches_to_score(stream, fitted, caller):
        total = total.plus(_sums(batch.X, batch.weight, parameters, n_threads, entropy, zeros))
        if batch.weight is not None:
            weighted, weights = True, weights.plus(batch.weight)
    return _of_stream(total, zeros, weights if weighted else None)


class _Part(NamedTuple):
    """Sums over some rows, the rows among them whose density is zero, and facts of their weights."""

    total: Totals
    zeros: ZeroDensities
    weights: WeightFacts | None

    def plus(self, other: _Part) -> _Part:
        weights = None if self.weights is None or other.weights is None else self.weights.joined(other.weights)
        return _Part(self.total.plus(other.total), self.zeros.joined(other.zeros), weights)


def _part(parameters: GaussianParameters, entropy: bool, batch: Batch) -> _Part:
    """Sums over a part of the rows, where it lies; one thread, as its caller has others beside it."""
    zeros = ZeroDensities()
    weights = None if batch.weight is None else WeightFacts().plus(batch.weight)
    return _Part(_sums(batch.X, batch.weight, parameters, 1, entropy, zeros), zeros, weights)


def _of_stream(total: Totals, zeros: ZeroDensities, weights: WeightFacts | None) -> Totals:
    zeros.warn()
    if weights is not None and total.weight == 0.0:
        raise ValueError(
            "Sample weights must contain at least one non-zero number: all weights of the rows are zero. Pass rows "
            "with weights above zero, or none."
        )
    return total._replace(weights=weights)


def totals_of_rows(
    rows: FloatArray, weight: NDArray[np.float64] | None, fitted: dict[str, Any], *, entropy: bool
) -> Totals:
    """Sum over checked rows in memory or in a memory map."""
    parameters, n_threads = parameters_of(fitted), fitted["n_threads"]
    n_rows, step, unit, given = len(rows), _ROWS_AT_A_TIME, 1.0, weight
    if weight is not None:
        unit = unit_of(weight)
        with np.errstate(under="ignore"):  # of weights that are tiny beside the largest
            weight = weight / unit
    if not entropy:
        step = _MAPPED_ROWS if n_rows > _MAPPED_ROWS and is_mapped(rows) else n_rows
    if n_rows <= step:
        total = _sums(rows, weight, parameters, n_threads, entropy, None)
    else:
        zeros, total = ZeroDensities(), Totals(0.0, 0.0, 0.0, None)
        for first in range(0, n_rows, step):
            part = slice(first, first + step)
            of_part = None if weight is None else weight[part]
            total = total.plus(_sums(rows[part], of_part, parameters, n_threads, entropy, zeros))
        zeros.warn()
    if weight is None or given is None:
        return total
    return total._replace(weight=float(np.sum(weight)), weights=WeightFacts().plus(given), unit=unit)


def _sums(
    X: FloatArray,
    weight: NDArray[np.float64] | None,
    parameters: GaussianParameters,
    n_threads: int | None,
    entropy: bool,
    zeros: ZeroDensities | None,
) -> Totals:
    """Sums over rows; `zeros` counts those of zero density, and without it a warning is given at once."""
    at_once = zeros is None
    scores = score_rows(X, parameters, responsibilities=entropy, n_threads=n_threads, warn_of_zeros=at_once)
    density = scores.log_density
    assert density is not None
    if zeros is not None:
        zeros.add(X, density)
    of_rows = None if scores.responsibilities is None else entropies(scores.responsibilities)
    if weight is None:
        total = float(np.sum(density, dtype=np.float64))
        return Totals(total, float(len(X)), 0.0 if of_rows is None else float(np.sum(of_rows)), None)
    of_weighted = 0.0 if of_rows is None else weighted_sum(of_rows, weight)
    return Totals(weighted_sum(density, weight), float(np.sum(weight)), of_weighted, None)


def batches_to_score(stream: RowSource, fitted: dict[str, Any], caller: str) -> Iterator[Batch]:
    """Rows of a stream with the columns of the fit, and their weights as they were given."""
    from emix.rows.streamed import StreamedRows

    expected = fitted.get("feature_names_in_")
    checked = False
    for batch, names in stream.once() if isinstance(stream, StreamedRows) else _twice(stream):
        if not checked:
            if names is not None or expected is not None:
                with _naming_a_source(stream, names, expected):
                    check_feature_names(
                        None if names is None else np.array(names, dtype=object), expected, caller=caller
                    )
            check_n_features(batch.X, fitted["n_features_in_"], caller=caller)
            checked = True
        yield batch
    if not checked:
        raise _no_rows(caller)


@contextmanager
def _naming_a_source(
    stream: RowSource, names: tuple[str, ...] | None, expected: NDArray[np.object_] | None
) -> Iterator[None]:
    """Let an error about names tell how a Parquet file that has all columns of the fit is read by name."""
    try:
        yield
    except ValueError as error:
        from emix.rows.parquet import ParquetSource

        if names is None or expected is None or not isinstance(stream, ParquetSource) or set(expected) - set(names):
            raise
        columns = [str(name) for name in expected]
        source = f"emix.ParquetSource({stream.path!r}, columns={columns})"
        raise ValueError(f"{error}Pass {source}, which reads the columns of the fit by name.") from None


def _check_columns(stream: Any, fitted: dict[str, Any], caller: str) -> None:
    """Refuse rows that are elsewhere if they have other columns than the fit; they may not have been read yet."""
    (names, n_features), expected = stream.header, fitted.get("feature_names_in_")
    if names is not None or expected is not None:
        check_feature_names(None if names is None else np.array(names, dtype=object), expected, caller=caller)
    check_n_features(np.empty((0, n_features)), fitted["n_features_in_"], caller=caller)


def _no_rows(caller: str) -> ValueError:
    return ValueError(
        f"X: Found array with 0 sample(s) while a minimum of 1 is required by {caller}. Pass at least one row."
    )


def _twice(source: RowSource) -> Iterator[tuple[Batch, tuple[str, ...] | None]]:
    """Batches of a source of another class, which checks its rows in a pass of their own."""
    source.read()
    unit, names = source.weight_unit, source.feature_names
    for batch in source.batches(1):
        yield batch if batch.weight is None else batch._replace(weight=batch.weight * unit), names
