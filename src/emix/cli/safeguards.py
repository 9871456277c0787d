"""Promises of all commands: exit codes, nothing that is read is overwritten, warnings are lines of standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import TYPE_CHECKING

from emix.cli.outputs import leads_to_terminal, say
from emix.cli.text_content import STANDARD_STREAM
from emix.files.output import is_regular_target

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_DOUBTFUL = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE = 141  # 128 + SIGPIPE


class UsageError(ValueError):
    """Arguments that do not go together; the exit code is that of wrong arguments."""


def refuse_overwriting(path: str | None, option: str, **others: str | None) -> None:
    """Refuse to write to a file that the same command reads, or writes for another option."""
    for name, other in others.items():
        if path is not None and other is not None and _same_file(path, other):
            raise UsageError(f"{option} is the same file as {name}, {other}: it would be overwritten")


def refuse_terminal(path: str, option: str, what: str) -> None:
    """Refuse to write anything but text to a terminal."""
    if leads_to_terminal(path):
        raise UsageError(f"{option} {path} is a terminal, which cannot show {what}: redirect it, or name a file")


def _same_file(path: str, other: str) -> bool:
    """True if an output would replace another file, or the file that standard input ("-") comes from."""
    if path == STANDARD_STREAM or not is_regular_target(path):
        return False  # nothing is replaced
    if other == STANDARD_STREAM:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # standard input may be closed, or no file
            return os.path.samestat(os.stat(path), os.fstat(sys.stdin.fileno()))
        return False
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


@contextlib.contextmanager
def messages_on_stderr() -> Iterator[list[str]]:
    """Print warnings as lines in the command's own form, at the end; the list is filled with them then."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [" ".join(str(warning.message).split()) for warning in caught]
    for text in texts:
        say(f"emix: warning: {text}")
