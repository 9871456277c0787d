"""
Why a component collapses
=========================

The likelihood of a mixture has no upper bound. Put the mean of one component on a row and let its standard deviation
shrink: the density of that row grows for ever, and the other component holds the rest. emix sets such runs aside.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

X = emix.load_faithful().data[:, 1:]
wide = emix.GaussianMixture(2, random_state=0).fit(X)

spreads = np.logspace(1, -8, 100)
log_likelihoods = []
for spread in spreads:
    mixture = emix.GaussianMixture.from_parameters(
        [1 - 1 / len(X), 1 / len(X)],
        [X.mean(axis=0), X[0]],
        [[[X.var()]], [[spread**2]]],
        covariance_type="full",
    )
    log_likelihoods.append(mixture.score_samples(X).sum())

figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.semilogx(
    spreads,
    log_likelihoods,
    color="#d55e00",
    label="one component shrinks onto a waiting time",
)
ax.axhline(wide.log_likelihood_, color="#0072b2", label="two components, fitted")
ax.invert_xaxis()
ax.set(
    xlabel="standard deviation of the shrinking component, minutes",
    ylabel="log-likelihood, nats",
)
ax.legend()
plt.show()

# %%
# The waiting times are whole minutes, so that several rows are equal to the first: the rise is steep, and it does not
# end. A good fit is a mode of the likelihood below that.
