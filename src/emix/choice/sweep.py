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

__all__ = ["Sweep", "n_parameters", "neighbours_of", "start_from", "threads_of_fits"]


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
        self.cells, self._fitter, self._report = cells, fitter, report
        self.fits: dict[Cell, CellFit] = {}
        self._at_once = threads_of_fits(cells, fitter.source, n_threads)

    def run(self) -> None:
        """Do both phases."""
        alone = self._at_once > 1
        self._phase(self.cells, lambda cell, stop: self._fitter.fit(cell, stop, alone=alone))
        # All starts of the second phase are fits of the first, so that the order of its fits does not matter.
        before = {cell: self.fits[cell] for cell in self.cells}
        starts = {cell: found for cell in self.cells if (found := neighbours_of(cell, before, self._fitter.source))}
        self._phase(
            list(starts), lambda cell, stop: self._fitter.improve(cell, before[cell], starts[cell], stop, alone=alone)
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
    return plan_runs(n_fits or len(cells), source.n_rows * operations, n_threads)


def n_parameters(cell: Cell, n_features: int) -> int:
    """Return the number of free parameters of a cell's mixture."""
    K, d = cell.n_components, n_features
    return K - 1 + K * d + cell.structure.n_parameters(K, d)


def neighbours_of(cell: Cell, fits: dict[Cell, CellFit], source: ArraySource) -> list[tuple[str, Start]]:
    """Return the starts that neighbours' sound fits give a cell: (origin, function that makes it).

    They are a component less of the same structure, split; a component more, merged; of the structures with as many
    components, the one of the highest likelihood that this one contains, and of all others the one of the best BIC.
    """
    K, d = cell.n_components, source.n_features
    if K == 1:  # one Gaussian has one mode, which every start finds
        return []
    same: dict[int, Cell] = {}
    within: tuple[float, Cell] | None = None
    beside: tuple[float, Cell] | None = None
    for other, fit in fits.items():
        if not fit.is_sound:
            continue
        if other.structure is cell.structure:
            same[other.n_components] = other
        elif other.n_components == K:
            if contains(cell.structure, other.structure):
                if within is None or fit.log_likelihood > within[0]:
                    within = fit.log_likelihood, other
            else:
                value = -bic(fit.log_likelihood, n_parameters(other, d), source.effective_rows)
                if beside is None or value > beside[0]:
                    beside = value, other
    others = [one[1] for one in (within, beside) if one is not None]
    found = [(other.covariance_type, start_from(projected, fits[other], cell.structure)) for other in others]
    if K - 1 in same:
        found.append((f"{K - 1} components", start_from(split, fits[same[K - 1]], cell.structure)))
    if K + 1 in same:
        found.append((f"{K + 1} components", start_from(merged, fits[same[K + 1]], cell.structure)))
    return found


def start_from(make: Make, fit: CellFit, structure: CovarianceStructure) -> Start:
    """Return the function that makes a start of a structure from a fit, by `split`, `merged` or `projected`."""
    assert fit.runs is not None
    parameters: GaussianParameters = fit.runs.result.parameters
    return lambda: make(parameters, structure)
