"""Outputs of the command, for results and messages: files, standard output, standard error.

Standard output may be closed, full, or a pipe whose reader went away. A failure to write results is an error, which
names standard output as it would name a file. A failure to write messages is no error: it must not lose results.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emix.cli.text_content import STANDARD_STREAM
from emix.files import output
from emix.files.output import is_regular_target, is_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

STANDARD_OUTPUT = "standard output"


def one_line(error: BaseException) -> str:
    """Return an error's text as one line, without Python's decorations."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def check_writable(path: str, suffixes: Sequence[str] | None = None) -> None:
    """Raise an error if a path cannot be written, before the work whose result will go there.

    Raises
    ------
    ValueError
        If the suffix is not one of `suffixes`.
    OSError
        If the folder does not exist, the path is a folder, or it may not be written.
    """
    if suffixes is not None:
        format_of(path, suffixes)
    output.check_writable(path)


def format_of(path: str, suffixes: Sequence[str]) -> str:
    """Return the one of the suffixes that a path has; the first, for a target such as a FIFO that has none of them.

    Raises
    ------
    ValueError
        If a file has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix in suffixes:
        return suffix
    if os.path.exists(path) and not os.path.isdir(path) and not is_regular_target(path):
        return suffixes[0]
    raise ValueError(f"{path}: unknown format {suffix!r}, expected one of {', '.join(suffixes)}")


def is_standard_output(path: str) -> bool:
    """True if a path is "-", or another name of standard output, such as /dev/stdout."""
    if path == STANDARD_STREAM:
        return True
    if is_regular_target(path):
        return False
    with contextlib.suppress(OSError, ValueError):
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    return False


def leads_to_terminal(path: str) -> bool:
    """True if text written to a path, or to "-", would appear on a terminal."""
    return sys.stdout.isatty() if path == STANDARD_STREAM else is_terminal(path)


def write_results(content: str | bytes) -> None:
    """Write to standard output, at once.

    Raises
    ------
    OSError
        If it is closed or full, or its reader went away. `filename` says that it is standard output.
    """
    try:
        if isinstance(content, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(content)
            sys.stdout.flush()
    except OSError as error:
        if error.errno is not None:
            error.filename = STANDARD_OUTPUT
        raise


def say(text: str) -> None:
    """Write a line to standard error; a failure is ignored."""
    pass_on(f"{text}\n", sys.stderr)


def pass_on(text: str, target: TextIO) -> None:
    """Write a message to standard error or a stream in its place. A stream that fails is abandoned."""
    try:
        target.write(text)
        target.flush()
    except OSError:
        _abandon(target)


def open_closed_streams() -> None:
    """Open the streams that were closed when the process began (``>&-``), so that using them fails.

    Otherwise the next opened file gets the number of a closed stream, and printed text goes into that file. Also,
    Python's `print` to a standard error that is None goes to standard output.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # This takes the lowest free number, which is `number`. Standard error does not fail: it drops messages.
            os.open(os.devnull, (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)[number])
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the process ends)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The terminal's encoding may lack characters of a column's or file's name: the summary must not be lost.
        sys.stdout.reconfigure(errors="backslashreplace")


def flush_results() -> None:
    """Write the rest of the buffer to standard output.

    If that fails, the stream is abandoned: Python would try again at its end, and report the error in its own words.

    Raises
    ------
    OSError
        As in `write_results`.
    """
    try:
        write_results("")
    except OSError:
        _abandon(sys.stdout)
        raise


def _abandon(stream: TextIO) -> None:
    """Point a stream to the null device: the rest of its buffer would fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        stream.flush()
