"""Where rows come from: arrays and tables that were checked, Parquet files, and any `RowSource` (source.py)."""
