"""MixtureClassifier beside mclust 6.0.0 (R 4.2) on iris: EDDA with each structure, and MclustDA.

The values are those of ``MclustDA(X, class, modelType="EDDA", modelNames=name, control=emControl(tol=c(1e-13, 1e-13),
itmax=c(20000, 20000), eps=1e-300))``: its log-likelihood, its number of parameters, its errors on the rows, and the sum
of log z of each row's class, by which the first is the log-likelihood of rows and classes together.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

import emix
from emix.gaussian.structures import STRUCTURES, structure_of

X, Y = load_iris(return_X_y=True)

MCLUST = {
    "EII": (-414.69795127, 13, 11, -29.96982702),
    "VII": (-392.49841450, 15, 12, -25.46660926),
    "EEI": (-364.51736434, 16, 6, -19.57093619),
    "VEI": (-340.83605252, 18, 5, -14.62278074),
    "EVI": (-342.97369847, 22, 6, -21.25197071),
    "VVI": (-309.36275789, 24, 6, -16.68732330),
    "EEE": (-256.64618425, 22, 3, -6.55755902),
    "VEE": (-238.39467207, 24, 3, -7.28692418),
    "EVE": (-235.55214747, 28, 4, -5.99053846),
    "VVE": (-215.34310728, 30, 3, -6.11148248),
    "EEV": (-215.14326313, 34, 2, -5.65719483),
    "VEV": (-187.70974440, 36, 3, -6.33776804),
    "EVV": (-209.45479770, 40, 3, -4.90273075),
    "VVV": (-182.92084861, 42, 3, -5.45470630),
}


def edda(name: str) -> emix.MixtureClassifier:
    return emix.MixtureClassifier(covariance_type=name, across_classes=True, tol=1e-13).fit(X, Y)


def of_rows_and_classes(classifier: emix.MixtureClassifier) -> float:
    return float(classifier.predict_joint_log_proba(X)[np.arange(len(Y)), Y].sum())


def test_all_structures_are_there() -> None:
    assert {structure_of(name, "test").name for name in MCLUST} == set(STRUCTURES)


@pytest.mark.parametrize("name", MCLUST)
def test_log_likelihood_and_parameters_are_those_of_mclust(name: str) -> None:
    log_likelihood, n_parameters, n_errors, log_posterior = MCLUST[name]
    classifier = edda(name)
    together = of_rows_and_classes(classifier)
    assert classifier.n_parameters_ == n_parameters
    assert np.count_nonzero(classifier.predict(X) != Y) == n_errors
    if name == "VVE":
        # mclust's axes are not the best for its scatter matrices.
        assert together > log_likelihood + log_posterior + 0.1
        return
    # reg_covar moves the classes' covariances by a part of 1e-8, and the log-density of 150 rows by less than 1e-6.
    # Near the maximum of the log-likelihood of rows and classes, mclust's axes of EVE are a little others: that of the
    # rows alone, which is not at a maximum there, shows it.
    assert classifier.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-5 if name == "EVE" else 1e-6)
    assert together == pytest.approx(log_likelihood + log_posterior, abs=1e-6)
    assert classifier.bic_ == pytest.approx(
        n_parameters * np.log(150.0) - 2.0 * classifier.log_likelihood_, abs=1e-10
    )  # rounding of numbers near 500


def test_default_settings_reach_the_log_likelihood_of_mclust() -> None:
    # That of VEV in the table above, to four decimals.
    classifier = emix.MixtureClassifier(covariance_type="VEV", across_classes=True).fit(X, Y)
    assert round(classifier.log_likelihood_, 4) == -187.7097


@pytest.mark.parametrize("name", MCLUST)
def test_covariances_are_of_the_structure_across_the_classes(name: str) -> None:
    kind = structure_of(name, "test")
    covariances = np.stack([mixture.covariances_[0] for mixture in edda(name).mixtures_])
    given = covariances[0] if kind.form.is_shared else covariances
    if kind.form.is_shared:
        assert (covariances == covariances[0]).all()
    means = np.stack([mixture.means_[0] for mixture in edda(name).mixtures_])
    # It refuses covariances that are not of the structure.
    emix.GaussianParameters.from_covariances(kind, np.full(3, 1 / 3), means, given)


def test_free_covariances_are_best_for_rows_and_classes_together() -> None:
    together = {name: of_rows_and_classes(edda(name)) for name in MCLUST}
    assert max(together, key=lambda name: together[name]) == "VVV"
    for small, large in (
        ("EII", "VII"),
        ("EEE", "VEE"),
        ("VEE", "VVE"),
        ("EVE", "VVE"),
        ("EEV", "VEV"),
        ("EEI", "VEI"),
    ):
        assert together[small] < together[large]


def test_choice_of_the_structure_is_that_of_mclust() -> None:
    classifier = emix.MixtureClassifier(covariance_type="all", across_classes=True).fit(X, Y)
    assert classifier.covariance_types_ == ["VEV"] * 3
    assert classifier.bic_ == pytest.approx(555.80235940, abs=1e-5)  # the fit's tol is 1e-6 a row
    by_aic = emix.MixtureClassifier(covariance_type="all", across_classes=True, criterion="aic").fit(X, Y)
    # 2 df − 2 log L of the table: VVV has 449.84, VEV 447.42 and VVE 490.69.
    assert by_aic.covariance_types_ == ["VEV"] * 3


def test_mixtures_of_classes_are_those_of_mclust() -> None:
    classifier = emix.MixtureClassifier([1, 2, 3], covariance_type="all", random_state=0).fit(X, Y)
    # MclustDA(X, class, G=1:3): EEE 2, XXX 1, XXX 1, log-likelihood −172.81351679, df 47, three errors. It stops at a
    # relative change of 1e-5.
    assert classifier.covariance_types_ == ["tied", "full", "full"]
    assert [mixture.n_components for mixture in classifier.mixtures_] == [2, 1, 1]
    assert classifier.n_parameters_ == 47
    assert classifier.log_likelihood_ == pytest.approx(-172.81351679, abs=1e-3)
    assert np.count_nonzero(classifier.predict(X) != Y) == 3
