"""All fourteen structures beside mclust 6.0.0 (R 4.2), from the same labels.

The log-likelihoods are those of ``me(X, modelName=name, z=unmap(labels), control=emControl(tol=c(1e-13, 1e-13),
itmax=c(20000, 20000), eps=1e-300))``.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine

import emix
from emix.em.loop import iterate
from emix.gaussian.model import GaussianModel
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import structure_of
from gaussian.examples import Array, scatter_of

FAITHFUL, IRIS, WINE = emix.load_faithful().data, load_iris(), load_wine()

# Rows, and the label of each.
PROBLEMS = {
    "faithful 2": (FAITHFUL, (FAITHFUL[:, 0] > 3.0).astype(int)),
    "faithful 3": (FAITHFUL, np.digitize(FAITHFUL[:, 1], [60.0, 78.0])),
    "iris": (IRIS.data, IRIS.target),
    "wine": (WINE.data[:, :5], WINE.target),
}

MCLUST = {
    "EII": (-1709.68137295, -1663.53959975, -401.80217579, -2483.44054695),
    "VII": (-1709.52928218, -1637.43441800, -384.31409506, -2395.80598383),
    "EEI": (-1157.68001234, -1133.45539992, -361.42552204, -1633.78788771),
    "VEI": (-1152.88019637, -1132.66684339, -339.46872726, -1615.66300072),
    "EVI": (-1153.88556822, -1132.42243932, -340.08558074, -1592.25332789),
    "VVI": (-1147.80635254, -1127.00751919, -306.86046051, -1571.30141861),
    "EEE": (-1140.18675944, -1126.31592782, -256.35404313, -1579.73483397),
    "VEE": (-1136.25985414, -1124.52818221, -237.56016280, -1562.72253147),
    "EVE": (-1136.91026067, -1124.83185156, -234.14023506, -1540.26959288),
    "EEV": (-1139.33159866, -1132.80891923, -214.85037887, -1555.54164414),
    "VEV": (-1134.67920352, -1122.54939033, -186.07328340, -1532.47656394),
    "EVV": (-1135.76990394, -1125.66088640, -205.53588082, -1524.89209705),
    "VVV": (-1130.26396018, -1119.21397059, -180.18547713, -1496.03076184),
}

# mclust's axes of VVE are not the best for its responsibilities: its log-likelihood ends lower, and falls on the way.
MCLUST_VVE = (-1132.18744640, -1122.79684535, -215.24087034, -1525.06140677)


def from_labels(problem: str, name: str) -> tuple[float, Array]:
    """The log-likelihood where EM ends, and its changes."""
    X, labels = PROBLEMS[problem]
    kind, K = structure_of(name, "test"), int(labels.max()) + 1
    weight = np.bincount(labels).astype(np.float64)
    means = np.stack([X[labels == k].mean(axis=0) for k in range(K)])
    centered = [X[labels == k] - means[k] for k in range(K)]
    scatter = scatter_of(kind.form, centered, [np.ones(len(z)) for z in centered])
    statistics = GaussianStatistics.of(
        kind, means, weight, np.zeros(means.shape), scatter, float(len(X)), len(X), 0.0, taken_under=None
    )
    model = GaussianModel(K, X.shape[1], kind)
    result = iterate(model, X, model.m_step(statistics), tol=1e-13, max_iter=5000)
    assert result.converged
    return result.log_likelihood, np.diff([record.log_likelihood for record in result.history])


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", MCLUST)
def test_same_mode_as_mclust(problem: str, name: str) -> None:
    found, changes = from_labels(problem, name)
    # Eight digits after the point are given; steps that gain less than 1e-13 a row leave less than 1e-8.
    assert found == pytest.approx(MCLUST[name][list(PROBLEMS).index(problem)], abs=5e-8)
    assert (changes >= -1e-10).all()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_vve_ends_above_mclust(problem: str) -> None:
    found, changes = from_labels(problem, "VVE")
    assert found > MCLUST_VVE[list(PROBLEMS).index(problem)] + 0.05
    assert (changes >= -1e-10).all()
    # VVE lies between EVE or VEE, which it contains, and VVV, from the same labels.
    number = list(PROBLEMS).index(problem)
    assert max(MCLUST["EVE"][number], MCLUST["VEE"][number]) < found < MCLUST["VVV"][number]
