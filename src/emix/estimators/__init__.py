"""The estimators that users hold: GaussianMixture, MultivariateNormal, and what they are made of."""
