"""Threads: the pool, the division of rows among threads, and sums that do not depend on their number."""
