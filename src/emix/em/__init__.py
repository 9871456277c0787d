"""The EM algorithm: the loop, its stopping rule, and restarts. Models of any kind; no Gaussian, no file format."""
