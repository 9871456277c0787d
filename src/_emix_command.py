"""Entry point of the command `emix`, outside the package, so that a failed import of emix is reported in one line too.

`import emix` refuses an EMIX_LEVEL that does not exist, and fails if NumPy is missing. The command promises one line
per error and the exit code 1 for these errors too.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Import the command and run it; return its exit code."""
    try:
        from emix.cli.command_line import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("emix: interrupted", file=sys.stderr)
        return 130  # as a shell reports it
    except ImportError as error:
        if sys.stderr is not None:  # if it is closed, print would write to standard output
            print(f"emix: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return run()
