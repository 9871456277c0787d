"""Threads: the pool, who does which rows, and sums that do not depend on how many threads there are."""
