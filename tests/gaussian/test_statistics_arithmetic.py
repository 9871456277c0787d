"""Statistics without a part of their rows, of other weights, blended: what remains is the statistics of some rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from gaussian.examples import Array, clusters, each_structure, start

N, D, K = 900, 3, 3
X = clusters(N, D, K)
WEIGHT = np.random.default_rng(5).uniform(0.5, 2.0, N)


def taken(X: Array, theta: GaussianParameters, weight: Array | None = None) -> GaussianStatistics:
    model = GaussianModel(*theta.means.shape, theta.structure)
    return model.e_step(X if weight is None else (X, weight), theta)[0]


def assert_close(
    found: GaussianStatistics, expected: GaussianStatistics, scale: GaussianStatistics, rtol: float
) -> None:
    """Sums agree relative to the largest of `scale`."""
    found, scale = found.recentered(expected.center), scale.recentered(expected.center)
    for name in ("weight", "shift", "scatter", "total_weight", "log_likelihood"):
        a, b, of = (np.asarray(getattr(one, name)) for one in (found, expected, scale))
        np.testing.assert_allclose(a, b, rtol=0.0, atol=rtol * np.abs(of).max(), err_msg=name)
    assert found.n_rows == expected.n_rows


# Subtraction


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_whole_without_a_part_is_the_rest(structure: str, dtype: str) -> None:
    rows = X.astype(dtype)
    theta = start(structure, X, K)
    whole, part, rest = (taken(rows[s], theta, WEIGHT[s]) for s in (slice(N), slice(400), slice(400, N)))
    left = whole - part
    # The order of 900 terms; in single precision rows are taken about other centres, which are rounded.
    assert_close(left, rest, whole, 1e-12 if dtype == "float64" else 1e-6)
    assert left.digest == whole.digest
    assert left.columns is whole.columns
    assert_close(left + part, whole, whole, 1e-12 if dtype == "float64" else 1e-6)


@each_structure
def test_without_all_rows_nothing_is_left(structure: str) -> None:
    theta = start(structure, X, K)
    whole = taken(X, theta)
    # Sums in another order: the difference is rounding, and counts as nothing.
    nothing = (taken(X[:300], theta) + taken(X[300:], theta)) - whole
    assert nothing.n_rows == nothing.total_weight == 0
    assert not nothing.weight.any() and not nothing.shift.any()
    assert_close(nothing + whole, whole, whole, 1e-12)


@each_structure
def test_one_row_may_be_left(structure: str) -> None:
    theta = start(structure, X, K)
    whole, rest = taken(X, theta), taken(X[-1:], theta)
    assert_close(whole - taken(X[:-1], theta), rest, whole, 1e-12)


@each_structure
@pytest.mark.parametrize("power", [-1000, 900])
def test_differences_of_extreme_weights(structure: str, power: int) -> None:
    theta, unit = start(structure, X, K), 2.0**power
    parts = [taken(X[s], theta, unit * WEIGHT[s]) for s in (slice(N), slice(400), slice(400, N))]
    left = parts[0] - parts[1]
    assert left.unit == unit
    np.testing.assert_allclose(left.weight / unit, parts[2].weight / unit, rtol=1e-11)  # the order of 900 terms


def test_rows_that_are_no_part_are_refused_by_their_number() -> None:
    theta = start("full", X, K)
    with pytest.raises(ValueError, match=r"statistics of 900 rows cannot be subtracted from those of 400: "):
        taken(X[:400], theta) - taken(X, theta)


@each_structure
def test_rows_that_are_no_part_are_refused_by_their_weight(structure: str) -> None:
    theta = start(structure, X, K)
    with pytest.raises(ValueError, match=r"The weight of component \d would be -\d\S*, of \d\S* before"):
        taken(X, theta) - taken(X[::3], theta).scaled(2.999)  # of equal total, but not of each component
    with pytest.raises(ValueError, match=r"The total weight would be -300, of 900 before"):
        taken(X, theta) - taken(X[:300], theta).scaled(4.0)


@each_structure
def test_a_weight_below_zero_by_rounding_is_clipped(structure: str) -> None:
    theta = start(structure, X, K)
    whole = taken(X, theta)
    left = whole - whole.scaled(1.0 + 1e-10)  # within 1e-9, as the documentation says
    assert (left.weight == 0.0).all() and left.total_weight == 0.0
    with pytest.raises(ValueError, match="The total weight would be"):
        whole - whole.scaled(1.0 + 1e-8)


@each_structure
def test_rows_that_are_no_part_are_refused_by_their_scatter(structure: str) -> None:
    """Fewer rows, of fewer weight, that are wider than all."""
    rng = np.random.default_rng(0)
    theta = start(structure, X, 1)
    whole, wide = taken(rng.normal(size=(100, D)), theta), taken(5.0 * rng.normal(size=(50, D)), theta)
    which = "The common scatter" if theta.structure.form.is_shared else "The scatter of component 0"
    with pytest.raises(ValueError, match=f"{which} would not be positive definite: .* the eigenvalue -"):
        whole - wide


def test_units_do_not_matter_to_the_scatter_left() -> None:
    theta = start("full", X, 1)
    units = np.array([1e-140, 1.0, 1e140])
    moved = GaussianParameters.of(
        theta.structure, theta.weights, theta.means * units, theta.covariances * units * units[:, np.newaxis]
    )
    left = taken(X * units, moved) - taken(X[:500] * units, moved)
    assert left.n_rows == 400


def test_subtraction_refuses_other_parameters_structures_shapes_and_types() -> None:
    a = taken(X, start("full", X, K))
    with pytest.raises(ValueError, match="statistics taken under different parameters cannot be subtracted"):
        a - taken(X[:9], start("full", X, K, seed=1))
    with pytest.raises(ValueError, match="for the structures 'full' and 'diag' cannot be subtracted"):
        a - taken(X[:9], start("diag", X, K))
    with pytest.raises(ValueError, match=r"centers of shape \(3, 3\) and \(2, 3\) cannot be subtracted"):
        a - taken(X[:9], start("full", X, 2))
    anything: Any = a
    with pytest.raises(TypeError):
        anything - 1


def test_addition_refuses_other_shapes() -> None:
    a, b = (replace(taken(X, start("full", X, k)), taken_under=None) for k in (2, 3))
    with pytest.raises(ValueError, match=r"centers of shape \(2, 3\) and \(3, 3\) cannot be added"):
        a + b


def test_sum_of_a_list() -> None:
    theta = start("full", X, K)
    parts = [taken(X[first : first + 300], theta) for first in (0, 300, 600)]
    total: Any = sum(parts)
    np.testing.assert_array_equal(total.packed, (parts[0] + parts[1] + parts[2]).packed)
    with pytest.raises(TypeError):
        sum(parts, 1.0)


# Where sums are taken about


@each_structure
def test_a_part_that_holds_nothing_of_a_component_does_not_blur_it(structure: str) -> None:
    """The centre of a component is clamped to the columns of a part: far from the component that has no rows in it."""
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(300, 2)), 1e7 + np.round(rng.normal(size=(300, 2)) * 2.0**20) / 2.0**20
    form = start(structure, X, 2).structure.form
    theta = GaussianParameters.from_covariances(
        structure, [0.5, 0.5], [[0.0, 0.0], [1e7, 1e7]], form.from_pooled(np.eye(2), 2)
    )
    for total in (taken(near, theta) + taken(far, theta), taken(far, theta) + taken(near, theta)):
        found, failed = theta.structure.maximize(total, 0.0)
        assert failed == -1
        covariances = GaussianParameters(theta.structure, 2, 2, found).covariances
        expected = np.stack([np.cov(part, rowvar=False, bias=True) for part in (near, far)])
        # Deviations of rows at 1e7 are exact in sums about a centre beside them. About the origin 1e14 would cancel.
        pooled = form.from_pooled(expected.mean(axis=0), 2)
        if structure in ("full", "tied", "diag", "EEI"):
            own = {"full": expected, "diag": np.diagonal(expected, axis1=1, axis2=2)}.get(structure, pooled)
            np.testing.assert_allclose(covariances, own, rtol=1e-9)
        assert np.linalg.norm(covariances) == pytest.approx(np.linalg.norm(pooled), rel=0.1)


# Scaling


@each_structure
@pytest.mark.parametrize("factor", [1e-300, 1e-20, 1e20, 1e300])
def test_a_factor_of_any_size_keeps_the_mixture(structure: str, factor: float) -> None:
    rows = 1e3 * X
    statistics = taken(rows, start(structure, rows, K))
    scaled = statistics.scaled(factor)
    assert scaled.total_weight == statistics.total_weight * factor
    plain, found = (statistics.structure.maximize(one, "auto")[0] for one in (statistics, scaled))
    # Each sum is multiplied once, by a number that is no power of two.
    np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-12 * np.abs(plain).max())
    assert_close(scaled.scaled(1.0 / factor), statistics, statistics, 1e-12)


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (-1.0, ValueError, r"The 'factor' parameter of scaled must be a float in the range \[0\.0, inf\)"),
        (np.nan, ValueError, "Got nan instead"),
        (np.inf, ValueError, "Got inf instead"),
        ("2", TypeError, "Got '2' instead"),
        (1e306, ValueError, r"factor is 1e\+306, but .* is beyond float64\. Choose a more moderate factor"),
    ],
)
def test_factors_that_cannot_be(factor: Any, error: type[Exception], message: str) -> None:
    statistics = taken(X, start("full", X, K))
    with pytest.raises(error, match=message):
        statistics.scaled(factor)
    with pytest.raises(ValueError, match="is beyond float64"):
        statistics.scaled(1e-200).scaled(1e-200)


def test_sums_that_overflow_are_refused() -> None:
    heavy = taken(X, start("full", X, K)).scaled(2e304)  # of log-likelihood −1.4e308
    with pytest.raises(ValueError, match=r"total weights 1\.8e\+307 and 1\.8e\+307 cannot be added: .* Scale both"):
        heavy + heavy


def test_scaled_to_nothing() -> None:
    statistics = taken(X, start("full", X, K)).scaled(0.0)
    assert statistics.total_weight == 0.0 and not statistics.weight.any() and not statistics.scatter.any()


# Blends


@each_structure
def test_a_blend_is_a_sum_of_parts_across_parameters(structure: str) -> None:
    first, second = start(structure, X, K), start(structure, X, K, seed=1)
    a, b = taken(X[:400], first), taken(X[400:].astype(np.float32), second)
    blend = a.blended(b, 0.25)
    about = blend.center
    a, b = a.recentered(about), b.recentered(about)
    for name in ("weight", "shift", "scatter", "total_weight", "log_likelihood"):
        x, y = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        # Rounding of two products and their sum.
        scale = np.abs(x).max() + np.abs(y).max()
        np.testing.assert_allclose(getattr(blend, name), 0.75 * x + 0.25 * y, rtol=0.0, atol=1e-14 * scale)
    assert blend.n_rows == N
    assert blend.taken_under is second
    assert blend.columns is not None and blend.columns.epsilon == np.finfo(np.float32).eps
    np.testing.assert_array_equal(
        blend.columns.column_range[0], np.minimum(X[:400].min(axis=0), X[400:].astype("f").min(axis=0))
    )


def test_blends_of_nothing_and_of_all() -> None:
    a, b = taken(X[:400], start("full", X, K)), taken(X[400:], start("full", X, K, seed=1))
    assert a.blended(b, 0.0) is a and a.blended(b, 1) is b


@each_structure
def test_blends_of_parts_add_to_the_blend_of_the_whole(structure: str) -> None:
    """Stepwise EM over two machines: each blends its own, and what they send adds."""
    before, now = start(structure, X, K), start(structure, X, K, seed=1)
    mine, theirs = (taken(X[s], before).blended(taken(X[s][::2], now), 0.3) for s in (slice(400), slice(400, N)))
    whole = taken(X, before).blended(taken(X[:400:2], now) + taken(X[400::2], now), 0.3)
    assert_close(mine + theirs, whole, whole, 1e-12)  # the order of 900 terms
    assert (mine + theirs).digest == whole.digest == mine.digest
    assert_close((mine + theirs) - theirs, mine, whole, 1e-12)


def test_blends_have_a_digest_of_their_own() -> None:
    a, b = taken(X[:400], start("full", X, K)), taken(X[400:], start("full", X, K, seed=1))
    blend = a.blended(b, 0.3)
    assert blend.digest not in (a.digest, b.digest, a.blended(b, 0.4).digest, b.blended(a, 0.3).digest)
    for other in (a, b, a.blended(b, 0.4)):
        with pytest.raises(ValueError, match="statistics taken under different parameters cannot be added"):
            blend + other
    same = a.blended(taken(X[400:], start("full", X, K)), 0.3)
    assert same.digest == a.digest  # of one mixture it is a weighted sum


@pytest.mark.parametrize(
    ("share", "error", "message"),
    [
        (1.5, ValueError, "share is 1.5, expected a number from 0 to 1"),
        (-0.1, ValueError, r"The 'share' parameter of blended must be a float in the range \[0\.0, inf\)"),
        (np.nan, ValueError, "Got nan instead"),
        (None, TypeError, "Got None instead"),
    ],
)
def test_shares_that_cannot_be(share: Any, error: type[Exception], message: str) -> None:
    a = taken(X, start("full", X, K))
    with pytest.raises(error, match=message):
        a.blended(a, share)


def test_blends_refuse_other_structures_shapes_and_types() -> None:
    a, nothing = taken(X, start("full", X, K)), None
    with pytest.raises(ValueError, match="for the structures 'full' and 'diag' cannot be blended"):
        a.blended(taken(X, start("diag", X, K)), 0.5)
    with pytest.raises(ValueError, match=r"centers of shape \(3, 3\) and \(2, 3\) cannot be blended"):
        a.blended(taken(X, start("full", X, 2)), 0.5)
    anything: Any = nothing
    with pytest.raises(TypeError, match="other is a NoneType, expected GaussianStatistics"):
        a.blended(anything, 0.5)
