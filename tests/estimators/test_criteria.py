"""Information criteria by their formulae."""

from __future__ import annotations

import copy
import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats

from emix import GaussianMixture
from emix.estimators.criteria import aic, bic, entropies, icl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
WEIGHT = RNG.uniform(0.6, 1.6, size=60)
each_criterion = pytest.mark.parametrize("criterion", ["bic", "icl"])


def test_criteria() -> None:
    # Two nats of log-likelihood are worth one parameter of AIC's and log n of BIC's.
    assert aic(-10.0, 3) == 26.0
    assert bic(-10.0, 3, math.exp(2.0)) == 26.0
    assert icl(-10.0, 3, math.exp(2.0), 0.5) == 27.0
    assert bic(0.0, 3, 1.0) == 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_entropies(dtype: type) -> None:
    r = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [1e-30, 0.0, 1.0]], dtype=dtype)
    expected = scipy.stats.entropy(r.astype(np.float64), axis=1)
    found = entropies(r)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-14)  # three terms


def test_entropies_of_tiny_responsibilities_in_any_error_state() -> None:
    r = np.array([[1.0, 5e-324, 1e-310]])
    with np.errstate(all="raise"):
        # 1e-310 log 1e-310
        assert entropies(r)[0] == pytest.approx(1e-310 * 310 * math.log(10), rel=1e-4)


# What n is


def fitted(weight: Any) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fit never warns of its weights
        return GaussianMixture(2, random_state=0, tol=1e-2).fit(X, sample_weight=weight)


@each_criterion
def test_criterion_without_the_weights_of_the_fit(criterion: str, tmp_path: Any) -> None:
    gm = fitted(WEIGHT)
    gm.save(tmp_path / "model")
    text = (
        f"{criterion} was called without sample_weight, but the fit had weights, which sum to {WEIGHT.sum():.10g}: n "
        "is the number of rows, 60, and the log-likelihood that of rows of weight 1. Pass the rows' weights."
    )
    for mixture in (gm, copy.deepcopy(gm), GaussianMixture.load(tmp_path / "model")):
        with pytest.warns(UserWarning, match=re.escape(text)) as caught:
            found = getattr(mixture, criterion)(X)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    parameters, total = 1 + 4 + 6, gm.score_samples(X).sum()
    entropy = entropies(gm.predict_proba(X)).sum() if criterion == "icl" else 0.0
    # Sums of 60 terms in another order.
    assert found == pytest.approx(-2.0 * total + parameters * math.log(60.0) + 2.0 * entropy, rel=1e-13)


@each_criterion
@pytest.mark.parametrize("unit", [1e-3, 0.4, 2.5, 1e6])
def test_criterion_of_weights_whose_sum_is_far_from_the_number_of_rows(criterion: str, unit: float) -> None:
    weight = unit * WEIGHT / WEIGHT.mean()
    weight[:10] = 0.0
    gm = fitted(weight)
    text = (
        f"{criterion} takes n to be the sum of sample_weight, {weight.sum():.10g}, though there are 50 rows of weight "
    )
    with pytest.warns(UserWarning, match=re.escape(text)) as caught:
        getattr(gm, criterion)(X, sample_weight=weight)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=re.escape(text)):
        getattr(fitted(None), criterion)(X, sample_weight=weight)


@each_criterion
@pytest.mark.parametrize(
    "weight",
    [None, WEIGHT, np.ones(60), np.arange(60.0), 1000.0 * RNG.integers(1, 9, size=60)],
    ids=["none", "about one", "ones", "counts", "large counts"],
)
def test_criterion_of_weights_in_units_of_rows(criterion: str, weight: Any) -> None:
    getattr(fitted(weight), criterion)(X, sample_weight=weight)  # warnings are errors


@each_criterion
def test_whole_numbers_that_are_all_the_same_count_nothing(criterion: str) -> None:
    with pytest.warns(UserWarning, match=r"the sum of sample_weight, 600, though there are 60 rows"):
        getattr(fitted(None), criterion)(X, sample_weight=np.full(60, 10.0))


@each_criterion
def test_a_fit_with_weights_of_one_is_one_without(criterion: str) -> None:
    getattr(fitted(np.ones(60)), criterion)(X)  # warnings are errors
    with pytest.warns(UserWarning, match="but the fit had weights, which sum to 60"):
        getattr(fitted(60.0 * WEIGHT / WEIGHT.sum()), criterion)(X)


def test_other_scores_do_not_depend_on_n() -> None:
    gm = fitted(1e3 * WEIGHT)
    assert math.isfinite(gm.aic(X) + gm.score(X) + gm.score(X, sample_weight=1e3 * WEIGHT))


def test_scores_of_huge_weights() -> None:
    gm, weight = fitted(None), np.full(60, 2.0**1017)  # their sum is finite, and 2 Σ w log p, near 3e308, is not
    weight[::2] /= 2.0
    assert gm.score(X, sample_weight=weight) == gm.score(X, sample_weight=weight / 2.0**1017)
    for criterion in ("aic", "bic", "icl"):
        with pytest.raises(ValueError, match=r"the sum overflows\. Divide sample_weight by its largest value"):
            getattr(gm, criterion)(X, sample_weight=weight)
