"""A sweep: every cell from its own starts, then from its neighbours' parameters, down and up the numbers."""

from __future__ import annotations

from collections.abc import Callable

from emix.arguments import counted
from emix.choice.fits import CellFit, Fitter, Start
from emix.choice.request import Cell
from emix.choice.side_by_side import Stop, do_each
from emix.estimators.criteria import bic
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import CovarianceStructure
from emix.kernel.level import has_own_threads
from emix.parallel.threads import plan_runs
from emix.rows.arrays import ArraySource
from emix.rows.sampling import sample_rows
from emix.starts.neighbours import contains, merged, projected, split

__all__ = ["Neighbours", "Sweep", "SweepEnded", "n_parameters", "start_beside", "start_from", "threads_of_fits"]


# Fits go side by side from so many operations of a pass on, fewer than restarts of one fit: steps are taken many at a
# time, without Python. (Measured, wall time of a sweep in two threads over that in one: 150 × 4, 1.2e5 operations, 1.2;
# 272 × 2, 1.4e5, 0.95; 178 × 13, 5.4e5, 0.83; 569 × 10, 1.2e6, 0.72.)
LEAST_OPERATIONS_OF_FITS = 3e5

# Rows by which components are split.
ROWS_OF_SPLITS = 4096

Make = Callable[[GaussianParameters, CovarianceStructure], GaussianParameters]


class SweepEnded(Exception):
    """Raised by what a sweep reports to, to end it; what has been fitted by then stays."""


class Sweep:
    """The fits of all cells.

    Parameters
    ----------
    cells : list of Cell
    fitter : Fitter
    n_threads : int or None
    report : callable, optional
        Called with each cell and its fit as it ends, in any thread.

    Attributes
    ----------
    fits : dict of Cell to CellFit
        The best of each cell so far, in no order; what is there is whole, also after an interrupt.
    """

    def __init__(
        self,
        cells: list[Cell],
        fitter: Fitter,
        n_threads: int | None,
        report: Callable[[Cell, CellFit], None] | None = None,
    ) -> None:
        self.cells, self.fitter, self._report = cells, fitter, report
        self.fits: dict[Cell, CellFit] = {}
        self._at_once = threads_of_fits(cells, fitter.source, n_threads)
        # Some rows tell in which direction a component is to be split.
        self._rows = fitter.source
        if fitter.source.n_rows > ROWS_OF_SPLITS:
            drawn = sample_rows(fitter.source.n_rows, 0, ROWS_OF_SPLITS, fitter.source.sample_weight)
            weight = fitter.source.sample_weight
            self._rows = ArraySource(fitter.source.X[drawn], None if weight is None else weight[drawn])

    def run(self) -> None:
        """Do both phases."""
        alone = self._at_once > 1
        do_each(
            len(self.cells),
            lambda i, stop: self.fitter.fit(self.cells[i], stop, alone=alone),
            lambda i, found: self._keep(self.cells[i], found),
            self._at_once,
        )
        # A structure takes from others only fits of the first phase, so that the order of the chains does not matter.
        neighbours = Neighbours({cell: self.fits[cell] for cell in self.cells}, self.fitter.source)
        chains: dict[str, list[Cell]] = {}
        for cell in self.cells:
            chains.setdefault(cell.covariance_type, []).append(cell)
        cells = [sorted(chain, key=lambda cell: cell.n_components) for chain in chains.values()]
        do_each(
            len(cells), lambda i, stop: self._chain(cells[i], neighbours, stop), lambda i, found: None, self._at_once
        )
        self.order()

    def order(self) -> None:
        """Mend fits that are below a fit of a structure that theirs contains, with as many components."""
        of_number: dict[int, list[Cell]] = {}
        for cell in self.cells:
            of_number.setdefault(cell.n_components, []).append(cell)
        levels = list(of_number.values())
        do_each(len(levels), lambda i, stop: self._order(levels[i], stop), lambda i, found: None, self._at_once)

    def search(self, cells: list[Cell], share: float) -> None:
        """Fit cells with a share of the search of ``init_params="auto"`` too, and keep what is better."""

        def keep(i: int, found: CellFit) -> None:
            if found.log_likelihood > self.fits[cells[i]].log_likelihood:
                self._keep(cells[i], found)

        do_each(
            len(cells),
            lambda i, stop: self.fitter.search(cells[i], self.fits[cells[i]], share, alone=self._at_once > 1),
            keep,
            self._at_once,
        )

    def _chain(self, cells: list[Cell], neighbours: Neighbours, stop: Stop) -> None:
        """Improve the fits of one structure: from many components to few, and back.

        So what is found with some number of components reaches all others.
        """
        for down in (True, False):
            for i in reversed(range(len(cells))) if down else range(len(cells)):
                cell, beside = cells[i], i + 1 if down else i - 1
                if cell.n_components == 1:  # one Gaussian has one mode, which every start finds
                    continue
                starts = neighbours.of_other_structures(cell) if down else []
                if 0 <= beside < len(cells):
                    starts = starts + start_beside(cell, cells[beside], self.fits[cells[beside]], self._rows)
                found = self.fitter.improve(cell, self.fits[cell], starts, stop, alone=self._at_once > 1)
                if stop is not None and stop[0]:
                    return
                if found is not self.fits[cell]:
                    self._keep(cell, found)

    def _order(self, cells: list[Cell], stop: Stop) -> None:
        """Do `order` for cells of one number of components, the structures of few parameters first."""
        cells = sorted(cells, key=lambda cell: n_parameters(cell, self.fitter.source.n_features))
        for i, cell in enumerate(cells):
            within = [
                other for other in cells[:i] if self.fits[other].is_sound and contains(cell.structure, other.structure)
            ]
            if not within:
                continue
            best = max(within, key=lambda other: self.fits[other].log_likelihood)
            if self.fits[cell].is_sound and self.fits[best].log_likelihood <= self.fits[cell].log_likelihood:
                continue
            starts = [(best.covariance_type, start_from(projected, self.fits[best], cell.structure))]
            found = self.fitter.improve(cell, self.fits[cell], starts, stop, alone=self._at_once > 1)
            if stop is not None and stop[0]:
                return
            if found is not self.fits[cell]:
                self._keep(cell, found)

    def _keep(self, cell: Cell, found: CellFit) -> None:
        self.fits[cell] = found
        if self._report is not None:
            self._report(cell, found)


def threads_of_fits(cells: list[Cell], source: ArraySource, n_threads: int | None, n_fits: int = 0) -> int:
    """Return the number of fits that go side by side, each in one thread; 1 where threads share each pass, or none pay.

    The number follows from counts of work alone: that of a pass, on the mean of the cells, and `n_fits`, by default the
    number of cells.
    """
    if has_own_threads():
        return 1
    operations = sum(operations_of_pass(cell.n_components, source.n_features) for cell in cells) / len(cells)
    return plan_runs(n_fits or len(cells), source.n_rows * operations, n_threads, LEAST_OPERATIONS_OF_FITS)


def n_parameters(cell: Cell, n_features: int) -> int:
    """Return the number of free parameters of a cell's mixture."""
    K, d = cell.n_components, n_features
    return K - 1 + K * d + cell.structure.n_parameters(K, d)


class Neighbours:
    """The sound fits of the first phase, from which the second one starts.

    Parameters
    ----------
    fits : dict of Cell to CellFit
        In the order of the cells: of equal neighbours the first is taken.
    source : ArraySource
    """

    def __init__(self, fits: dict[Cell, CellFit], source: ArraySource) -> None:
        self._fits = {(cell.covariance_type, cell.n_components): fit for cell, fit in fits.items() if fit.is_sound}
        # (cell, log-likelihood, BIC) of those with as many components.
        self._beside: dict[int, list[tuple[Cell, float, float]]] = {}
        for cell, fit in fits.items():
            if fit.is_sound:
                # For rows of weight 1 on average: the unit of the weights does not matter.
                log_likelihood = fit.log_likelihood / source.total_weight * source.effective_rows
                value = bic(log_likelihood, n_parameters(cell, source.n_features), source.effective_rows)
                self._beside.setdefault(cell.n_components, []).append((cell, fit.log_likelihood, value))

    def of_other_structures(self, cell: Cell) -> list[tuple[str, Start]]:
        """Return the starts for a cell from other structures with as many components: (origin, function that makes it).

        They are that of the highest likelihood of those that this one contains, and of all others that of the best BIC.
        """
        _, structure, K = cell
        within: list[tuple[Cell, float, float]] = []
        beside: list[tuple[Cell, float, float]] = []
        for one in self._beside.get(K, []):
            if one[0].structure is not structure:
                (within if contains(structure, one[0].structure) else beside).append(one)
        best = [max(within, key=lambda one: one[1])[0]] if within else []
        best += [min(beside, key=lambda one: one[2])[0]] if beside else []
        return [
            (other.covariance_type, start_from(projected, self._fits[other.covariance_type, K], structure))
            for other in best
        ]


def start_beside(cell: Cell, other: Cell, fit: CellFit, rows: ArraySource) -> list[tuple[str, Start]]:
    """Return the start for a cell from the fit of its structure with a component more or less, if it is sound."""
    number = other.n_components
    if not fit.is_sound or abs(number - cell.n_components) != 1:
        return []
    make: Make = merged if number > cell.n_components else lambda parameters, kind: split(parameters, kind, rows)
    return [(counted(number, "component"), start_from(make, fit, cell.structure))]


def start_from(make: Make, fit: CellFit, structure: CovarianceStructure) -> Start:
    """Return the function that makes a start of a structure from a fit, by `split`, `merged` or `projected`."""
    assert fit.runs is not None
    parameters: GaussianParameters = fit.runs.result.parameters
    return lambda: make(parameters, structure)
