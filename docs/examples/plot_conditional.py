"""
What is known of one feature from another
=========================================

Given the length of an eruption, a multivariate normal says how long the wait will be, with an interval. The conditional
mean is a straight line: that of linear regression.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

X = emix.load_faithful().data
normal = emix.MultivariateNormal.fit(X)

lengths = np.linspace(1.4, 5.4, 60)
waits = [normal.conditional({0: length}) for length in lengths]
middle = np.array([wait.mean[0] for wait in waits])
spread = np.array([np.sqrt(wait.covariance[0, 0]) for wait in waits])

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.plot(*X.T, ".", color="0.6", markersize=4)
ax.plot(lengths, middle, color="#0072b2")
ax.fill_between(
    lengths, middle - 2 * spread, middle + 2 * spread, color="#0072b2", alpha=0.15
)
ax.set(xlabel="length, minutes", ylabel="wait until the next, minutes")
plt.show()
