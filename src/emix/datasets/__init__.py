"""Small data sets that come with emix, for examples, tests and a first try."""

from __future__ import annotations

from emix.datasets.faithful import Dataset, load_faithful

__all__ = ["Dataset", "load_faithful"]
