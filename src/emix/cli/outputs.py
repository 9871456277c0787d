"""Where the command's results and messages go: files, standard output, standard error.

Standard output may be closed, full, or a pipe whose reader went away. A failure to write results is an error with a
name, as that of a file is. A failure to write messages is none: results are not lost for their sake.
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


def check_writable(path: str, suffixes: Sequence[str] | None = None) -> None:
    """Refuse a path that could not be written, before the work whose result it is to hold.

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
    """Return which of the suffixes a path has; what is no regular file, and may have none, gets the first.

    Raises
    ------
    ValueError
        If a file has another.
    """
    suffix = Path(path).suffix.lower()
    if suffix in suffixes:
        return suffix
    if os.path.exists(path) and not os.path.isdir(path) and not is_regular_target(path):
        return suffixes[0]
    raise ValueError(f"{path}: unknown format {suffix!r}, expected one of {', '.join(suffixes)}")


def is_standard_output(path: str) -> bool:
    """Whether a path is "-", or another name of standard output, such as /dev/stdout."""
    if path == STANDARD_STREAM:
        return True
    if is_regular_target(path):
        return False
    with contextlib.suppress(OSError, ValueError):
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    return False


def leads_to_terminal(path: str) -> bool:
    """Whether what is written to a path, or to "-", would appear on a terminal."""
    return sys.stdout.isatty() if path == STANDARD_STREAM else is_terminal(path)


def write_results(content: str | bytes) -> None:
    """Write to standard output, at once.

    Raises
    ------
    OSError
        If it is closed or full, or its reader went away; `filename` says that it is standard output.
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
    """Write a line to standard error, if anybody is there."""
    pass_on(f"{text}\n", sys.stderr)


def pass_on(text: str, target: TextIO) -> None:
    """Write a message to standard error or what stands for it. One that fails is abandoned."""
    try:
        target.write(text)
        target.flush()
    except OSError:
        _abandon(target)


def open_closed_streams() -> None:
    """Open the streams that were closed when the process began (``>&-``), in such a way that to use them fails.

    Otherwise the next file that is opened gets the number of one, and what is printed goes into it; and Python's
    `print` to a standard error that is None goes to standard output.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one. Of standard error nobody expects anything.
            os.open(os.devnull, (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)[number])
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the process ends)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name of a column or a file that the terminal's encoding lacks is no reason to lose the summary.
        sys.stdout.reconfigure(errors="backslashreplace")


def flush_results() -> None:
    """Write what is left for standard output.

    If that fails, it is abandoned: Python would try again at its end, and report it in its own words.

    Raises
    ------
    OSError
        As `write_results`.
    """
    try:
        write_results("")
    except OSError:
        _abandon(sys.stdout)
        raise


def _abandon(stream: TextIO) -> None:
    """Point a stream nowhere: what is left in its buffer would fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        stream.flush()
