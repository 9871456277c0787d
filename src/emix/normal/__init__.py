"""The multivariate normal as an object."""
