"""Rows in the partitions of a dask collection: sums are taken where they lie, and added in a fixed order."""
