"""
Units do not matter
===================

The same eruptions, with the wait in minutes and in weeks. A number for `reg_covar` is in squared units of the data: it
swamps the small one. The default, "auto", follows each column's scale.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import emix

minutes = emix.load_faithful().data
weeks = minutes / [1, 7 * 24 * 60]
circle = 2 * np.array(
    [np.cos(np.linspace(0, 2 * np.pi, 100)), np.sin(np.linspace(0, 2 * np.pi, 100))]
)

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
for ax, reg_covar in zip(axes, ["auto", 1e-6]):
    with warnings.catch_warnings(
        record=True
    ) as caught:  # fit warns of what is seen on the right
        warnings.simplefilter("always")
        gm = emix.GaussianMixture(2, reg_covar=reg_covar, random_state=0).fit(weeks)
    ax.plot(*weeks.T, ".", color="0.7", markersize=3)
    for mean, covariance in zip(gm.means_, gm.covariances_):
        ax.plot(
            *(mean[:, None] + np.linalg.cholesky(covariance) @ circle), color="#0072b2"
        )
    ax.set(title=f"reg_covar={reg_covar!r}", xlabel="length, minutes")
axes[0].set(ylabel="wait, weeks", ylim=(0.002, 0.012))
plt.show()

for warning in caught:
    print(warning.message)
