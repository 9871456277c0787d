"""Reasons to doubt a chosen mixture: each is looked for, and said to be there or not.

References
----------
R. E. Kass and A. E. Raftery (1995), Bayes factors, Journal of the American Statistical Association 90, 773-795
(section 3.2: a difference of BIC below 2 is "not worth more than a bare mention").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emix.choice.selection import mixture_name, value_of
from emix.em.restarts import RunReport
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.sklearn_protocol import settings_of
from emix.exceptions import DegenerateFitError, warnings_held
from emix.plots.pairs import between_shares
from emix.plots.planes import View
from emix.rows.summary import WeightSums
from emix.starts.exploration import SAME_MODE
from emix.summary.description import Table
from emix.summary.selection import criterion_name
from emix.summary.text_table import format_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emix.choice.selection import MixtureRow, MixtureSelection
    from emix.plots.subject import Subject

__all__ = ["Doubt", "doubts_of", "runs_from_starts"]

# Differences of a criterion that is twice a log-likelihood: below this a mixture is as good as the other.
HARDLY_WORSE = 2.0
# A column that, left out, moves fewer of the rows to another component does not tell components apart.
FEW_MOVED = 0.01
# A component that shares more than this with another overlaps it.
MUCH_SHARED = 0.1
# Rows of a component for each of its own means and variances.
FEW_ROWS = 5.0
_MOST_ROWS = 12
_MOST_COMPONENTS = 12


class Doubt(NamedTuple):
    """A reason to doubt, or the finding that there is none.

    Attributes
    ----------
    title : str
    is_there : bool
    text : str
    table : Table or None
    is_note : bool
        True if it is no reason to doubt, but a finding that is worth a look.
    """

    title: str
    is_there: bool
    text: str
    table: Table | None = None
    is_note: bool = False


def doubts_of(
    subject: Subject, selection: MixtureSelection | None, runs: Sequence[RunReport], warned: Sequence[str]
) -> list[Doubt]:
    """Return the reasons to doubt a mixture, each with whether it is there.

    Parameters
    ----------
    subject : Subject
        The chosen mixture, and the rows of the fit.
    selection : MixtureSelection or None
        The mixtures that it was chosen from.
    runs : sequence of RunReport
        Of the same mixture from several starts, by `runs_from_starts`; empty if that was not done.
    warned : sequence of str
        Warnings of the fit.
    """
    found = [_of_fit(subject, warned)]
    if selection is not None:
        found += [_of_rivals(selection), _of_range(selection)]
    found += [_of_collapses(subject, selection, runs)]
    if runs:
        found.append(_of_modes(subject, runs))
    if len(subject.estimator.weights_) > 1:
        found.append(_of_overlap(subject))
        if len(subject.names) > 1:
            found.append(_of_columns(subject))
    found.append(_of_sizes(subject))
    return found


def runs_from_starts(
    subject: Subject, n_starts: int, sample_weight: NDArray[np.floating] | None, verbose: int = 0
) -> list[RunReport]:
    """Fit the mixture of a subject from several starts, and return the reports of the runs."""
    settings = {"n_init": n_starts, "init_params": "auto", "warm_start": False, "verbose": verbose}
    again = GaussianMixture(**{**settings_of(subject.estimator, GaussianMixture), **settings})
    # These fits are looked at in the report; their warnings are not those of the chosen mixture.
    with warnings_held():
        try:
            return again.fit(subject.rows, sample_weight=sample_weight).runs_
        except DegenerateFitError as error:
            return [RunReport(0, None, 0, False, True, False, str(error), error.component, start="all")]


def _of_fit(subject: Subject, warned: Sequence[str]) -> Doubt:
    gm = subject.estimator
    texts = [] if gm.converged_ else [f"The fit did not converge: it ended after {gm.n_iter_} iterations."]
    texts += [text for text in warned if gm.converged_ or "did not converge" not in text]
    if not texts:
        return Doubt("Convergence", False, f"The fit converged after {gm.n_iter_} iterations, without a warning.")
    return Doubt("Convergence and warnings", True, " ".join(texts))


def _of_rivals(selection: MixtureSelection) -> Doubt:
    name, best = criterion_name(selection.criterion), selection.best_row_
    rivals = [row for row in selection.ranked() if row is not best and row != best and not _is_same(row, best)]
    title = "Mixtures that are nearly as good"
    if selection.criterion == "cv":
        error = best.cv_error or 0.0
        near = [row for row in rivals if row.cv is not None and abs(row.cv - (best.cv or 0.0)) <= error]
        within = "one standard error"
    else:
        own = value_of(best, selection.criterion)
        near = [row for row in rivals if value_of(row, selection.criterion) - own < HARDLY_WORSE]
        within = f"{HARDLY_WORSE:g}"
    if not near:
        text = f"No other mixture is within {within} of the chosen one by {name}."
        if rivals and selection.criterion != "cv":
            difference = value_of(rivals[0], selection.criterion) - own
            text += f" The next is {_mixture(rivals[0])}, {difference:.2f} behind."
        return Doubt(title, False, text)
    values = [getattr(row, selection.criterion) for row in (best, *near[:_MOST_ROWS])]
    names = [f"{_mixture(row)}{' (chosen)' if row == best else ''}" for row in (best, *near[:_MOST_ROWS])]
    text = (
        f"{len(near)} other mixture{'s are' if len(near) > 1 else ' is'} within {within} of the chosen one by {name}: "
        "the data hardly tell them apart."
    )
    return Doubt(title, True, text, Table("", ["mixture", name], [names, format_numbers(values, digits=7)]))


def _is_same(row: MixtureRow, best: MixtureRow) -> bool:
    """True if both are one model: with one component, structures that differ between components are alike."""
    if not row.n_components == best.n_components == 1 or row.n_parameters != best.n_parameters:
        return False
    # Two ways to the same closed form, apart by rounding.
    return abs(row.log_likelihood - best.log_likelihood) <= 1e-9 * abs(best.log_likelihood)


def _of_range(selection: MixtureSelection) -> Doubt:
    numbers = sorted({row.n_components for row in selection.table_})
    k = selection.best_row_.n_components
    if len(numbers) > 1 and k == numbers[-1]:
        text = f"{k} is the largest number of components that was tried: more may be better."
        return Doubt("Range of the search", True, text)
    tried = f"{numbers[0]} to {numbers[-1]} components were" if len(numbers) > 1 else "One number of components was"
    return Doubt("Range of the search", False, f"{tried} tried; the chosen number is {k}.")


def _of_collapses(subject: Subject, selection: MixtureSelection | None, runs: Sequence[RunReport]) -> Doubt:
    title = "Collapsed runs"
    rows = [(f"start {run.run} ({run.start})", run.message) for run in runs if run.degenerate]
    kept = next((run for run in subject.estimator.runs_ if run.chosen), None)
    if selection is not None:
        rows += [(_mixture(row), row.message) for row in selection.table_ if row.degenerate]
    if kept is not None and kept.degenerate:
        text = f"The mixture itself collapsed: {kept.message}. Its parameters say little about the data."
        return Doubt(title, True, text)
    if not rows:
        return Doubt(title, False, "No component collapsed onto a few rows or onto equal values, in any run.")
    text = (
        f"A component collapsed in {len(rows)} run{'s' * (len(rows) > 1)}, which {'are' if len(rows) > 1 else 'is'} "
        "set aside: the likelihood of such a run has no upper bound."
    )
    # Collapses in large mixtures are usual. In other starts of the chosen one they are a reason to doubt, and so they
    # are if few mixtures are left to choose from.
    is_there = any(run.degenerate for run in runs)
    if selection is not None:
        collapsed, n = sum(row.degenerate for row in selection.table_), len(selection.table_)
        if 2 * collapsed > n:
            is_there = True
            text += (
                f" {collapsed} of {n} mixtures collapsed: the rows are too few for so many components, or have few "
                "distinct values."
            )
    labels, messages = zip(*rows[:_MOST_ROWS])
    shown = Table("", ["run", "what collapsed"], [list(labels), list(messages)])
    return Doubt(title, is_there, text, shown, is_note=True)


def _of_modes(subject: Subject, runs: Sequence[RunReport]) -> Doubt:
    title = "Several modes"
    own, weight = float(subject.estimator.log_likelihood_), float(subject.estimator.total_weight_)
    ends = sorted(run.log_likelihood for run in runs if not run.degenerate and run.log_likelihood is not None)[::-1]
    modes: list[list[float]] = []
    for end in ends:
        if modes and modes[-1][0] - end <= SAME_MODE * weight:
            modes[-1].append(end)
        else:
            modes.append([end])
    same = sum(abs(end - own) <= SAME_MODE * weight for end in ends)
    higher = ends[0] - own if ends else 0.0
    text = f"Of {len(runs)} starts of the chosen mixture {same} ended in its mode"
    is_there = len(modes) > 1 or same < len(ends)
    if higher > SAME_MODE * weight:
        text += f", and a better one was found, {higher:.4g} nats higher: raise --n-init."
    elif is_there:
        text += f"; {len(ends) - same} ended lower, in {len(modes) - 1} other mode{'s' * (len(modes) > 2)}."
        text += " EM climbs to the mode near its start: a single start may miss the best."
    else:
        text += ": there is no sign of another mode."
    table = None
    if is_there:
        few = modes[:_MOST_ROWS]
        gaps = [own - mode[0] for mode in few]
        below = [f"{0.0 if abs(gap) <= SAME_MODE * weight else gap:.2f}" for gap in gaps]
        columns = [
            [str(i) for i in range(1, len(few) + 1)],
            format_numbers([mode[0] for mode in few], digits=9),
            below,
            [str(len(mode)) for mode in few],
        ]
        table = Table("", ["mode", "log-likelihood", "nats below the chosen one", "starts"], columns)
    return Doubt(title, is_there, text, table)


def _of_overlap(subject: Subject) -> Doubt:
    r = subject.responsibilities(subject.sample)
    w = np.ones(len(r)) if subject.are_many else subject.weight
    held = w @ r
    shared = (r * w[:, np.newaxis]).T @ r / np.where(held > 0.0, held, 1.0)[:, np.newaxis]
    k = len(shared)
    pairs = [(shared[i, j], i, j) for i in range(k) for j in range(k) if i != j]
    most, i, j = max(pairs)
    certainty = float(w @ r.max(axis=1) / w.sum())
    text = f"The mean largest responsibility of a row is {certainty:.1%}. "
    text += f"Component {i} shares most: a row of it belongs to component {j} with probability {most:.1%} on average."
    if most > MUCH_SHARED:
        text += " Components that overlap so much describe the density; as groups they are not told apart."
    table = None
    if k <= _MOST_COMPONENTS:
        labels = [f"component {i}" for i in range(k)]
        columns = [labels, *([f"{share:.1%}" for share in shared[:, j]] for j in range(k))]
        table = Table("Where the rows of each component belong, on average", ["", *map(str, range(k))], columns)
    return Doubt("Overlap of components", bool(most > MUCH_SHARED), text, table)


def _of_columns(subject: Subject) -> Doubt:
    rows = subject.sample.astype(np.float64, copy=False)
    w = np.ones(len(rows)) if subject.are_many else subject.weight
    d = len(subject.names)
    labels = subject.responsibilities(subject.sample).argmax(axis=1)
    moved = np.array([w @ (_labels_without(subject, rows, j) != labels) / w.sum() for j in range(d)])
    shares = between_shares(subject)
    idle = [subject.names[j] for j in range(d) if moved[j] < FEW_MOVED]
    table = Table(
        "",
        ["column left out", "rows that move to another component", "variance between components"],
        [list(subject.names), [f"{share:.1%}" for share in moved], [f"{share:.1%}" for share in shares]],
    )
    title = "Columns that do not matter"
    if not idle:
        text = f"Without any one column at least {moved.min():.1%} of the rows would be in another component."
        return Doubt(title, False, text, table)
    listed = ", ".join(idle[:_MOST_ROWS]) + (", …" if len(idle) > _MOST_ROWS else "")
    they_tell = "each of them tells" if len(idle) > 1 else "it tells"
    text = (
        f"Left out, {listed} would move fewer than {FEW_MOVED:.0%} of the rows: {they_tell} "
        "components apart little better than the other columns do. These may be enough."
    )
    return Doubt(title, True, text, table)


def _labels_without(subject: Subject, rows: NDArray[np.float64], j: int) -> NDArray[np.intp]:
    """Return the likeliest components of rows by the mixture's marginal without column j."""
    axes = np.delete(np.eye(len(subject.names)), j, axis=0)
    means = np.asarray(subject.estimator.means_, dtype=np.float64) @ axes.T
    covariances = axes @ subject.covariances @ axes.T
    weights = np.asarray(subject.estimator.weights_, dtype=np.float64)
    view = View(axes, np.zeros(len(subject.names)), (), "", weights, means, covariances)
    return np.asarray(view.log_densities(view.project(rows)).argmax(axis=1))


def _of_sizes(subject: Subject) -> Doubt:
    gm = subject.estimator
    d = len(subject.names)
    n_rows = WeightSums.of(subject.weight).effective_rows
    held = np.asarray(gm.weights_, dtype=np.float64) * n_rows
    small = [k for k in range(len(held)) if held[k] < FEW_ROWS * 2 * d]
    per = n_rows / max(1, gm.n_parameters_)
    text = f"There are {per:.3g} rows for each of the {gm.n_parameters_} free parameters. "
    if small:
        listed = ", ".join(f"component {k} ({held[k]:.1f} rows)" for k in small[:_MOST_ROWS])
        text += f"Few rows for their means and variances: {listed}."
    else:
        text += f"The smallest component holds the equivalent of {held.min():.1f} rows."
    return Doubt("Rows of each component", bool(small), text)


def _mixture(row: MixtureRow) -> str:
    return mixture_name(row.covariance_type, row.n_components)
