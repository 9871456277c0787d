"""The checkpoint of a fit: a file in which it keeps how far it is, and from which it goes on after it was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.arguments import real_in_range
from emix.em.keeping import EMState
from emix.em.restarts import Degeneracy, Run
from emix.em.result import EMResult
from emix.estimators.checkpoint_facts import digest_of, facts_of_process, facts_of_rows, facts_of_settings, mismatch
from emix.estimators.checkpoint_file import End, Progress, progress_content, progress_of_content
from emix.estimators.parameters_check import GivenStart, Settings
from emix.exceptions import (
    DegenerateCovarianceError,
    DegenerateFitError,
    ModelFileError,
    shown,
    warn,
    warn_convergence,
    warnings_held,
)
from emix.files.held_file import HeldFile
from emix.files.model_file import ADVICE, encode_model, load_model
from emix.gaussian.parameters import GaussianParameters
from emix.rows.source import RowSource
from emix.starts.auto import Start

__all__ = ["Checkpoint", "checkpoint_at"]

KIND = "Checkpoint"

_REMEDY = "Pass another path for checkpoint."


@contextmanager
def checkpoint_at(path: Any, every: Any, caller: str) -> Iterator[Checkpoint]:
    """Hold the checkpoint of a fit, which is the block; remove it if the fit succeeds.

    An interrupt leaves the state of the last iteration, an error the file as it was last written. An interrupt stays
    one, with a note, if the file cannot be written.

    Raises
    ------
    TypeError, ValueError
        If `path` is no path, or `every` no number of seconds.
    OSError
        If the file is in use, or cannot be written.
    ModelFileError
        If it is damaged, or something else.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"checkpoint is {shown(path)}, expected the path of a file, or None.")
    seconds = real_in_range("checkpoint_every", every, 0.0, caller=caller)
    file = HeldFile(path)
    try:
        checkpoint = Checkpoint(file, seconds)
        try:
            yield checkpoint
        except (KeyboardInterrupt, SystemExit) as interrupt:
            try:
                checkpoint.write_last()
            except OSError as error:
                # The interrupt goes on: whoever catches errors of files would go on with what was to end.
                interrupt.add_note(f"emix could not write the checkpoint, which is as it was before: {error}")
            raise
        file.remove()
    finally:
        file.close()


class Checkpoint:
    """The state of one fit in its file. A checkpoint is the `Keeper` of each run of the fit; runs are done one by one.

    Parameters
    ----------
    file : HeldFile
    every : float
        Seconds from one write to the next, at the end of an iteration.

    Raises
    ------
    ModelFileError
        If the file is damaged, or something else.
    """

    def __init__(self, file: HeldFile, every: float) -> None:
        self._file, self._every = file, every
        self._facts: dict[str, Any] = {}
        self._found: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._known: dict[str, Any] | None = None  # facts of the fit that wrote the file
        if not file.is_empty:
            self._found = self._load()
        self._ends: list[End] = []
        # The state is of the run whose number is _of_run, and has the first _n_records of its history.
        self._state: EMState | None = None
        self._of_run, self._n_records, self._kind = 0, 0, ""
        self._ended: tuple[str, list[str]] = "", []
        self._began = time.perf_counter()
        self._written, self._is_newer = time.monotonic(), False

    # The fit that is there, and this one

    def seed_for(self, settings: Settings, drawn: int, random_state: Any) -> int:
        """Return the seed of the fit: the one of the file if `random_state` leaves it open, else `drawn`.

        Raises
        ------
        ValueError
            If the fit that wrote the file had other settings or another seed, or was another emix's.
        """
        self._agree(facts_of_process())
        self._agree(facts_of_settings(settings))
        if self._known is not None and (random_state is None or random_state is np.random):
            drawn = self._known.get("random_state", drawn)
        # Not compared: the seed that a generator gave may be passed as an int, too.
        is_drawn = isinstance(random_state, (np.random.Generator, np.random.RandomState))
        self._facts["is_drawn"] = is_drawn
        was_drawn = self._known is not None and self._known.get("is_drawn", False)
        self._agree({"random_state": drawn}, called="generator" if was_drawn else "seed" if is_drawn else None)
        return drawn

    def go_on(self, settings: Settings, source: RowSource) -> float:
        """Take up the fit in the file, if there is one; return the seconds that it took so far.

        Raises
        ------
        ValueError
            If it was of other rows.
        ModelFileError
            If the file has not what a checkpoint has.
        """
        self._agree(facts_of_rows(source))
        if self._found is None:
            return 0.0
        try:
            progress = progress_of_content(settings.structure, *self._found)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The checksum is right: somebody wrote it by hand.
            problem = f"holds a checkpoint that emix cannot read ({type(error).__name__}: {error})"
            raise ModelFileError(self._file.name, f"{problem}. {_REMEDY[:-1]}, or remove the file.") from error
        self._ends, self._kind, self._state = progress.ends, progress.start, progress.state
        self._of_run = len(self._ends)
        self._began -= progress.seconds
        self._found = None
        return progress.seconds

    def start_from(self, start: GivenStart | GaussianParameters) -> None:
        """Take note of what the fit starts from.

        Raises
        ------
        ValueError
            If the fit that wrote the file started from something else.
        """
        before, given = (None, start) if isinstance(start, GivenStart) else (start.digest, GivenStart(None, None, None))
        self._agree({**{f"{name}_init": digest_of(array) for name, array in given._asdict().items()}, "start": before})

    def _agree(self, facts: dict[str, Any], called: str | None = None) -> None:
        """Refuse facts that are not those of the fit in the file; `called` is their name for the message."""
        self._facts.update(facts)
        if self._known is not None:
            for name, value in facts.items():
                if self._known.get(name) != value:
                    raise ValueError(mismatch(self._file.name, called or name, self._known.get(name), value))

    def _load(self) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            header, arrays = load_model(self._file.name)
        except ModelFileError as error:
            # It may be any file of the user's, which nothing here invites to delete; what the error advises is for
            # models.
            problem = f"is no checkpoint to go on from: it {error.problem.removesuffix(ADVICE).rstrip()} {_REMEDY[:-1]}"
            raise ModelFileError(
                self._file.name, f"{problem}, or remove the file if it is a checkpoint that was damaged."
            ) from error
        if (kind := header.get("kind")) != KIND:
            raise ModelFileError(
                self._file.name,
                f"is no checkpoint to go on from: it holds a model of kind {kind!r:.100}, expected {KIND!r}. {_REMEDY}",
            )
        self._known = dict(header["facts"])
        return header, arrays

    # Runs

    @property
    def state(self) -> EMState | None:
        """The state from which the next run goes on; None for one that begins."""
        return self._state if self._of_run == len(self._ends) else None

    def keep(self, state: EMState) -> None:
        """Take note of the state after an iteration, and write it if it is time."""
        self._state, self._n_records, self._of_run = state, len(state.history), len(self._ends)
        self._write_in_time()

    def start(self, run: int, make: Callable[[int], Start]) -> Start:
        """Return the start of a run, which is made unless the run goes on."""
        if (state := self.state) is not None:
            return Start(state.statistics.taken_under, self._kind)
        start = make(run)
        self._kind = start.kind
        return start

    def runs(self, run: Run, kinds: list[str]) -> Run:
        """Return the function that does a run, with the outcomes of those that have ended."""

        def kept(number: int, stop: NDArray[np.int32] | None) -> EMResult:
            if number < len(self._ends):
                end = self._ends[number]
                kinds[number] = end.start
                for message in end.warned:
                    warn_convergence(message)
                if end.error is not None:
                    raise DegenerateCovarianceError(*end.error)
                assert end.result is not None
                return end.result
            failure = None
            with warnings_held() as warned:
                try:
                    result = run(number, stop)
                except DegenerateFitError as error:
                    failure = error
            for message, category in warned:
                warn(message, category)
            messages = [message for message, _ in warned]
            if failure is not None:
                arguments = str(failure), failure.component, failure.n_effective
                self._end(End(kinds[number], messages, None, None, arguments))
                raise failure
            self._ended = kinds[number], messages
            return result

        return kept

    def verdicts(self, judge: Callable[[EMResult], Degeneracy | None]) -> Callable[[EMResult], Degeneracy | None]:
        """Return the function that judges the result of a run, with the verdicts on those that have ended."""

        def kept(result: EMResult) -> Degeneracy | None:
            known = next((end for end in self._ends if end.result is result), None)
            if known is not None and result.statistics is None:
                return known.reason
            reason = judge(result)
            if known is None:
                start, messages = self._ended
                self._end(End(start, messages, result, reason, None))
            return reason

        return kept

    def _end(self, end: End) -> None:
        self._ends.append(end)
        self._write_in_time()

    # The file

    def _write_in_time(self) -> None:
        self._is_newer = True
        if time.monotonic() - self._written >= self._every:
            self._write()

    def write_last(self) -> None:
        """Write the state after the last iteration, if the file does not have it."""
        if self._is_newer:
            self._write()

    def _write(self) -> None:
        state = self.state
        if state is not None:
            state = state._replace(history=state.history[: self._n_records])
        seconds = time.perf_counter() - self._began
        header, arrays = progress_content(Progress(seconds, self._ends, self._kind, state))
        self._file.write(encode_model({"kind": KIND, "facts": self._facts, **header}, arrays))
        self._written, self._is_newer = time.monotonic(), False
