"""Each reason to doubt is found where it is, and not where it is not."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import emix
from emix.choice.selection import MixtureRow, MixtureSelection
from emix.em.restarts import RunReport
from emix.plots.subject import Subject, subject_of
from emix.report.doubts import Doubt, doubts_of, runs_from_starts


def groups(distance: float, n: int = 300, d: int = 2) -> np.ndarray:
    """Two groups of unit normals, apart in the first column only."""
    rng = np.random.default_rng([n, d])
    X = rng.normal(size=(n, d))
    X[: n // 2, 0] += distance
    return X


def subject(X: Any, k: int = 2, **settings: Any) -> Subject:
    gm = emix.GaussianMixture(k, **{"covariance_type": "diag", "random_state": 0, **settings}).fit(X)
    return subject_of(gm, X, caller="test")


def found(
    of: Subject,
    title: str,
    selection: MixtureSelection | None = None,
    runs: tuple[RunReport, ...] = (),
    warned: tuple[str, ...] = (),
) -> Doubt:
    return next(doubt for doubt in doubts_of(of, selection, runs, warned) if doubt.title.startswith(title))


def row(k: int, bic: float, *, degenerate: bool = False, name: str = "full") -> MixtureRow:
    message = "component 0 collapsed" if degenerate else ""
    return MixtureRow(name, k, 5 * k, -100.0, bic, bic, bic, None, True, degenerate, message)


def run(number: int, log_likelihood: float | None, *, degenerate: bool = False) -> RunReport:
    message = "component 1 holds 2 rows" if degenerate else ""
    return RunReport(number, log_likelihood, 5, True, degenerate, number == 0, message, start="k-means++")


def test_a_clean_fit_has_no_doubts() -> None:
    of = subject(groups(12.0))
    runs = runs_from_starts(of, 5, None)
    doubts = doubts_of(of, None, runs, ())
    # The second column is noise, which is all there is to doubt.
    assert [doubt.title for doubt in doubts if doubt.is_there] == ["Columns that do not matter"]


def test_columns_without_a_say_are_named() -> None:
    doubt = found(subject(groups(12.0)), "Columns")
    assert doubt.is_there and "Left out, x1 would move" in doubt.text
    assert doubt.table is not None
    assert doubt.table.columns[1][1] == "0.0%"
    apart = groups(6.0)
    apart[75:225, 1] += 6.0
    assert not found(subject(apart, 4), "Columns").is_there


def test_rows_that_move_are_those_of_the_marginal_mixture() -> None:
    X = groups(3.0, d=3)
    of = subject(X, covariance_type="full")
    gm, table = of.estimator, found(of, "Columns").table
    assert table is not None
    for j in range(3):
        others = np.delete(np.arange(3), j)
        marginal = emix.GaussianMixture.from_parameters(
            gm.weights_, gm.means_[:, others], gm.covariances_[:, others][:, :, others]
        )
        moved = np.mean(marginal.predict(X[:, others]) != gm.predict(X))
        assert table.columns[1][j] == f"{moved:.1%}"


@pytest.mark.parametrize(("distance", "is_there"), [(1.5, True), (12.0, False)])
def test_overlap(distance: float, is_there: bool) -> None:
    X = groups(distance)
    of = subject(X)
    doubt = found(of, "Overlap")
    assert doubt.is_there == is_there
    r = of.estimator.predict_proba(X)
    shared = (r.T @ r) / r.sum(axis=0)[:, None]
    assert doubt.table is not None
    assert doubt.table.columns[1:] == [[f"{value:.1%}" for value in column] for column in shared.T]


def test_modes_are_counted_with_the_starts_that_end_in_them() -> None:
    of = subject(groups(12.0))
    own = of.estimator.log_likelihood_
    alike = (run(0, own), run(1, own - 1e-4))
    assert not found(of, "Several modes", runs=alike).is_there
    doubt = found(of, "Several modes", runs=(*alike, run(2, own - 7.0), run(3, own - 7.001)))
    assert doubt.is_there
    assert "Of 4 starts of the chosen mixture 2 ended in its mode; 2 ended lower, in 1 other mode." in doubt.text
    assert doubt.table is not None
    assert doubt.table.columns[2:] == [["0.00", "7.00"], ["2", "2"]]
    better = found(of, "Several modes", runs=(run(0, own), run(1, own + 3.0)))
    assert better.is_there and "a better one was found, 3 nats higher: raise --n-init" in better.text


def test_runs_that_collapsed_are_listed() -> None:
    of = subject(groups(12.0))
    own = of.estimator.log_likelihood_
    assert not found(of, "Collapsed", runs=(run(0, own),)).is_there
    doubt = found(of, "Collapsed", runs=(run(0, own), run(1, None, degenerate=True)))
    assert doubt.is_there and "collapsed in 1 run, which is set aside" in doubt.text
    rows = [row(2, 1.0), row(9, np.nan, degenerate=True)]
    large = found(of, "Collapsed", MixtureSelection(of.estimator, rows[0], rows, "bic"))
    # A mixture of too many components collapses on sound data as well.
    assert not large.is_there and large.is_note and large.table is not None
    assert large.table.columns[0] == ["full, 9 components"]
    # If most collapse, it is not sound.
    rows.append(row(8, np.nan, degenerate=True))
    most = found(of, "Collapsed", MixtureSelection(of.estimator, rows[0], rows, "bic"))
    assert most.is_there and "2 of 3 mixtures collapsed: the rows are too few" in most.text


def test_a_mixture_that_collapsed_itself_is_a_doubt() -> None:
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 2)), np.full((3, 2), 9.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of = subject(X, means_init=[[0.0, 0.0], [9.0, 9.0]])
    assert "The mixture itself collapsed: component 1" in found(of, "Collapsed").text


def test_starts_that_all_collapse_are_a_doubt_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    of = subject(groups(12.0))

    def fails(*arguments: Any, **keywords: Any) -> None:
        raise emix.DegenerateFitError("every run collapsed", 1)

    monkeypatch.setattr(emix.GaussianMixture, "fit", fails)
    runs = runs_from_starts(of, 4, None)
    assert [(one.degenerate, one.component, one.message) for one in runs] == [(True, 1, "every run collapsed")]


def test_warnings_of_other_starts_are_not_those_of_the_fit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of = subject(groups(3.0), max_iter=2)
    assert len(runs_from_starts(of, 3, None)) == 3  # none of them converged, and a warning would be an error here


def test_rivals_and_the_end_of_the_range() -> None:
    of = subject(groups(12.0))
    rows = [row(2, 100.0), row(3, 101.0), row(1, 150.0)]
    selection = MixtureSelection(of.estimator, rows[0], rows, "bic")
    doubt = found(of, "Mixtures that are nearly", selection)
    assert doubt.is_there and "1 other mixture is within 2 of the chosen one by BIC" in doubt.text
    assert not found(of, "Range", selection).is_there
    alone = MixtureSelection(of.estimator, rows[0], [rows[0], rows[2]], "bic")
    assert "The next is full, 1 component, 50.00 behind" in found(of, "Mixtures that are nearly", alone).text
    assert "2 is the largest number of components that was tried" in found(of, "Range", alone).text


def test_one_component_has_no_rivals_that_are_the_same_model() -> None:
    of = subject(groups(0.0), 1)
    rows = [row(1, 100.0, name=name) for name in ("EII", "spherical")]
    rows += [row(2, 100.5), row(1, 101.0, name="EEI")._replace(log_likelihood=-99.0)]
    doubt = found(of, "Mixtures that are nearly", MixtureSelection(of.estimator, rows[0], rows, "bic"))
    assert doubt.table is not None
    assert doubt.table.columns[0] == ["EII, 1 component (chosen)", "full, 2 components", "EEI, 1 component"]
    alone = MixtureSelection(of.estimator, rows[0], rows[:2], "bic")
    assert not found(of, "Mixtures that are nearly", alone).is_there


def test_by_cross_validation_rivals_are_within_a_standard_error() -> None:
    of = subject(groups(12.0))
    rows = [row(k, 100.0)._replace(cv=cv, cv_error=0.1) for k, cv in ((2, -3.0), (3, -2.95), (4, -3.5))]
    doubt = found(of, "Mixtures that are nearly", MixtureSelection(of.estimator, rows[0], rows, "cv"))
    assert doubt.is_there and doubt.text.startswith("1 other mixture is within one standard error")


def test_warnings_and_iterations_that_ran_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of = subject(groups(3.0), max_iter=1, init_params="random")
    doubt = found(of, "Convergence", warned=("Best performing initialization did not converge.", "Column 1 is odd."))
    assert doubt.is_there
    assert doubt.text == "The fit did not converge: it ended after 1 iterations. Column 1 is odd."


def test_components_of_few_rows() -> None:
    assert found(subject(groups(12.0, n=24)), "Rows of").is_there
    assert not found(subject(groups(12.0)), "Rows of").is_there


def test_rows_without_weight_do_not_count() -> None:
    X, w = groups(12.0), np.tile([1.0, 0.0], 150)
    gm = emix.GaussianMixture(2, covariance_type="diag", random_state=0).fit(X, sample_weight=w)
    counted = found(subject_of(gm, X[::2], caller="test"), "Rows of")
    assert "There are 16.7 rows for each of the 9 free parameters." in counted.text  # 150 / 9
    for unit in (1.0, 1e-3):
        assert found(subject_of(gm, X, unit * w, caller="test"), "Rows of") == counted
    # 20 rows that count among 300: ten for each component, whose four means and variances want five rows each.
    few = np.zeros(300)
    few[::15] = 1.0
    assert found(subject_of(gm, X, few, caller="test"), "Rows of").is_there


def test_starts_have_the_settings_that_a_derived_class_sets_by_itself() -> None:
    class Short(emix.GaussianMixture):
        def __init__(self, n_components: int = 1) -> None:
            super().__init__(n_components, covariance_type="diag", max_iter=2, random_state=0)

    X = groups(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emix.ConvergenceWarning)
        of = subject_of(Short(2).fit(X), X, caller="test")
    runs = runs_from_starts(of, 2, None)
    assert [run.n_iter for run in runs] == [2, 2]
