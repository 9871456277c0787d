"""Log-likelihoods at the mode of known data, found by an independent EM in float64 run to convergence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris

import emix
from emix.gaussian.structures import STRUCTURES

Array = NDArray[np.float64]

FAITHFUL = emix.load_faithful().data
DATA = {"faithful": FAITHFUL, "waiting": FAITHFUL[:, 1:], "iris": load_iris().data}

# Data, covariance type, total log-likelihood at the mode, and a start that leads there: the rows that are the means.
# Weights are equal and covariances those of all rows in the covariance type's form.
MODES = [
    ("faithful", "full", -1130.26396018, (256, 170)),
    ("faithful", "tied", -1140.18675944, (242, 235)),
    ("faithful", "tied", -1126.31592786, (81, 1, 25)),
    ("waiting", "tied", -1034.00176036, (11, 98)),
    ("iris", "full", -214.35470437, (91, 37)),
    ("iris", "full", -180.18547713, (81, 65, 23)),
    ("iris", "tied", -296.44757477, (91, 37)),
    ("iris", "tied", -256.35404313, (81, 82, 49)),
    ("iris", "diag", -386.18534693, (19, 149)),
    ("iris", "diag", -306.86046052, (56, 95, 48)),
    ("iris", "spherical", -478.55909577, (19, 149)),
    ("iris", "spherical", -384.31409506, (143, 0, 127)),
    ("iris", "EEI", -488.91481869, (126, 95)),
    ("iris", "EEI", -361.42552205, (94, 76, 125)),
    ("iris", "EII", -536.65247138, (126, 95)),
    ("iris", "EII", -401.80217579, (94, 76, 125)),
    ("iris", "VEI", -443.06668738, (126, 95)),
    ("iris", "VEI", -339.46872726, (45, 6, 39)),
    ("iris", "EVI", -463.56902964, (26, 121)),
    ("iris", "EVI", -338.78884831, (135, 75, 90)),
    ("iris", "VEE", -278.05714978, (94, 81)),
    ("iris", "VEE", -237.56016280, (78, 1, 99)),
    # mclust 6.0.0, me() from these responsibilities, tol=1e-13; from its own starts it ends at -234.14023506.
    ("iris", "EVE", -273.49615057, (68, 149)),
    ("iris", "EVE", -233.33260065, (145, 56, 102)),
    # Axes by the search of tests/gaussian/shared_parts.py. mclust 6.0.0, whose axes have a lower Q, falls from here to
    # -244.97184865 and -215.24087034.
    ("iris", "VVE", -244.57057879, (125, 103)),
    ("iris", "VVE", -214.05320779, (124, 55, 60)),
    ("iris", "EEV", -259.66690852, (141, 13)),
    ("iris", "EEV", -214.85037887, (22, 53, 77)),
    ("iris", "VEV", -215.72597223, (132, 57)),
    ("iris", "VEV", -186.07328340, (96, 33, 51)),
    ("iris", "EVV", -259.01642131, (143, 21)),
    ("iris", "EVV", -205.53588082, (71, 60, 8)),
    ("iris", "full", -379.91463012, (0,)),
    ("iris", "diag", -741.01753519, (0,)),
    ("iris", "spherical", -889.51613071, (0,)),
    # With one component these are diag, spherical and full.
    ("iris", "EEI", -741.01753519, (0,)),
    ("iris", "EII", -889.51613071, (0,)),
    *(("iris", name, -741.01753519, (0,)) for name in ("VEI", "EVI")),
    *(("iris", name, -379.91463012, (0,)) for name in ("VEE", "EVE", "VVE", "EEV", "VEV", "EVV")),
]

each_mode = pytest.mark.parametrize(
    ("data", "covariance_type", "expected", "rows"),
    MODES,
    ids=[f"{data}-{covariance_type}-{len(rows)}" for data, covariance_type, _, rows in MODES],
)


def fitted_from_rows(X: Array, covariance_type: str, rows: tuple[int, ...]) -> emix.GaussianMixture:
    covariance = np.cov(X, rowvar=False, bias=True).reshape(X.shape[1], X.shape[1])
    covariances = STRUCTURES[covariance_type].form.from_pooled(covariance, len(rows))
    matrices = STRUCTURES[covariance_type].form.has_matrices
    return emix.GaussianMixture(
        len(rows),
        covariance_type=covariance_type,
        weights_init=np.full(len(rows), 1.0 / len(rows)),
        means_init=X[list(rows)],
        precisions_init=np.linalg.inv(covariances) if matrices else 1.0 / covariances,
        reg_covar=0.0,
        tol=1e-12,
        max_iter=5000,
    ).fit(X)


@each_mode
def test_mode_from_a_start_that_leads_there(
    data: str, covariance_type: str, expected: float, rows: tuple[int, ...]
) -> None:
    gm = fitted_from_rows(DATA[data], covariance_type, rows)
    assert gm.converged_
    # The references have eight digits after the point; a step that gains less than 1e-12 nats per row leaves far
    # less than 1e-6 to gain.
    assert gm.log_likelihood_ == pytest.approx(expected, abs=1e-6)


@each_mode
def test_mode_or_a_better_one_from_many_starts(
    data: str, covariance_type: str, expected: float, rows: tuple[int, ...]
) -> None:
    gm = emix.GaussianMixture(
        len(rows),
        covariance_type=covariance_type,
        reg_covar=0.0,
        tol=1e-11,
        max_iter=5000,
        n_init=30 if len(rows) > 1 else 1,
        init_params="random_from_data",
        random_state=0,
    ).fit(DATA[data])
    assert gm.log_likelihood_ > expected - 1e-6


def test_parameters_of_the_waiting_times() -> None:
    gm = fitted_from_rows(DATA["waiting"], "tied", (11, 98))
    order = np.argsort(gm.means_[:, 0])
    # The references have seven and six digits after the point; their means stop 1.3e-5 short of where EM ends.
    np.testing.assert_allclose(gm.weights_[order], [0.3608498, 0.6391502], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gm.means_[order, 0], [54.613639, 80.090313], rtol=0, atol=2e-5)


def test_one_component_is_the_sample_mean_and_covariance() -> None:
    X = DATA["iris"]
    gm = emix.GaussianMixture(reg_covar=0.0).fit(X)
    np.testing.assert_allclose(gm.means_[0], X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(gm.covariances_[0], np.cov(X, rowvar=False, bias=True), rtol=1e-12)
