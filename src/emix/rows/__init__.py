"""Where rows come from: checks, sources, threads."""
