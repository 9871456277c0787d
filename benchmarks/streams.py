"""How far a stream ends below the fit to all its rows: nats of the total log-likelihood, per free parameter.

    python benchmarks/streams.py                     # two seeds on every data set: a minute
    python benchmarks/streams.py --only near --seeds 5

100 000 rows come in calls of `partial_fit` of 1 000 each, from k-means on the first 1 000. The fit to all rows starts
from the same mixture and goes on to convergence. A column is a kind of steps: "default", and steps of one's own,
(t + 1)^-κ in the t-th call, which are stepwise EM without an average. Sampling noise, the distance of the fit itself
from the truth, is one half. A star marks an end in another mode than the fit's: EM on all rows, from where the stream
ended, ends elsewhere. "steps" are those of the fit: hundreds mean that components overlap, and EM is slow. Rows a
second are those of the default.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from numpy.typing import NDArray

import emix

Array = NDArray[np.float64]

N_ROWS, BATCH = 100_000, 1_000
POWERS = (0.6, 0.65, 0.7, 0.75)

#: Components, features, spread of the means in units in which a component's deviations are near one.
DATA = {"separate": (5, 4, 6.0), "moderate": (8, 10, 2.5), "near": (5, 4, 1.6), "large": (8, 20, 1.5)}


def rows_of(name: str, seed: int) -> Array:
    """Rows of Gaussians with deviations from 0.6 to 1.5 along random axes."""
    K, d, spread = DATA[name]
    rng = np.random.default_rng([seed, K, d])
    means, weights = rng.normal(0.0, spread, (K, d)), rng.dirichlet(np.full(K, 5.0))
    axes = np.stack([np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.6, 1.5, d) for _ in range(K)])
    labels = rng.choice(K, N_ROWS, p=weights)
    return np.asarray(means[labels] + np.einsum("nij,nj->ni", axes[labels], rng.normal(size=(N_ROWS, d))))


def mixture(name: str, covariance_type: str, seed: int, **settings: object) -> emix.GaussianMixture:
    """An unfitted mixture."""
    gm = emix.GaussianMixture(DATA[name][0], covariance_type=covariance_type, init_params="kmeans", random_state=seed)
    return gm.set_params(**settings)


def streamed(gm: emix.GaussianMixture, X: Array, power: float | None) -> emix.GaussianMixture:
    """The mixture after all rows."""
    for t, first in enumerate(range(0, len(X), BATCH)):
        gm.partial_fit(X[first : first + BATCH], step=None if power is None else (t + 1.0) ** -power)
    return gm


def to_its_end(gm: emix.GaussianMixture, X: Array) -> emix.GaussianMixture:
    """EM on all rows from a mixture."""
    return gm.set_params(warm_start=True, tol=1e-8, max_iter=5000).fit(X)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--types", nargs="+", default=["full", "diag", "tied"])
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds: dict[str, float | None] = {"default": None} | {f"{power:g}": power for power in POWERS}
    columns = ["data", "type", "seed", "p", "steps", *kinds, "rows/s"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name in arguments.only:
        for covariance_type in arguments.types:
            for seed in range(arguments.seeds):
                X = rows_of(name, seed)
                start = mixture(name, covariance_type, seed).partial_fit(X[:BATCH])
                fit = to_its_end(start, X)
                cells, speed = [], 0.0
                for power in kinds.values():
                    began = time.perf_counter()
                    gm = streamed(mixture(name, covariance_type, seed), X, power)
                    speed = speed or N_ROWS / (time.perf_counter() - began)
                    behind = (fit.log_likelihood_ - gm.score(X) * N_ROWS) / fit.n_parameters_
                    ends = to_its_end(gm, X).log_likelihood_
                    other = abs(ends - fit.log_likelihood_) > 0.05 * fit.n_parameters_
                    cells.append(f"{behind:.2f}{'*' if other else ''}")
                facts = name, covariance_type, seed, fit.n_parameters_, fit.n_iter_, *cells, f"{speed:.0f}"
                print("| " + " | ".join(map(str, facts)) + " |", flush=True)


if __name__ == "__main__":
    main()
