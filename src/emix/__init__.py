"""Expectation-maximization for mixture models, with a compiled core for Gaussian mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emix.choice.bootstrap import LikelihoodRatioTest, bootstrap_lrt
from emix.choice.select import select_mixture
from emix.choice.selection import MixtureSelection, SelectionInterrupted
from emix.choice.selector import MixtureSelector
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
from emix.rows.blocks import BlockSource
from emix.rows.parquet import ParquetSource
from emix.sklearn_patch.patch import patch_sklearn, unpatch_sklearn
from emix.supervised.mixture_classifier import MixtureClassifier
from emix.supervised.mixture_regressor import MixtureRegressor

if TYPE_CHECKING:
    from emix import faces as faces
else:

    def __getattr__(name: str) -> object:
        # `emix.faces` works after `import emix`, but is loaded only here, so that `import emix` stays light.
        if name == "faces":
            import importlib

            return importlib.import_module("emix.faces")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), "faces"} - {"TYPE_CHECKING"})


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
