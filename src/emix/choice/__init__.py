"""The choice among mixtures: how many components, and which covariance structure."""
