"""
How long EM takes
=================

EM takes few steps where components are apart, and many where they overlap: each step shrinks the error by the share of
information that is missing. The default `tol` stops where a row gains a millionth of a nat; scikit-learn's at 1e-3.
"""

import matplotlib.pyplot as plt
import numpy as np

import emix

rng = np.random.default_rng(0)
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for distance, color in [(6.0, "#0072b2"), (3.0, "#009e73"), (2.0, "#d55e00")]:
    X = rng.normal(size=(5000, 1)) + distance * (rng.random((5000, 1)) < 0.3)
    gm = emix.GaussianMixture(
        2, init_params="random_from_data", tol=1e-10, max_iter=10_000, random_state=0
    ).fit(X)
    change = [record.change / len(X) for record in gm.history_[1:]]
    iteration = np.arange(1, len(change) + 1)
    ax.loglog(
        iteration,
        np.maximum(change, 1e-16),
        color=color,
        label=f"{distance:.0f} standard deviations",
    )

for tol in (1e-3, 1e-6):
    ax.axhline(tol, color="0.6", linewidth=0.8)
    ax.annotate(
        f"tol={tol:g}", (1, tol), xytext=(2, 3), textcoords="offset points", color="0.4"
    )
ax.set(
    xlabel="iteration", ylabel="rise of the log-likelihood per row, nats", ylim=(1e-11, 1)
)
ax.legend(title="distance of the two means")
plt.show()
