"""The command `emix`: fit, report, score, predict, sample, plot, info, data.

    emix data faithful --out faithful.csv
    emix fit faithful.csv --components 2 --out faithful.npz --plot faithful.png
    emix report faithful.csv --out report.html
    emix score faithful.npz faithful.csv --out scores.csv
    emix info faithful.npz

This file keeps the promises to a shell script: exit codes, one line per error on standard error, only results on
standard output. The arguments are in parser.py, the commands in commands.py and model_commands.py.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from emix.cli.outputs import flush_results, one_line, open_closed_streams, say
from emix.cli.parser import make_parser
from emix.cli.safeguards import (
    EXIT_DOUBTFUL,
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PIPE,
    EXIT_USAGE,
    UsageError,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `emix` and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of the process.

    Returns
    -------
    int
        0 success; 1 refused data, model file or fit; 2 wrong arguments; 3 fitted, but not converged or degenerate;
        130 interrupted; 141 standard output was closed.
    """
    if argv is None:
        open_closed_streams()
    code = _run(argv)
    try:
        flush_results()
    except BrokenPipeError:
        return EXIT_PIPE
    except OSError as error:
        if code in (EXIT_OK, EXIT_DOUBTFUL):  # after other codes an error was reported already
            say(f"emix: error: {one_line(error)}")
            return EXIT_ERROR
    return code


def _run(argv: Sequence[str] | None) -> int:
    """Run the command; print every expected error as one line, and return its exit code."""
    try:
        arguments = make_parser().parse_args(argv)
        arguments.words = list(sys.argv[1:] if argv is None else argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except SystemExit as stop:  # argparse: --help, --version and usage errors
        return stop.code if isinstance(stop.code, int) else EXIT_OK
    except KeyboardInterrupt:
        say("emix: interrupted")
        if argv is None:
            _die_of_interruption()
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_PIPE
    except UsageError as error:
        say(f"emix: error: {one_line(error)}")
        return EXIT_USAGE
    except (ValueError, OSError, ImportError, MemoryError) as error:
        say(f"emix: error: {one_line(error)}")
        return EXIT_ERROR


def _die_of_interruption() -> None:
    """End the process by the signal itself, on systems that have signals.

    A shell then reports 130 and ends its loop too. It would not end its loop after a process that merely exits with
    130. And the end does not wait for a thread that was just being started.
    """
    if os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
