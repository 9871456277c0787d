"""The settings of an estimator that the arguments of a fit give, the same for every kind of estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

__all__ = ["settings_of"]


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a fit by the names that estimators and `select_mixture` have for them."""
    return {
        "tol": arguments.tol,
        "reg_covar": arguments.reg_covar,
        "max_iter": arguments.max_iter,
        "n_init": arguments.n_init,
        "init_params": arguments.init,
        "random_state": arguments.seed,
        "n_threads": arguments.threads,
    }
