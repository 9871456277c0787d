"""Where rows come from: arrays and tables that were checked, files, blocks of a function, and any `RowSource`."""
