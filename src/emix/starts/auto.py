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
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.rows.arrays import ArraySource
from emix.starts.candidates import CANDIDATE_ITERATIONS, FIRST, FRESH, MERGED, Candidate, Candidates
from emix.starts.dense_start import dense_start
from emix.starts.exploration import Exploration, Mode
from emix.starts.far_start import higher_with_far_rows, rows_to_ask
from emix.starts.local_search import LocalSearch
from emix.starts.ranking import n_near_the_best, passes_of_ranking, ranked_by_all_rows
from emix.starts.starting_parameters import STARTS, make_start

__all__ = ["FRESH", "INIT_PARAMS", "AutoStarts", "Start"]

INIT_PARAMS = ("auto", *STARTS)
"""Values of the setting `init_params`."""

# The kind of the start with a component on rows that lie close together, and how many are made, one from the other.
DENSE, MOST_DENSE = "dense", 2

# The kind of the start with a component on rows that lie far from all others.
FAR = "far"

# Where the budget is one of iterations, so many passes have to be left for the other three kinds of candidates to be
# made, and so many for refits of pairs. With less, all candidates are taken to their ends before the first is improved:
# where components overlap a candidate says little of its mode. On pixels of a photograph, of which 250 passes or so are
# left, 556 of 600 fits end in the best mode known, and 524 where refits wait for all candidates.
ROOM_FOR_OTHERS, ROOM_FOR_REFITS = 500.0, 150.0

# Iterations of EM for a candidate that becomes a mode.
MODE_ITERATIONS = 200

# Candidates of a sample that go side by side to their ends, and climb. A search ends with the second at the earliest.
# Of few rows one climbs after the other, as each may use up the budget.
CLIMBS_AT_ONCE = 2

# Passes that have to be left of a sample's budget for more of them to climb once some have. With less, they are not
# converged when all rows rank them: on pixels of a photograph 4 395 of 4 800 fits end in the best mode known with this
# bound, and 4 372 without it.
LEAST_OF_CLIMB = 60.0

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
        self._say = say
        self._source, self._model, self._seed = source, model, seed
        self.exploration = Exploration(source, model, seed, tol, max_iter, search)
        self._candidates = Candidates(self.exploration, seed, self._tell)
        self._asked: ArraySource | None = None
        found: list[Candidate] = []
        self._first: list[Start] = []  # of all rows: the start of the best mode
        # One component has one mode. A fit of fewer iterations than a candidate's would hide that it stopped early.
        if search > 0.0 and model.n_components > 1 and max_iter >= CANDIDATE_ITERATIONS:
            found = self._search()
            if self.exploration.source is not source and found:
                found = self._with_far(found)
                self._asked = None  # which may be a hundred megabytes
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
        kind, restart = FRESH[run % 2], self._candidates.restart + run
        return Start(make_start(kind, self._source, self._model, self._seed, restart), kind)

    def _search(self) -> list[Candidate]:
        """Modes and candidates, the best first; the first does not collapse."""
        exploration, candidates = self.exploration, self._candidates
        of_sample = exploration.is_of_sample
        ranking = passes_of_ranking(exploration, self._source.n_rows) if of_sample else 0.0
        waiting = candidates.first(*((self._take_rows_to_ask,) if of_sample else ()), kept=ranking)
        # A merged one that is behind says nothing: its iterations are few.
        if sum(candidate.kind != MERGED for candidate in self._at_best(waiting)) == FIRST:
            return self._without_collapse(self._with_dense(self._at_best(waiting)[:1]))
        is_of_iterations = exploration.passes_of_a_run > 0.0
        if of_sample:
            exploration.left -= ranking
            is_short = is_of_iterations and 0.0 < exploration.left < ROOM_FOR_REFITS
            waiting += candidates.merged(is_short=is_short)
        if exploration.left > (ROOM_FOR_OTHERS if is_of_iterations else FIRST * CANDIDATE_ITERATIONS):
            waiting += candidates.others()
        if self._kinds_at_best(waiting) >= AGREEING:
            return self._without_collapse(self._with_dense(self._at_best(waiting)[:1]))
        waiting = self._promising(self._distinct(waiting))
        if is_of_iterations and exploration.left < ROOM_FOR_REFITS:
            ended = list[Candidate]()
            while waiting and exploration.left > 0.0:
                at_once = self._n_at_once()
                ended += self._to_their_ends(waiting[:at_once])
                del waiting[:at_once]
            waiting = self._distinct(ended) + waiting
        searches = [LocalSearch(exploration, self._seed, stream) for stream in range(CLIMBS_AT_ONCE)]
        modes, n_found, enough, n_climbs = list[Candidate](), 0, ENOUGH, 0
        while n_found < enough and exploration.left > (LEAST_OF_CLIMB if modes and of_sample else 0.0):
            at_once = self._n_at_once()
            if not waiting:
                waiting = candidates.fresh(at_once)
                continue
            climbed = self._climbed(waiting[:at_once], searches)
            del waiting[:at_once]
            for found, search in zip(climbed, searches):
                if search.was_long:
                    enough = ENOUGH_OF_LONG
                if not modes or exploration.agree(modes[0].result, found.result):
                    n_found += 1
                elif found.result.log_likelihood > modes[0].result.log_likelihood:
                    n_found = 1
                modes = self._distinct([*modes, found, *(Candidate(found.kind, *rival) for rival in search.rivals)])
                search.rivals.clear()
            best = modes[0].result.log_likelihood / exploration.source.total_weight
            n_climbs += len(climbed)
            self._tell(
                f"best mode so far, after {counted(n_climbs, 'climb')}: {best:.5f} nats per unit of weight, found "
                f"{n_found} of {enough} times"
            )
        return self._without_collapse(self._with_dense(self._ranked(self._distinct(modes + waiting))))

    def _take_rows_to_ask(self) -> None:
        self._asked = rows_to_ask(self._source, self.exploration, self._seed)

    def _tell(self, text: str) -> None:
        if self._say is not None:
            self._say(text)

    def _promising(self, candidates: list[Candidate]) -> list[Candidate]:
        """Candidates that may come as high as the first, the best."""

        def is_promising(result: EMResult) -> bool:
            change = 0.0 if result.converged else result.history[-1].change
            return result.log_likelihood + FORESIGHT * change >= candidates[0].result.log_likelihood

        return [candidate for candidate in candidates if is_promising(candidate.result)]

    def _at_best(self, candidates: list[Candidate]) -> list[Candidate]:
        """Candidates on the way to the best mode, to judge by log-likelihoods, in the order in which they were made."""
        least = max((candidate.result.log_likelihood for candidate in candidates), default=0.0)
        least -= ALIKE * self.exploration.source.total_weight
        return [candidate for candidate in candidates if candidate.result.log_likelihood >= least]

    def _kinds_at_best(self, candidates: list[Candidate]) -> int:
        """Number of kinds of which every candidate is on the way to the best mode."""
        at_best = self._at_best(candidates)
        behind = {candidate.kind for candidate in candidates if candidate not in at_best}
        return len({candidate.kind for candidate in at_best} - behind)

    def _n_at_once(self) -> int:
        """Return how many candidates go on side by side: one of few rows, and where the budget has room for one."""
        room = max(1, int(self.exploration.left / CANDIDATE_ITERATIONS))
        return min(CLIMBS_AT_ONCE, room) if self.exploration.is_of_sample else 1

    def _to_their_ends(self, candidates: list[Candidate]) -> list[Candidate]:
        ended = list(candidates)

        def end(number: int, part: Exploration) -> None:
            ended[number] = _to_its_end(candidates[number], part)

        self.exploration.shared(len(candidates), end)
        return ended

    def _climbed(self, candidates: list[Candidate], searches: list[LocalSearch]) -> list[Candidate]:
        """Climb from the end of each candidate, with a search for each."""
        climbed = list(candidates)

        def climb(number: int, part: Exploration) -> None:
            kind, start, result = _to_its_end(candidates[number], part)
            climbed[number] = Candidate(kind, *searches[number].climbed(Mode(start, result), part))

        self.exploration.shared(len(candidates), climb)
        return climbed

    def _distinct(self, candidates: list[Candidate]) -> list[Candidate]:
        """One candidate of each mode, the best first."""
        found: list[Candidate] = []
        # Of equal ones the first made is kept: sorting is stable.
        for candidate in sorted(candidates, key=lambda candidate: -candidate.result.log_likelihood):
            if not found or not self.exploration.agree(found[-1].result, candidate.result):
                found.append(candidate)
        return found

    def _with_dense(self, candidates: list[Candidate]) -> list[Candidate]:
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
            candidates = [Candidate(DENSE, start, result), *candidates]
        return candidates

    def _with_far(self, candidates: list[Candidate]) -> list[Candidate]:
        """Put in front what comes of a start on rows that the first has no component for, if it ends higher."""
        assert self._asked is not None
        higher = higher_with_far_rows(self._asked, self.exploration, candidates[0].result.parameters)
        return candidates if higher is None else [Candidate(FAR, *higher), *candidates]

    def _ranked(self, candidates: list[Candidate]) -> list[Candidate]:
        """Order those by all rows of which the sample cannot tell which is the best."""
        exploration, source = self.exploration, self._source
        if exploration.source is source or not candidates:
            return candidates
        if (n := n_near_the_best(candidates, exploration)) > 1:
            self._tell(
                f"{n} modes that the sample cannot tell apart, ranked by as many of {source.n_rows} rows as it takes"
            )
        return ranked_by_all_rows(candidates, exploration, source.all_rows, self._model)

    def _without_collapse(self, candidates: list[Candidate]) -> list[Candidate]:
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


def _to_its_end(candidate: Candidate, exploration: Exploration) -> Candidate:
    if candidate.result.converged:
        return candidate
    # The budget may be short of many rows, of which these iterations would be dozens of all.
    most = min(MODE_ITERATIONS, max(CANDIDATE_ITERATIONS, int(exploration.left)))
    longer = exploration.run(candidate.result.parameters, most)
    exploration.left -= most if longer is None else longer.n_iter + 1
    exploration.left -= exploration.passes_of_a_run
    return candidate if longer is None else candidate._replace(result=longer)
