"""Data and parameters for the tests of the models, and what a NumPy programmer would compute from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.forms import FORMS, CovarianceForm
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import RegCovar
from emix.gaussian.run import GaussianRun
from emix.gaussian.scoring import scorer_arguments
from emix.gaussian.shortcuts import Shortcut
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.gaussian.sums import KernelDensity, LocalSums, PassOutcome, PassRequest
from emix.kernel.level import kernel_for
from emix.rows.source import RowSource
from gaussian.shared_parts import SHARING, maximum

Array = NDArray[Any]
Kind = TypeVar("Kind", bound=Shortcut)

each_structure = pytest.mark.parametrize("structure", STRUCTURES)
# Those that scikit-learn has too.
each_of_scikit_learn = pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
each_form = pytest.mark.parametrize("name", FORMS)


class UnitVolume(CovarianceStructure):
    """A structure of a user's own that is not linear in the Ŵ_k: diagonal covariances of determinant 1."""

    name = "unit volume"
    description = "a variance for each component and feature, with the product 1 over features"
    form = FORMS["diag"]

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features - 1)

    def maximize(self, statistics: GaussianStatistics, reg_covar: RegCovar, n_threads: int = 1) -> tuple[Array, int]:
        held = statistics.weight[:, np.newaxis]
        delta = statistics.shift / held
        own = statistics.scatter / held - delta * delta + self.ridge(statistics, reg_covar)
        covariances = own / own.prod(axis=1, keepdims=True) ** (1.0 / statistics.n_features)
        weights, means = statistics.weight / statistics.weight.sum(), statistics.center + delta
        return GaussianParameters.of(self, weights, means, covariances).packed, -1


def clusters(n: int, d: int, K: int, seed: int = 0, spread: float = 3.0) -> Array:
    """Rows of K overlapping Gaussians, each with correlations and scales of its own."""
    rng = np.random.default_rng([seed, n, d, K])
    labels = np.arange(n) % K
    means = spread * rng.normal(size=(K, d))
    mixing = np.eye(d) + 0.3 * rng.normal(size=(K, d, d))
    return means[labels] + (mixing[labels] @ rng.normal(size=(n, d, 1)))[:, :, 0]


def start(structure: str, X: Array, K: int, seed: int = 0) -> GaussianParameters:
    """Unequal weights, means at rows, the pooled covariance in the structure's form."""
    rng = np.random.default_rng([seed, 1])
    weights = rng.uniform(0.5, 1.5, K)
    kind = STRUCTURES[structure]
    pooled = np.atleast_2d(np.cov(X, rowvar=False, bias=True)).astype(np.float64)
    return GaussianParameters.from_covariances(
        kind,
        weights / weights.sum(),
        X[rng.choice(len(X), K, replace=False)],
        kind.form.from_pooled(pooled, K),
    )


def after(n_iter: int, structure: str, data: Any, theta: GaussianParameters, reg_covar: float = 0.0) -> Any:
    """Parameters after so many iterations, and the log-likelihoods on the way and of the last."""
    K, d = theta.means.shape
    model = GaussianModel(K, d, structure, reg_covar)
    run = model.begin(data)
    history = []
    for _ in range(n_iter):
        statistics, log_likelihood = run.e_step(theta)
        history.append(log_likelihood)
        theta = model.m_step(statistics)
    history.append(run.e_step(theta)[1])
    return theta, np.array(history)


def density_of(theta: GaussianParameters) -> KernelDensity:
    return KernelDensity(theta.structure.form.code, theta.n_components, theta.n_features, theta.density)


def request_of(
    theta: GaussianParameters, source: RowSource, before: PassOutcome | None = None, center: Array | None = None
) -> PassRequest:
    """A plain pass over a source under the parameters."""
    return PassRequest(density_of(theta), before, center, source.columns, source.weight_unit)


def sums_of(source: RowSource, theta: GaussianParameters, n_threads: int | None = None, **settings: Any) -> LocalSums:
    """Sums over a source for passes under such parameters."""
    return LocalSums(source, theta.structure.form.code, theta.n_components, n_threads, **settings)


def shortcut_of(run: GaussianRun, kind: type[Kind]) -> Kind | None:
    """The shortcut of a kind that a run may take."""
    return next((one for one in run.shortcuts if isinstance(one, kind)), None)


class Recorder:
    """A shortcut that saves nothing, for `run.shortcuts`: it keeps what `look` says of passes.

    Attributes
    ----------
    taken, counted : list
        Of all passes; of those that count, one for each E-step.
    """

    name: ClassVar[str] = "recorder"
    room: NDArray[np.float32] | None = None

    def __init__(self, look: Callable[[PassRequest, PassOutcome], Any]) -> None:
        self.look = look
        self.taken: list[Any] = []
        self.counted: list[Any] = []

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self | None:
        return None

    def before(self, request: PassRequest) -> PassRequest:
        return request

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        self.taken.append(self.look(request, outcome))
        return True

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        self.counted.append(self.look(request, outcome))


def bits_of(outcome: PassOutcome) -> bytes:
    """Sums and log-likelihood."""
    return outcome.packed.tobytes() + np.float64(outcome.log_likelihood).tobytes()


def naive_joint(X: Array, theta: GaussianParameters) -> Array:
    """log π_k p_k(x)."""
    K, d = theta.means.shape
    X = X.astype(np.float64)
    joint = np.empty((len(X), K))
    for k, sigma in enumerate(theta.structure.form.to_full(theta.covariances, K, d)):
        z = X - theta.means[k]
        square = np.einsum("ij,ij->i", z, np.linalg.solve(sigma, z.T).T)
        joint[:, k] = np.log(theta.weights[k]) - 0.5 * (square + np.linalg.slogdet(2 * np.pi * sigma)[1])
    return joint


def joint_scores(X: Array, theta: GaussianParameters) -> Array:
    """log π_k p_k(x) by the kernel: to the bit its log-density where the other components' constants are −∞."""
    K, d = theta.means.shape
    arguments = scorer_arguments(theta, X.dtype)
    assert arguments is not None
    constant = arguments[2 * K * d : 2 * K * d + K]
    values = constant.copy()
    joint = np.empty((K, len(X)), X.dtype)
    for k in range(K):
        constant[:] = -np.inf
        constant[k] = values[k]
        scorer = kernel_for(X.dtype).Scorer(theta.structure.form.code, K, d, arguments)
        scorer.score(X, 0, len(X), joint[k], None, None, None)
    return joint.T


def naive_responsibilities(X: Array, theta: GaussianParameters) -> Array:
    joint = naive_joint(X, theta)
    p = np.exp(joint - joint.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def in_form(structure: str, matrices: Array, weights: Array) -> Array:
    """The structure's covariances from each component's own (K, d, d): the maximum of the likelihood under it."""
    if structure == "full":
        return matrices
    if structure in SHARING:
        found = maximum(structure, matrices, weights)
        return np.diagonal(found, axis1=1, axis2=2).copy() if structure in ("VEI", "EVI") else found
    if structure in ("tied", "EEI", "EII"):
        pooled = np.einsum("k,kij->ij", weights / weights.sum(), matrices)
        if structure == "tied":
            return np.asarray(pooled)
        variances = np.tile(np.diagonal(pooled), (len(matrices), 1))
        return variances if structure == "EEI" else variances.mean(axis=1)
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    return diagonals if structure == "diag" else diagonals.mean(axis=1)


def scatter_of(form: CovarianceForm, centered: list[Array], weights: list[Array]) -> Array:
    """Σ w z zᵀ of the rows z of each component."""
    matrices = np.array([(z.T * w) @ z for z, w in zip(centered, weights)])
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    forms = {"full": matrices, "tied": matrices.sum(axis=0), "diag": variances, "spherical": variances.sum(axis=1)}
    return forms[form.name]


def assert_same_mixture(actual: GaussianParameters, expected: GaussianParameters, rtol: float) -> None:
    """Weights, means and covariances agree relative to the largest of each kind."""
    for name in ("weights", "means", "covariances"):
        a, b = getattr(actual, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=0.0, atol=rtol * np.abs(b).max(), err_msg=name)
