"""A pytest plugin that gives scikit-learn's own tests of GaussianMixture the one of emix.

`ci/sklearn-tests` runs them where scikit-learn is installed; nothing of them is copied. The exchange is one
assignment, made before the test files are imported: their `from sklearn.mixture import GaussianMixture` finds it.
Everything else in them, the exceptions among it, is scikit-learn's.
"""

from __future__ import annotations

import pytest
import sklearn.mixture

import emix

sklearn.mixture.GaussianMixture = emix.GaussianMixture

_PRIVATE = "tests private functions of scikit-learn, not the estimator"
_ARRAY_API = "tests array-API backends"

LEFT_OUT = {
    "test_suffstat_sk_full": _PRIVATE,
    "test_suffstat_sk_tied": _PRIVATE,
    "test_suffstat_sk_diag": _PRIVATE,
    "test_gaussian_suffstat_sk_spherical": _PRIVATE,
    "test_compute_log_det_cholesky": _PRIVATE,
    "test_gaussian_mixture_log_probabilities": _PRIVATE,
    "test_check_weights": "wants the largest of impossible weights printed as the smallest, and the other way round",
    "test_gaussian_mixture_precisions_init": "calls the private methods _initialize and _set_parameters",
    "test_gaussian_mixture_precisions_init_diag": (
        "calls a private function, and wants clusters in the order in which scikit-learn's KMeans numbers them"
    ),
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private function",
    "test_gaussian_mixture_setting_best_params": (
        "its first step gives a component one row and so no variance, with reg_covar=0: emix says so with an error "
        "that names the component, where rounding gives scikit-learn a variance of 1e-16"
    ),
    "test_score[float32]": "compares with a mean taken in float32, to half of that mean's rounding",
    "test_gaussian_mixture_array_api_compliance": _ARRAY_API,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": _ARRAY_API,
}
"""Tests that are not run, with reasons. A name without parameters stands for the test with any."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what is left out."""
    kept, left_out = [], []
    for item in items:
        callspec = getattr(item, "callspec", None)
        estimator = callspec.params.get("estimator") if callspec is not None else None
        is_other = estimator is not None and not isinstance(estimator, emix.GaussianMixture)
        is_named = item.name in LEFT_OUT or getattr(item, "originalname", None) in LEFT_OUT
        (left_out if is_named or is_other else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was left out, and why."""
    terminalreporter.section("left out")
    for name, reason in LEFT_OUT.items():
        terminalreporter.line(f"{name}: {reason}")
    terminalreporter.line("BayesianGaussianMixture, with which some tests are run too: it is not exchanged")
