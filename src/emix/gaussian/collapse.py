"""Signs of a fit to distrust: components that collapsed, columns that tell nothing or that reg_covar swamps.

The likelihood of a Gaussian mixture has no upper bound: a component on few rows, or on rows that are equal in some
column, raises it for ever as its covariance shrinks. Such a fit may have the highest log-likelihood of all runs and
says least about the data. `reg_covar` keeps the component's covariance from zero, and may hide the collapse. So the
structure is fitted once more to the statistics of the last E-step, without it, and these covariances are judged. Where
the determinants of components are equal, as in EVI, a component that shrinks in one column grows in others, so that its
covariance stands beside the others' as before: there the free structure of the form is fitted, and judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.covariance_checks import correlations
from emix.gaussian.reg_covar import RegCovar, shown_ridge
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel.factors import Columns
from emix.kernel.layout import parameters_layout

__all__ = ["Collapse", "ColumnDoubts", "Judgement", "Names", "columns_text", "judge_fit"]

Array = NDArray[np.float64]

Names: TypeAlias = Sequence[str] | NDArray[np.object_] | None
"""Names of columns, for messages. Without names, messages give a column's number."""

# A component has collapsed if its variance in some direction is below this share of the pooled variance: it is 10 000
# times narrower than the mean of all. (iris, K = 6: the variance of a component of 29 equal petal widths is 3.5e-17 of
# the pooled one, those of others 0.03 and more.)
LEAST_VARIANCE = 1e-8

# A component on a share of a row holds none: its parameters are of no rows.
NO_ROWS = 1e-6

# reg_covar is part of the result, and no safeguard, beyond this share of a component's own variance in a column.
SWAMPED = 0.01

# Columns are nearly dependent in a direction of which the correlations have an eigenvalue below this.
LITTLE = 0.01

# Columns whose part in a direction is at most this share of the largest are not named with it.
SMALL_PART = 0.01


class Collapse(NamedTuple):
    """A component that collapsed.

    Attributes
    ----------
    component : int or None
        None where one covariance is shared by all.
    column : int or None
        The column with the largest part in the direction; None if it collapsed in all, or holds too few rows.
    effective_rows : float
        Rows that it holds, by their responsibilities.
    how : str
        The end of the message, with a place for the column.
    """

    component: int | None
    column: int | None
    effective_rows: float
    how: str

    def message(self, names: Names = None) -> str:
        """Say it in one sentence, with the columns' names if there are any."""
        who = "the common covariance" if self.component is None else f"component {self.component}"
        where = "all columns" if self.column is None else columns_text([self.column], names, verb=False)
        return f"{who} {self.how.format(where=where)}"


class ColumnDoubts(NamedTuple):
    """Columns to think about.

    Attributes
    ----------
    constant : tuple of int
        The rows have one value in them.
    dependent : tuple of int
        One of them follows from the others.
    swamped : tuple of int
        `reg_covar` is more than a hundredth of a component's own variance in them.
    nearly_dependent : tuple of int
        `reg_covar` is more than a hundredth of a component's own variance in a direction of these columns, in which
        the component varies much less than in each of them.
    """

    constant: tuple[int, ...] = ()
    dependent: tuple[int, ...] = ()
    swamped: tuple[int, ...] = ()
    nearly_dependent: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self != _NO_DOUBTS

    def messages(self, reg_covar: RegCovar, names: Names = None) -> list[str]:
        """Say it in a sentence each, with the columns' names if there are any."""
        found = []
        if self.constant:
            found.append(
                f"{columns_text(self.constant, names)} constant, which tells no components apart: leave out what does "
                "not vary."
            )
        if self.dependent:
            found.append(
                f"{columns_text(self.dependent, names)} linearly dependent: one of them follows from the others, and "
                "what reg_covar adds is all that keeps the covariances regular. Leave one out."
            )
        remedy = "Pass reg_covar=0 if that is too much."
        if reg_covar != "auto":
            remedy = (
                "It is in squared units of the data: pass a smaller one, or reg_covar='auto', which follows the scale "
                "of each column."
            )
        much = f"reg_covar={shown_ridge(reg_covar)} is more than 1 % of a component's own variance in"
        if self.swamped:
            which = columns_text(self.swamped, names, verb=False)
            found.append(f"{much} {which}, and part of the result there. {remedy}")
        if self.nearly_dependent:
            which = columns_text(self.nearly_dependent, names)
            found.append(
                f"{which} nearly linearly dependent: {much} a direction in which they vary little, and part of the "
                f"result there. {remedy}"
            )
        return found


class Judgement(NamedTuple):
    """A fit's first component that collapsed, None if none did, and its doubtful columns."""

    collapse: Collapse | None
    columns: ColumnDoubts


_NO_DOUBTS = ColumnDoubts()
_NOTHING = Judgement(None, _NO_DOUBTS)


def judge_fit(
    statistics: GaussianStatistics, reg_covar: RegCovar, effective_rows: float, *, of_few_rows: bool = True
) -> Judgement:
    """Judge a fit by the statistics of its last E-step.

    Parameters
    ----------
    statistics : GaussianStatistics
    reg_covar : float or "auto"
        That of the fit's M-steps.
    effective_rows : float
        (Σw)² / Σw² of the data.
    of_few_rows : bool
        Count components that hold too few rows as collapsed. A component of a stream may keep its covariance while its
        weight fades.

    Returns
    -------
    Judgement
        A component collapsed if it holds no row, or too few for a covariance of its own to mean something (`least_rows`
        of the structure); if its variance in some direction is below 1e-8 of the components' mean there; or if it is no
        more than rounding explains, though that of all rows is more. The third may happen to all components at once, as
        on a column of zeros and ones. Where components share their eigenvalues, the second does not apply.
    """
    few = _holds_few_rows(statistics, effective_rows) if of_few_rows else None
    if statistics.structure.is_regular(statistics, reg_covar):
        return _NOTHING if few is None else Judgement(few, _NO_DOUBTS)
    # Rare cases are left to NumPy; overflow and division by zero show in what is found.
    with np.errstate(all="ignore"):
        return _look_closely(statistics, reg_covar, few, effective_rows)


def _holds_few_rows(statistics: GaussianStatistics, effective_rows: float) -> Collapse | None:
    # As Python's numbers, and not through `in_unit`: of few, NumPy's argmin takes three times as long.
    weight: list[float] = statistics.packed[: statistics.n_components].tolist()
    lowest = min(weight)
    rows = lowest / sum(weight) * effective_rows
    least = statistics.structure.least_rows(statistics.n_features)
    if rows > least and rows > NO_ROWS:
        return None
    if rows <= NO_ROWS:
        return Collapse(weight.index(lowest), None, rows, "holds no rows")
    how = f"holds {_rows(rows)}, too few for its covariance: {least} or less"
    return Collapse(weight.index(lowest), None, rows, how)


def _look_closely(
    statistics: GaussianStatistics, reg_covar: RegCovar, few: Collapse | None, effective_rows: float
) -> Judgement:
    structure, form, d = statistics.structure, statistics.structure.form, statistics.n_features
    # A small variance may make others large: then those of the free structure show it.
    judging = structure if structure.judged_by is None else STRUCTURES[structure.judged_by]
    weight, _, _ = statistics.in_unit
    covariances, total = _covariances_without_ridge(statistics, judging)
    if not (np.isfinite(covariances).all() and np.isfinite(total).all()):
        # LAPACK may never return from a matrix with infinities.
        sound = np.isfinite(covariances).all(axis=(1, 2))
        k = None if structure.is_common or sound.all() else int(np.argmin(sound))
        return Judgement(few or Collapse(k, None, effective_rows, "has a covariance that is not finite"), _NO_DOUBTS)
    columns = statistics.columns or Columns(float(np.finfo(np.float64).eps), np.zeros((2, d)))
    epsilon, extremes = columns.epsilon, columns.column_range
    # (2 eps max|x|)²: a variance of a column that rounding of its rows alone may leave.
    of_rounding = np.diag((2.0 * epsilon * np.abs(extremes).max(axis=0)) ** 2)
    rounding = np.diagonal(form.to_full(form.from_pooled(of_rounding, 1), 1, d)[0])
    constant = np.diagonal(total) <= rounding
    if statistics.columns is not None:
        constant = constant | (extremes[0] == extremes[1])
    dependent = np.zeros(d, dtype=bool)
    swamped, nearly = np.zeros(d, dtype=bool), np.zeros(d, dtype=bool)
    collapse = few
    if not constant.all():
        free = np.flatnonzero(~constant)
        square = np.ix_(free, free)
        directions = _Directions(
            covariances[:, free[:, np.newaxis], free], weight, total[square], rounding[free], d * epsilon
        )
        # Columns of no more rows than columns are always dependent. "Holds few rows" is the better message then.
        if few is None or statistics.n_rows > d:
            dependent[free] = directions.dependent_columns()
        found = None if few else directions.collapse(judging)
        if found is not None:
            k, place, how = found
            rows = effective_rows * (1.0 if structure.is_common else float(weight[k] / weight.sum()))
            column = int(free[place]) if form.has_directions else None
            collapse = Collapse(None if structure.is_common else k, column, rows, f"{how}; it holds {_rows(rows)}")
        own = np.diagonal(covariances, axis1=1, axis2=2)
        # Where nothing but rounding is left a component collapsed, and that is said already.
        kept = (own > rounding) & (weight > 0.0)[:, np.newaxis]
        if collapse is not None and collapse.component is not None:
            kept[collapse.component] = False
        ridge = structure.ridge(statistics, reg_covar)
        swamped = ~constant & ~dependent & (kept & (ridge > SWAMPED * own)).any(axis=0)
        if form.has_matrices and collapse is None and not dependent.any():
            nearly[free] = directions.columns_of_ridge(ridge[free])
            nearly &= ~swamped
    which = (tuple(np.flatnonzero(mask).tolist()) for mask in (constant, dependent, swamped, nearly))
    return Judgement(collapse, ColumnDoubts(*which))


def _covariances_without_ridge(statistics: GaussianStatistics, structure: CovarianceStructure) -> tuple[Array, Array]:
    """The structure's covariances as matrices (K, d, d), and as much of that of all rows as the form keeps (d, d)."""
    form, K, d = structure.form, statistics.n_components, statistics.n_features
    packed, _ = structure.maximize(statistics, 0.0)
    at = parameters_layout(form.code, K, d)
    weights, means = packed[at.weights], packed[at.means].reshape(K, d)
    covariances = form.to_full(packed[at.covariances].reshape(form.shape(K, d)), K, d)
    away = means - weights @ means
    total = np.tensordot(weights, covariances, axes=1) + (away.T * weights) @ away
    return covariances, form.to_full(form.from_pooled(total, 1), 1, d)[0]


class _Directions:
    """Variances of components by directions, on columns that vary.

    A matrix is called singular if its correlations are, so that units do not matter: some column may be 1e9 times as
    wide over all rows as within components.

    Parameters
    ----------
    covariances : ndarray of shape (K, d, d)
    weight : ndarray of shape (K,)
    total : ndarray of shape (d, d)
        The covariance of all rows.
    rounding : ndarray of shape (d,)
        Variances that rounding of the rows explains.
    precision : float
        Eigenvalues of correlations below this are rounding.
    """

    def __init__(self, covariances: Array, weight: Array, total: Array, rounding: Array, precision: float) -> None:
        self._covariances, self._rounding, self._precision = covariances, rounding, precision
        self._pooled = np.tensordot(weight / weight.sum(), covariances, axes=1)
        self._scale = np.sqrt(np.diagonal(total))
        self._total = total / (self._scale[:, np.newaxis] * self._scale)

    def dependent_columns(self) -> NDArray[np.bool_]:
        """Columns in a direction in which the rows do not vary."""
        values, vectors = np.linalg.eigh(self._total)
        return _with_part_in(vectors[:, values <= self._least(vectors, self._scale)])

    def columns_of_ridge(self, ridge: Array) -> NDArray[np.bool_]:
        """Columns in a direction of little own variance of which R is more than a hundredth."""
        found = np.zeros(len(ridge), dtype=bool)
        for covariance in self._covariances:
            variances = np.diagonal(covariance)
            if not variances.min() > 0.0:
                continue
            deviations = np.sqrt(variances)
            values, vectors = np.linalg.eigh(correlations(covariance, deviations))
            of_ridge = (vectors * vectors).T @ (ridge / variances)
            found |= _with_part_in(vectors[:, (values < LITTLE) & (of_ridge > SWAMPED * values)])
        return found

    def _least(self, directions: Array, deviations: Array) -> Array:
        """Variances up to which directions, in units of these deviations, are rounding."""
        of_rows = (directions * directions).T @ (self._rounding / (deviations * deviations))
        return np.maximum(self._precision, of_rows)

    def collapse(self, structure: CovarianceStructure) -> tuple[int, int, str] | None:
        """The first component that collapsed, the column with the largest part in that direction, and what is left."""
        own = np.diagonal(self._covariances, axis1=1, axis2=2)
        whose = "the rows of a component" if structure.is_common else "its rows"
        for k, variances in enumerate(own[:1] if structure.is_common else own):
            at_rounding = np.flatnonzero(variances <= self._rounding)
            if at_rounding.size:
                j = int(at_rounding[np.argmin(variances[at_rounding] / self._scale[at_rounding] ** 2)])
                return k, j, f"has collapsed: {whose} have one value in {{where}}, but for rounding"
            place = self._singular(self._covariances[k]) if structure.form.has_matrices else None
            if place is not None:
                return k, place, f"has collapsed: {whose} do not vary in the direction of {{where}}"
        return None if structure.shares_eigenvalues else self._narrow(own)

    def _singular(self, covariance: Array) -> int | None:
        """The column of a direction in which a covariance is rounding and that of all rows is more."""
        deviations = np.sqrt(np.diagonal(covariance))
        values, vectors = np.linalg.eigh(correlations(covariance, deviations))
        null = vectors[:, values <= self._least(vectors, deviations)]
        if not null.shape[1]:
            return None
        # In units of the total: aᵀ Σ a ≈ 0 for a = D⁻¹ u of each null vector u, and aᵀ T a = yᵀ C y with y = S a.
        basis, _ = np.linalg.qr(null * (self._scale / deviations)[:, np.newaxis])
        values, parts = np.linalg.eigh(basis.T @ self._total @ basis)
        direction = basis @ parts[:, -1:]
        if values[-1] <= self._least(direction, self._scale)[0]:
            return None
        return int(np.argmax(np.abs(direction)))

    def _narrow(self, own: Array) -> tuple[int, int, str] | None:
        """The component that is narrowest beside the pooled covariance, if it is narrow enough."""
        deviations = np.sqrt(np.diagonal(self._pooled))
        units = deviations[:, np.newaxis] * deviations
        values, vectors = np.linalg.eigh(self._pooled / units)
        # Where the pooled covariance itself is nearly rounding, what a component has of it is noise.
        clear = values > 16.0 * self._precision
        basis = vectors[:, clear] / np.sqrt(values[clear])
        relative, parts = np.linalg.eigh(basis.T @ (self._covariances / units) @ basis)
        k = int(np.argmin(relative[:, 0]))
        if not relative[k, 0] < LEAST_VARIANCE:
            return None
        direction = (basis @ parts[k, :, 0]) * self._scale / deviations
        left = f"has collapsed to {max(relative[k, 0], 0.0):.1g} of the components' mean variance"
        return k, int(np.argmax(np.abs(direction))), left + " in the direction of {where}"


def _with_part_in(directions: Array) -> NDArray[np.bool_]:
    """Columns with more than a small part in one of the directions, which are the columns of the array."""
    parts = np.abs(directions)
    return np.asarray((parts > SMALL_PART * parts.max(axis=0, initial=0.0)).any(axis=1))


def _rows(number: float) -> str:
    text = f"{number:.3g}" if number < 100.0 else f"{number:.0f}"
    return f"{text} row{'' if text == '1' else 's'}"


def columns_text(which: Sequence[int], names: Names, *, verb: bool = True, most: int = 5) -> str:
    """Return "Columns 'a', 'b' are", the start of a sentence, or without the verb "columns 'a', 'b'"."""
    shown = [str(j) if names is None else repr(names[j]) for j in which[:most]]
    more = f" and {len(which) - most} more" if len(which) > most else ""
    plural = len(which) > 1
    text = f"column{'s' if plural else ''} {', '.join(shown)}{more}"
    return f"{text[0].upper()}{text[1:]} {'are' if plural else 'is'}" if verb else text
