"""The covariance structures: which covariances the M-step may fit, and how many free parameters they have.

A structure has a form (gaussian/forms.py), which says how its covariances are stored, whitened and summed. Structures
of one form share every pass over the rows and differ in the M-step alone. mclust's names have a letter each for the
volume, the shape and the orientation of the covariances Σ_k = λ_k D_k A_k D_kᵀ: E is equal for all components, V
varies, I is the identity. Four structures have scikit-learn's names too, and these come first. The eight that share a
part of their covariances, and not all of it, are in gaussian/shared_structures.py.

References
----------
G. Celeux and G. Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.arguments import choice_of
from emix.gaussian.forms import FORMS
from emix.gaussian.shared_structures import SHARING_A_PART
from emix.gaussian.structure import STRUCTURES, CompiledStructure, CovarianceStructure
from emix.kernel import layout

__all__ = ["NAMES", "STRUCTURES", "CovarianceStructure", "structure_of"]

Array = NDArray[np.float64]


class _Common(CompiledStructure):
    """One covariance for all components, that of all rows about their components' means."""

    is_common = True
    shares_eigenvalues = True
    is_bounded = True
    is_linear = True

    def project(self, covariances: Array, weights: Array) -> Array:
        if self.form.is_shared or np.array_equal(covariances, np.broadcast_to(covariances[0], covariances.shape)):
            return covariances
        pooled = np.average(covariances, axis=0, weights=weights)
        return np.repeat(pooled[np.newaxis], len(covariances), axis=0)


class VVV(CompiledStructure):
    """A covariance matrix for each component."""

    name = "full"
    alias = "VVV"
    description = "a covariance matrix for each component"
    form = FORMS["full"]
    is_linear = True
    m_step = layout.VVV
    in_parts = True

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2


class EEE(_Common):
    """One covariance matrix for all components: Σ = Σ_k N_k Ŵ_k / n."""

    name = "tied"
    alias = "EEE"
    description = "one covariance matrix for all components"
    form = FORMS["tied"]
    m_step = layout.EEE

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2


class VVI(CompiledStructure):
    """A variance for each component and feature."""

    name = "diag"
    alias = "VVI"
    description = "a variance for each component and feature"
    form = FORMS["diag"]
    is_linear = True
    m_step = layout.VVI

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features


class VII(CompiledStructure):
    """A variance for each component."""

    name = "spherical"
    alias = "VII"
    description = "a variance for each component"
    form = FORMS["spherical"]
    mixes_columns = True
    is_linear = True
    m_step = layout.VII

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components


class EEI(_Common):
    """A variance for each feature, the same for all components: Σ = diag(Σ_k N_k Ŵ_k) / n."""

    name = "EEI"
    description = "a variance for each feature, the same for all components"
    form = FORMS["diag"]
    m_step = layout.EEI

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features


class EII(_Common):
    """One variance for all components and features: λ = Σ_k N_k tr(Ŵ_k) / (n d)."""

    name = "EII"
    description = "one variance for all components and features"
    form = FORMS["spherical"]
    mixes_columns = True
    m_step = layout.EII

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return 1


STRUCTURES.update({kind.name: kind for kind in (VVV(), EEE(), VVI(), VII(), EEI(), EII(), *SHARING_A_PART)})

_BY_NAME: dict[str, CovarianceStructure] = STRUCTURES | {
    structure.alias: structure for structure in STRUCTURES.values() if structure.alias is not None
}

NAMES = tuple(_BY_NAME)
"""All names of structures of any number of columns; `structure_of` knows them."""

OF_ONE_COLUMN = {"E": "tied", "V": "full"}
"""mclust's names of the two structures of data in one column; `structure_of` knows them too."""

_BY_NAME |= {name: _BY_NAME[other] for name, other in OF_ONE_COLUMN.items()}

# The structures of several columns that have the same first letter as a structure of one column.
_OF_COLUMNS = {
    "E": "'EEE' (one covariance matrix for all components), 'EEI' or 'EII'",
    "V": "'VVV' (a covariance matrix for each component), 'VVI' or 'VII'",
}

# By their classes: the hash of a class is its address, that of a structure is a call.
_BY_CLASS: dict[type, CovarianceStructure] = {type(structure): structure for structure in STRUCTURES.values()}


def structure_of(
    structure: str | CovarianceStructure, caller: str, *, parameter: str = "structure"
) -> CovarianceStructure:
    """Return the structure itself, or the structure of a name.

    Parameters
    ----------
    structure : str or CovarianceStructure
    caller : str
        Whose parameter it is, for messages.
    parameter : str
        The parameter's name, for messages.

    Raises
    ------
    ValueError
        If there is none of the name.
    """
    if isinstance(structure, str):
        found = _BY_NAME.get(structure)
    else:
        # `isinstance` with an abstract class takes ten times as long.
        found = _BY_CLASS.get(type(structure))
        if found is None and isinstance(structure, CovarianceStructure):
            found = structure
    return _BY_NAME[choice_of(parameter, structure, NAMES, caller)] if found is None else found


def check_one_column(
    name: str, n_features: int, caller: str, parameter: str = "covariance_type", data: str = "X has"
) -> None:
    """Refuse a name of `OF_ONE_COLUMN` for data in several columns; `data` is the subject of the message.

    Raises
    ------
    ValueError
        If it is one, and there are several.
    """
    if n_features > 1 and name in OF_ONE_COLUMN:
        raise ValueError(
            f"The {parameter!r} parameter of {caller} has {name!r}, a structure of data in one column, but {data} "
            f"{n_features} columns: use {_OF_COLUMNS[name]}."
        )
