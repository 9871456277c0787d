"""Pictures as files of the command."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from emix.cli.outputs import check_writable, format_of
from emix.cli.safeguards import UsageError, refuse_terminal
from emix.cli.text_content import STANDARD_STREAM
from emix.files.output import writing
from emix.requirements import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".pdf", ".svg")


def check_picture(path: str, option: str) -> None:
    """Raise an error if a picture cannot be written to the path that an option gives, before it is drawn.

    Raises
    ------
    UsageError
        If the path is standard output or a terminal.
    ValueError
        If it has another ending than those of pictures.
    OSError
        If it cannot be written.
    ImportError
        If matplotlib is not installed.
    """
    if path == STANDARD_STREAM:
        raise UsageError(f"{option} is -, expected the name of a file that ends in one of {', '.join(PICTURES)}")
    check_writable(path, PICTURES)
    refuse_terminal(path, option, "a picture")
    require("matplotlib.figure", "plot", option)


def write_picture(figure: Figure, path: str) -> None:
    """Write a figure in the format of the path's ending."""
    picture = io.BytesIO()  # savefig needs positions, which a FIFO does not have
    figure.savefig(picture, format=format_of(path, PICTURES).removeprefix("."))
    with writing(path) as stream:
        stream.write(picture.getbuffer())
