"""The algorithm: it knows no Gaussian and no file format."""
