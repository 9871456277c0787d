"""Objects under the patch: what falls through to scikit-learn, pickles, and life inside scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import emix
from estimators.mixtures import X
from sklearn_patch.own_class import OWN, as_own

# What falls through


class EqualWeights:
    """A step of scikit-learn's class, overridden by code of others."""

    def _estimate_log_weights(self, *arguments: Any, **keywords: Any) -> NDArray[np.float64]:
        return np.full(3, -np.log(3.0))


def test_overridden_steps_fall_through_once_aloud(patched: Any) -> None:
    theirs, ours = (type("Equal", (EqualWeights, kind), {})(3, random_state=0) for kind in (OWN["class"], patched))
    theirs.fit(X)
    with pytest.warns(UserWarning, match="fell through to scikit-learn's .*: Equal overrides _estimate_log_weights"):
        ours.fit(X)
    np.testing.assert_array_equal(ours.means_, theirs.means_)
    # Warnings are errors in these tests: that nothing is said again is tested by these lines.
    np.testing.assert_array_equal(ours.score_samples(X), theirs.score_samples(X))
    ours.fit(X)
    # A method that emix has no part in is no reason.
    named = type("Named", (patched,), {"describe": lambda self: "mine"})(3, random_state=0).fit(X)
    np.testing.assert_array_equal(named.means_, patched(3, random_state=0).fit(X).means_)


def test_data_that_emix_refuses_fall_through_once_aloud(patched: Any) -> None:
    tiny = X * 1e-160
    with pytest.raises(ValueError, match="contains a column too small to fit"):
        emix.GaussianMixture(2).fit(tiny)
    with pytest.warns(
        UserWarning, match="fell through .* contains a column too small to fit: column 0 varies by"
    ) as said:
        found = patched(2, random_state=0).fit(tiny)
    assert len(said) == 1
    np.testing.assert_array_equal(found.covariances_, OWN["class"](2, random_state=0).fit(tiny).covariances_)
    patched(2, random_state=0).fit(tiny)
    emix.patch_sklearn()  # which is asked for anew: it is said again
    with pytest.warns(UserWarning, match="fell through"):
        patched(2, random_state=0).fit(tiny)


def test_parameters_that_are_no_mixture_fall_through_aloud(patched: Any) -> None:
    found = patched(3, random_state=0).fit(X)
    found.weights_ = 2.0 * found.weights_
    with pytest.warns(UserWarning, match=r"fell through .*: weights_ sum to 2, expected 1"):
        density = found.score_samples(X)
    np.testing.assert_array_equal(density, as_own(found).score_samples(X))


def test_refusal_of_both_is_an_error_and_no_warning(patched: Any) -> None:
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        patched(1, reg_covar=0.0).fit(np.ones((10, 2)))


# Pickle


def test_pickled_under_the_patch_loads_without_it(patched: Any, tmp_path: Path) -> None:
    single = X.astype(np.float32)
    types = ("full", "tied", "diag", "spherical")
    fits = [patched(3, covariance_type=kind, random_state=0).fit(single) for kind in types]
    for found, again in zip(fits, pickle.loads(pickle.dumps(fits))):
        assert type(again) is patched
        np.testing.assert_array_equal(again.score_samples(single), found.score_samples(single))
    (tmp_path / "models.pkl").write_bytes(pickle.dumps(fits))
    np.save(tmp_path / "rows.npy", single)
    code = (
        "import pickle, pathlib, sys\nimport numpy as np\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "fits, X = pickle.loads((folder / 'models.pkl').read_bytes()), np.load(folder / 'rows.npy')\n"
        "import sklearn.mixture\n"
        "assert sklearn.mixture.GaussianMixture.__module__.startswith('sklearn.')\n"
        "assert all(isinstance(gm, sklearn.mixture.GaussianMixture) for gm in fits)\n"
        "np.save(folder / 'densities.npy', [gm.score_samples(X) for gm in fits])\n"
        "np.save(folder / 'labels.npy', [gm.predict(X) for gm in fits])\n"
        "fits[0].set_params(warm_start=True).fit(X)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, method in (("densities", "score_samples"), ("labels", "predict")):
        expected = [getattr(found, method)(single) for found in fits]
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)


def test_objects_of_scikit_learn_are_pickled_and_loaded_under_the_patch() -> None:
    before = OWN["class"](3, random_state=0).fit(X)
    stored = pickle.dumps(before)
    emix.patch_sklearn()
    try:
        assert pickle.dumps(before) == stored
        again = pickle.loads(stored)
        assert isinstance(again, sklearn.mixture.GaussianMixture)
    finally:
        emix.unpatch_sklearn()
    np.testing.assert_array_equal(again.score_samples(X), before.score_samples(X))


def test_objects_made_under_the_patch_go_on_after_it() -> None:
    emix.patch_sklearn()
    try:
        found = sklearn.mixture.GaussianMixture(3, random_state=0).fit(X)
    finally:
        emix.unpatch_sklearn()
    before = found.score_samples(X)
    np.testing.assert_array_equal(found.fit(X).score_samples(X), before)
    np.testing.assert_array_equal(clone(found).fit(X).score_samples(X), before)


def test_exchange_with_mixtures_of_emix(patched: Any) -> None:
    ours = emix.GaussianMixture(3, random_state=0).fit(X)
    assert type(ours.to_sklearn()) is OWN["class"]
    found = patched(3, random_state=0).fit(X)
    back = emix.GaussianMixture.from_sklearn(found)
    np.testing.assert_array_equal(back.score_samples(X), found.score_samples(X))


# In scikit-learn


def test_pipeline_and_grid_search(patched: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), patched(random_state=0))
    search = GridSearchCV(
        pipeline, {"gaussianmixture__n_components": [1, 3]}, cv=KFold(3, shuffle=True, random_state=0)
    )
    search.fit(X)
    assert search.best_params_ == {"gaussianmixture__n_components": 3}
    assert search.predict(X).shape == (len(X),)


def test_every_check_of_scikit_learn(patched: Any) -> None:
    results = check_estimator(patched(), on_fail=None, on_skip=None)
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert failed == []
    assert len(results) > 40
