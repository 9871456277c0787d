"""A sweep: every cell from its own starts, then from its neighbours' parameters."""

from __future__ import annotations

from collections.abc import Callable

from emix.choice.fits import CellFit, Fitter, Start
from emix.choice.neighbours import contains, merged, projected, split
from emix.choice.request import Cell
from emix.choice.side_by_side import Stop, do_each
from emix.estimators.criteria import bic
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import CovarianceStructure
from emix.kernel.level import has_own_threads
from emix.parallel.threads import plan_runs
from emix.rows.arrays import ArraySource

__all__ = ["Neighbours", "Sweep", "n_parameters", "start_from", "threads_of_fits"]


# Fits go side by side from so many operations of a pass on, fewer than restarts of one fit: steps are taken many at a
# time, without Python. (Measured, wall time of a sweep in two threads over that in one: 150 × 4, 1.2e5 operations, 1.2;
# 272 × 2, 1.4e5, 0.95; 178 × 13, 5.4e5, 0.83; 569 × 10, 1.2e6, 0.72.)
LEAST_OPERATIONS_OF_FITS = 3e5

Make = Callable[[GaussianParameters, CovarianceStructure], GaussianParameters]


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

    def run(self) -> None:
        """Do both phases."""
        alone = self._at_once > 1
        self._phase(self.cells, lambda cell, stop: self.fitter.fit(cell, stop, alone=alone))
        # All starts of the second phase are fits of the first, so that the order of its fits does not matter.
        before = {cell: self.fits[cell] for cell in self.cells}
        neighbours = Neighbours(before, self.fitter.source)
        starts = {cell: found for cell in self.cells if (found := neighbours.starts_of(cell))}
        self._phase(
            list(starts), lambda cell, stop: self.fitter.improve(cell, before[cell], starts[cell], stop, alone=alone)
        )

    def _phase(self, cells: list[Cell], work: Callable[[Cell, Stop], CellFit]) -> None:
        def keep(i: int, found: CellFit) -> None:
            cell = cells[i]
            if self._report is not None and found is not self.fits.get(cell):
                self._report(cell, found)
            self.fits[cell] = found

        do_each(len(cells), lambda i, stop: work(cells[i], stop), keep, self._at_once)


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
                value = bic(fit.log_likelihood, n_parameters(cell, source.n_features), source.effective_rows)
                self._beside.setdefault(cell.n_components, []).append((cell, fit.log_likelihood, value))

    def starts_of(self, cell: Cell) -> list[tuple[str, Start]]:
        """Return the starts for a cell: (origin, function that makes it).

        They are a component less of the same structure, split; a component more, merged; of the structures with as many
        components, the one of the highest likelihood that this one contains, and of all others the one of the best BIC.
        """
        name, structure, K = cell
        if K == 1:  # one Gaussian has one mode, which every start finds
            return []
        others = [one for one in self._beside.get(K, []) if one[0].structure is not structure]
        within: list[tuple[Cell, float, float]] = []
        beside: list[tuple[Cell, float, float]] = []
        for one in others:
            (within if contains(structure, one[0].structure) else beside).append(one)
        best = [max(within, key=lambda one: one[1])[0]] if within else []
        best += [min(beside, key=lambda one: one[2])[0]] if beside else []
        found = [
            (other.covariance_type, start_from(projected, self._fits[other.covariance_type, K], structure))
            for other in best
        ]
        for number, make in ((K - 1, split), (K + 1, merged)):
            fit = self._fits.get((name, number))
            if fit is not None:
                plural = "s" if number > 1 else ""
                found.append((f"{number} component{plural}", start_from(make, fit, structure)))
        return found


def start_from(make: Make, fit: CellFit, structure: CovarianceStructure) -> Start:
    """Return the function that makes a start of a structure from a fit, by `split`, `merged` or `projected`."""
    assert fit.runs is not None
    parameters: GaussianParameters = fit.runs.result.parameters
    return lambda: make(parameters, structure)
