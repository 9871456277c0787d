"""
The fourteen covariance structures
==================================

The same rows, fitted with each structure. The letters are for volume, shape and orientation of the ellipses: equal for
all components (E), varying (V), or none (I). The ellipses are at two standard deviations; below each name stand the
number of parameters and BIC, of which smaller is better.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

STRUCTURES = [
    "EII",
    "VII",
    "EEI",
    "VEI",
    "EVI",
    "VVI",
    "EEE",
    "VEE",
    "EVE",
    "VVE",
    "EEV",
    "VEV",
    "EVV",
    "VVV",
]
COLORS = ["#0072b2", "#d55e00", "#009e73"]

# Three groups with the same proportions of the axes, and other sizes and directions: VEV is the truth.
rng = np.random.default_rng(1)


def group(n, mean, scale, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return mean + scale * rng.normal(size=(n, 2)) * [1.0, 0.35] @ turn.T


X = np.vstack(
    [
        group(150, [0, 0], 1.0, 0.3),
        group(150, [3.2, 0.2], 0.6, 2.2),
        group(150, [2, 2.6], 1.3, 0.9),
    ]
)

# %%
# `covariances_` has the form of the structure: a matrix for each component, one matrix for all, variances along the
# columns, or one variance. This makes matrices of all of them.


def matrices(gm):
    covariances, (K, d) = gm.covariances_, gm.means_.shape
    if gm.covariance_type == "EEE":
        return np.broadcast_to(covariances, (K, d, d))
    if covariances.ndim == 1:
        return covariances[:, None, None] * np.eye(d)
    return covariances if covariances.ndim == 3 else covariances[:, None, :] * np.eye(d)


circle = 2 * np.array(
    [np.cos(np.linspace(0, 2 * np.pi, 100)), np.sin(np.linspace(0, 2 * np.pi, 100))]
)
figure, axes = plt.subplots(
    4, 4, figsize=(8, 7.6), sharex=True, sharey=True, layout="constrained"
)
for ax, structure in zip(axes.flat, STRUCTURES):
    gm = emix.GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    ax.plot(*X.T, ".", color="0.75", markersize=2)
    left_to_right = np.argsort(gm.means_[:, 0])
    for mean, covariance, color in zip(
        gm.means_[left_to_right], matrices(gm)[left_to_right], COLORS
    ):
        ax.plot(
            *(mean[:, None] + np.linalg.cholesky(covariance) @ circle),
            color=color,
            linewidth=1.8,
        )
    ax.set_title(
        f"{structure}\n{gm.n_parameters_} parameters, BIC {gm.bic(X):.0f}", fontsize=9
    )
    ax.set(xticks=[], yticks=[], aspect="equal")
for ax in axes.flat[len(STRUCTURES) :]:
    ax.axis("off")
plt.show()
