"""`summary` and `plot_mixture` under the module name ``emix.faces`` that they had in emix 0.1."""

from __future__ import annotations

from emix.plots.plots import plot_mixture
from emix.summary.summary import summary

__all__ = ["plot_mixture", "summary"]
