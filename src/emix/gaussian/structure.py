"""The covariance structure as a class: an M-step for covariances of one form, and a few facts about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.forms import CovarianceForm
from emix.gaussian.reg_covar import RegCovar, ridge_of
from emix.gaussian.statistics import GaussianStatistics
from emix.kernel import factors
from emix.parallel.threads import part_of_thread, run_in_threads

if TYPE_CHECKING:
    from emix.gaussian.parameters import GaussianParameters

__all__ = ["STRUCTURES", "CompiledStructure", "CovarianceStructure"]

Array = NDArray[np.float64]

STRUCTURES: dict[str, CovarianceStructure] = {}
"""The structures, each by its first name; gaussian/structures.py fills it."""


class CovarianceStructure(ABC):
    """The covariances that an M-step may fit to K components in d dimensions.

    A structure of your own has a `name`, a `description`, a `form`, `maximize` and `n_parameters`. `GaussianModel` and
    `GaussianParameters` take an object of the class in the place of a name. Two objects of one class with one name are
    equal, and one structure: a setting that tells two of them apart is part of the name.

    Attributes
    ----------
    name : str
        Also what files and messages call it.
    alias : str or None
        Another name for it.
    description : str
        The covariances in a few words, for messages.
    form : CovarianceForm
        How the covariances are stored, whitened and summed.
    is_common : bool
        All components have one covariance.
    shares_eigenvalues : bool
        The covariances of all components have the same eigenvalues, so that none can be narrower than another.
    is_bounded : bool
        The likelihood is bounded for rows in general position, because no component can shrink alone.
    mixes_columns : bool
        A variance is that of several columns, whose units have to be one unit.
    is_linear : bool
        Σ̂ is a linear function of the Ŵ_k, so that the ridge moves the fitted covariances as it moves the scatter.
    cost : float
        Operations of an M-step for each component and d³, where covariances are matrices.
    judged_by : str or None
        Name of the structure whose covariances of the same statistics show a collapse. None: those of the structure
        itself do. Where volumes are equal they do not: a small variance of a component makes its others large.
    """

    name: ClassVar[str]
    alias: ClassVar[str | None] = None
    description: ClassVar[str]
    form: ClassVar[CovarianceForm]
    is_common: ClassVar[bool] = False
    shares_eigenvalues: ClassVar[bool] = False
    is_bounded: ClassVar[bool] = False
    mixes_columns: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    cost: ClassVar[float] = 160.0  # d = 10, K 5: 8 µs
    judged_by: ClassVar[str | None] = None

    def __repr__(self) -> str:
        return f"<covariance structure {self.name}>"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and isinstance(other, CovarianceStructure) and self.name == other.name

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # Not __reduce__: object's __reduce_ex__, which makes an ordinary pickle, would call it again.
        if STRUCTURES.get(self.name) is self:
            return _structure_named, (self.name,)
        return super().__reduce_ex__(protocol)

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""

    @abstractmethod
    def maximize(self, statistics: GaussianStatistics, reg_covar: RegCovar, n_threads: int = 1) -> tuple[Array, int]:
        """M-step: packed parameters (`emix.kernel.layout.ParametersLayout`), and a component without whitening, or −1.

        π_k = N_k/ΣN, μ_k = c_k + δ_k with δ_k = s_k/N_k, and the covariances of the structure that maximize Q for
        scatter matrices N_k (S_k/N_k − δ_k δ_kᵀ + R). R is the ridge of `reg_covar`. Where N_k = 0 the mean is c_k and
        the component's own covariance R. If a covariance is not positive definite to working precision, its component
        and those behind it may have no whitening; all else is there.

        A structure without a closed form begins its search at `statistics.taken_under`, and may end it before the
        maximum: Q, of these scatter matrices, must be at least what it is with the covariances before.
        """

    def project(self, covariances: Array, weights: Array) -> Array:
        """Return the structure's covariances nearest to those given, in its form.

        They maximize Q for components of these weights (K,) and covariances. Covariances that are of the structure come
        back to the bit.
        """
        return covariances

    def gain_left(self, statistics: GaussianStatistics, reg_covar: RegCovar, parameters: GaussianParameters) -> float:
        """Return what one more sweep could add to Q after `maximize` found the parameters; nats. 0 of closed forms."""
        return 0.0

    def least_rows(self, n_features: int) -> int:
        """Rows that a component must exceed for its covariance to mean something.

        A matrix is regular from d + 1 rows on, but of the many planes near d rows some are close by chance: twice as
        many are asked for. A variance needs two. A common covariance needs none of a component's own.
        """
        if self.is_common:
            return 0
        return 2 * n_features if self.form.has_matrices else 2

    def m_step_operations(self, n_components: int, n_features: int) -> float:
        """Return the number of operations of an M-step, in the unit of `operations_of_pass`."""
        return self.cost * n_components * n_features**3 if self.form.has_matrices else 0.0

    def ridge(self, statistics: GaussianStatistics, reg_covar: RegCovar, *, mixes_columns: bool | None = None) -> Array:
        """R of the M-step with these statistics: (d,), or (1,) where a covariance is one number.

        `mixes_columns`: as the structure that the statistics are for; by default this one.
        """
        K, d = statistics.n_components, statistics.n_features
        found = np.empty(d if self.form.has_directions else 1)
        mixes = self.mixes_columns if mixes_columns is None else mixes_columns
        factors.ridge(self.form.code, mixes, K, d, ridge_of(reg_covar), statistics.columns, statistics.packed, found)
        return found

    def is_regular(self, statistics: GaussianStatistics, reg_covar: RegCovar) -> bool:
        """True if no component is near a collapse, nor held up by R; False is no verdict."""
        return False

    def whose(self, component: int) -> str:
        """Name the covariance of a component, for messages."""
        return "the common covariance" if self.is_common else f"the covariance of component {component}"


class CompiledStructure(CovarianceStructure):
    """A structure whose M-step is compiled: kernel/mstep/structures.pxi.

    Attributes
    ----------
    m_step : int
        The structure's number in the compiled kernel.
    in_parts : bool
        The M-step takes components one by one, so that threads can share them.
    """

    m_step: ClassVar[int]
    in_parts: ClassVar[bool] = False

    def maximize(self, statistics: GaussianStatistics, reg_covar: RegCovar, n_threads: int = 1) -> tuple[Array, int]:
        """M-step, in threads where components are fitted one by one."""
        K, d, sums = statistics.n_components, statistics.n_features, statistics.packed
        packed = np.empty(factors.parameters_size(self.form.code, K, d))
        ridge, columns = ridge_of(reg_covar), statistics.columns
        if n_threads == 1 or not self.in_parts:
            return packed, factors.maximize(self.m_step, K, d, ridge, columns, sums, packed)
        failed = [-1] * n_threads

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            part = part_of_thread(thread, n_threads, K)
            failed[thread] = factors.maximize(self.m_step, K, d, ridge, columns, sums, packed, *part)

        run_in_threads(share, n_threads)
        return packed, min((component for component in failed if component >= 0), default=-1)

    def is_regular(self, statistics: GaussianStatistics, reg_covar: RegCovar) -> bool:
        """True if no component is near a collapse, nor held up by R; False is no verdict."""
        K, d, ridge = statistics.n_components, statistics.n_features, ridge_of(reg_covar)
        return factors.is_regular(self.m_step, K, d, ridge, statistics.columns, statistics.packed)


def _structure_named(name: str) -> CovarianceStructure:
    """Return the one object of a structure, for pickle and copy."""
    return STRUCTURES[name]
