"""
Rows that do not fit
====================

The log-density of a row says how usual it is. A threshold at the lowest two per cent of the training rows marks what
lies outside: rows between the groups, too, which no single Gaussian would find.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

X = emix.load_faithful().data
gm = emix.GaussianMixture(2, random_state=0).fit(X)
threshold = np.quantile(gm.score_samples(X), 0.02)

new = np.array([[4.2, 78.0], [3.1, 66.0], [2.0, 85.0], [4.8, 58.0]])
unusual = gm.score_samples(new) < threshold
print(unusual)

length, waiting = np.meshgrid(np.linspace(1, 6, 200), np.linspace(35, 105, 200))
log_density = gm.score_samples(
    np.column_stack([length.ravel(), waiting.ravel()])
).reshape(length.shape)
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.contourf(length, waiting, log_density, levels=[threshold, 0], colors=["#cfe3f1"])
ax.plot(*X.T, ".", color="0.6", markersize=4, label="training rows")
ax.plot(*new[~unusual].T, "o", color="#0072b2", label="usual")
ax.plot(*new[unusual].T, "X", color="#d55e00", markersize=9, label="unusual")
ax.set(xlabel="length, minutes", ylabel="wait until the next, minutes")
ax.legend()
plt.show()
