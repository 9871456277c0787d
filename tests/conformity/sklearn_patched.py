"""A pytest plugin that runs scikit-learn's own tests of GaussianMixture under emix.patch_sklearn.

`ci/sklearn-tests` runs them where scikit-learn is installed; nothing of them is copied. The patch is made before the
test files are imported. Private methods are scikit-learn's, by inheritance, and so are the checks of arguments.
"""

from __future__ import annotations

import pytest

import emix

emix.patch_sklearn()

LEFT_OUT = {
    "test_gaussian_mixture_precisions_init_diag": (
        "gives precisions in the order in which scikit-learn's KMeans numbers the clusters"
    ),
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private function",
}
"""Tests that are not run, with reasons. A name without parameters stands for the test with any."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what is left out."""
    left_out = [item for item in items if item.name in LEFT_OUT or getattr(item, "originalname", None) in LEFT_OUT]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was left out, and why."""
    terminalreporter.section("left out")
    for name, reason in LEFT_OUT.items():
        terminalreporter.line(f"{name}: {reason}")
