"""
Two modes of one likelihood
===========================

EM climbs to the mode near its start. Here two starts of the same mixture, three components on Old Faithful's eruptions,
end at different modes: one splits the short eruptions, the other lays a component across both kinds. The likelihood
decides between them.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

X = emix.load_faithful().data
starts = {
    "two components among the short eruptions": [[1.8, 50], [2.3, 60], [4.3, 80]],
    "two components among the long eruptions": [[2.0, 54], [4.0, 75], [4.5, 85]],
}

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
circle = 2 * np.array(
    [np.cos(np.linspace(0, 2 * np.pi, 100)), np.sin(np.linspace(0, 2 * np.pi, 100))]
)
for ax, (name, means), color in zip(axes, starts.items(), ["#0072b2", "#d55e00"]):
    gm = emix.GaussianMixture(3, means_init=means).fit(X)
    ax.plot(*X.T, ".", color="0.7", markersize=3)
    for mean, covariance in zip(gm.means_, gm.covariances_):
        ax.plot(*(mean[:, None] + np.linalg.cholesky(covariance) @ circle), color=color)
    ax.set_title(f"log-likelihood {gm.log_likelihood_:.2f}", color=color, fontsize=10)
    ax.set(xlabel="length, minutes", ylabel="wait, minutes")
    rise = [record.log_likelihood for record in gm.history_]
    axes[2].plot(rise, color=color, label=name.removeprefix("two components among the "))

axes[2].set(
    xscale="symlog", xlabel="iteration", ylim=(-1150, -1110), title="log-likelihood, nats"
)
axes[2].legend(title="start among the", fontsize=8)
plt.show()
