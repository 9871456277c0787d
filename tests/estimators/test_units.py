"""Units of columns and of weights do not matter; what stands in the way of a covariance is said, not hidden."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from emix import ConvergenceWarning, GaussianMixture
from emix.gaussian.structures import STRUCTURES
from gaussian.shared_parts import SHARING

Array = NDArray[np.float64]

each_structure = pytest.mark.parametrize("structure", STRUCTURES)

IRIS = load_iris().data


def quiet_fit(X: Any, K: int, weight: Any = None, **settings: Any) -> GaussianMixture:
    """A fit whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(K, **{"random_state": 0, **settings}).fit(X, sample_weight=weight)


def blobs(n: int = 200, d: int = 3, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return 4.0 * rng.normal(size=(3, d))[np.repeat(np.arange(3), n)] + rng.normal(size=(3 * n, d))


# The scale of columns


def test_groups_on_a_map_in_metres_and_in_degrees() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 200)
    metres = np.array([[0.0, 0.0], [150.0, 50.0], [-100.0, 350.0]])[truth] + rng.normal(0.0, 15.0, (600, 2))
    degrees = np.array([48.0, 11.0]) + metres[:, ::-1] / [111_320.0, 74_500.0]
    for X in (metres, degrees):
        found = GaussianMixture(3, random_state=0).fit(X).predict(X)
        assert adjusted_rand_score(truth, found) == 1.0
    # A number that swamps the data is no longer silent.
    frame = pd.DataFrame(degrees, columns=["lat", "lon"])
    with pytest.warns(UserWarning, match=r"reg_covar=1e-06 is more than 1 % .* in columns 'lat', 'lon'"):
        swamped = GaussianMixture(3, reg_covar=1e-6, random_state=0).fit(frame)
    assert swamped.columns_in_doubt_.swamped == (0, 1)
    assert adjusted_rand_score(truth, swamped.predict(frame)) < 0.7


@each_structure
@pytest.mark.parametrize("unit", [1e-17, 1e-6, 1e12, (1e-17, 1.0, 1e12), (1e-7, 1e7, 1.0)], ids=str)
def test_units_change_nothing(structure: str, unit: Any) -> None:
    if STRUCTURES[structure].mixes_columns and isinstance(unit, tuple):
        unit = unit[0]  # it knows one unit for all columns
    X, units = blobs(), np.broadcast_to(unit, 3)
    plain, moved = (GaussianMixture(3, covariance_type=structure, random_state=0).fit(rows) for rows in (X, X * units))
    assert moved.n_iter_ == plain.n_iter_
    # To what rounding of the rows in their new unit does in an EM that has converged to 1e-6.
    np.testing.assert_allclose(moved.weights_, plain.weights_, rtol=1e-9)
    np.testing.assert_allclose(moved.means_ / units, plain.means_, rtol=1e-9, atol=1e-9)
    form = STRUCTURES[structure].form
    scale = form.from_pooled(np.outer(units, units), 3) if not form.is_shared else np.outer(units, units)
    np.testing.assert_allclose(moved.covariances_ / scale, plain.covariances_, rtol=1e-9, atol=1e-9)
    # A density is one over the units.
    shift = len(X) * np.log(units).sum()
    assert moved.log_likelihood_ + shift == pytest.approx(plain.log_likelihood_, rel=1e-10)


@each_structure
def test_groups_far_apart_keep_their_own_width(structure: str) -> None:
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(place, 1.0, (300, 1)) for place in (0.0, 1e4, 1e6)])
    gm = GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    np.testing.assert_allclose(np.sort(gm.means_.ravel()), [0.0, 1e4, 1e6], rtol=0, atol=0.3)  # 5 standard errors
    # 300 rows: a standard deviation errs by 4 %, 5 of which are 20.
    np.testing.assert_allclose(np.sqrt(gm.covariances_.ravel()), 1.0, rtol=0.2)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])  # one covariance cannot hold both
def test_a_narrow_group_inside_a_wide_one_keeps_its_variance(structure: str) -> None:
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(0.0, 1000.0, (1000, 1)), rng.normal(0.0, 1.0, (1000, 1))])
    auto, exact = (
        quiet_fit(X, 2, covariance_type=structure, reg_covar=reg_covar, tol=1e-10) for reg_covar in ("auto", 0.0)
    )
    assert auto.covariances_.min() == pytest.approx(exact.covariances_.min(), rel=0.01)
    assert exact.covariances_.min() == pytest.approx(1.0, rel=0.25)  # 1 000 rows, 5 standard errors


def test_single_precision_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 300)
    X = np.array([[0.0, 0.0], [60.0, 0.0], [0.0, 80.0]])[truth] + rng.normal(0.0, 5.0, (900, 2)) + 5e6
    double, single = (GaussianMixture(3, random_state=0).fit(rows) for rows in (X, X.astype(np.float32)))
    assert adjusted_rand_score(truth, single.predict(X.astype(np.float32))) == 1.0
    # Rows are rounded to 0.5: a variance of 0.02 more, and as much again from the ridge.
    np.testing.assert_allclose(single.covariances_, double.covariances_, rtol=0, atol=0.5)


@each_structure
@pytest.mark.parametrize("unit", [1e-17, 1.0, 1e12])
def test_a_column_of_zeros(structure: str, unit: float) -> None:
    X = blobs() * unit
    with pytest.warns(UserWarning, match="Column 1 is constant"):
        gm = GaussianMixture(3, covariance_type=structure, random_state=0).fit(np.insert(X, 1, 0.0, axis=1))
    assert gm.columns_in_doubt_.constant == (1,)
    assert not gm.runs_[0].degenerate
    if STRUCTURES[structure].mixes_columns:  # a quarter of its variance is that of zeros
        return
    if structure in ("VEI", "EVI", "VEE", "EVV"):  # one variance more that is the same, so that volumes are more alike
        return
    alone = GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    np.testing.assert_allclose(np.delete(gm.means_, 1, axis=1), alone.means_, rtol=1e-9)
    np.testing.assert_array_equal(gm.means_[:, 1], 0.0)


@each_structure
def test_one_outlier_among_many_rows(structure: str) -> None:
    X = np.random.default_rng(3).normal(size=(1000, 2))
    X[7] = 1e6
    kind = STRUCTURES[structure]
    if kind.is_common:  # there is no covariance of one row
        gm = GaussianMixture(2, covariance_type=structure, random_state=0).fit(X)
    else:
        with pytest.warns(ConvergenceWarning, match="component 1 holds 1 row, too few for its covariance"):
            gm = GaussianMixture(2, covariance_type=structure, init_params="kmeans", random_state=0).fit(X)
    rest = np.delete(X, 7, axis=0)
    np.testing.assert_allclose(gm.weights_, [0.999, 0.001], rtol=1e-12)
    own = kind.form.to_full(np.asarray(gm.covariances_), 2, 2)[0]
    expected = kind.form.to_full(kind.form.from_pooled(np.cov(rest.T, bias=True), 2), 2, 2)[0]
    # 999 of 1 000 rows make a common covariance; the ridge is 1e-8 of it, and 1e-14 of the outlier's share, 1e-5.
    # Where a part is shared, a thousandth of it is the outlier's.
    rtol = 2e-3 if structure in SHARING else 1e-4
    np.testing.assert_allclose(own, expected * (0.999 if kind.is_common else 1.0), rtol=rtol)


@each_structure
@pytest.mark.parametrize(
    "X",
    [np.ones((1, 2)), np.ones((50, 2)), np.full((50, 2), -7.3e100), np.insert(blobs(20, 1), 0, 5.0, axis=1)],
    ids=["one row", "equal rows", "equal far rows", "constant column"],
)
def test_rows_that_do_not_vary_still_fit(structure: str, X: Array) -> None:
    gm = quiet_fit(X, 1, covariance_type=structure)
    np.testing.assert_allclose(gm.means_, X.mean(axis=0)[np.newaxis], rtol=1e-14)
    assert np.isfinite(gm.score_samples(X)).all()


def test_columns_of_scales_1e14_apart_do_not_seem_to_fall() -> None:
    """With a number for reg_covar that is much to one of them and nothing to the other."""
    X = blobs() * [1e-7, 1e7, 1.0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(10):
            GaussianMixture(4, reg_covar=1e-6, random_state=seed, tol=1e-9).fit(X)
    assert not [warning for warning in caught if "fell" in str(warning.message)]


@each_structure
def test_precisions_beyond_the_dtype_are_said_to_be_infinite(structure: str) -> None:
    # Groups 1e-150 apart whose variances are some 1e-310
    X = np.repeat(np.arange(3.0), 200)[:, np.newaxis] * 1e5 + np.random.default_rng(0).normal(size=(600, 3))
    text = "precisions_ is infinite in places: the inverse of a variance below 5.6e-309 is beyond float64."
    with pytest.warns(UserWarning, match=text):
        gm = GaussianMixture(3, covariance_type=structure, random_state=0, reg_covar=0.0).fit(X * 1e-155)
    assert np.isinf(gm.precisions_).any()
    plain = GaussianMixture(3, covariance_type=structure, random_state=0, reg_covar=0.0).fit(X)
    # 1e-310 has some 14 digits fewer than 1: its numbers are 5e-324 apart.
    np.testing.assert_allclose(gm.covariances_, plain.covariances_ * 1e-310, rtol=1e-9, atol=1e-321)
    np.testing.assert_array_equal(gm.predict(X * 1e-155), plain.predict(X))


@pytest.mark.parametrize("K", [1, 2, 3])
@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize("kind", ["shares", "powers", "sums"])
def test_dependent_columns_in_single_precision_still_fit(kind: str, structure: str, K: int) -> None:
    """Sums of single precision err by more than 1e-8 of a variance: their matrices may have negative eigenvalues."""
    rng = np.random.default_rng(0)
    if kind == "shares":
        X = rng.dirichlet([5.0] * 4, 2000)
    elif kind == "powers":
        X = np.linspace(0.0, 1.0, 3000)[:, np.newaxis] ** np.arange(1, 9)
    else:
        X = rng.normal(size=(1000, 3)) + 3.0 * rng.integers(3, size=(1000, 1))
        X = np.column_stack([X, X @ rng.normal(size=(3, 2))])
    gm = quiet_fit(X.astype(np.float32), K, covariance_type=structure)
    assert np.isfinite(gm.score_samples(X.astype(np.float32))).all()


@each_structure
@pytest.mark.parametrize("value", [1e-20, 1e-32, float(np.finfo(np.float32).tiny)])
def test_small_constants_in_single_precision_still_fit(structure: str, value: float) -> None:
    X = np.insert(blobs(), 1, value, axis=1).astype(np.float32)
    gm = quiet_fit(X, 3, covariance_type=structure)
    assert gm.columns_in_doubt_.constant == (1,)
    np.testing.assert_allclose(gm.means_[:, 1], np.float32(value), rtol=1e-6)


def test_given_parameters_whose_precisions_are_infinite_are_said_so() -> None:
    for structure, covariances in (
        ("full", [[[1e-310]]]),
        ("tied", [[1e-310]]),
        ("diag", [[1e-310]]),
        ("spherical", [1e-310]),
        ("EEI", [[1e-310]]),
        ("EII", [1e-310]),
    ):
        with pytest.warns(UserWarning, match="precisions_ is infinite in places"):
            gm = GaussianMixture.from_parameters([1.0], [[0.0]], covariances, structure)
        assert np.isfinite(gm.score([[0.0]]))


# The unit of weights


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_a_power_of_two_in_all_weights_changes_no_bit(structure: str, dtype: str, init_params: str) -> None:
    X = (IRIS * (1e-5 if dtype == "float64" else 1.0)).astype(dtype)
    weight = np.random.default_rng(0).integers(1, 8, len(X)).astype(np.float64)
    settings = {"covariance_type": structure, "init_params": init_params}
    plain = quiet_fit(X, 3, weight, **settings)
    for power in (-1074, -1000, -40, -20, -3, 5, 40, 1000):
        unit = 2.0**power
        moved = quiet_fit(X, 3, weight * unit, **settings)
        for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
            np.testing.assert_array_equal(getattr(moved, name), getattr(plain, name), err_msg=f"{power}")
        assert moved.n_iter_ == plain.n_iter_
        assert moved.total_weight_ == unit * plain.total_weight_
        # Of subnormal numbers few bits are left.
        assert moved.log_likelihood_ == pytest.approx(unit * plain.log_likelihood_, rel=1e-15, abs=2.0**-1074)
        assert [run.n_iter for run in moved.runs_] == [plain.n_iter_]


def test_a_total_that_overflows_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"the sum overflows\. Divide sample_weight by its largest value"):
        quiet_fit(blobs(), 3, np.full(600, 1e305))


def test_means_of_log_likelihoods_do_not_depend_on_the_unit() -> None:
    X = blobs()
    plain, moved = (quiet_fit(X, 3, np.full(600, unit)) for unit in (1.0, 5e-324))
    assert moved.lower_bound_ == plain.lower_bound_
    assert moved.lower_bounds_ == plain.lower_bounds_


def test_rows_of_a_run_that_raised_are_counted_without_the_unit_of_weights() -> None:
    X = np.concatenate([np.zeros((3, 1)), np.random.default_rng(0).normal(9.0, 1.0, (60, 1))])
    gm = quiet_fit(X, 2, np.full(63, 100.0), reg_covar=0.0, n_init=40, init_params="random_from_data", max_iter=2)
    rows = {run.effective_rows for run in gm.runs_ if run.log_likelihood is None}
    assert rows
    assert all(number == pytest.approx(3.0, abs=1e-6) for number in rows)


# Collapses that the ridge holds up


def test_a_component_on_equal_petal_widths_is_set_aside() -> None:
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    frame = pd.DataFrame(IRIS, columns=names)
    gm = GaussianMixture(6, n_init=20, init_params="kmeans", random_state=0).fit(frame)
    [collapsed] = [run for run in gm.runs_ if run.column is not None]
    assert collapsed.degenerate and not collapsed.chosen
    assert collapsed.effective_rows == pytest.approx(29.0, abs=0.01)  # others have a small part in them
    assert collapsed.message == (
        f"component {collapsed.component} has collapsed: its rows have one value in column 'petal width', but for "
        "rounding; it holds 29 rows"
    )
    assert gm.bic(frame) > 700.0
    # As R's mclust has it, full covariances of two components: −574.0178 (their sign is the other way round).
    sweep = [GaussianMixture(K, n_init=20, random_state=0).fit(frame).bic(frame) for K in (1, 2, 3)]
    assert min(sweep) == sweep[1] == pytest.approx(574.0178, abs=1e-3)


def five_point_answers(seed: int = 0) -> Array:
    """Answers from 1 to 5 of two groups of people to six questions."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1], 150)
    attitude = np.where(group[:, np.newaxis] == 0, 2.2, 3.9) + 0.75 * rng.normal(size=(300, 6))
    return np.clip(np.round(attitude), 1.0, 5.0)


def test_answers_on_five_point_scales_are_judged_alike_in_every_unit() -> None:
    X = five_point_answers()
    chosen = []
    for unit in (1.0, 1000.0):
        fits = [quiet_fit(X * unit, K, n_init=10) for K in range(1, 7)]
        sound = [K for K, gm in enumerate(fits, 1) if not all(run.degenerate for run in gm.runs_)]
        bic = {K: fits[K - 1].bic(X * unit) for K in sound}
        chosen.append(min(bic, key=lambda K: bic[K]))
    assert chosen == [2, 2]


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_zeros_and_ones_collapse_all_components_at_once(structure: str) -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=400), np.repeat([0.0, 1.0], 200)])
    with pytest.warns(ConvergenceWarning, match=r"component \d has collapsed: its rows have one value in column 1"):
        gm = GaussianMixture(2, covariance_type=structure, init_params="kmeans", random_state=0).fit(X)
    assert gm.runs_[0].degenerate
    assert gm.runs_[0].column == 1
    assert gm.runs_[0].effective_rows == pytest.approx(200.0)


def test_advice_for_one_component_is_not_to_start_it_again() -> None:
    X = np.random.default_rng(0).normal(size=(4, 2))
    with pytest.warns(ConvergenceWarning) as caught:
        GaussianMixture(1).fit(X)
    [message] = [str(warning.message) for warning in caught]
    assert "component 0 holds 4 rows, too few for its covariance: 4 or less" in message
    assert message.endswith("pass more rows or choose a covariance_type with fewer parameters.")
    with pytest.warns(ConvergenceWarning, match="says little about the data: pass more rows.$"):
        GaussianMixture(1, covariance_type="spherical").fit(X[:2])
