"""Model files that emix 0.1.0 wrote load, hold what they held, and score the same bits.

written_by_0_1/make.py made them.
"""

from __future__ import annotations

import json
import platform
import warnings
from pathlib import Path

import numpy as np
import pytest

from emix import GaussianMixture
from emix.estimators.fit_state import parameters_of
from emix.kernel.level import level_in_use

FOLDER = Path(__file__).parent / "written_by_0_1"
# Halves and quarters: the rows are the same in float32.
ROWS = np.array([[0.25, -1.5], [3.0, 0.5], [7.25, 0.75], [-2.0, 9.0], [40.0, -40.0]])
SCORES = json.loads((FOLDER / "scores.json").read_text())
STRUCTURES = ("full", "tied", "diag", "spherical")
FILES = sorted(path.stem for path in FOLDER.glob("*.npz"))
# The bits are those of a level and a build. Another compiler may contract products and sums elsewhere.
SAME_BUILD = platform.system() == "Linux" and platform.machine() == "x86_64"


def load(name: str) -> GaussianMixture:
    return GaussianMixture.load(FOLDER / f"{name}.npz")


def test_each_structure_and_dtype_is_there() -> None:
    assert {f"{structure}_{dtype}" for structure in STRUCTURES for dtype in ("float64", "float32")} <= set(FILES)
    assert {"failed_runs", "given_start", "given_parameters"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_scores_have_the_same_bits(name: str) -> None:
    gm = load(name)
    rows = ROWS.astype(gm.means_.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        found = [gm.score_samples(rows), gm.predict_proba(rows)]
    for part, bits in zip(found, SCORES.get(level_in_use, SCORES["baseline"])[name], strict=True):
        expected = np.array([float.fromhex(text) for text in bits]).astype(part.dtype)
        if SAME_BUILD:
            assert part.ravel().tolist() == expected.tolist()
        else:
            # Some rounding steps of float64 or float32; the smallest responsibility is exp(-1000) and more relative.
            tolerance = 1e-11 if part.dtype == np.float64 else 1e-5
            np.testing.assert_allclose(part.ravel(), expected, rtol=tolerance, atol=1e-30)


@pytest.mark.parametrize("name", FILES)
def test_parameters_are_those_that_numpy_reads(name: str) -> None:
    gm = load(name)
    parameters = parameters_of(vars(gm))
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        for key in ("weights", "means", "covariances", "whitening", "log_det_whitening"):
            np.testing.assert_array_equal(getattr(parameters, key), archive[key])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_fit_is_whole(structure: str, dtype: str) -> None:
    gm = load(f"{structure}_{dtype}")
    assert gm.covariance_type == structure
    assert gm.means_.dtype == gm.covariances_.dtype == gm.precisions_cholesky_.dtype == dtype
    assert list(gm.feature_names_in_) == ["length, cm", "Öffnung"]
    expected = {
        "n_components": 2,
        "covariance_type": structure,
        "tol": 1e-3,
        "reg_covar": 1e-6,  # what it was, whatever the default has become since
        "max_iter": 1000,
        "n_init": 2,
        "init_params": "kmeans",
        "weights_init": None,
        "means_init": None,
        "precisions_init": None,
        "random_state": 3,
        "warm_start": False,
        "verbose": 0,
        "verbose_interval": 10,
        "n_threads": None,
    }
    assert gm.get_params().items() >= expected.items()
    assert gm.total_weight_ == 90.0  # 20 times 0.5 + 1 + 2 + 1
    assert gm.lower_bound_ == gm.log_likelihood_ / 90.0 == gm.lower_bounds_[-1]
    assert gm.converged_ is True and gm.stopped_by_ == "log_likelihood"
    assert [run.run for run in gm.runs_] == [0, 1] and sum(run.chosen for run in gm.runs_) == 1
    assert all(type(run.n_iter) is int and type(run.converged) is bool for run in gm.runs_)
    assert gm.n_iter_ == next(run.n_iter for run in gm.runs_ if run.chosen)
    assert [record.log_likelihood / 90.0 for record in gm.history_ if record.accepted] == gm.lower_bounds_
    assert np.isnan(gm.history_[0].change)


def test_runs_that_did_not_end_have_no_log_likelihood() -> None:
    runs = load("failed_runs").runs_
    assert len(runs) == 10
    failed = [run for run in runs if run.log_likelihood is None]
    assert failed and all(run.degenerate and run.message for run in failed)


def test_starts_and_given_parameters_are_kept() -> None:
    gm = load("given_start")
    assert gm.means_init.tolist() == [[0, 0], [5, 0]] and gm.means_init.dtype == np.int64
    assert gm.weights_init.tolist() == [0.5, 0.5]
    given = load("given_parameters")
    assert not hasattr(given, "log_likelihood_") and not hasattr(given, "feature_names_in_")
    assert given.covariances_.tolist() == [1.0, 2.0]
