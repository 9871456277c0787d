"""Expectation-maximization for mixture models, with a compiled core for Gaussian mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emix.datasets import load_faithful
from emix.em.loop import fit_em
from emix.em.model import EMModel, EMRun
from emix.em.result import EMRecord, EMResult
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.exceptions import (
    ConvergenceWarning,
    DegenerateCovarianceError,
    DegenerateFitError,
    ModelFileError,
    NotFittedError,
)
from emix.gaussian.model import GaussianModel, q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.kernel.level import show_config
from emix.normal.multivariate_normal import MultivariateNormal

if TYPE_CHECKING:
    from emix import faces as faces
    from emix.choice.bootstrap import LikelihoodRatioTest, bootstrap_lrt
    from emix.choice.select import select_mixture
    from emix.choice.selection import MixtureSelection, SelectionInterrupted
    from emix.choice.selector import MixtureSelector
    from emix.rows.blocks import BlockSource
    from emix.rows.parquet import ParquetSource
    from emix.sklearn_patch.patch import patch_sklearn, unpatch_sklearn
    from emix.supervised.mixture_classifier import MixtureClassifier
    from emix.supervised.mixture_regressor import MixtureRegressor
else:
    # A service that fits or scores a mixture needs none of these. They take a third of the time of `import emix`, and
    # are loaded when they are first asked for.
    _WHEN_ASKED = {
        "BlockSource": "emix.rows.blocks",
        "LikelihoodRatioTest": "emix.choice.bootstrap",
        "MixtureClassifier": "emix.supervised.mixture_classifier",
        "MixtureRegressor": "emix.supervised.mixture_regressor",
        "MixtureSelection": "emix.choice.selection",
        "MixtureSelector": "emix.choice.selector",
        "ParquetSource": "emix.rows.parquet",
        "SelectionInterrupted": "emix.choice.selection",
        "bootstrap_lrt": "emix.choice.bootstrap",
        "patch_sklearn": "emix.sklearn_patch.patch",
        "select_mixture": "emix.choice.select",
        "unpatch_sklearn": "emix.sklearn_patch.patch",
    }

    def __getattr__(name: str) -> object:
        import importlib

        if name == "faces":
            return importlib.import_module("emix.faces")
        if name not in _WHEN_ASKED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_WHEN_ASKED[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_WHEN_ASKED, "faces"} - {"TYPE_CHECKING"})


__version__ = "0.1.0"

__all__ = [
    "BlockSource",
    "ConvergenceWarning",
    "DegenerateCovarianceError",
    "DegenerateFitError",
    "EMModel",
    "EMRecord",
    "EMResult",
    "EMRun",
    "GaussianMixture",
    "GaussianModel",
    "GaussianParameters",
    "GaussianStatistics",
    "LikelihoodRatioTest",
    "MixtureClassifier",
    "MixtureRegressor",
    "MixtureSelection",
    "MixtureSelector",
    "ModelFileError",
    "MultivariateNormal",
    "NotFittedError",
    "ParquetSource",
    "SelectionInterrupted",
    "bootstrap_lrt",
    "fit_em",
    "load_faithful",
    "patch_sklearn",
    "q_function",
    "select_mixture",
    "show_config",
    "unpatch_sklearn",
]
