"""pomegranate's GeneralMixtureModel, on PyTorch: ``pip install pomegranate`` in an environment of its own."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Run, Unsupported, in_structure, to_full

NAME = "pomegranate"
NOTE = "keeps the weights of the components in float32"

#: Its names of the structures that it has.
_TYPES = {"full": "full", "diag": "diag"}


def versions() -> dict[str, str]:
    from importlib import import_module
    from importlib.metadata import version

    import torch

    import_module("pomegranate.gmm")  # it may be installed, and yet not go with this torch
    return {"pomegranate": version("pomegranate"), "torch": str(torch.__version__)}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    if structure not in _TYPES:
        why = "no tied covariances" if structure == "tied" else "its spherical components take no given start"
        raise Unsupported(why)
    torch.set_num_threads(n_threads)
    K, d = start.means.shape
    rows = torch.from_numpy(np.ascontiguousarray(X))
    given = in_structure(start.covariances, structure)

    def tensor(values: NDArray[np.floating]) -> torch.Tensor:
        return torch.tensor(np.array(values), dtype=rows.dtype)

    def fit(n_iter: int) -> Run:
        # check_data=False: it looks for illegal rows K times in every iteration.
        components = [
            Normal(tensor(start.means[k]), tensor(given[k]), covariance_type=_TYPES[structure], check_data=False)
            for k in range(K)
        ]
        # A tolerance that no change falls below: only the number of iterations ends it.
        mixture = GeneralMixtureModel(
            components, priors=tensor(start.weights), max_iter=n_iter, tol=-float("inf"), check_data=False
        ).to(rows.dtype)  # else it sums the weights in float32
        begin = perf_counter()
        mixture.fit(rows)
        seconds = perf_counter() - begin
        covariances = np.array([component.covs.numpy() for component in mixture.distributions])
        return Run(
            seconds,
            mixture.priors.numpy().astype(np.float64),
            np.array([component.means.numpy() for component in mixture.distributions], dtype=np.float64),
            to_full(covariances, structure, K, d),
        )

    return fit
