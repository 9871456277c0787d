"""Candidates of a search: which are made, with which numbers, and what they take from the budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel
from emix.exceptions import DegenerateCovarianceError
from emix.rows.arrays import ArraySource
from emix.starts import candidates
from emix.starts.candidates import CANDIDATE_ITERATIONS, FIRST, MERGED, PASSES_OF_COLLAPSED, Candidates
from emix.starts.exploration import Exploration

Array = NDArray[np.float64]

RNG = np.random.default_rng(0)
X = 3.0 * RNG.normal(size=(4, 2))[RNG.integers(4, size=20_000)] + RNG.normal(size=(20_000, 2))


def explored(rows: Array = X, n_threads: int = 1) -> Exploration:
    return Exploration(ArraySource(rows), GaussianModel(4, 2, "full", "auto", n_threads), 0, 1e-6, 1000)


def made_by(exploration: Exploration) -> Candidates:
    return Candidates(exploration, 0, lambda text: None)


def counted(monkeypatch: pytest.MonkeyPatch, *, collapses: bool = False) -> list[tuple[str, int]]:
    """The kind and the number of each restart that is asked for from now on; with `collapses` none gives a start."""
    asked = list[tuple[str, int]]()

    def patch(name: str, at: int) -> None:
        make = getattr(candidates, name)

        def asked_for(*arguments: Any) -> Any:
            asked.append((MERGED if name == "merged_down" else arguments[0], arguments[at]))
            if collapses:
                raise DegenerateCovarianceError("", 0, 1.0)
            return make(*arguments)

        monkeypatch.setattr(candidates, name, asked_for)

    patch("make_start", 4)
    patch("make_cells", 4)
    patch("merged_down", 2)
    return asked


def test_no_number_is_drawn_with_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    made = made_by(explored())
    made.first()
    made.merged(is_short=True)
    made.others()
    for _ in range(3):
        made.fresh(2)
    drawn = [one for one in asked if one[0] != "ward"]  # which draws nothing
    assert len(set(drawn)) == len(drawn) > 15
    # Merged candidates draw rows at random, as those of "random_from_data" do.
    numbers = [number for kind, number in drawn if kind in (MERGED, "random_from_data")]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < made.restart


def test_few_rows_have_no_merged_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    made = made_by(explored(X[:2000]))
    assert len(made.first()) == FIRST
    assert made.merged(is_short=False) == []
    assert len(made.fresh(2)) == 2
    assert MERGED not in {kind for kind, _ in asked}


@pytest.mark.parametrize(("K", "has_ward"), [(9, False), (10, True)])
def test_a_short_search_for_many_groups_has_an_agglomeration(
    K: int, has_ward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    exploration = Exploration(ArraySource(X), GaussianModel(K, 2, "full", "auto", 1), 0, 1e-6, 1000)
    made_by(exploration).merged(is_short=True)
    assert (("ward", 0) in asked) == has_ward
    asked.clear()
    made_by(exploration).merged(is_short=False)
    assert ("ward", 0) not in asked


def test_a_merged_candidate_leaves_what_is_kept() -> None:
    exploration = explored()
    assert MERGED in {candidate.kind for candidate in made_by(exploration).first()}
    assert MERGED not in {candidate.kind for candidate in made_by(exploration).first(kept=exploration.left)}


def test_a_short_budget_has_one_candidate_at_least() -> None:
    exploration = explored()
    for left, n in ((1.0, 1), (2.5 * CANDIDATE_ITERATIONS, 2)):
        exploration.left = left
        assert len(made_by(exploration).first(kept=1.0)) == n


@pytest.mark.parametrize("n_threads", [1, 3])
def test_work_beside_is_done_and_its_error_raised(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emix.starts.exploration.LEAST_OF_THREADS", 0.0)
    done = list[int]()
    made = made_by(explored(n_threads=n_threads)).first(lambda: done.append(1), lambda: done.append(2))
    assert sorted(done) == [1, 2]
    assert len(made) == FIRST + 1

    def fails() -> None:
        raise MemoryError("beside")

    with pytest.raises(MemoryError, match="beside"):
        made_by(explored(n_threads=n_threads)).first(fails)


def test_candidates_that_collapse_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, collapses=True)
    exploration = explored()
    made, left = made_by(exploration), exploration.left
    assert made.first() == []
    assert exploration.left <= left - FIRST * CANDIDATE_ITERATIONS
    few = explored(X[:2000])
    left = few.left
    assert made_by(few).fresh(1) == []
    assert few.left == left - PASSES_OF_COLLAPSED


def test_what_is_drawn_is_taken_from_the_budget() -> None:
    exploration = explored(X[:2000])
    left = exploration.left
    found = made_by(exploration).first()
    assert left - exploration.left == sum(candidate.result.n_iter + 1 for candidate in found)
