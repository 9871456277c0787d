"""Arguments of `partial_fit`: requests of metadata, and input that is refused without a trace."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone

from emix import ConvergenceWarning, DegenerateCovarianceError, GaussianMixture
from estimators.streams import X, stream

# Metadata routing


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_requests_of_weights_and_steps() -> None:
    gm = GaussianMixture().set_partial_fit_request(sample_weight="w", step=True).set_partial_fit_request()
    for other in (gm, clone(gm), pickle.loads(pickle.dumps(gm))):
        requests = other.get_metadata_routing()
        assert requests.partial_fit.requests == {"sample_weight": "w", "step": True}
        assert requests.fit.requests == requests.score.requests == {"sample_weight": None}


def test_requests_need_routing() -> None:
    with pytest.raises(RuntimeError, match="only available when metadata routing is enabled"):
        GaussianMixture().set_partial_fit_request(sample_weight=True)


# Bad input


def refused(gm: GaussianMixture, error: type[Exception], message: str, *rows: Any, **keywords: Any) -> None:
    """A call fails, and leaves the mixture as it was."""
    before = dict(vars(gm))
    with pytest.raises(error, match=message):
        gm.partial_fit(*rows, **keywords)
    assert vars(gm) == before


BAD_ROWS = [
    (X[:0], None, ValueError, r"Found array with 0 sample\(s\)"),
    (X[:9, 0], None, ValueError, "Expected 2D array, got 1D array"),
    (X[:9] * np.nan, None, ValueError, "contains NaN"),
    (X[:9] * 1e200, None, ValueError, r"1e\+150"),
    (X[:9], -np.ones(9), ValueError, "sample_weight"),
    (X[:9], np.zeros(9), ValueError, "sample_weight"),
    (X[:9], np.ones(3), ValueError, "one weight for each row"),
]


@pytest.mark.parametrize(("rows", "weight", "error", "message"), BAD_ROWS)
@pytest.mark.parametrize("n_before", [0, 500])
def test_rows_that_cannot_be_taken_in(
    rows: Any, weight: Any, error: type[Exception], message: str, n_before: int
) -> None:
    gm = stream(GaussianMixture(2, random_state=0), X[:n_before])
    refused(gm, error, message, rows, sample_weight=weight)


def test_columns_that_differ() -> None:
    gm = stream(GaussianMixture(2, random_state=0), X[:500])
    refused(gm, ValueError, "X has 2 features, but GaussianMixture is expecting 3 features", X[:9, :2])
    gm.fit(pd.DataFrame(X[:500], columns=["a", "b", "c"]))
    other = pd.DataFrame(X[:9], columns=["a", "b", "d"])
    refused(gm, ValueError, "Feature names unseen at fit time:\n- d", other)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        gm.partial_fit(X[:500])


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (0.0, ValueError, r"step is 0\.0, expected a number above 0 and up to 1"),
        (1.5, ValueError, r"step is 1\.5, expected a number above 0 and up to 1"),
        (-0.5, ValueError, r"step is -0\.5, expected a number above 0 and up to 1"),
        (np.nan, ValueError, "step is nan, expected a number above 0 and up to 1"),
        ("auto", TypeError, "step is 'auto', expected a number above 0 and up to 1"),
        (True, TypeError, "step is True, expected a number above 0 and up to 1"),
    ],
)
@pytest.mark.parametrize("n_before", [0, 500])
def test_steps_that_cannot_be(step: Any, error: type[Exception], message: str, n_before: int) -> None:
    refused(stream(GaussianMixture(2, random_state=0), X[:n_before]), error, message, X[:500], step=step)


def test_a_first_call_of_few_distinct_rows() -> None:
    gm = GaussianMixture(3)
    message = "X has 2 distinct rows of weight above zero, expected at least n_components = 3"
    refused(gm, ValueError, message, np.repeat([[0.0, 1.0], [-0.0, 1.0], [2.0, 2.0]], 5, axis=0))
    rows, weight = np.repeat(X[:3], 3000, axis=0), np.repeat([1.0, 1.0, 0.0], 3000)
    refused(gm, ValueError, message, rows, sample_weight=weight)
    refused(gm, ValueError, "Expected n_samples >= n_components but got n_components = 3, n_samples = 2", X[:2])
    # A start that is given whole needs no rows of its own.
    gm.set_params(weights_init=np.full(3, 1 / 3), means_init=X[:3], precisions_init=np.stack([np.eye(3)] * 3))
    assert quietly_streamed(gm, np.repeat(X[:2], 50, axis=0)).n_iter_ > 0


def quietly_streamed(gm: GaussianMixture, rows: Any) -> GaussianMixture:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return gm.partial_fit(rows)


def test_settings_that_changed() -> None:
    gm = stream(GaussianMixture(2, random_state=0), X[:500])
    gm.n_components = 3
    refused(gm, ValueError, r"= \('full', 2, 3\), expected \('full', 3, 3\), as the mixture has\. Call fit", X[:500])
    gm.set_params(n_components=2, covariance_type="tied")
    refused(gm, ValueError, r"= \('full', 2, 3\), expected \('tied', 2, 3\)", X[:500])
    gm.set_params(covariance_type="VVV", tol=-1.0)
    refused(gm, ValueError, "The 'tol' parameter", X[:500])
    gm.set_params(tol=1e-3).partial_fit(X[:500])


def test_a_collapse_on_the_way() -> None:
    gm = stream(GaussianMixture(2, covariance_type="diag", reg_covar=0.0, random_state=0), X[:500])
    refused(gm, DegenerateCovarianceError, "is not positive definite", np.ones((10, 3)), step=1.0)


def test_a_collapse_that_reg_covar_covers_is_warned_of() -> None:
    gm = stream(GaussianMixture(2, random_state=0), X[:500])
    with pytest.warns(
        ConvergenceWarning, match="The step is degenerate: no variance is left in columns 0, 1, 2"
    ) as all_:
        gm.partial_fit(np.ones((500, 3)), step=1.0)
    assert len(all_) == 1


def test_a_component_that_collapses_on_the_way_is_warned_of() -> None:
    """All rows of one of two groups are equal in a column."""
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(300, 2)), rng.normal(10.0, 1.0, size=(300, 2))]
    gm = GaussianMixture(2, random_state=0).partial_fit(rng.permutation(np.concatenate(groups)))
    groups[1][:, 0] = 10.0
    with pytest.warns(ConvergenceWarning, match=r"The step is degenerate: component \d .*column 0"):
        gm.partial_fit(rng.permutation(np.concatenate(groups)), step=1.0)


def test_a_collapse_is_warned_of_once_as_long_as_it_stays() -> None:
    rng = np.random.default_rng(0)

    def batch(spread: float) -> Any:
        far = rng.normal(10.0, 1.0, size=(300, 2))
        far[:, 0] = 10.0 + spread * (far[:, 0] - 10.0)
        return rng.permutation(np.concatenate([rng.normal(size=(300, 2)), far]))

    gm = GaussianMixture(2, random_state=0).partial_fit(batch(1.0))
    with pytest.warns(ConvergenceWarning, match=r"The step is degenerate: component \d .*column 0"):
        gm.partial_fit(batch(0.0), step=1.0)
    for _ in range(3):
        gm.partial_fit(batch(0.0), step=1.0)  # warnings are errors here
    # Parameters that were given have not been warned of.
    given = GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_)
    with pytest.warns(ConvergenceWarning, match="The step is degenerate"):
        given.partial_fit(batch(0.0), step=1.0)


@pytest.mark.parametrize("step", [None, 0.5])
def test_a_row_without_density_is_named(step: float | None) -> None:
    gm = stream(GaussianMixture(2, covariance_type="diag", random_state=0), X[:500].astype(np.float32))
    gm.set_params(reg_covar=0.0)
    gm.covariances_ = np.full((2, 3), 1e-30)
    rows = np.tile(gm.means_, (250, 1))
    rows[321] = 1e14
    refused(gm, ValueError, "row 321 lies so far from every component", rows, step=step)
