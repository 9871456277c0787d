"""Compiled: a block of rows and parameters in, statistics and log-likelihood out."""
