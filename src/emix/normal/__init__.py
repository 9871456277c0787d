"""The multivariate normal distribution as an object."""
