"""Expected sufficient statistics of a Gaussian mixture: the result of an E-step, and all that an M-step needs."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emix.arguments import real_in_range
from emix.gaussian.statistics_arithmetic import blend_of, check_alike, check_shapes, difference_of, scaled_by, sum_of
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
        The parameters of the responsibilities; None if these were not Bayes' theorem's but a start's. Of a blend, those
        of the statistics that were blended in last.
    blend : str
        Digest of the statistics that were blended (`blended`), where they were taken under different parameters; else
        empty.

    Examples
    --------
    Two services have half of the rows each. Their statistics add, and no row leaves its service:

    >>> import emix
    >>> X = emix.load_faithful().data
    >>> gm = emix.GaussianMixture(2, random_state=0).fit(X[:50])
    >>> whole = gm.statistics(X[:136]) + gm.statistics(X[136:])
    >>> whole.n_rows, round(whole.log_likelihood - gm.statistics(X).log_likelihood, 6) + 0.0
    (272, 0.0)
    >>> repr(whole).partition(", log_likelihood")[0]
    "GaussianStatistics(structure='full', n_components=2, n_features=2, total_weight=272, n_rows=272"
    >>> gm.update_from(whole).n_features_in_
    2
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
    blend: str

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
        blend: str = "",
    ) -> None:
        # The generated __init__ makes a call for each field, as that of GaussianParameters.
        fields = self.__dict__
        fields["structure"], fields["n_components"], fields["n_features"] = structure, n_components, n_features
        fields["packed"], fields["total_weight"], fields["n_rows"] = packed, total_weight, n_rows
        fields["log_likelihood"], fields["taken_under"] = log_likelihood, taken_under
        fields["unit"], fields["columns"], fields["blend"] = unit, columns, blend

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
        blend: str = "",
    ) -> GaussianStatistics:
        """Make statistics from their parts, which are trusted to belong together."""
        K, d = center.shape
        packed = np.concatenate([part.ravel() for part in (weight, shift, scatter, center)])
        return cls(structure, K, d, packed, total_weight, n_rows, log_likelihood, taken_under, unit, columns, blend)

    def __repr__(self) -> str:
        return (
            f"GaussianStatistics(structure={self.structure.name!r}, n_components={self.n_components}, "
            f"n_features={self.n_features}, total_weight={self.total_weight:.10g}, n_rows={self.n_rows}, "
            f"log_likelihood={self.log_likelihood:.10g})"
        )

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
        """The digest of the parameters under which the responsibilities were taken; empty for those of a start.

        Blends have one of their own: that of the digests and shares that they were made of.
        """
        if self.blend:
            return self.blend
        return self.taken_under.digest if self.taken_under is not None else ""

    def __add__(self, other: GaussianStatistics) -> GaussianStatistics:
        """Return the statistics of both sets of rows together.

        Each component's sums are about the centre of the set that holds more of it, so that nothing cancels.

        Raises
        ------
        ValueError
            If they are for different structures or shapes, or were taken under different parameters: their sum would
            mean nothing.
        """
        if not isinstance(other, GaussianStatistics):
            return NotImplemented
        check_alike(self, other, "added")
        return sum_of(self, other, self.taken_under, self.blend)

    def __radd__(self, other: object) -> GaussianStatistics:
        """Return these statistics for 0, with which ``sum`` begins."""
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: GaussianStatistics) -> GaussianStatistics:
        """Return the statistics without a part of their rows: rows of a day that is over, or that must be forgotten.

        Weights are clipped at zero: differences below 1e-12 of a component's weight are rounding. The ranges of the
        columns, and with them the precision, stay those of all rows.

        Raises
        ------
        ValueError
            If they are for different structures or shapes, or were taken under different parameters; if `other` is no
            part of these rows: it has more rows, a weight would fall below −1e-9 of what it was, or a scatter would no
            longer be positive definite, to 1e-9 of what it was (1e-6 for rows of single precision).
        """
        if not isinstance(other, GaussianStatistics):
            return NotImplemented
        check_alike(self, other, "subtracted")
        return difference_of(self, other)

    def scaled(self, factor: float) -> GaussianStatistics:
        """Return the statistics with the weight of every row multiplied by `factor`.

        Raises
        ------
        TypeError, ValueError
            If the factor is no number of at least 0, or the total weight or log-likelihood would leave the range of
            float64.
        """
        return scaled_by(self, real_in_range("factor", factor, 0.0, caller="scaled"))

    def blended(self, other: GaussianStatistics, share: float) -> GaussianStatistics:
        """Return (1 − share) of these statistics and `share` of others, which may be of other parameters.

        This is the step of stepwise EM, where `other` are those of the rows that came last: what is old fades, and an
        M-step of the blend moves part of the way. Sums are blended as they are: scale both to one total weight before,
        where their rows should count alike.

        Parameters
        ----------
        other : GaussianStatistics
        share : float
            From 0 to 1; with 1 the blend is `other`, with 0 these statistics.

        Returns
        -------
        GaussianStatistics
            Of the rows of both. Blends of different parameters add if their terms could be added one by one, and the
            shares are the same.

        Raises
        ------
        TypeError
            If `other` is something else, or `share` no number.
        ValueError
            If they are for different structures or shapes, or `share` is not from 0 to 1.

        References
        ----------
        O. Cappé and E. Moulines (2009), On-line expectation-maximization algorithm for latent data models, Journal of
        the Royal Statistical Society B 71, 593-613.
        """
        if not isinstance(other, GaussianStatistics):
            raise TypeError(f"other is a {type(other).__name__}, expected GaussianStatistics.")
        share = real_in_range("share", share, 0.0, caller="blended")
        if share > 1.0:
            raise ValueError(f"share is {share:g}, expected a number from 0 to 1: the part of `other` in the blend.")
        check_shapes(self, other, "blended")
        if share in (0.0, 1.0):
            return other if share else self
        return blend_of(self, other, share)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the statistics to a file: data without code, with a checksum, whole or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            Used as given.

        Raises
        ------
        ValueError
            If they are for a covariance structure that is not emix's own.
        OSError
            If the file cannot be written.

        Notes
        -----
        No row is in the file. Besides the sums it holds the parameters under which they were taken, and the least and
        greatest value of each column.
        """
        from emix.estimators.statistics_file import save_statistics

        save_statistics(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GaussianStatistics:
        """Read statistics that `save` wrote, to the bit.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        GaussianStatistics

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is truncated, altered, of a newer format or not of statistics.
        """
        from emix.estimators.statistics_file import load_statistics

        return load_statistics(path)

    def with_unit(self, unit: float) -> GaussianStatistics:
        """Return the statistics with their sums in another unit of the weights."""
        return self if unit == self.unit else replace(self.multiplied(self.unit / unit), unit=unit)

    @np.errstate(under="ignore")  # of weights tiny beside others
    def multiplied(self, factor: float) -> GaussianStatistics:
        """Return the statistics with all sums in `packed` multiplied; the totals stay as they are."""
        packed = self.packed * factor
        packed[-self.center.size :] = self.center.ravel()
        return replace(self, packed=packed)

    @np.errstate(under="ignore")
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
            self.blend,
        )
