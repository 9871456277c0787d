"""`python -m emix`: the command `emix`."""

from __future__ import annotations

import sys

from _emix_command import main

if __name__ == "__main__":
    sys.exit(main())
