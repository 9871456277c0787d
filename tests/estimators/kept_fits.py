"""Fits with a checkpoint, ended by an error at chosen E-steps and gone on with, and all results that must agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emix
from emix import EMRecord, GaussianMixture
from emix.estimators.fit_state import parameters_of

Array = NDArray[np.float64]

REST = (
    "log_likelihood_", "total_weight_", "lower_bounds_", "runs_", "columns_in_doubt_", "converged_", "n_iter_",
    "stopped_by_",
)  # fmt: skip

# EM does not converge in the few iterations of these fits.
not_converged = pytest.mark.filterwarnings("ignore:.*did not converge:emix.ConvergenceWarning")


def rows(n: int = 900, d: int = 3, seed: int = 0) -> Array:
    """Groups that overlap, so that EM has many iterations to make."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + 2.0 * rng.integers(0, 4, (n, 1)) * np.cos(np.arange(d))


def mixture(**settings: Any) -> GaussianMixture:
    """A mixture that makes a few iterations from a quick start."""
    usual = {"n_components": 3, "random_state": 0, "init_params": "kmeans", "tol": 0.0, "max_iter": 12}
    return GaussianMixture(**{**usual, **settings})


class EndedError(Exception):
    """The error by which a fit is ended."""


def ended_after(n_steps: int, error: type[BaseException] = EndedError) -> Callable[[int, EMRecord], None]:
    """A callback that ends a fit at the E-step after so many."""
    left = [n_steps]

    def callback(run: int, record: EMRecord) -> None:
        if not left[0]:
            raise error
        left[0] -= 1

    return callback


def fit_with_ends(gm: GaussianMixture, X: Any, path: Path, ends: Sequence[int], **arguments: Any) -> GaussianMixture:
    """The fit of a mixture that is ended by errors: each life has so many E-steps, the last one all that are left."""
    keywords = {"checkpoint": path, "checkpoint_every": 0.0, **arguments}
    for n_steps in ends:
        with pytest.raises(EndedError):
            gm.fit(X, callback=ended_after(n_steps), **keywords)
        assert path.exists()
    return gm.fit(X, **keywords)


def results(gm: GaussianMixture) -> dict[str, Any]:
    """All results of a fit but times."""
    arrays = {name: getattr(gm, name).tobytes() for name in ("weights_", "means_", "covariances_", "precisions_")}
    return {
        **arrays,
        "all parameters": parameters_of(vars(gm)).packed.tobytes(),
        "precisions_cholesky_": gm.precisions_cholesky_.tobytes(),
        "history": [repr(record._replace(seconds=0.0)) for record in gm.history_],  # by repr: NaN is not itself
        "rest": [getattr(gm, name) for name in REST],
    }


def assert_same_fit(one: GaussianMixture, other: GaussianMixture) -> None:
    for name, result in results(one).items():
        assert result == results(other)[name], name


def plain_fit(X: Any, start: emix.GaussianParameters, n_iter: int) -> emix.EMResult:
    """EM in memory, of all shortcuts with packing alone."""
    K, d = start.means.shape
    model = emix.GaussianModel(K, d, start.structure, "auto", shortcuts=["packing"])
    return emix.fit_em(model, X, start, tol=0.0, max_iter=n_iter)
