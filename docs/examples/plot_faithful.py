"""
Two kinds of eruptions
======================

Old Faithful's eruptions are short or long, and after a long one the wait is longer. Nobody wrote down which is which:
a mixture of two Gaussians tells, with a probability for each eruption.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

faithful = emix.load_faithful()
gm = emix.GaussianMixture(n_components=2, random_state=0).fit(faithful.data)

# %%
# The density of the mixture on a grid, and for each eruption the probability that it is a long one.

length, waiting = np.meshgrid(np.linspace(1.2, 5.6, 200), np.linspace(38, 102, 200))
log_density = gm.score_samples(
    np.column_stack([length.ravel(), waiting.ravel()])
).reshape(length.shape)
long_one = gm.predict_proba(faithful.data)[:, np.argmax(gm.means_[:, 0])]

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
levels = log_density.max() - np.array([8, 6, 4.5, 3, 2, 1, 0.3])
ax.contour(
    length,
    waiting,
    log_density,
    levels=levels,
    colors="0.6",
    linewidths=0.8,
    linestyles="solid",
)
dots = ax.scatter(
    *faithful.data.T, c=long_one, cmap="cividis", s=18, edgecolors="white", linewidths=0.4
)
figure.colorbar(dots, label="probability of a long eruption")
ax.set(
    xlabel="length, minutes",
    ylabel="wait until the next, minutes",
    title="Old Faithful: 272 eruptions",
)
plt.show()
