"""Expected sufficient statistics of a Gaussian mixture: the result of an E-step, and all that an M-step needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emix.kernel.factors import Columns
from emix.kernel.layout import statistics_layout

if TYPE_CHECKING:
    from emix.gaussian.parameters import GaussianParameters
    from emix.gaussian.structures import CovarianceStructure

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
        All sums, as compiled code takes them (`emix.kernel.layout.StatisticsLayout`), for weights in `unit`.
    unit : float
        Unit of the weights in `packed`, a power of two; 1 unless all weights are very small or large. Sums of weights
        of 2⁻¹⁰⁰⁰ with squares of small numbers would underflow.
    center : ndarray of shape (K, d)
        c_k.
    weight : ndarray of shape (K,)
        N_k = Σ w r.
    shift : ndarray of shape (K, d)
        s_k = Σ w r (x − c_k).
    scatter : ndarray
        S_k = Σ w r (x − c_k)(x − c_k)ᵀ, as the structure's form has it: full (K, d, d); tied (d, d), summed over
        k; diag (K, d), the diagonals; spherical (K,), the traces.
    total_weight : float
        The rows' total weight, the unit included.
    n_rows : int
    log_likelihood : float
        Total, nats, of rows with these weights, the unit included.
    columns : Columns or None
        Least and greatest value of each column (`column_range`), and the precision of the rows' numbers (`epsilon`);
        None if they are not known.
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
    unit: float
    columns: Columns | None

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
        unit: float = 1.0,
        columns: Columns | None = None,
    ) -> None:
        # The generated __init__ makes a call for each field, as that of GaussianParameters.
        fields = self.__dict__
        fields["structure"], fields["n_components"], fields["n_features"] = structure, n_components, n_features
        fields["packed"], fields["total_weight"], fields["n_rows"] = packed, total_weight, n_rows
        fields["log_likelihood"], fields["taken_under"] = log_likelihood, taken_under
        fields["unit"], fields["columns"] = unit, columns

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
        unit: float = 1.0,
        columns: Columns | None = None,
    ) -> GaussianStatistics:
        """Make statistics from their parts, which are trusted to belong together."""
        K, d = center.shape
        packed = np.concatenate([part.ravel() for part in (weight, shift, scatter, center)])
        return cls(structure, K, d, packed, total_weight, n_rows, log_likelihood, taken_under, unit, columns)

    @property
    def center(self) -> Array:
        """c_k, (K, d)."""
        K, d = self.n_components, self.n_features
        return self.packed[statistics_layout(self.structure.form.code, K, d).center].reshape(K, d)

    @property
    def weight(self) -> Array:
        """N_k, (K,)."""
        return self._with_unit(self.in_unit[0])

    @property
    def shift(self) -> Array:
        """s_k, (K, d)."""
        return self._with_unit(self.in_unit[1])

    @property
    def scatter(self) -> Array:
        """S_k, in the shape of the structure's form."""
        return self._with_unit(self.in_unit[2])

    @property
    def in_unit(self) -> tuple[Array, Array, Array]:
        """N, s and S for weights in `unit`: views of `packed`."""
        K, d, packed = self.n_components, self.n_features, self.packed
        at = statistics_layout(self.structure.form.code, K, d)
        scatter = packed[at.scatter].reshape(self.structure.form.shape(K, d))
        return packed[at.weight], packed[at.shift].reshape(K, d), scatter

    def _with_unit(self, sums: Array) -> Array:
        if self.unit == 1.0:
            return sums
        with np.errstate(under="ignore", over="ignore"):
            return self.unit * sums

    @property
    def digest(self) -> str:
        """The digest of the parameters under which the responsibilities were taken; empty for those of a start."""
        return self.taken_under.digest if self.taken_under is not None else ""

    def __add__(self, other: GaussianStatistics) -> GaussianStatistics:
        """Return the statistics of both sets of rows together.

        Raises
        ------
        ValueError
            If they are for different structures, or were taken under different parameters: their sum would mean
            nothing.
        """
        if not isinstance(other, GaussianStatistics):
            return NotImplemented
        if self.structure != other.structure:
            raise ValueError(
                f"statistics for the structures {self.structure.name!r} and {other.structure.name!r} cannot be added."
            )
        if self.taken_under is not other.taken_under and self.digest != other.digest:
            raise ValueError(
                "statistics taken under different parameters cannot be added: "
                f"{self.digest[:12]} and {other.digest[:12]}. Take both under the same parameters."
            )
        unit = max(self.unit, other.unit)
        mine, moved = self._in_unit(unit), other.recentered(self.center)._in_unit(unit)
        weight, shift, scatter = (a + b for a, b in zip(mine.in_unit, moved.in_unit))
        return GaussianStatistics.of(
            self.structure,
            self.center,
            weight,
            shift,
            scatter,
            self.total_weight + other.total_weight,
            self.n_rows + other.n_rows,
            self.log_likelihood + other.log_likelihood,
            self.taken_under,
            unit,
            _of_both(self.columns, other.columns),
        )

    def scaled(self, factor: float) -> GaussianStatistics:
        """Return the statistics with the weight of every row multiplied by `factor`."""
        return replace(
            self._multiplied(factor),
            total_weight=self.total_weight * factor,
            log_likelihood=self.log_likelihood * factor,
        )

    def _in_unit(self, unit: float) -> GaussianStatistics:
        """Return the statistics with their sums in another unit of the weights."""
        return self if unit == self.unit else replace(self._multiplied(self.unit / unit), unit=unit)

    def _multiplied(self, factor: float) -> GaussianStatistics:
        packed = self.packed * factor
        packed[-self.center.size :] = self.center.ravel()
        return replace(self, packed=packed)

    def recentered(self, center: Array) -> GaussianStatistics:
        """Return the statistics about another centre (K, d).

        With e = c − c′: s′ = s + N e and S′ = S + s eᵀ + e sᵀ + N e eᵀ.
        """
        if np.array_equal(center, self.center):
            return self
        moved = self.center - center
        weight, shift, scatter = self.in_unit
        return GaussianStatistics.of(
            self.structure,
            center,
            weight,
            shift + weight[:, np.newaxis] * moved,
            self.structure.form.recenter(scatter, weight, shift, moved),
            self.total_weight,
            self.n_rows,
            self.log_likelihood,
            self.taken_under,
            self.unit,
            self.columns,
        )


def _of_both(a: Columns | None, b: Columns | None) -> Columns | None:
    """Return the columns of both sets of rows together, None if those of one are not known."""
    if a is None or b is None:
        return None
    least, greatest = np.minimum(a.column_range, b.column_range), np.maximum(a.column_range, b.column_range)
    # The lower precision bounds the rounding in both sets of rows.
    return Columns(max(a.epsilon, b.epsilon), np.array([least[0], greatest[1]]))
