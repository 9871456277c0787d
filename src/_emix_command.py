"""Where the command `emix` begins: outside the package, so that even its import may fail in one line.

`import emix` refuses an EMIX_LEVEL that does not exist, and fails where NumPy is missing; the promise of one line per
error and of the exit code 1 holds there too.
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
        if sys.stderr is not None:  # closed: print would take standard output instead
            print(f"emix: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return run()
