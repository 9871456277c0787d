"""Progress of a fit, and a callback that may end it."""

from __future__ import annotations

import io
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.base import clone

import emix
from emix import ConvergenceWarning, DegenerateFitError, EMRecord, GaussianMixture

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(11)
X = RNG.normal(size=(400, 2)) + 2.0 * RNG.integers(3, size=(400, 1))

NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?"
COURSE = rf"log-likelihood ({NUMBER})   change ({NUMBER})   ({NUMBER}) s   ({NUMBER}) iterations/s"


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def mixture(**settings: Any) -> GaussianMixture:
    return GaussianMixture(**{"n_components": 3, "random_state": 0, "tol": 0.0, "max_iter": 7, **settings})


def quietly(gm: GaussianMixture, *arguments: Any, **keywords: Any) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return gm.fit(*arguments, **keywords)


# Lines


def test_lines_tell_run_iteration_log_likelihood_change_time_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    quietly(mixture(n_init=2), X)
    assert capsys.readouterr().out == ""
    gm = quietly(mixture(n_init=2, init_params="k-means++", verbose=1, verbose_interval=3), X)
    lines = capsys.readouterr().out.splitlines()
    words = [line.split("   ")[0] for line in lines]
    run = ["  Iteration 3", "  Iteration 6", "Initialization did not converge."]
    assert words == ["Initialization 0", *run, "Initialization 1", *run]
    alone = quietly(mixture(n_init=1, init_params="k-means++"), X)
    found = re.search(COURSE, lines[1])
    assert found is not None
    assert float(found[1]) == pytest.approx(alone.history_[3].log_likelihood, abs=5.1e-6)  # five decimals are printed
    assert float(found[2]) == pytest.approx(alone.history_[3].change, rel=0.01)  # three digits
    assert any(f"log-likelihood {gm.log_likelihood_:.5f}   " in line for line in lines if line[0] == "I")


def test_the_start_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    quietly(mixture(verbose=2, max_iter=20), X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Start: 3 candidates on 400 rows"
    assert lines[1] != lines[0]
    assert lines.index("Initialization 0") == sum(line.startswith("Start: ") for line in lines)


def test_log_likelihoods_are_in_the_unit_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    records: list[EMRecord] = []
    w = np.full(len(X), 2.0**-1040)
    gm = quietly(mixture(verbose=1, init_params="kmeans"), X, None, w, lambda run, record: records.append(record))
    assert [(record.iteration, record.log_likelihood) for record in records] == [
        (record.iteration, record.log_likelihood) for record in gm.history_
    ]


# A line that is kept up to date


def test_a_terminal_gets_one_line_of_tqdm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    gm = quietly(mixture(n_init=2, verbose=1, max_iter=40), X)
    assert capsys.readouterr().out == ""
    drawn = [text.strip() for text in terminal.getvalue().split("\r")]
    assert "start: 3 candidates on 400 rows" in drawn
    assert "run 1 of 2, start" in drawn
    assert drawn[-1].startswith("run 2 of 2, ")
    assert any(f"40 iterations, not converged: log-likelihood {gm.log_likelihood_:.5f}" in text for text in drawn)
    assert terminal.getvalue().count("\n") == 1  # of the last state, which stays


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", [0, 60])
def test_a_terminal_that_does_not_know_its_width_is_taken_for_one_of_80(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", columns // 2, columns, 0, 0))
    with open(ours, "rb", buffering=0) as screen, open(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        quietly(mixture(verbose=1), X)
        drawn = screen.read(1 << 16).decode()
    last = drawn.rstrip().rpartition("\r")[2]
    assert last.startswith("7 iterations, not converged: log-likelihood ")
    # The line is 66 characters long: a width of 60, less tqdm's margin of one, cuts it.
    assert last.endswith(" s") == (columns == 0)


def test_verbose_2_prints_lines_in_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    quietly(mixture(verbose=2), X)
    assert terminal.getvalue() == ""
    assert "Initialization 0" in capsys.readouterr().out


def test_without_tqdm_a_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)  # importing it fails
    quietly(mixture(verbose=1), X)
    assert "Initialization 0" in capsys.readouterr().out


def test_the_line_is_closed_when_a_fit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def fails(run: int, record: EMRecord) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        mixture(verbose=1).fit(X, callback=fails)
    assert terminal.getvalue().endswith("\n")


# Callbacks


@pytest.mark.parametrize("init_params", ["auto", "kmeans"])
@pytest.mark.parametrize("structure", ["full", "EEI"])
def test_a_callback_sees_every_record_and_changes_no_bit(structure: str, init_params: str) -> None:
    settings = {"covariance_type": structure, "init_params": init_params, "max_iter": 60, "tol": 1e-7, "n_init": 2}
    seen: dict[int, list[EMRecord]] = {}
    gm = quietly(mixture(**settings), X, callback=lambda run, record: seen.setdefault(run, []).append(record))
    plain = quietly(mixture(**settings), X)
    assert gm.means_.tobytes() == plain.means_.tobytes()
    assert gm.covariances_.tobytes() == plain.covariances_.tobytes()
    assert gm.runs_ == plain.runs_
    assert sorted(seen) == [0, 1]
    chosen = next(report.run for report in gm.runs_ if report.chosen)
    assert seen[chosen] == gm.history_


def test_true_ends_the_fit_and_nothing_claims_otherwise(tmp_path: Path) -> None:
    # Warnings are errors here: there is none of convergence.
    gm = mixture(max_iter=100, tol=1e-12).fit(X, callback=lambda run, record: record.iteration == 4)
    assert (gm.n_iter_, gm.stopped_by_, gm.converged_) == (4, "callback", False)
    assert [record.iteration for record in gm.history_] == [0, 1, 2, 3, 4]
    # The parameters are those of the last record.
    assert gm.score(X) * len(X) == pytest.approx(gm.history_[-1].log_likelihood, rel=1e-12)
    assert gm.runs_[0].message == "stopped by callback"
    assert "4, stopped by the callback" in gm.summary()
    gm.save(tmp_path / "model.npz")
    loaded = GaussianMixture.load(tmp_path / "model.npz")
    assert (loaded.stopped_by_, loaded.converged_, loaded.n_iter_) == ("callback", False, 4)
    assert loaded.history_[1:] == gm.history_[1:]  # the change of the first is NaN, which is not equal to itself
    assert "callback" not in gm.get_params() and "callback" not in clone(gm).get_params()


def test_later_runs_are_not_begun() -> None:
    begun: list[int] = []

    def in_second(run: int, record: EMRecord) -> bool:
        begun.append(run)
        return run == 1 and record.iteration == 2

    gm = quietly(mixture(n_init=5, init_params="k-means++", max_iter=50), X, callback=in_second)
    assert sorted(set(begun)) == [0, 1]
    assert [report.run for report in gm.runs_] == [0, 1]
    assert gm.runs_[1].n_iter == 2
    # The best of what was done is kept; how it ended is told of that run.
    best = max(gm.runs_, key=lambda report: report.log_likelihood or -np.inf)
    assert best.chosen and gm.log_likelihood_ == best.log_likelihood
    assert f"stopped by {gm.stopped_by_}" == best.message


@pytest.mark.parametrize(
    ("answer", "ends"), [(True, True), (np.True_, True), (1, False), ("yes", False), (None, False)]
)
def test_only_true_ends_it(answer: object, ends: bool) -> None:
    gm = quietly(mixture(), X, callback=lambda run, record: answer)
    assert (gm.n_iter_ == 0) == ends
    assert gm.stopped_by_ == ("callback" if ends else "max_iter")


def test_an_error_of_the_callback_leaves_the_estimator_as_it_was() -> None:
    gm = quietly(mixture(), X)
    before = dict(vars(gm))

    def fails(run: int, record: EMRecord) -> None:
        if record.iteration == 3:
            raise ZeroDivisionError("of the user")

    with pytest.raises(ZeroDivisionError, match="of the user"):
        gm.fit(X[:300], callback=fails)
    assert vars(gm) == before
    fresh = mixture()
    with pytest.raises(ZeroDivisionError):
        fresh.fit(X, callback=fails)
    assert not fresh.__sklearn_is_fitted__()


def test_an_error_that_looks_like_a_collapse_is_not_taken_for_one() -> None:
    def fails(run: int, record: EMRecord) -> None:
        raise DegenerateFitError("mine", 0)

    with pytest.raises(RuntimeError, match="callback raised DegenerateFitError: mine"):
        mixture(n_init=3).fit(X, callback=fails)


def test_a_fit_that_goes_on_calls_back_too() -> None:
    gm = quietly(mixture(warm_start=True), X)
    seen: list[int] = []
    gm.fit(X, callback=lambda run, record: seen.append(record.iteration) or record.iteration == 2)
    assert seen == [0, 1, 2] and gm.stopped_by_ == "callback"


@pytest.mark.parametrize("callback", [5, "print", [print]])
def test_what_is_no_function_is_refused(callback: Any) -> None:
    gm = mixture()
    with pytest.raises(TypeError, match=r"callback is .*, expected a function of the number of a run and an EMRecord"):
        gm.fit(X, callback=callback)
    assert not hasattr(gm, "means_")


def test_keyboard_interrupt_of_a_callback_passes() -> None:
    def interrupts(run: int, record: EMRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emix.GaussianMixture(2).fit(X, callback=interrupts)
