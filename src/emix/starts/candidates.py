"""Candidates of the search for a start: mixtures of several kinds, each a few iterations of EM from its beginning.

No single kind of start finds the best mode everywhere: k-means misses groups of different width, random rows miss small
groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from emix.arguments import counted
from emix.em.result import EMResult
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.parameters import GaussianParameters
from emix.starts.exploration import Exploration
from emix.starts.merging import merged_down, passes_of_merging
from emix.starts.starting_parameters import make_cells, make_start

__all__ = ["CANDIDATE_ITERATIONS", "FIRST", "FRESH", "MERGED", "Candidate", "Candidates"]

# Kinds of candidates, each with the number of its restart. If the first three agree, and the merged one of a sample is
# not above them, the others are not made.
KINDS = (
    ("kmeans", 0), ("k-means++", 1), ("random_from_data", 2), ("ward", 0), ("k-means++", 3), ("random_from_data", 4),
)  # fmt: skip
FIRST = 3
# Further candidates of a search of many rows that has no room for refits. k-means on a sample often ends in a poor
# optimum: of 224 fits of 28 made-up mixtures of 100 000 rows, 55 end more than 1e-3 nats a row below the best mode
# known without these, and 39 with them. No other candidate draws by k-means++ with the numbers of these restarts.
OF_SAMPLE = ("kmeans", 2), ("kmeans", 4)
# And Ward's agglomeration for so many components: the more groups there are, the more often k-means has two centres in
# one. Of 18 fits of 100 000 × 20, K 20, tied, groups apart, 13 end 0.7 nats a row and more below the best mode known
# without it (k-means on all rows: 8), and none with it.
OF_MANY_GROUPS, MANY_GROUPS = (("ward", 0),), 10
# Kinds of fresh candidates and of fresh runs, by turns.
FRESH = ("random_from_data", "k-means++")
# The kind of the candidates that begin with more components, how many are made at first, and iterations of EM of one.
# On pixels of a photograph 1 105 of 1 200 fits end in the best mode known with these and 1 111 with six iterations; of
# 600, with a budget a tenth smaller, 557 and 536. Four candidates, and six, do no better.
MERGED, N_MERGED, MERGED_ITERATIONS = "merged", 5, 4

# The part of what is left of the budget that merged candidates may take, the first one and then the others.
MERGED_SHARE = 0.5

# Iterations of EM for a candidate that is not merged.
CANDIDATE_ITERATIONS = 15

# Fresh candidates that all collapse are counted as so many passes: it is not known when they did. With 1, a search in
# which all do (1 797 × 30, K 20) takes 18 s, with 5 it takes 4; with 15 that of wine, K 4, ends before its best mode.
PASSES_OF_COLLAPSED = 5.0


class Candidate(NamedTuple):
    """A mixture on the way to a mode.

    Attributes
    ----------
    kind : str
        The kind of start that it comes from.
    start : GaussianParameters
    result : EMResult
        The run from its start on the exploration's rows.
    """

    kind: str
    start: GaussianParameters
    result: EMResult


class Candidates:
    """The candidates of one search.

    Each method makes some, in as many threads as pay, and takes the passes of these from the budget. What collapses is
    left out of what it returns.

    Parameters
    ----------
    exploration : Exploration
    seed : int
    say : callable
        Told in a few words what is made.

    Attributes
    ----------
    restart : int
        With numbers from this one on nothing was drawn.
    """

    def __init__(self, exploration: Exploration, seed: int, say: Callable[[str], None]) -> None:
        self._exploration, self._seed, self._say = exploration, seed, say
        self._n_drawn, self._n_fresh = 0, 0
        self.restart = 1 + max(restart for _, restart in KINDS + OF_SAMPLE)

    def first(self, *beside: Callable[[], None], kept: float = 0.0) -> list[Candidate]:
        """Make the first three, or as many as the budget is enough for, one at least; and one that is merged.

        Parameters
        ----------
        *beside : callable
            Called as well, before the candidates are made: work that does not depend on them, for a thread to share.
        kept : float
            Passes that the merged one has to leave for later work.
        """
        n = min(FIRST, max(1, int(self._exploration.left / CANDIDATE_ITERATIONS)))
        n_merged = self._n_merged(1, n * self._passes_of_drawn + kept) if n == FIRST else 0
        return self._made(KINDS[:n], n_merged, beside)

    def others(self) -> list[Candidate]:
        """Make those of the other kinds."""
        return self._made(KINDS[FIRST:], 0)

    def merged(self, *, is_short: bool) -> list[Candidate]:
        """Make more of those that begin with more components, and some of `OF_SAMPLE` if the search is short.

        They are of a sample only: few rows collapse in so many components. One that is merged takes as long as two or
        three others, and comes nearer to the best mode than they do.
        """
        drawn = list[tuple[str, int]]()
        if is_short:
            has_many = self._exploration.model.n_components >= MANY_GROUPS
            drawn += (*OF_MANY_GROUPS, *OF_SAMPLE) if has_many else OF_SAMPLE
            drawn = drawn[: max(1, int(self._exploration.left / CANDIDATE_ITERATIONS))]
        return self._made(drawn, self._n_merged(N_MERGED - 1, len(drawn) * self._passes_of_drawn))

    def fresh(self, n: int) -> list[Candidate]:
        """Make n more: merged where that is done, else of the kinds of `FRESH`; an empty list if all collapsed."""
        found = self._made((), self._n_merged(n, 0.0))
        if not found:
            found = self._made([(FRESH[(self._n_fresh + i) % 2], self.restart + i - 1) for i in range(1, n + 1)], 0)
            self._n_fresh, self.restart = self._n_fresh + n, self.restart + n
        self._exploration.left -= 1.0 if found else PASSES_OF_COLLAPSED
        return found

    def _n_merged(self, most: int, kept: float) -> int:
        """Return for how many of `most` merged candidates there is room, if some passes are kept for other work."""
        if not self._exploration.is_of_sample:
            return 0
        return min(most, int(MERGED_SHARE * max(self._exploration.left - kept, 0.0) / self._passes_of_merged))

    @property
    def _passes_of_drawn(self) -> float:
        passes: float = CANDIDATE_ITERATIONS + 1.0 + self._exploration.passes_of_a_run
        return passes

    @property
    def _passes_of_merged(self) -> float:
        exploration = self._exploration
        passes: float = passes_of_merging(exploration) + MERGED_ITERATIONS + 1.0 + exploration.passes_of_a_run
        return passes

    def _made(
        self, drawn: Sequence[tuple[str, int]], n_merged: int, beside: Sequence[Callable[[], None]] = ()
    ) -> list[Candidate]:
        exploration = self._exploration
        self._tell(len(drawn), n_merged)
        first, self.restart = self.restart, self.restart + n_merged
        # What takes longest is begun first: no thread is alone for long at the end.
        which = [(MERGED, first + number) for number in range(n_merged)] + list(drawn)
        found: list[Candidate | None] = [None] * len(which)

        def make(number: int, stop: object) -> None:
            if number < len(beside):
                beside[number]()
            else:
                found[number - len(beside)] = self._candidate(*which[number - len(beside)])

        exploration.each(len(which) + len(beside), make)
        results = [candidate for candidate in found[n_merged:] if candidate is not None]
        if n_merged > 0:  # where rows are too few for any, one takes infinitely many passes
            exploration.left -= n_merged * self._passes_of_merged
        exploration.left -= sum(candidate.result.n_iter + 1 for candidate in results)
        exploration.left -= len(drawn) * exploration.passes_of_a_run
        if self._exploration.is_of_sample:
            # A component of so many rows collapses late, if at all. Of few rows it does at once, which costs little.
            exploration.left -= (len(drawn) - len(results)) * CANDIDATE_ITERATIONS
        return results + [candidate for candidate in found[:n_merged] if candidate is not None]

    def _candidate(self, kind: str, restart: int) -> Candidate | None:
        """Make one; None if it collapses."""
        exploration = self._exploration
        source, model = exploration.source, exploration.model
        if kind == MERGED:
            return self._merged_candidate(restart)
        has_cells = kind in FRESH or (kind == "kmeans" and self._exploration.is_of_sample)
        try:
            start = (make_cells if has_cells else make_start)(kind, source, model, self._seed, restart)
        except DegenerateCovarianceError:
            return None
        result = exploration.run(start, CANDIDATE_ITERATIONS)
        return None if result is None else Candidate(kind, start, result)

    def _merged_candidate(self, restart: int) -> Candidate | None:
        try:
            start = merged_down(self._exploration, self._seed, restart)
        except ValueError:  # a collapse, or rows so far out that their density is zero
            return None
        result = self._exploration.run(start, MERGED_ITERATIONS, relaxed=False)
        return None if result is None else Candidate(MERGED, start, result)

    def _tell(self, n_drawn: int, n_merged: int) -> None:
        n_rows = self._exploration.source.n_rows
        if n_drawn > 0:
            if self._n_drawn == 0:
                self._say(f"{counted(n_drawn, 'candidate')} on {counted(n_rows, 'row')}")
            else:
                self._say(f"{counted(n_drawn, 'more candidate')}, {self._n_drawn + n_drawn} so far")
            self._n_drawn += n_drawn
        if n_merged > 0:
            self._say(f"{counted(n_merged, 'candidate')} of more components, merged, on {n_rows} rows")
