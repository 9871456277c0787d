"""Old and new content of a file, a write of the new one, and the names in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from emix.files.output import writing

OLD = b"what was there before"


NEW = b"what takes its place" * 1000


def write(path: str | os.PathLike[str], content: bytes = NEW) -> None:
    with writing(path) as stream:
        stream.write(content)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
