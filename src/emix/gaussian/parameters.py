"""Parameters of a Gaussian mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.arguments import check_finite, element_of
from emix.gaussian.covariance_checks import ROUNDED_ELEMENT, asymmetric_element
from emix.gaussian.structures import CovarianceStructure, structure_of
from emix.kernel import factors
from emix.kernel.layout import ParametersLayout, parameters_layout

__all__ = ["GaussianParameters", "check_shapes", "check_values", "full_covariances"]

Array = NDArray[np.float64]

# Largest distance of a sum of weights from one: they may have been rounded to single precision.
ROUNDED_SUM = 1e-6


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GaussianParameters:
    """Weights, means and covariances of a Gaussian mixture of K components in d dimensions, float64.

    Make one with `from_covariances` or `from_precisions`, which check that covariances are positive definite.

    Attributes
    ----------
    structure : CovarianceStructure
        Which covariances an M-step may fit, and the form in which they are stored.
    n_components, n_features : int
        K and d.
    packed : ndarray
        All numbers, as compiled code takes them (`emix.kernel.layout.ParametersLayout`). Not copied, but made
        read-only: W belongs to Σ, and the digest, which is taken once, to all. The arrays below are views of it.
    weights : ndarray of shape (K,)
        π_k.
    means : ndarray of shape (K, d)
        μ_k.
    covariances : ndarray
        Σ_k in the structure's form: full (K, d, d), tied (d, d), diag (K, d), spherical (K,).
    whitening : ndarray
        W_k, lower triangular with Σ_k⁻¹ = W_kᵀ W_k, in the shape of the covariances: the transpose of the precision
        Cholesky factor; for diag and spherical the inverse standard deviations.
    log_det_whitening : ndarray of shape (K,)
        Σ_j log W_k[j, j].

    Examples
    --------
    >>> theta = GaussianParameters.from_covariances("spherical", [0.5, 0.5], [[0.0], [3.0]], [1.0, 4.0])
    >>> theta.whitening
    array([1. , 0.5])
    """

    structure: CovarianceStructure
    n_components: int
    n_features: int
    packed: Array

    def __init__(self, structure: CovarianceStructure, n_components: int, n_features: int, packed: Array) -> None:
        packed.setflags(write=False)
        # The generated __init__ makes a call for each field and takes half as long again. Each iteration of a fit comes
        # here.
        fields = self.__dict__
        fields["structure"], fields["n_components"], fields["n_features"] = structure, n_components, n_features
        fields["packed"] = packed

    @classmethod
    def from_covariances(
        cls, structure: str | CovarianceStructure, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike
    ) -> GaussianParameters:
        """Make parameters from covariances in the shape of the structure's form.

        Weights are taken as they are, not divided by their sum: that must be one but for rounding, 1e-6.

        Raises
        ------
        ValueError
            If there is no such structure, the shapes do not belong together, a number is not finite, a weight is
            negative, the weights do not sum to one, a covariance is not symmetric, or the covariances are not of the
            structure.
        DegenerateCovarianceError
            If a covariance is not positive definite to working precision.
        """
        kind = structure_of(structure, cls.__name__)
        pi, mu, sigma = (np.array(a, dtype=np.float64, order="C") for a in (weights, means, covariances))
        check_shapes(kind, pi, mu, covariances=sigma)
        check_values({"weights": pi, "means": mu, "covariances": sigma}, kind)
        return cls.of(kind, pi, mu, _of_structure("covariances", kind, sigma, pi))

    @classmethod
    def from_precisions(
        cls,
        structure: str | CovarianceStructure,
        weights: ArrayLike,
        means: ArrayLike,
        precisions: ArrayLike,
        *,
        project: bool = False,
    ) -> GaussianParameters:
        """Make parameters from inverse covariances in the shape of the structure's form.

        With `project`, covariances that are not of the structure are replaced by the nearest that are
        (`CovarianceStructure.project`).

        Raises
        ------
        ValueError
            As `from_covariances`.
        DegenerateCovarianceError
            If a precision is not positive definite to working precision.
        """
        kind = structure_of(structure, cls.__name__)
        pi, mu, inverse = (np.array(a, dtype=np.float64, order="C") for a in (weights, means, precisions))
        check_shapes(kind, pi, mu, precisions=inverse)
        check_values({"weights": pi, "means": mu, "precisions": inverse}, kind)
        sigma = kind.form.from_precisions(inverse)
        if project:
            return cls.of(kind, pi, mu, kind.project(sigma, pi))
        return cls.of(kind, pi, mu, _of_structure("inverses of precisions", kind, sigma, pi))

    @classmethod
    def of(cls, structure: CovarianceStructure, weights: Array, means: Array, covariances: Array) -> GaussianParameters:
        """Make parameters from arrays that are trusted to have the right shapes and values.

        Raises
        ------
        DegenerateCovarianceError
            If a covariance is not positive definite to working precision.
        """
        whitening, log_det = structure.form.whiten(covariances, *means.shape)
        return cls.of_arrays(structure, weights, means, covariances, whitening, log_det)

    @classmethod
    def of_arrays(
        cls,
        structure: CovarianceStructure,
        weights: Array,
        means: Array,
        covariances: Array,
        whitening: Array,
        log_det_whitening: Array,
    ) -> GaussianParameters:
        """Make parameters from all their parts, which are trusted to belong together."""
        K, d = means.shape
        at = parameters_layout(structure.form.code, K, d)
        packed = np.empty(at.size)
        parts = (weights, covariances, means, whitening, log_det_whitening)
        for place, part in zip((at.weights, at.covariances, at.means, at.whitening, at.log_det), parts):
            packed[place] = part.ravel()
        factors.complete(structure.form.code, K, d, packed)
        return cls(structure, K, d, packed)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return weights, means, covariances and whitening, in half of the time of the four properties."""
        K, d, packed, form = self.n_components, self.n_features, self.packed, self.structure.form
        at, shape = parameters_layout(form.code, K, d), form.shape(K, d)
        return (
            packed[at.weights],
            packed[at.means].reshape(K, d),
            packed[at.covariances].reshape(shape),
            packed[at.whitening].reshape(shape),
        )

    def _layout(self) -> ParametersLayout:
        return parameters_layout(self.structure.form.code, self.n_components, self.n_features)

    @property
    def density(self) -> Array:
        """The part of `packed` that an E-step evaluates (`emix.kernel.layout.DensityLayout`)."""
        at = parameters_layout(self.structure.form.code, self.n_components, self.n_features)
        return self.packed[at.density]

    @property
    def weights(self) -> Array:
        """π_k, (K,)."""
        return self.packed[: self.n_components]

    @property
    def means(self) -> Array:
        """μ_k, (K, d)."""
        return self.packed[self._layout().means].reshape(self.n_components, self.n_features)

    @property
    def covariances(self) -> Array:
        """Σ_k, in the structure's shape."""
        return self._spread(self._layout().covariances)

    @property
    def whitening(self) -> Array:
        """W_k, in the structure's shape."""
        return self._spread(self._layout().whitening)

    @property
    def log_det_whitening(self) -> Array:
        """Σ_j log W_k[j, j], (K,)."""
        return self.packed[self._layout().log_det]

    def _spread(self, place: slice) -> Array:
        return self.packed[place].reshape(self.structure.form.shape(self.n_components, self.n_features))

    def __repr__(self) -> str:
        return (
            f"GaussianParameters(structure={self.structure!r}, weights={self.weights!r}, means={self.means!r}, "
            f"covariances={self.covariances!r})"
        )

    def has_precisions_within(self, largest: float) -> bool:
        """True if no precision can be beyond the largest number of a dtype; False is no verdict."""
        # Σ⁻¹ = WᵀW: a sum of d products.
        at = parameters_layout(self.structure.form.code, self.n_components, self.n_features).whitening
        return factors.all_below(self.packed, at.start, at.stop, math.sqrt(largest / self.n_features))

    @property
    def n_free_parameters(self) -> int:
        """Free parameters: K − 1 weights, K·d means and those of the covariances."""
        K, d = self.n_components, self.n_features
        return int(K - 1 + K * d + self.structure.n_parameters(K, d))

    @property
    def digest(self) -> str:
        """SHA-256 of the structure, weights, means and covariances; taken once."""
        # Not a cached_property: before Python 3.12 its lock, of all instances, may stay taken in the child of a fork.
        if "digest" not in self.__dict__:
            self.__dict__["digest"] = self._find_digest()
        found: str = self.__dict__["digest"]
        return found

    def _find_digest(self) -> str:
        # OpenSSL's library is loaded with it: a seventh of the time that emix takes to import.
        import hashlib

        state = hashlib.sha256(f"{self.structure.name} {self.means.shape}".encode())
        for array in (self.weights, self.means, self.covariances):
            state.update(np.ascontiguousarray(array).tobytes())
        return state.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Without what was derived from the fields, such as the digest.
        return {key: self.__dict__[key] for key in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.packed.setflags(write=False)  # an unpickled array would be writable

    def permuted(self, order: ArrayLike) -> GaussianParameters:
        """Return the same mixture with its components in another order."""
        index = np.asarray(order)
        covariances = self.structure.form.permute(self.covariances, index)
        return GaussianParameters.from_covariances(self.structure, self.weights[index], self.means[index], covariances)

    def distance(self, other: GaussianParameters) -> float:
        """Return the distance to `other`, in units in which neither the data's scale nor their origin counts.

        The largest of ``|Δ log π_k|``, ``‖W_k Δμ_k‖`` and ``‖W_k Δ Σ_k W_kᵀ‖`` (Frobenius), W of `self`. A component of
        weight zero in both counts for nothing.
        """
        alive = (self.weights > 0.0) | (other.weights > 0.0)
        with np.errstate(divide="ignore"):
            weights = np.abs(np.log(other.weights[alive]) - np.log(self.weights[alive]))
        means = np.linalg.norm(self.structure.form.whitened(self.whitening, other.means - self.means), axis=1)[alive]
        change = other.covariances - self.covariances
        spread = self.structure.form.whitened_norms(self.whitening, change, self.n_features)
        if len(spread) == len(alive):
            spread = spread[alive]
        return float(max(weights.max(), means.max(), spread.max()))


def full_covariances(parameters: GaussianParameters) -> Array:
    """Return the covariances as matrices, (K, d, d)."""
    return parameters.structure.form.to_full(parameters.covariances, parameters.n_components, parameters.n_features)


def check_shapes(structure: CovarianceStructure, weights: Array, means: Array, **matrices: Array) -> None:
    """Refuse arrays that are not of one mixture; compiled code trusts their shapes.

    Parameters
    ----------
    structure : CovarianceStructure
    weights, means : ndarray
    **matrices : ndarray
        Covariances, precisions or factors of them, by the names that messages give them.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(
            f"means has shape {means.shape}, expected (n_components, n_features): one row for each component."
        )
    n_components, n_features = means.shape
    expected = structure.form.shape(n_components, n_features)
    for name, array, shape in [("weights", weights, (n_components,))] + [
        (name, matrix, expected) for name, matrix in matrices.items()
    ]:
        if array.shape != shape:
            raise ValueError(
                f"{name} has shape {array.shape}, expected {shape}: means of shape {means.shape} are of {n_components} "
                f"components in {n_features} dimensions, and the covariance structure is {structure.name!r}."
            )


def _of_structure(name: str, structure: CovarianceStructure, covariances: Array, weights: Array) -> Array:
    """Return covariances, made exactly those of a structure where they are so but for rounding.

    Raises
    ------
    ValueError
        If they are not.
    """
    nearest = structure.project(covariances, weights)
    if nearest is covariances:
        return covariances
    if structure.form.has_matrices:
        deviations = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
        scale = deviations[..., np.newaxis] * deviations[..., np.newaxis, :]
    else:
        scale = covariances
    bad = ~(np.abs(nearest - covariances) <= ROUNDED_ELEMENT * scale)
    if bad.any():
        place = np.unravel_index(int(bad.argmax()), bad.shape)
        raise ValueError(
            f"{name} are not of the covariance structure {structure.name!r}, {structure.description}: "
            f"{element_of('Σ', place)} is {covariances[place]:g}, and {nearest[place]:g} in the nearest that are. Pass "
            "those, or choose another structure."
        )
    return nearest


def check_values(arrays: dict[str, Array], structure: CovarianceStructure) -> None:
    """Refuse numbers that cannot be those of a mixture.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Weights, means, and covariances or precisions, in this order, by the names that messages give them.
    structure : CovarianceStructure

    Raises
    ------
    ValueError
        If one is not finite, a weight is negative, the weights do not sum to one, or a matrix is not symmetric.
    """
    for name, array in arrays.items():
        check_finite(array, name)
    (name_of_weights, weights), _, (name, spread) = arrays.items()
    if weights.min() < 0.0:
        k = int(weights.argmin())
        raise ValueError(f"{name_of_weights}[{k}] is {weights[k]:g}, expected 0 or more: the weight of component {k}.")
    total = float(weights.sum())
    if abs(total - 1.0) > ROUNDED_SUM:
        raise ValueError(f"{name_of_weights} sum to {total:.9g}, expected 1: divide them by their sum.")
    places = asymmetric_element(spread) if structure.form.has_matrices else None
    if places is not None:
        here, there = places
        raise ValueError(
            f"{element_of(name, here)} is {spread[here]:g} and {element_of(name, there)} is {spread[there]:g}, "
            "expected a symmetric matrix. Pass (A + A.T) / 2 if they differ by rounding."
        )
