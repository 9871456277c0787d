"""What people look at: the command line, text summaries and plots.

A face may import everything else in emix; nothing else imports a face. What a face needs beyond
numpy and scipy is imported when it is used, and named with its extra when it is missing.
"""

from __future__ import annotations

from emix.faces.plots import plot_mixture
from emix.faces.summary import summary

__all__ = ["plot_mixture", "summary"]
