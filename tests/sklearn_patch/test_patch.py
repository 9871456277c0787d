"""emix.patch_sklearn: the class in the place of scikit-learn's, in code that is not ours."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import emix
from estimators.mixtures import X
from sklearn_patch.own_class import ARRAYS, OWN, as_own, each_of_four

# The exchange


def test_patch_and_unpatch() -> None:
    own = OWN["class"]
    emix.unpatch_sklearn()
    assert sklearn.mixture.GaussianMixture is own
    for _ in range(2):
        emix.patch_sklearn()
        assert sklearn.mixture.GaussianMixture is not own
        assert sklearn.mixture.GaussianMixture.__module__ == "emix.sklearn_patch.patched_mixture"
        assert sklearn.mixture.BayesianGaussianMixture.__module__.startswith("sklearn.")
    for _ in range(2):
        emix.unpatch_sklearn()
        assert sklearn.mixture.GaussianMixture is own


def test_modules_that_hold_the_class_already(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("code_of_others")
    exec("import sklearn.mixture\nfrom sklearn.mixture import GaussianMixture as GMM", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "no_module", object())  # such things stand there, too
    emix.patch_sklearn()
    try:
        assert module.GMM is sklearn.mixture.GaussianMixture is not OWN["class"]
        exec("from sklearn.mixture import GaussianMixture as Later", module.__dict__)
    finally:
        emix.unpatch_sklearn()
    assert module.GMM is module.Later is OWN["class"]


def test_code_of_others_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from sklearn.mixture import GaussianMixture\n"
        "def labels(X):\n"
        "    gm = GaussianMixture(2, random_state=0).fit(X)\n"
        "    return type(gm).__module__.split('.')[0], gm.predict(X).tolist()\n"
    )
    code = (
        "import emix\n{order}\nX = [[0.0], [0.1], [5.0], [5.1]]\nfor _ in range(2):\n"
        "    who, found = theirs.labels(X)\n"
        "    assert found[0] == found[1] != found[2] == found[3]\n"
        "    print(who)\n"
        "    emix.unpatch_sklearn()"
    )
    for order in ("emix.patch_sklearn(); import theirs", "import theirs; emix.patch_sklearn()"):
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code.format(order=order)}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "emix\nsklearn\n"


def test_without_scikit_learn_the_error_names_it() -> None:
    code = "import sys, emix; sys.modules['sklearn'] = None; emix.unpatch_sklearn(); emix.patch_sklearn()"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: patch_sklearn needs scikit-learn, which is not installed: pip install scikit-learn"


# The class


def test_signature_and_defaults_are_those_of_scikit_learn(patched: Any) -> None:
    assert inspect.signature(patched) == inspect.signature(OWN["class"])
    parameters = patched().get_params()
    assert parameters == OWN["class"]().get_params()
    assert (parameters["tol"], parameters["reg_covar"], parameters["max_iter"]) == (1e-3, 1e-6, 100)
    assert parameters["init_params"] == "kmeans"
    assert repr(patched(3, tol=0.1)) == repr(OWN["class"](3, tol=0.1)) == "GaussianMixture(n_components=3, tol=0.1)"
    assert type(clone(patched(2))) is patched
    public = {name for name in dir(OWN["class"]) if not name.startswith("_")}
    assert public == {name for name in dir(patched) if not name.startswith("_")}


class MadeBefore(OWN["class"]):  # type: ignore[misc]
    """A class of others that was there before the patch."""


def test_isinstance_holds_both_ways() -> None:
    own = OWN["class"]
    before, derived, other = own(2).fit(X), MadeBefore(2), sklearn.mixture.BayesianGaussianMixture(n_components=2)
    emix.patch_sklearn()
    try:
        patched = sklearn.mixture.GaussianMixture
        after = patched(2).fit(X)
    finally:
        emix.unpatch_sklearn()
    for kind in (own, patched):
        assert isinstance(before, kind) and isinstance(after, kind) and isinstance(derived, kind)
        assert issubclass(own, kind) and issubclass(patched, kind) and issubclass(MadeBefore, kind)
        assert not isinstance(other, kind) and not isinstance(emix.GaussianMixture(), kind)

    class OfPatched(patched):  # type: ignore[misc,valid-type]
        pass

    assert isinstance(OfPatched(), own) and isinstance(OfPatched(), patched)
    assert not isinstance(before, OfPatched) and not issubclass(own, OfPatched)


def test_code_from_before_the_patch_that_names_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("derived_before")
    exec(
        "from sklearn.mixture import GaussianMixture\n"
        "class Old(GaussianMixture):\n"
        "    def __init__(self, n_components=1, random_state=None):\n"
        "        GaussianMixture.__init__(self, n_components, covariance_type='diag', random_state=random_state)\n"
        "    def fit_predict(self, X, y=None):\n"
        "        return GaussianMixture.fit_predict(self, X)\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    expected, own = module.Old(2, random_state=0).fit(X), OWN["class"](2, random_state=0).fit(X)
    emix.patch_sklearn()
    try:
        new = sklearn.mixture.GaussianMixture
        assert module.GaussianMixture is new
        found = module.Old(2, random_state=0).fit(X)
        np.testing.assert_array_equal(found.covariances_, expected.covariances_)
        np.testing.assert_array_equal(module.Old(2, random_state=0).fit_predict(X), expected.predict(X))
        for method in ("predict", "predict_proba", "score_samples", "bic"):
            np.testing.assert_array_equal(getattr(new, method)(own, X), getattr(own, method)(X))
        again = OWN["class"](2, random_state=0)
        assert new.fit(again, X) is again
        np.testing.assert_array_equal(again.means_, own.means_)
    finally:
        emix.unpatch_sklearn()


def test_a_derived_class_may_set_parameters_by_itself(patched: Any) -> None:
    class Diagonal(patched):  # type: ignore[misc,valid-type]
        def __init__(self, n_components: int = 1) -> None:
            super().__init__(n_components, covariance_type="diag", max_iter=1, random_state=0)

    with pytest.warns(ConvergenceWarning):
        found = Diagonal(2).fit(X)
    assert found.covariances_.shape == (2, X.shape[1]) and found.n_iter_ == 1
    with pytest.warns(ConvergenceWarning):
        same = patched(2, covariance_type="diag", max_iter=1, random_state=0).fit(X)
    np.testing.assert_array_equal(found.score_samples(X), same.score_samples(X))


@each_of_four
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_attributes_have_the_names_and_shapes_of_scikit_learn(patched: Any, covariance_type: str, dtype: type) -> None:
    rows = X.astype(dtype)
    settings = {"n_components": 3, "covariance_type": covariance_type, "random_state": 0}
    theirs, ours = OWN["class"](**settings).fit(rows), patched(**settings).fit(rows)
    # scikit-learn has lower_bounds_, and attributes in single precision, from 1.7 on.
    assert {name for name in vars(ours) if not name.startswith("_")} == {*vars(theirs), "lower_bounds_"}
    for name, value in vars(theirs).items():
        found = getattr(ours, name)
        # lower_bound_ has double precision for rows of single precision, too.
        kind = float if isinstance(value, np.floating) else type(value)
        assert isinstance(found, kind), name
        if isinstance(value, np.ndarray):
            assert (found.shape, found.dtype, found.flags.writeable) == (value.shape, dtype, True)
    assert len(ours.lower_bounds_) == ours.n_iter_
    # `score` sums log-densities that single precision rounds by 6e-8 of each.
    assert ours.lower_bound_ == ours.lower_bounds_[-1] == pytest.approx(ours.score(rows), rel=1e-6)


@each_of_four
def test_fit_is_that_of_emix(patched: Any, covariance_type: str) -> None:
    settings = {"n_components": 3, "covariance_type": covariance_type, "random_state": 0, "n_init": 2}
    ours = patched(**settings)
    labels = ours.fit_predict(X)
    same = emix.GaussianMixture(**{**ours.get_params(), **settings}).fit(X)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(same, name))
    np.testing.assert_array_equal(ours.score_samples(X), same.score_samples(X))
    np.testing.assert_array_equal(labels, same.predict(X))
    assert (ours.n_iter_, ours.lower_bound_) == (same.n_iter_, same.lower_bound_)


@each_of_four
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scores_are_those_of_scikit_learn(patched: Any, covariance_type: str, dtype: type) -> None:
    rows = X.astype(dtype)
    ours = patched(3, covariance_type=covariance_type, random_state=0).fit(rows)
    theirs = as_own(ours)
    tolerance = 1e-4 if dtype is np.float32 else 1e-11  # scikit-learn's own rounding
    assert ours.score_samples(rows).dtype == ours.predict_proba(rows).dtype == dtype
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=tolerance)
    np.testing.assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))
    for criterion in ("bic", "aic", "score"):
        found, expected = getattr(ours, criterion)(rows), getattr(theirs, criterion)(rows)
        assert found == pytest.approx(expected, rel=1e-5 if dtype is np.float32 else 1e-12)
    for found, expected in zip(ours.set_params(random_state=4).sample(9), theirs.set_params(random_state=4).sample(9)):
        np.testing.assert_array_equal(found, expected)
    integers = np.arange(12).reshape(4, 3)
    np.testing.assert_array_equal(ours.score_samples(integers), ours.score_samples(integers.astype(float)))


def test_data_that_scikit_learn_cannot_fit(patched: Any) -> None:
    far = X + 1e8
    found = patched(3, covariance_type="diag", random_state=0).fit(far)
    near = patched(3, covariance_type="diag", random_state=0).fit(far - 1e8)
    # Both are fits of the same rounded rows. Means near 1e8 are rounded to 1.5e-8, beside deviations near 1.
    np.testing.assert_allclose(found.covariances_, near.covariances_, rtol=1e-7)
    # Responsibilities of one row are divided by their sum: the rounding of two numbers.
    np.testing.assert_allclose(patched(2).fit(X).predict_proba([[1e160] * 3]).sum(), 1.0, rtol=1e-15)


def test_warm_start_goes_on(patched: Any) -> None:
    settings = {"n_components": 3, "init_params": "random", "random_state": 0, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = patched(**settings, max_iter=6).fit(X)
        parts = patched(**settings, max_iter=3, warm_start=True).fit(X)
        first = parts.lower_bound_
        parts.fit(X)
    assert parts.lower_bound_ > first
    np.testing.assert_array_equal(parts.means_, whole.means_)


def test_only_the_warning_of_scikit_learn_is_given(patched: Any) -> None:
    with pytest.warns(ConvergenceWarning, match="Best performing initialization did not converge") as found:
        patched(3, max_iter=1, random_state=0).fit(X)
    assert len(found) == 1
    # emix.GaussianMixture says of these that all are equal, and of those that a component collapsed.
    patched(2, random_state=0).fit(np.ones((20, 2)))
    patched(3, random_state=0).fit(np.vstack([X, np.full((2, 3), 100.0)]))


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"n_components": 0}, X),
        ({"covariance_type": "VEV"}, X),
        ({"init_params": "auto"}, X),
        ({"reg_covar": "auto"}, X),
        ({"tol": -1.0}, X),
        ({"n_components": 5}, X[:4]),
        ({}, X[:1]),
        ({}, X[:, 0]),
        ({}, np.full((4, 2), np.nan)),
        ({"n_components": 2, "means_init": np.zeros((3, 3))}, X),
        ({"n_components": 2, "weights_init": [0.5, 0.6]}, X),
        ({"n_components": 1, "precisions_init": -np.ones((1, 3, 3))}, X),
    ],
    ids=str,
)
def test_errors_are_those_of_scikit_learn(patched: Any, settings: dict[str, Any], rows: NDArray[Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as expected:
        OWN["class"](**settings).fit(rows)
    with pytest.raises(type(expected.value)) as found:
        patched(**settings).fit(rows)
    assert str(found.value) == str(expected.value)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic"):
        with pytest.raises(sklearn.exceptions.NotFittedError):
            getattr(patched(), method)(X)


def test_names_of_columns(patched: Any) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    found = patched(2, random_state=0).fit(frame)
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="The feature names should match"):
        found.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found.predict(X)


# Attributes that are changed


def test_arrays_may_be_changed(patched: Any) -> None:
    found = patched(3, random_state=0).fit(X)
    before = found.score_samples(X)
    # scikit-learn's own rounding, here and below.
    found.means_[0] += 1.0
    np.testing.assert_allclose(found.score_samples(X), as_own(found).score_samples(X), rtol=1e-11)
    assert not np.array_equal(found.score_samples(X), before)
    found.means_[0] -= 1.0
    found.precisions_cholesky_ = 2.0 * found.precisions_cholesky_
    np.testing.assert_allclose(found.score_samples(X), as_own(found).score_samples(X), rtol=1e-11)


def test_scoring_changes_nothing(patched: Any) -> None:
    found = patched(3, random_state=0).fit(X)
    before = pickle.dumps(found)
    found.predict(X), found.score_samples(X), found.predict_proba(X), found.bic(X)
    assert pickle.dumps(found) == before
