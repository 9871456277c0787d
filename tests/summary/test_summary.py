"""The summary's numbers are the estimator's."""

from __future__ import annotations

import copy
import re
import warnings

import numpy as np
import pandas as pd
import pytest

import emix
from emix.em.restarts import RunReport
from emix.summary.summary import format_seconds, summary

NUMBER = r"[-+]?[0-9.]+(?:e[-+][0-9]+)?"


def fact(text: str, label: str) -> float:
    found = re.search(rf"^{label} +({NUMBER})", text, flags=re.MULTILINE)
    assert found is not None, f"{label} is not in\n{text}"
    return float(found[1])


def rows_of(text: str, title: str) -> list[list[float]]:
    """Numbers of the table under a title, a list per row, without its label."""
    table = text.split(title)[1].split("\n\n")[0].splitlines()[2:]
    return [[float(cell) for cell in line.split()[1:]] for line in table]


def test_n_of_bic_is_said(faithful: np.ndarray, mixture: emix.GaussianMixture) -> None:
    assert "(n = 272; lower is better" in summary(mixture)
    weighted = emix.GaussianMixture(1).fit(faithful, sample_weight=np.full(272, 0.25))
    assert "(n = 68, the sum of the row weights; lower is better" in " ".join(summary(weighted).split())


def test_numbers_are_those_of_the_estimator(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    text = summary(mixture, faithful, feature_names=["eruptions", "waiting"])
    assert text.startswith("Gaussian mixture: 2 components, full covariances\n")
    assert "272 rows, 2 columns (eruptions, waiting)" in text
    # six and four decimals are printed
    assert fact(text, "Log-likelihood") == pytest.approx(mixture.log_likelihood_, abs=5.1e-7)
    assert fact(text, "BIC") == pytest.approx(mixture.bic(faithful), abs=5.1e-5)
    assert fact(text, "AIC") == pytest.approx(mixture.aic(faithful), abs=5.1e-5)
    assert fact(text, "ICL") == pytest.approx(mixture.icl(faithful), abs=5.1e-5)
    assert fact(text, "Free parameters") == 11
    assert fact(text, "Iterations") == mixture.n_iter_
    assert "converged: the log-likelihood" in text
    largest = mixture.predict_proba(faithful).max(axis=1).mean()
    assert f"mean largest responsibility {largest:.4f}\n" in text
    assert re.search("^Settings +start auto, random_state = 0, n_init = 1, reg_covar = 'auto'$", text, re.MULTILINE)
    assert "Warning" not in text
    table = np.array(rows_of(text, "Weights and means; rows by largest responsibility"))
    # five digits, and three digits below the deviation, are printed
    np.testing.assert_allclose(table[:, 0], mixture.weights_, rtol=0, atol=5.1e-6)
    np.testing.assert_array_equal(table[:, 1], np.bincount(mixture.predict(faithful)))
    np.testing.assert_allclose(table[:, 2:], mixture.means_, rtol=1e-3)
    for k in range(2):
        np.testing.assert_allclose(rows_of(text, f"Covariances of component {k}"), mixture.covariances_[k], rtol=1e-3)


@pytest.mark.parametrize(
    ("structure", "title"),
    [
        ("tied", "Covariances, the same for all components"),
        ("diag", "Variances"),
        ("spherical", "Variances, the same for all columns"),
        ("EEI", "Variances, the same for all components"),
        ("VEI", "Variances"),
        ("EII", "Variance, the same for all columns and components"),
    ],
)
def test_covariances_have_the_form_of_their_structure(faithful: np.ndarray, structure: str, title: str) -> None:
    mixture = emix.GaussianMixture(3, covariance_type=structure, random_state=0).fit(faithful)
    table = rows_of(summary(mixture), title)
    shown = np.broadcast_to(np.squeeze(table), mixture.covariances_.shape)  # a common one is shown once
    np.testing.assert_allclose(shown, mixture.covariances_, rtol=1e-3)
    assert f"{structure} covariances" in summary(mixture)


def test_without_data_it_says_what_the_model_knows(mixture: emix.GaussianMixture) -> None:
    text = summary(mixture)
    assert "2 columns (x0, x1)" in text
    assert "ICL  " not in text
    assert fact(text, "Log-likelihood") == pytest.approx(mixture.log_likelihood_, abs=5.1e-7)


def test_weights_are_described(faithful: np.ndarray) -> None:
    w = np.tile([0.5, 1.5], len(faithful) // 2)
    mixture = emix.GaussianMixture(2, random_state=0).fit(faithful, sample_weight=w)
    text = summary(mixture, faithful, w)
    assert "total 272, from 0.5 to 1.5" in text
    counts = np.bincount(mixture.predict(faithful), weights=w)
    table = np.array(rows_of(text, "Weights and means; rows by largest responsibility"))
    np.testing.assert_allclose(table[:, 1], counts, rtol=1e-9)


def test_a_fit_that_did_not_converge_says_so(faithful: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = emix.GaussianMixture(3, max_iter=1, random_state=0).fit(faithful)
    assert "1, NOT converged: stopped at max_iter = 1" in summary(mixture)


def test_settings_say_what_was_given(faithful: np.ndarray) -> None:
    mixture = emix.GaussianMixture(1, means_init=[[3.0, 70.0]], reg_covar=0.0, init_params="random").fit(faithful)
    assert "start random (given: means_init), random_state = None, n_init = 1, reg_covar = 0\n" in summary(mixture)
    mixture.random_state = np.random.default_rng(0)
    assert "random_state = a generator" in summary(mixture)


def test_columns_that_do_not_suit_reg_covar_are_warned_of(faithful: np.ndarray) -> None:
    rows = np.column_stack([faithful, np.full(len(faithful), 7.3)])
    with pytest.warns(UserWarning, match="Column 2 is constant"):
        mixture = emix.GaussianMixture(2, random_state=0).fit(rows)
    for text in (summary(mixture, rows), summary(mixture)):
        assert re.search("^Warning +Column 'x2' is constant, which tells no components apart", text, re.MULTILINE)
    with pytest.warns(UserWarning, match=r"reg_covar=0.1 is more than 1 % of a component's own variance in column 0,"):
        mixture = emix.GaussianMixture(2, reg_covar=0.1, random_state=0).fit(faithful)
    named = summary(mixture, feature_names=["length", "wait"])
    assert re.search("^Warning +reg_covar=0.1 is more than 1 % .* column 'length'", named, re.MULTILINE)
    given = emix.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1e-9]]])
    assert "Warning" not in summary(given)


def test_runs_and_what_was_set_aside_are_reported(faithful: np.ndarray) -> None:
    mixture = emix.GaussianMixture(2, n_init=3, random_state=0).fit(faithful)
    assert re.search(r"^Runs +3; [123] reached the best log-likelihood", summary(mixture), flags=re.MULTILINE)
    best = mixture.log_likelihood_
    mixture.runs_ = [
        RunReport(0, best, 3, converged=True, degenerate=False, chosen=True, message="", n_alike=1),
        RunReport(1, best - 10.0, 3, converged=True, degenerate=False, chosen=False, message=""),
        RunReport(2, None, 0, converged=False, degenerate=True, chosen=False, message="component 1 collapsed"),
    ]
    text = summary(mixture)
    assert f"3; 1 reached the best log-likelihood, the next best is {best - 10.0:.6f}" in text
    assert re.search(r"^Set aside +run 2: component 1 collapsed$", text, flags=re.MULTILINE)
    mixture.runs_ = [RunReport(0, best, 3, converged=True, degenerate=True, chosen=True, message="on two rows")]
    assert re.search(r"^Degenerate +run 0: on two rows$", summary(mixture), flags=re.MULTILINE)


@pytest.mark.parametrize("tol", [1e-9, 1e-2])
def test_runs_at_one_mode_are_counted_as_in_the_reports(tol: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) + 3.0 * rng.integers(4, size=(500, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = emix.GaussianMixture(4, n_init=8, init_params="random_from_data", tol=tol, random_state=0).fit(X)
    chosen = next(run for run in mixture.runs_ if run.chosen)
    lower = [
        run.log_likelihood
        for run in mixture.runs_
        # Log-likelihoods within 1e-4 nats for each row are those of one mode.
        if run.log_likelihood is not None and abs(run.log_likelihood - mixture.log_likelihood_) > 1e-4 * 500
    ]
    assert lower and len(lower) == 8 - chosen.n_alike
    text = f"8; {chosen.n_alike} reached the best log-likelihood, the next best is {max(lower):.6f}"
    assert text in summary(mixture)


def test_runs_that_all_degenerated_are_reported_in_short(mixture: emix.GaussianMixture) -> None:
    mixture = copy.copy(mixture)
    mixture.runs_ = [
        RunReport(i, -1.0, 3, converged=True, degenerate=True, chosen=i == 7, message="a few rows") for i in range(9)
    ]
    text = summary(mixture)
    assert "9; all are degenerate, the best of them is kept\nDegenerate       run 7: a few rows\n" in text
    assert text.count("Set aside") == 4
    assert "and 4 more" in text


def test_a_given_mixture_is_described_without_a_fit() -> None:
    given = emix.GaussianMixture.from_parameters([0.25, 0.75], [[0.0], [1.0]], [[[1.0]], [[4.0]]])
    text = summary(given)
    assert "none: the parameters were given" in text
    np.testing.assert_array_equal(rows_of(text, "Weights and means"), [[0.25, 0.0], [0.75, 1.0]])


def test_many_columns_are_shown_by_their_deviations() -> None:
    d = 12
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, d)), columns=[f"column{j}" for j in range(d)])
    mixture = emix.GaussianMixture(2, random_state=0).fit(frame)
    text = summary(mixture, frame)
    assert "Standard deviations" in text
    assert "Covariances of" not in text
    assert "column9, …)" in text
    assert max(map(len, text.splitlines())) <= 100


def test_means_far_from_zero_keep_their_digits(faithful: np.ndarray) -> None:
    mixture = emix.GaussianMixture(2, random_state=0).fit(faithful + 1e8)
    table = np.array(rows_of(summary(mixture), "Weights and means"))
    # float64 holds steps of 1.5e-8 there, the summary some digits below the deviations
    np.testing.assert_allclose(table[:, 1:], mixture.means_, rtol=0, atol=1e-3)


def test_durations_have_fitting_units() -> None:
    assert format_seconds(0.0005) == "0.5 ms"
    assert format_seconds(90.0) == "90.0 s"


def test_tiny_weights_in_any_error_state(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    weight = np.full(len(faithful), 2.0**-1050)
    with np.errstate(all="raise"):
        assert "ICL" in summary(mixture, faithful, weight)


def test_the_heading_names_the_covariances_of_the_fit(faithful: np.ndarray) -> None:
    mixture = emix.GaussianMixture(2, covariance_type="EII", random_state=0).fit(faithful)
    mixture.set_params(covariance_type="full")
    assert "2 components, EII covariances" in emix.faces.summary(mixture)
    mixture = emix.GaussianMixture(2, covariance_type="EEE", random_state=0).fit(faithful)
    assert "2 components, EEE covariances" in emix.faces.summary(mixture)


def test_a_stream_has_no_criteria_without_rows(faithful: np.ndarray) -> None:
    stream = emix.GaussianMixture(2, random_state=0).partial_fit(faithful[:136]).partial_fit(faithful[136:])
    text = summary(stream)
    assert "BIC              none of a stream: pass X to summary, or call bic(X)" in text
    assert re.search("^Log-likelihood +about .*score\\(X\\) tells that of rows$", text, re.MULTILINE)
    assert not re.search("^(AIC|ICL) ", text, re.MULTILINE)
    assert "BIC" not in stream.plot(faithful).get_suptitle()


def test_with_rows_the_criteria_are_theirs(faithful: np.ndarray, mixture: emix.GaussianMixture) -> None:
    stream = emix.GaussianMixture(2, random_state=0).partial_fit(faithful[:136]).partial_fit(faithful[136:])
    for gm, rows in ((stream, faithful), (mixture, faithful[:100])):
        text = summary(gm, rows)
        assert f"(n = {len(rows)}; lower is better" in text
        # six and four decimals are printed
        assert fact(text, "Log-likelihood") == pytest.approx(gm.score(rows) * len(rows), abs=5.1e-7)
        assert fact(text, "BIC") == pytest.approx(gm.bic(rows), abs=5.1e-5)
        assert fact(text, "AIC") == pytest.approx(gm.aic(rows), abs=5.1e-5)
        assert fact(text, "ICL") == pytest.approx(gm.icl(rows), abs=5.1e-5)
