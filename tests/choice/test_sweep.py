"""A sweep's second phase: which neighbours give starts, and what is kept of the runs from them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine

import emix
from emix.choice.fits import CellFit, Fitter
from emix.choice.request import Cell
from emix.choice.sweep import Neighbours, Sweep, n_parameters, start_beside
from emix.em.restarts import RunReport
from emix.estimators.parameters_check import check_settings
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.neighbours import contains, merged, split

IRIS = load_iris().data
SOURCE = ArraySource(IRIS)


def fitter(**settings: float) -> Fitter:
    return Fitter(SOURCE, check_settings(emix.GaussianMixture(1, init_params="kmeans", **settings)), 0, None)


def cell(name: str, n_components: int) -> Cell:
    return Cell(name, STRUCTURES[name], n_components)


def best_report(fit: CellFit) -> RunReport:
    assert fit.runs is not None
    (chosen,) = [report for report in fit.runs.reports if report.chosen]
    return chosen


@pytest.fixture(scope="module")
def fits() -> dict[Cell, CellFit]:
    cells = [cell(name, K) for name in ("EII", "EEI", "tied", "diag", "full") for K in (1, 2, 3)]
    fit = fitter().fit
    return {one: fit(one) for one in cells}


def test_starts_from_other_structures(fits: dict[Cell, CellFit]) -> None:
    neighbours = Neighbours(fits, SOURCE)

    def origins(name: str, n_components: int) -> list[str]:
        return [origin for origin, _ in neighbours.of_other_structures(cell(name, n_components))]

    # What full contains with the highest likelihood; nothing beside is left.
    likelihoods = {one.covariance_type: fit.log_likelihood for one, fit in fits.items() if one.n_components == 2}
    del likelihoods["full"]
    assert origins("full", 2) == [max(likelihoods, key=likelihoods.__getitem__)]
    # EII contains nothing; beside it the one of the best BIC.
    assert len(origins("EII", 3)) == 1
    assert len(origins("diag", 2)) == 2


def test_what_collapsed_gives_no_start(fits: dict[Cell, CellFit]) -> None:
    unsound = {one: fit._replace(is_sound=False) for one, fit in fits.items()}
    assert Neighbours(unsound, SOURCE).of_other_structures(cell("full", 3)) == []
    two, three = cell("full", 2), cell("full", 3)
    assert start_beside(three, two, unsound[two], SOURCE) == []
    assert [origin for origin, _ in start_beside(three, two, fits[two], SOURCE)] == ["2 components"]
    assert [origin for origin, _ in start_beside(two, cell("full", 1), fits[cell("full", 1)], SOURCE)] == [
        "1 component"
    ]
    # Of numbers that are no neighbours nothing can be made.
    assert start_beside(three, cell("full", 1), fits[cell("full", 1)], SOURCE) == []


def test_starts_have_the_cell_s_structure_and_number(fits: dict[Cell, CellFit]) -> None:
    for one in fits:
        starts = Neighbours(fits, SOURCE).of_other_structures(one)
        for other, fit in fits.items():
            if other.covariance_type == one.covariance_type:
                starts += start_beside(one, other, fit, SOURCE)
        for _, start in starts:
            parameters = start()
            assert parameters.structure == one.structure
            assert parameters.n_components == one.n_components


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_merger_is_the_best_of_all(structure: str) -> None:
    """Against every pair: Q of statistics with the moments of the mixture before."""
    kind = STRUCTURES[structure]
    fit = emix.GaussianMixture(4, covariance_type=structure, init_params="kmeans", random_state=0).fit(IRIS)
    theta = emix.GaussianParameters.from_covariances(kind, fit.weights_, fit.means_, fit.covariances_)

    def q(parameters: emix.GaussianParameters) -> float:
        weights = parameters.weights
        return float(weights @ (np.log(weights) + parameters.log_det_whitening))

    full = kind.form.to_full(theta.covariances, 4, 4)
    found = []
    for i, j in itertools.combinations(range(4), 2):
        keep = [k for k in range(4) if k not in (i, j)]
        both = theta.weights[i] + theta.weights[j]
        share = theta.weights[[i, j]] / both
        mean = share @ theta.means[[i, j]]
        away = theta.means[[i, j]] - mean
        union = np.einsum("k,kab->ab", share, full[[i, j]]) + (away.T * share) @ away
        weights = np.append(theta.weights[keep], both)
        covariances = np.concatenate([full[keep], union[np.newaxis]])
        if kind.form.is_shared:
            own = np.tensordot(weights, covariances, axes=1)
        else:
            own = np.concatenate([kind.form.from_pooled(one, 1) for one in covariances])
        means = np.vstack([theta.means[keep], mean])
        found.append(q(emix.GaussianParameters.of(kind, weights, means, kind.project(own, weights))))
    # The projection of structures that iterate is exact to a few digits.
    assert q(merged(theta, kind)) == pytest.approx(max(found), abs=1e-6)


def test_a_split_looks_at_the_rows() -> None:
    """One spherical component lies on two groups: its variance does not tell in which direction, the rows do."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(100, 3)) + center for center in ([0, -5, 0], [0, 5, 0], [40, 0, 0])])
    theta = emix.GaussianParameters.from_covariances(
        "spherical", [2 / 3, 1 / 3], [[0.0, 0.0, 0.0], [40.0, 0.0, 0.0]], [10.0, 1.0]
    )
    halves = split(theta, STRUCTURES["spherical"], ArraySource(X)).means
    ends = halves[np.argsort(halves[:, 1])]
    # Halves of two groups of standard deviation 1, 10 apart: 0.8 of √26 from the middle.
    np.testing.assert_allclose(ends[[0, 2], 1], [-4.1, 4.1], rtol=0, atol=0.3)


def test_a_start_that_is_no_better_changes_nothing(fits: dict[Cell, CellFit]) -> None:
    before = fits[cell("full", 2)]
    assert before.runs is not None
    parameters = before.runs.result.parameters
    after = fitter().improve(cell("full", 2), before, [("itself", lambda: parameters)])
    assert after is before


def test_a_better_run_is_added_to_those_there_are() -> None:
    # One iteration is a poor fit; a longer run goes on from it.
    short, one = fitter(max_iter=1), cell("tied", 3)
    before = short.fit(one)
    assert before.runs is not None
    parameters = before.runs.result.parameters
    after = fitter().improve(one, before, [("the short one", lambda: parameters)])
    assert after.runs is not None
    assert after.log_likelihood > before.log_likelihood
    first, last = after.runs.reports
    assert (first.run, first.chosen, last.run, last.chosen) == (0, False, 1, True)
    assert (first.start, last.start) == ("kmeans", "the short one")


def test_a_long_run_has_one_history(fits: dict[Cell, CellFit]) -> None:
    one = cell("tied", 4)  # with three components it converges before
    start = emix.GaussianParameters.from_covariances(
        "tied", np.full(4, 1 / 4), IRIS[[0, 49, 99, 149]], np.cov(IRIS.T, bias=True)
    )
    none = CellFit(None, "none yet", [], 0.0, False)
    after = fitter(tol=1e-10).improve(one, none, [("rows", lambda: start)])
    assert after.is_sound
    assert after.runs is not None
    result, report = after.runs.result, best_report(after)
    # Longer than the part after which a run is looked at for the first time (STEPS_TO_VERDICT).
    assert result.n_iter > 31
    assert report.n_iter == result.n_iter
    assert [record.iteration for record in result.history] == list(range(result.n_iter + 1))
    values = [record.log_likelihood for record in result.history]
    # The last step may fall by rounding.
    assert np.diff(values).min() > -1e-9
    assert np.diff([record.seconds for record in result.history]).min() >= 0.0
    changes = [record.change for record in result.history[1:]]
    np.testing.assert_allclose(changes, np.diff(values), rtol=1e-6, atol=1e-10)
    whole = emix.fit_em(emix.GaussianModel(4, 4, "tied", "auto"), IRIS, start, tol=1e-10, max_iter=1000)
    assert result.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)


def test_seconds_and_entropy_belong_to_what_is_kept(fits: dict[Cell, CellFit]) -> None:
    for one, fit in fits.items():
        if fit.is_sound:
            assert fit.runs is not None
            theta = fit.runs.result.parameters
            gm = emix.GaussianMixture.from_parameters(
                theta.weights, theta.means, theta.covariances, one.covariance_type
            )
            r = gm.predict_proba(IRIS)
            with np.errstate(all="ignore"):
                entropy = -np.nansum(r * np.log(r))
            assert fit.entropy == pytest.approx(entropy, rel=1e-9, abs=1e-12)
        assert fit.seconds > 0.0


def test_number_of_parameters() -> None:
    assert n_parameters(cell("full", 2), 4) == 1 + 8 + 20
    assert n_parameters(cell("EII", 3), 4) == 2 + 12 + 1


def test_report_is_given_each_fit_as_it_ends() -> None:
    told: list[Cell] = []
    cells = [cell("full", K) for K in (1, 2, 3)]
    sweep = Sweep(cells, fitter(), 1, lambda one, fit: told.append(one))
    sweep.run()
    assert told[:3] == cells
    assert set(sweep.fits) == set(cells)


# mclust 6.0.0, mclustBIC(x, G = 1:9), in its sign. Without its start, fits end 2 to 90 below.
OF_MCLUST = {
    "faithful": [("EVV", 7, -2398.703), ("EVV", 8, -2414.962), ("VEI", 9, -2398.223)],
    "iris": [("VII", 9, -700.028)],
    "wine": [("VVV", 3, -7203.940), ("EEV", 4, -7520.405), ("VEV", 4, -7484.248), ("EVV", 4, -7562.514)],
}


# Of wine, 178 rows, a mixture of more parameters than rows is chosen: only its fit is looked at here.
@pytest.mark.filterwarnings("ignore:The mixture that is chosen:UserWarning")
@pytest.mark.parametrize("name", OF_MCLUST)
def test_no_fit_is_below_that_of_mclust(name: str) -> None:
    X = {"faithful": emix.load_faithful().data, "iris": IRIS, "wine": load_wine().data}[name]
    for structure, K, value in OF_MCLUST[name]:
        selection = emix.select_mixture(X, [K - 1, K, K + 1] if K < 9 else [K - 1, K], structure, random_state=0)
        row = next(row for row in selection.table_ if row.n_components == K)
        assert not row.degenerate
        assert -row.bic >= value - 0.05


def test_no_fit_is_below_one_of_a_structure_that_it_contains() -> None:
    selection = emix.select_mixture(IRIS, range(2, 6), random_state=0)
    rows = {(row.covariance_type, row.n_components): row for row in selection.table_}
    for (outer, K), row in rows.items():
        for inner in STRUCTURES.values():
            other = rows[inner.name, K]
            if contains(STRUCTURES[outer], inner) and not other.degenerate and not row.degenerate:
                # A run ends where its last step gained less than tol, 1.5e-4 here; less than 0.01 is not looked at.
                assert row.log_likelihood >= other.log_likelihood - 0.011
