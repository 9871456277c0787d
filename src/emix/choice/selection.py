"""MixtureSelection: the mixtures of a sweep, their criteria, and the one that is chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from emix.arguments import counted, integer_in_range
from emix.exceptions import DegenerateFitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emix.estimators.gaussian_mixture import GaussianMixture

__all__ = ["MixtureRow", "MixtureSelection", "SelectionInterrupted", "choose", "mixture_name", "value_of"]


class MixtureRow(NamedTuple):
    """One mixture of a selection.

    Attributes
    ----------
    covariance_type : str
    n_components : int
    n_parameters : int
        Number of free parameters.
    log_likelihood : float
        Total, nats, rows weighted; NaN if no run ended.
    bic, aic, icl : float
        Smaller is better, as those of GaussianMixture; n is the rows' total weight.
    cv : float or None
        Held-out log-likelihood per unit of weight, nats: larger is better. None if it was not asked for, or if the
        mixture collapsed without some fold.
    converged : bool
    degenerate : bool
        True if a component collapsed in each run. Such a mixture is never chosen.
    message : str
        How the fit ended, or what collapsed.
    cv_error : float or None
        Standard error of `cv`.
    start : str
        The start of the run that is kept: a kind of start, or the neighbour whose parameters it began with.
    """

    covariance_type: str
    n_components: int
    n_parameters: int
    log_likelihood: float
    bic: float
    aic: float
    icl: float
    cv: float | None
    converged: bool
    degenerate: bool
    message: str
    cv_error: float | None = None
    start: str = ""


def mixture_name(covariance_type: str, n_components: int) -> str:
    """Return the name of a mixture in texts for people.

    Examples
    --------
    >>> mixture_name("VVV", 3)
    'VVV, 3 components'
    """
    return f"{covariance_type}, {counted(n_components, 'component')}"


class SelectionInterrupted(KeyboardInterrupt):
    """A sweep was interrupted.

    Attributes
    ----------
    table : list of MixtureRow
        The mixtures that were fitted by then, in the order of `MixtureSelection.table_`.
    """

    def __init__(self, table: list[MixtureRow]) -> None:
        super().__init__(f"select_mixture was interrupted after {len(table)} mixtures; `table` has them.")
        self.table = table

    def __reduce__(self) -> tuple[type[SelectionInterrupted], tuple[list[MixtureRow]]]:
        return type(self), (self.table,)


class MixtureSelection:
    """The mixtures of a sweep and the choice among them; made by `select_mixture`.

    Attributes
    ----------
    best_ : GaussianMixture
        The mixture that was chosen, fitted to all rows.
    best_row_ : MixtureRow
        Its row.
    table_ : list of MixtureRow
        All mixtures, a covariance structure after the other.
    criterion : {"bic", "aic", "icl", "cv"}
    stopped_by_ : {"end", "callback"}
        "callback" if the callback ended the sweep: the choice is among the mixtures that were fitted by then, whose
        fits may not be the best that the whole sweep would have found.
    n_asked_ : int
        Number of mixtures that were asked for; the table has fewer if the callback ended the sweep.
    """

    def __init__(
        self,
        best: GaussianMixture,
        best_row: MixtureRow,
        table: list[MixtureRow],
        criterion: str,
        stopped_by: Literal["end", "callback"] = "end",
        n_asked: int | None = None,
    ) -> None:
        self.best_, self.best_row_, self.table_, self.criterion = best, best_row, table, criterion
        self.stopped_by_, self.n_asked_ = stopped_by, len(table) if n_asked is None else n_asked

    def ranked(self, n: int | None = None) -> list[MixtureRow]:
        """Return the mixtures that did not collapse, the best first.

        By "cv" the one that is chosen need not be the first: it is the one with fewest parameters within one standard
        error of the first.

        Parameters
        ----------
        n : int, optional
            The most to return.

        Returns
        -------
        list of MixtureRow
        """
        if n is not None:
            n = integer_in_range("n", n, 1, caller="ranked")
        return ranked_rows(self.table_, self.criterion)[:n]

    def to_pandas(self) -> Any:
        """Return the table as a data frame of pandas, a row for each mixture.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas needs pandas, which is not installed: pip install pandas") from error
        return pd.DataFrame(self.table_, columns=MixtureRow._fields)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the criterion by number of components, a line for each covariance structure.

        Mixtures that collapsed are crosses, and the one that is chosen has a ring.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, ``ax.figure`` of what is returned, which ``plt.show()`` and a
            notebook show.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from emix.plots.selection import draw_selection

        return draw_selection(self, ax)

    def __str__(self) -> str:
        from emix.summary.selection import selection_text

        return selection_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from emix.summary.selection import selection_html

        return selection_html(self)


def value_of(row: MixtureRow, criterion: str) -> float:
    """Return a row's criterion so that smaller is better; NaN if it has none."""
    value: float | None = getattr(row, criterion)
    if value is None:
        return math.nan
    return -value if criterion == "cv" else value


def ranked_rows(table: list[MixtureRow], criterion: str) -> list[MixtureRow]:
    """Return the rows that may be chosen, the best first."""
    sound = [row for row in table if not row.degenerate and math.isfinite(value_of(row, criterion))]
    # Of equals the one with fewer parameters is better; sorting keeps the order of those that are equal in both.
    return sorted(sound, key=lambda row: (value_of(row, criterion), row.n_parameters))


def choose(table: list[MixtureRow], criterion: str) -> MixtureRow:
    """Return the row to choose.

    By "cv" that is the row with fewest parameters whose held-out log-likelihood is at most one standard error below the
    highest, the error being that of the highest.

    Raises
    ------
    DegenerateFitError
        If every mixture collapsed.

    References
    ----------
    L. Breiman, J. H. Friedman, R. A. Olshen and C. J. Stone (1984), Classification and Regression Trees, section 3.4.3
    (the one-standard-error rule).
    """
    ranked = ranked_rows(table, criterion)
    if not ranked:
        raise _nothing_to_choose(table, criterion)
    if criterion != "cv":
        return ranked[0]
    highest = value_of(ranked[0], criterion) + (ranked[0].cv_error or 0.0)
    # The first of equal numbers of parameters is the better one.
    return min((row for row in ranked if value_of(row, criterion) <= highest), key=lambda row: row.n_parameters)


def _nothing_to_choose(table: list[MixtureRow], criterion: str) -> DegenerateFitError:
    smallest = min(table, key=lambda row: row.n_parameters)
    numbers = sorted({row.n_components for row in table})
    structures = sorted({row.covariance_type for row in table})
    if smallest.degenerate:
        found = f"all {len(table)} mixtures collapsed" if len(table) > 1 else "the one mixture collapsed"
        reason = smallest.message
    else:
        found = f"criterion={criterion!r} has no value for any of the {len(table)} mixtures that did not collapse"
        reason = "they collapsed, or a row had density zero, once a fold was held out"
    advice = ["leave out columns that are constant, or that few values make up"]
    if numbers[0] > 1:
        advice.append(f"ask for fewer components (n_components began at {numbers[0]})")
    advice.append(f"try covariance_types with fewer parameters than {', '.join(map(repr, structures[:3]))}")
    advice.append("raise n_init, pass more rows, or a number for reg_covar")
    return DegenerateFitError(
        f"There is no mixture to choose: {found}. The one with fewest parameters, {smallest.covariance_type!r} with "
        f"{counted(smallest.n_components, 'component')}: {reason}. What to try: "
        f"{'; '.join(advice)}.",
        0,
    )
