"""The figure of a method that draws: known to pyplot, and shown once in a notebook.

A figure that pyplot manages is shown by ``plt.show()`` and, in a notebook, at the end of the cell that made it. Where
it is also the value of the cell's last line, a notebook would show it a second time. `ShownFigure` leaves pyplot's care
when a notebook shows it as a value, so that it is seen once.
"""

from __future__ import annotations

import io
import sys

import matplotlib as mpl
from matplotlib.figure import Figure

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A figure that a notebook shows once."""

    def _ipython_display_(self) -> None:
        """Leave the display to IPython's own formatters, and keep pyplot from showing the figure again."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None and "inline" in str(mpl.get_backend()):
            pyplot.close(self)
        # IPython takes this as: there is nothing special to do, go on.
        raise NotImplementedError

    def _repr_png_(self) -> bytes | None:
        """Return the picture where IPython has no formatter for figures yet: no figure was made through pyplot."""
        from IPython import get_ipython

        shell = get_ipython()
        if shell is not None and any(
            Figure in one.type_printers for one in shell.display_formatter.formatters.values()
        ):
            return None  # in a format of the user's choice, not this one
        pyplot = sys.modules.get("matplotlib.pyplot")
        number = getattr(self, "number", None)  # only a figure of pyplot has one
        is_known = pyplot is not None and number is not None and pyplot.fignum_exists(number)
        if is_known and mpl.get_backend().lower() != "agg":
            return None  # a window or a widget shows it
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()
