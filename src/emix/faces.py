"""The two names of emix 0.1's ``emix.faces``: `summary` and `plot_mixture`, from where they are now."""

from __future__ import annotations

from emix.plots.plots import plot_mixture
from emix.summary.summary import summary

__all__ = ["plot_mixture", "summary"]
