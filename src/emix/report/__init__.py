"""A report of a fit: one page of HTML that needs nothing else."""
