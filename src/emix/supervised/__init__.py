"""Estimators that use mixtures to predict: a regressor and a classifier."""
