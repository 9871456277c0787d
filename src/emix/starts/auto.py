"""The start "auto": candidates of several kinds; the best is improved, and run to its end.

No single kind of start finds the best mode everywhere: k-means misses groups of different width, random rows miss small
groups. So each kind gives candidates, EM takes each a few iterations far on a bounded sample of the rows, and the
likelihood decides. If the kinds do not agree, a local search goes on from the best.

References
----------
C. Biernacki, G. Celeux and G. Govaert (2003), Choosing starting values for the EM algorithm for getting the highest
likelihood in multivariate Gaussian mixture models, Computational Statistics & Data Analysis 41, 561-575.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from emix.arguments import counted
from emix.em.loop import Goal
from emix.em.result import EMResult
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.rows.arrays import ArraySource
from emix.starts.dense_start import dense_start
from emix.starts.exploration import Exploration, Mode
from emix.starts.far_start import higher_with_far_rows
from emix.starts.local_search import LocalSearch
from emix.starts.merging import merged_down, passes_of_merging
from emix.starts.ranking import n_near_the_best, passes_of_ranking, ranked_by_all_rows
from emix.starts.starting_parameters import STARTS, make_cells, make_start

__all__ = ["FRESH", "INIT_PARAMS", "AutoStarts", "Start"]

INIT_PARAMS = ("auto", *STARTS)
"""Values of the setting `init_params`."""

# Kinds of candidates, each with the number of its restart. If the first three agree, the others are not made.
_CANDIDATES = (
    ("kmeans", 0), ("k-means++", 1), ("random_from_data", 2), ("ward", 0), ("k-means++", 3), ("random_from_data", 4),
)  # fmt: skip
_FIRST = 3
# Further candidates of a search of many rows that has no room for refits. k-means on a sample often ends in a poor
# optimum: of 224 fits of 28 made-up mixtures of 100 000 rows, 55 end more than 1e-3 nats a row below the best mode
# known without these, and 39 with them. No other candidate draws by k-means++ with the numbers of these restarts.
_OF_SAMPLE = ("kmeans", 2), ("kmeans", 4)
# Kinds of fresh candidates and of fresh runs, by turns.
FRESH = ("random_from_data", "k-means++")
# The kind of the candidates that begin with more components, how many are made at first, and iterations of EM of one.
# On pixels of a photograph 1 105 of 1 200 fits end in the best mode known with these and 1 111 with six iterations; of
# 600, with a budget a tenth smaller, 557 and 536. Four candidates, and six, do no better.
MERGED, N_MERGED, MERGED_ITERATIONS = "merged", 5, 4

# The kind of the start with a component on rows that lie close together, and how many are made, one from the other.
DENSE, MOST_DENSE = "dense", 2

# The kind of the start with a component on rows that lie far from all others.
FAR = "far"

# The part of the budget that merged candidates may take at first.
MERGED_SHARE = 0.5

# Where the budget is one of iterations, so many passes have to be left for the other three kinds of candidates to be
# made, and so many for refits of pairs. With less, all candidates are taken to their ends before the first is improved:
# where components overlap a candidate says little of its mode. On pixels of a photograph, of which 250 passes or so are
# left, 556 of 600 fits end in the best mode known, and 524 where refits wait for all candidates.
ROOM_FOR_OTHERS, ROOM_FOR_REFITS = 500.0, 150.0

# Iterations of EM for a candidate, and for one that becomes a mode.
CANDIDATE_ITERATIONS, MODE_ITERATIONS = 15, 200

# A fresh candidate that collapses is counted as so many passes: it is not known when it did. With 1, a search in which
# all do (1 797 × 30, K 20) takes 18 s, with 5 it takes 4; with 15 that of wine, K 4, ends before its best mode.
PASSES_OF_COLLAPSED = 5.0

# Nats per unit of weight. Candidates that are so near each other after their few iterations are on the way to one mode.
# Over 40 seeds each, three kinds agreed in 59 fits of iris, faithful, breast cancer and two made-up mixtures. In one of
# these, of breast cancer, the mode was not the best.
ALIKE = 1e-3

# Kinds that have to agree once all candidates are made. One is dropped if FORESIGHT more steps like its last one would
# not reach the best.
AGREEING, FORESIGHT = 3, 20.0

# The search ends once the best mode has been found so many times, from different candidates; the second number is for
# modes to which a climb was long. Of 30 seeds on wine, where climbs are long, 73 % ended in the best mode known with
# two and 93 % with three; of 200, 181 with three and 187 with four.
ENOUGH, ENOUGH_OF_LONG = 2, 4


class Start(NamedTuple):
    """A start of a run.

    Attributes
    ----------
    parameters : GaussianParameters
    kind : str
        The kind of start that the parameters come from.
    result : EMResult or None
        The run from these parameters, if the search has done it and it gave no warning.
    """

    parameters: GaussianParameters
    kind: str
    result: EMResult | None = None


class _Candidate(NamedTuple):
    kind: str
    start: GaussianParameters
    result: EMResult


class AutoStarts:
    """The starts of the runs of one fit.

    Run 0 starts from the best mode found, run 1 from an agglomeration by determinants. Later runs start from the other
    modes and candidates, the best first, and then from fresh random rows and k-means++ by turns.

    Parameters
    ----------
    source : ArraySource
    model : GaussianModel
    seed : int
    tol : float
    max_iter : int
        Those of the fit.
    search : float
        Share of the whole budget of a search, from 0 (no search) to 1.
    say : callable, optional
        Told in a few words how the search goes.

    Attributes
    ----------
    exploration : Exploration
        The short runs, and the work that they left.

    Notes
    -----
    Run 0 starts from k-means if every candidate collapses, if there is one component, if `max_iter` is below the
    iterations of a candidate, or without a search.
    """

    def __init__(
        self,
        source: ArraySource,
        model: GaussianModel,
        seed: int,
        tol: float,
        max_iter: int,
        search: float = 1.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._say, self._n_candidates = say, 0
        self._source, self._model, self._seed = source, model, seed
        self.exploration = Exploration(source, model, seed, tol, max_iter, search)
        self._restart = 1 + max(restart for _, restart in _CANDIDATES + _OF_SAMPLE)
        found: list[_Candidate] = []
        self._first: list[Start] = []  # of all rows: the start of the best mode
        # One component has one mode. A fit of fewer iterations than a candidate's would hide that it stopped early.
        if search > 0.0 and model.n_components > 1 and max_iter >= CANDIDATE_ITERATIONS:
            found = self._search()
            if self.exploration.source is not source and found:
                found = self._with_far(found)
        if self.exploration.source is source:
            others = [Start(start, kind) for kind, start, _ in found[1:]]
            self._starts = self._first + (others if self._first else [])
        else:
            # Of many rows a sample has found the mode; EM on all rows starts there.
            self._starts = [Start(result.parameters, kind) for kind, _, result in found]

    @property
    def are_of_sample(self) -> bool:
        """True if a search on a sample has found the start of run 0."""
        return bool(self._starts) and self.exploration.source is not self._source

    def start(self, run: int) -> Start:
        """Return the start of a run."""
        if run == 0 and not self._starts:
            return Start(make_start("kmeans", self._source, self._model, self._seed, 0), "kmeans")
        if run == 1 and self._model.n_components > 1:
            return Start(make_start("hierarchical", self._source, self._model, self._seed, 0), "hierarchical")
        number = max(0, run - 1)
        if number < len(self._starts):
            return self._starts[number]
        kind, restart = FRESH[run % 2], self._restart + run
        return Start(make_start(kind, self._source, self._model, self._seed, restart), kind)

    def _search(self) -> list[_Candidate]:
        """Modes and candidates, the best first; the first does not collapse."""
        exploration = self.exploration
        # One at least, if the budget is not enough for three.
        n_first = min(_FIRST, max(1, int(exploration.left / CANDIDATE_ITERATIONS)))
        waiting = self._candidates(_CANDIDATES[:n_first])
        if self._kinds_at_best(waiting) == _FIRST:
            return self._without_collapse(self._with_dense(self._at_best(waiting)[:1]))
        if exploration.source is not self._source:
            exploration.left -= passes_of_ranking(exploration, self._source.n_rows)
            if exploration.passes_of_a_run > 0.0 and 0.0 < exploration.left < ROOM_FOR_REFITS:
                waiting += self._candidates(_OF_SAMPLE)
        waiting += self._merged_down(N_MERGED)
        least = ROOM_FOR_OTHERS if exploration.passes_of_a_run > 0.0 else _FIRST * CANDIDATE_ITERATIONS
        if exploration.left > least:
            waiting += self._candidates(_CANDIDATES[_FIRST:])
        if self._kinds_at_best(waiting) >= AGREEING:
            return self._without_collapse(self._with_dense(self._at_best(waiting)[:1]))
        waiting = self._promising(self._distinct(waiting))
        search, modes = LocalSearch(exploration, self._seed), list[_Candidate]()
        n_found, enough, n_climbs, n_fresh = 0, ENOUGH, 0, 0
        if exploration.passes_of_a_run > 0.0 and exploration.left < ROOM_FOR_REFITS:
            ended = list[_Candidate]()
            while waiting and exploration.left > 0.0:
                ended.append(self._to_its_end(waiting.pop(0)))
            waiting = self._distinct(ended) + waiting
        while n_found < enough and exploration.left > 0.0:
            if not waiting:
                waiting = self._merged_down(1)
                if not waiting:
                    waiting = self._candidates(((FRESH[(n_fresh + 1) % 2], self._restart),))
                    n_fresh, self._restart = n_fresh + 1, self._restart + 1
                exploration.left -= 1.0 if waiting else PASSES_OF_COLLAPSED
                continue
            kind, start, result = self._to_its_end(waiting.pop(0))
            found = _Candidate(kind, *search.climbed(Mode(start, result)))
            if search.was_long:
                enough = ENOUGH_OF_LONG
            if not modes or exploration.agree(modes[0].result, found.result):
                n_found += 1
            elif found.result.log_likelihood > modes[0].result.log_likelihood:
                n_found = 1
            modes = self._distinct([*modes, found, *(_Candidate(kind, *rival) for rival in search.rivals)])
            search.rivals.clear()
            best = modes[0].result.log_likelihood / exploration.source.total_weight
            n_climbs += 1
            self._tell(
                f"best mode so far, after {counted(n_climbs, 'climb')}: {best:.5f} nats per unit of weight, found "
                f"{n_found} of {enough} times"
            )
        return self._without_collapse(self._with_dense(self._ranked(self._distinct(modes + waiting))))

    def _tell(self, text: str) -> None:
        if self._say is not None:
            self._say(text)

    def _candidates(self, which: tuple[tuple[str, int], ...]) -> list[_Candidate]:
        """Candidates after a few iterations, without those that collapsed."""
        exploration = self.exploration
        source, model = exploration.source, exploration.model
        found: list[_Candidate | None] = [None] * len(which)
        cells = FRESH if source is self._source else (*FRESH, "kmeans")

        def make(number: int) -> None:
            kind, restart = which[number]
            try:
                start_of = make_cells if kind in cells else make_start
                start = start_of(kind, source, model, self._seed, restart)
            except DegenerateCovarianceError:
                return
            result = exploration.run(start, CANDIDATE_ITERATIONS)
            found[number] = None if result is None else _Candidate(kind, start, result)

        self._n_candidates += len(which)
        if self._n_candidates == len(which):
            self._tell(f"{counted(len(which), 'candidate')} on {counted(source.n_rows, 'row')}")
        else:
            self._tell(f"{counted(len(which), 'more candidate')}, {self._n_candidates} so far")
        exploration.each(len(which), make)
        results = [candidate for candidate in found if candidate is not None]
        exploration.left -= sum(candidate.result.n_iter + 1 for candidate in results)
        exploration.left -= len(which) * exploration.passes_of_a_run
        if exploration.source is not self._source:
            # A component of so many rows collapses late, if at all. Of few rows it does at once, which costs little.
            exploration.left -= (len(which) - len(results)) * CANDIDATE_ITERATIONS
        return results

    def _merged_down(self, most: int) -> list[_Candidate]:
        """Candidates that begin with more components, of a sample only: few rows collapse in so many.

        One takes as long as two or three other candidates, and comes nearer to the best mode than they do.
        """
        exploration = self.exploration
        each = passes_of_merging(exploration) + MERGED_ITERATIONS + 1.0 + exploration.passes_of_a_run
        n = min(most, int(MERGED_SHARE * max(exploration.left, 0.0) / each))
        if exploration.source is self._source or n == 0:
            return []
        self._tell(f"{counted(n, 'candidate')} of more components, merged, on {exploration.source.n_rows} rows")
        first, self._restart = self._restart, self._restart + n
        found: list[_Candidate | None] = [None] * n

        def make(number: int) -> None:
            try:
                start = merged_down(exploration, self._seed, first + number)
            except ValueError:  # a collapse, or rows so far out that their density is zero
                return
            result = exploration.run(start, MERGED_ITERATIONS, relaxed=False)
            found[number] = None if result is None else _Candidate(MERGED, start, result)

        exploration.each(n, make)
        exploration.left -= n * each
        return [candidate for candidate in found if candidate is not None]

    def _promising(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Candidates that may come as high as the first, the best."""

        def is_promising(result: EMResult) -> bool:
            change = 0.0 if result.converged else result.history[-1].change
            return result.log_likelihood + FORESIGHT * change >= candidates[0].result.log_likelihood

        return [candidate for candidate in candidates if is_promising(candidate.result)]

    def _at_best(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Candidates on the way to the best mode, to judge by log-likelihoods, in the order in which they were made."""
        least = max((candidate.result.log_likelihood for candidate in candidates), default=0.0)
        least -= ALIKE * self.exploration.source.total_weight
        return [candidate for candidate in candidates if candidate.result.log_likelihood >= least]

    def _kinds_at_best(self, candidates: list[_Candidate]) -> int:
        """Number of kinds of which every candidate is on the way to the best mode."""
        at_best = self._at_best(candidates)
        behind = {candidate.kind for candidate in candidates if candidate not in at_best}
        return len({candidate.kind for candidate in at_best} - behind)

    def _to_its_end(self, candidate: _Candidate) -> _Candidate:
        if candidate.result.converged:
            return candidate
        # The budget may be short of many rows, of which these iterations would be dozens of all.
        most = min(MODE_ITERATIONS, max(CANDIDATE_ITERATIONS, int(self.exploration.left)))
        longer = self.exploration.run(candidate.result.parameters, most)
        self.exploration.left -= most if longer is None else longer.n_iter + 1
        self.exploration.left -= self.exploration.passes_of_a_run
        if longer is None:
            return candidate
        return candidate._replace(result=longer)

    def _distinct(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """One candidate of each mode, the best first."""
        found: list[_Candidate] = []
        # Of equal ones the first made is kept: sorting is stable.
        for candidate in sorted(candidates, key=lambda candidate: -candidate.result.log_likelihood):
            if not found or not self.exploration.agree(found[-1].result, candidate.result):
                found.append(candidate)
        return found

    def _with_dense(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Put in front what comes of a start on rows that the first explains badly, if it ends higher."""
        exploration = self.exploration
        for _ in range(MOST_DENSE):
            if not candidates:
                break
            best = candidates[0].result
            start = dense_start(exploration, best.parameters)
            if start is None:
                break
            rise = max(ALIKE, exploration.noise) * exploration.source.total_weight
            goal = Goal(best.log_likelihood + rise, FORESIGHT, CANDIDATE_ITERATIONS)
            # The budget may be used up. A narrow group is found in a few iterations.
            most = min(MODE_ITERATIONS, max(2 * CANDIDATE_ITERATIONS, int(exploration.left)))
            result = exploration.run(start, most, goal)
            exploration.left -= most if result is None else result.n_iter + 1
            if result is None or result.log_likelihood <= goal.log_likelihood:
                break
            candidates = [_Candidate(DENSE, start, result), *candidates]
        return candidates

    def _with_far(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Put in front what comes of a start on rows that the first has no component for, if it ends higher."""
        higher = higher_with_far_rows(self._source, self.exploration, candidates[0].result.parameters, self._seed)
        return candidates if higher is None else [_Candidate(FAR, *higher), *candidates]

    def _ranked(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Order those by all rows of which the sample cannot tell which is the best."""
        exploration, source = self.exploration, self._source
        if exploration.source is source or not candidates:
            return candidates
        if (n := n_near_the_best(candidates, exploration)) > 1:
            self._tell(
                f"{n} modes that the sample cannot tell apart, ranked by as many of {source.n_rows} rows as it takes"
            )
        return ranked_by_all_rows(candidates, exploration, source.all_rows, self._model)

    def _without_collapse(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Do the run from the first candidate as the fit would, and put it behind the others if it collapses.

        The fit would end collapsed where another mode does not. A sample cannot tell.
        """
        exploration = self.exploration
        if exploration.source is not self._source:
            return candidates
        for number, candidate in enumerate(candidates):
            # From its start, so that the fit has the history of a run. If that ends lower, from the mode.
            for start in (candidate.start, candidate.result.parameters):
                result = exploration.run_to_convergence(start)
                if result is not None and (
                    result.log_likelihood >= candidate.result.log_likelihood
                    or exploration.agree(result, candidate.result)
                ):
                    self._first = [Start(start, candidate.kind, None if exploration.warned else result)]
                    return [candidate, *candidates[:number], *candidates[number + 1 :]]
        return candidates
