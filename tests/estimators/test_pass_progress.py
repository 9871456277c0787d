"""How far a pass over a stream is, and what time is left: the words, and what they are computed from."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import emix
from emix.em.result import EMRecord
from emix.estimators import pass_progress
from emix.estimators.pass_progress import PassProgress, iterations_left
from emix.rows.watching import rows_watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCKS = [np.random.default_rng(i).normal(size=(10_000, 2)) + 4.0 * (i % 2) for i in range(20)]


def blocks() -> Iterator[np.ndarray]:
    return iter(BLOCKS)


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("factor", [0.3, 0.9, 0.99])
def test_a_trend_of_changes_that_shrink_by_one_factor_is_exact(factor: float) -> None:
    changes = [1000.0 * factor**i for i in range(5)]
    left = iterations_left(changes, 1.0)
    assert left is not None
    # After that many more the change is below 1, and after one less it is not.
    assert changes[-1] * factor**left <= 1.0 + 1e-9 < changes[-1] * factor ** (left - 1.0)


@pytest.mark.parametrize("changes", [[], [5.0, 4.0], [1.0, 2.0, 3.0], [3.0, 2.0, -1.0], [2.0, 2.0, 2.0]])
def test_there_is_no_telling_without_a_trend(changes: list[float]) -> None:
    assert iterations_left(changes, 0.1) is None
    assert iterations_left([4.0, 2.0, 1.0], 0.0) is None  # tol=0 ends by rounding
    assert iterations_left([4.0, 2.0, 1.0], 1.5) == 0.0


def record(iteration: int, change: float) -> EMRecord:
    return EMRecord(iteration, -1000.0 + iteration, change, 2.0 * iteration)


def test_the_line_tells_pass_rows_a_second_log_likelihood_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    passes = PassProgress()
    passes.rows_read(0, None)
    now[0] = 2.0
    assert passes.rows_read(3_000, None)
    assert passes.text() == "reading, 3 k rows, 1.5 k rows/s"
    assert not passes.rows_read(3_001, None)  # drawn a moment before
    passes.rows_read(3_000, 12_000.5)
    assert passes.text() == "reading, 25 % of about 12 k rows, 1.5 k rows/s; left: 6 s of the pass"
    passes.knows(1.0, 100)
    passes.run_begins()
    passes.rows_read(0, 12_000)
    now[0] = 4.0
    passes.rows_read(6_000, 12_000)
    assert passes.text() == "pass 1, 50 % of 12 k rows, 3 k rows/s; left: 2 s of the pass"
    for iteration in range(4):  # two seconds each; changes are halved each time
        assert passes.iteration_ends(record(iteration, 64.0 / 2**iteration))
    # 8 → 1 in three iterations; at most 97 more.
    assert passes.text() == (
        "pass 1, 50 % of 12 k rows, 3 k rows/s, log-likelihood -997.00000, change 8.0e+00; left: 2 s of the pass, "
        "about 6 s if changes shrink as now, at most 3 min of the run"
    )


def test_a_terminal_sees_the_passes_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(pass_progress, "DRAWN_EVERY", 0.0)
    emix.GaussianMixture(2, random_state=0, init_params="kmeans", verbose=1).fit(blocks)
    drawn = [text.strip() for text in terminal.getvalue().split("\r")]
    assert any(text.startswith("reading, 65.5 k rows, ") for text in drawn)
    assert any(re.match(r"pass 2, 33 % of 200 k rows, [\d.]+ . rows/s, log-likelihood -", text) for text in drawn)
    assert "converged: log-likelihood" in drawn[-1]


def test_a_fit_in_memory_has_no_passes_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(pass_progress, "DRAWN_EVERY", 0.0)
    emix.GaussianMixture(2, random_state=0, init_params="kmeans", verbose=1).fit(np.concatenate(BLOCKS[:4]))
    assert "pass" not in terminal.getvalue()


def test_lines_are_as_without_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    emix.GaussianMixture(2, random_state=0, init_params="kmeans", verbose=1).fit(blocks)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [line.split()[0] for line in captured.out.splitlines()] == ["Initialization", "Initialization"]


# Watching


def test_passes_of_this_thread_are_seen_within_the_block() -> None:
    seen: list[Any] = []
    gm = emix.GaussianMixture(2, random_state=0, init_params="kmeans", max_iter=50)
    with rows_watched(lambda done, of: seen.append((done, of))):
        gm.fit(blocks)
        gm.score(blocks)
    passes = sum(done == 0 for done, _ in seen)
    assert passes == 1 + len(gm.history_) + 1
    assert seen[:5] == [(0, None), (65_536, None), (131_072, None), (196_608, None), (200_000, None)]
    assert (200_000, 200_000) in seen
    n_seen = len(seen)
    gm.score(blocks)
    assert len(seen) == n_seen


def test_passes_of_which_a_stream_is_made_are_not_counted() -> None:
    source = emix.BlockSource(blocks)
    seen: list[Any] = []
    with rows_watched(lambda done, of: seen.append((done, of))):
        outer = emix.BlockSource(lambda: (batch.X for batch in source.batches(1)))
        assert outer.total_weight == 200_000
    assert seen == [(0, None), (65_536, None), (131_072, None), (196_608, None), (200_000, None)]


def test_passes_of_a_callback_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(pass_progress, "DRAWN_EVERY", 0.0)
    other = emix.GaussianMixture(1).fit(BLOCKS[0])
    gm = emix.GaussianMixture(2, random_state=0, init_params="kmeans", max_iter=50, verbose=1)
    gm.fit(blocks, callback=lambda run, record: bool(np.isnan(other.score(blocks))))
    passes = {int(number) for number in re.findall(r"pass (\d+),", terminal.getvalue())}
    assert passes == set(range(1, len(gm.history_) + 1))


def test_a_fit_that_goes_on_counts_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal, path = Terminal(), tmp_path / "fit.checkpoint"

    def ends(run: int, record: EMRecord) -> None:
        if record.iteration == 2:
            raise OSError("the job was ended")

    gm = emix.GaussianMixture(2, random_state=0, init_params="kmeans", max_iter=50, tol=1e-9, verbose=1)
    with pytest.raises(OSError, match="the job was ended"):
        gm.fit(blocks, checkpoint=path, checkpoint_every=0.0, callback=ends)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(pass_progress, "DRAWN_EVERY", 0.0)
    made: list[int] = []
    gm.fit(blocks, checkpoint=path, callback=lambda run, record: made.append(record.iteration))
    passes = {int(number) for number in re.findall(r"pass (\d+),", terminal.getvalue())}
    # Pass 1 is that of iteration 0.
    assert passes == {iteration + 1 for iteration in made}
    assert min(made) > 0


def test_a_pass_that_is_left_ends() -> None:
    source = emix.BlockSource(blocks)
    with rows_watched(lambda done, of: None):
        batches = source.batches(1)
        next(batches)
        batches.close()  # waits for the thread that reads
    assert len(list(source.batches(1))) == 4
