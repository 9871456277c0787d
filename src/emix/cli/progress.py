"""Progress of a command: on standard error, and on a terminal only after some seconds."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import TYPE_CHECKING

from emix.cli.outputs import pass_on

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import TextIO

# A fit that ends sooner shows no progress on a terminal: it would only flicker.
_PATIENCE_SECONDS = 2.0


def verbosity(arguments: argparse.Namespace) -> int:
    """Progress is shown where it is asked for, and on a terminal."""
    return int(arguments.verbose or (on_terminal() and not arguments.quiet))


def on_terminal() -> bool:
    """True if standard error is a terminal."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def progress_on_stderr(*, at_once: bool, also_of_stdout: bool = True) -> Iterator[None]:
    """Send the output of a verbose fit to standard error: standard output is for results.

    Where results are written meanwhile, `also_of_stdout` is False.
    """
    progress = Progress(sys.stderr, 0.0 if at_once else _PATIENCE_SECONDS)
    # Lines come on standard output, a line of tqdm on standard error.
    lines = contextlib.redirect_stdout(progress) if also_of_stdout else contextlib.nullcontext()
    with lines, contextlib.redirect_stderr(progress):
        yield


class Progress(io.TextIOBase):
    """A stream that drops text at first, and passes it on after some seconds."""

    def __init__(self, target: TextIO, patience: float) -> None:
        super().__init__()
        self._target = target
        self._begin = time.monotonic() + patience

    def isatty(self) -> bool:
        """True if the text is passed on to a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream behind, which knows how wide the terminal is."""
        return self._target.fileno()

    def write(self, text: str) -> int:
        """Drop the text, or pass it on."""
        if time.monotonic() >= self._begin:
            pass_on(text, self._target)
        return len(text)
