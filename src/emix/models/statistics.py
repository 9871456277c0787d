"""Expected sufficient statistics of a Gaussian mixture: what an E-step gives and all that an M-step needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .covariance import CovarianceStructure
    from .parameters import GaussianParameters

__all__ = ["GaussianStatistics"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, init=False)
class GaussianStatistics:
    """Sums over rows, about a centre c_k of each component, so that large offsets cancel before they are squared.

    With the responsibility r of component k for a row x of weight w:

    Attributes
    ----------
    structure : CovarianceStructure
    n_components, n_features : int
        K and d.
    packed : ndarray
        All sums, as compiled code takes them: [N | s | S | c]. The four arrays below are views of it.
    center : ndarray of shape (K, d)
        c_k.
    weight : ndarray of shape (K,)
        N_k = Σ w r.
    shift : ndarray of shape (K, d)
        s_k = Σ w r (x − c_k).
    scatter : ndarray
        S_k = Σ w r (x − c_k)(x − c_k)ᵀ, as the structure needs it: full (K, d, d); tied (d, d), summed over k; diag
        (K, d), the diagonals; spherical (K,), the traces.
    total_weight : float
        Σ w.
    n_rows : int
    log_likelihood : float
        Σ w log p(x), total, nats.
    taken_under : GaussianParameters or None
        The parameters of the responsibilities; None if these were not Bayes' theorem's but a start's.
    """

    structure: CovarianceStructure
    n_components: int
    n_features: int
    packed: Array
    total_weight: float
    n_rows: int
    log_likelihood: float
    taken_under: GaussianParameters | None

    def __init__(
        self,
        structure: CovarianceStructure,
        n_components: int,
        n_features: int,
        packed: Array,
        total_weight: float,
        n_rows: int,
        log_likelihood: float,
        taken_under: GaussianParameters | None,
    ) -> None:
        # What the generated one does by a call for each field; see GaussianParameters.
        fields = self.__dict__
        fields["structure"], fields["n_components"], fields["n_features"] = structure, n_components, n_features
        fields["packed"], fields["total_weight"], fields["n_rows"] = packed, total_weight, n_rows
        fields["log_likelihood"], fields["taken_under"] = log_likelihood, taken_under

    @classmethod
    def of(
        cls,
        structure: CovarianceStructure,
        center: Array,
        weight: Array,
        shift: Array,
        scatter: Array,
        total_weight: float,
        n_rows: int,
        log_likelihood: float,
        taken_under: GaussianParameters | None,
    ) -> GaussianStatistics:
        """Make statistics from their parts, which are trusted to belong together."""
        K, d = center.shape
        packed = np.concatenate([part.ravel() for part in (weight, shift, scatter, center)])
        return cls(structure, K, d, packed, total_weight, n_rows, log_likelihood, taken_under)

    @property
    def center(self) -> Array:
        """c_k, (K, d)."""
        K, d = self.n_components, self.n_features
        return self.packed[-K * d :].reshape(K, d)

    @property
    def weight(self) -> Array:
        """N_k, (K,)."""
        return self.packed[: self.n_components]

    @property
    def shift(self) -> Array:
        """s_k, (K, d)."""
        K, d = self.n_components, self.n_features
        return self.packed[K : K * (d + 1)].reshape(K, d)

    @property
    def scatter(self) -> Array:
        """S_k, in the structure's shape."""
        K, d = self.n_components, self.n_features
        return self.packed[K * (d + 1) : -K * d].reshape(self.structure.shape(K, d))

    @property
    def digest(self) -> str:
        """Names the parameters of the responsibilities."""
        return self.taken_under.digest if self.taken_under is not None else ""

    def __add__(self, other: GaussianStatistics) -> GaussianStatistics:
        """Return the statistics of both sets of rows together.

        Raises
        ------
        ValueError
            If they were taken under different parameters: their sum would mean nothing.
        """
        if not isinstance(other, GaussianStatistics):
            return NotImplemented
        if self.taken_under is not other.taken_under and self.digest != other.digest:
            raise ValueError(
                "statistics taken under different parameters cannot be added: "
                f"{self.digest[:12]} and {other.digest[:12]}. Take both under the same parameters."
            )
        moved = other.recentered(self.center)
        return GaussianStatistics.of(
            self.structure,
            self.center,
            self.weight + moved.weight,
            self.shift + moved.shift,
            self.scatter + moved.scatter,
            self.total_weight + other.total_weight,
            self.n_rows + other.n_rows,
            self.log_likelihood + other.log_likelihood,
            self.taken_under,
        )

    def scaled(self, factor: float) -> GaussianStatistics:
        """Return the statistics with the weight of every row multiplied by `factor`."""
        packed = self.packed * factor
        packed[-self.center.size :] = self.center.ravel()
        return replace(
            self,
            packed=packed,
            total_weight=self.total_weight * factor,
            log_likelihood=self.log_likelihood * factor,
        )

    def recentered(self, center: Array) -> GaussianStatistics:
        """Return the same statistics about another centre (K, d).

        With e = c − c′: s′ = s + N e and S′ = S + s eᵀ + e sᵀ + N e eᵀ.
        """
        if np.array_equal(center, self.center):
            return self
        moved = self.center - center
        return GaussianStatistics.of(
            self.structure,
            center,
            self.weight,
            self.shift + self.weight[:, np.newaxis] * moved,
            self.structure.recenter(self.scatter, self.weight, self.shift, moved),
            self.total_weight,
            self.n_rows,
            self.log_likelihood,
            self.taken_under,
        )
