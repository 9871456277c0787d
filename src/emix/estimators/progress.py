"""Progress of a fit, printed while it runs if `verbose` asks for it."""

from __future__ import annotations

import time

from emix.em.result import EMRecord, EMResult

__all__ = ["Progress"]


class Progress:
    """Lines about runs and iterations, as scikit-learn prints them.

    Parameters
    ----------
    verbose : int
        0: nothing. 1: runs and iterations. 2: time and change too.
    interval : int
        Iterations from one line to the next.
    total_weight : float
        Of the rows: log-likelihoods are printed as means.
    """

    def __init__(self, verbose: int, interval: int, total_weight: float) -> None:
        self._verbose = verbose
        self._interval = interval
        self._total_weight = total_weight
        self._run_began = self._line_began = time.perf_counter()

    def run_begins(self, run: int) -> None:
        """Say which run begins."""
        self._run_began = self._line_began = time.perf_counter()
        if self._verbose:
            print(f"Initialization {run}")

    def iteration_ends(self, record: EMRecord) -> None:
        """Say how far the run is."""
        if not self._verbose or record.iteration == 0 or record.iteration % self._interval:
            return
        line = f"  Iteration {record.iteration}"
        if self._verbose > 1:
            now = time.perf_counter()
            line += f"\t time lapse {now - self._line_began:.5f}s\t ll change {record.change / self._total_weight:.5f}"
            self._line_began = now
        print(line)

    def run_ends(self, result: EMResult) -> None:
        """Say how the run ended."""
        if not self._verbose:
            return
        line = f"Initialization {'converged' if result.converged else 'did not converge'}."
        if self._verbose > 1:
            line += (
                f" time lapse {time.perf_counter() - self._run_began:.5f}s"
                f"\t lower bound {result.log_likelihood / self._total_weight:.5f}."
            )
        print(line)
