"""Checks of the arguments that say among which mixtures to choose, and by which criterion."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from emix.arguments import choice_of, integer_in_range
from emix.exceptions import shown, warn
from emix.gaussian.structures import (
    NAMES,
    OF_ONE_COLUMN,
    STRUCTURES,
    CovarianceStructure,
    check_one_column,
    structure_of,
)
from emix.rows.arrays import ArraySource

__all__ = [
    "CRITERIA",
    "Cell",
    "cells_of",
    "check_covariance_types",
    "check_criterion",
    "check_folds",
    "check_n_components",
    "count_distinct",
    "nearest_name",
]

CRITERIA = ("bic", "aic", "icl", "cv")


class Cell(NamedTuple):
    """One mixture of a sweep: a structure of the covariances and a number of components.

    Attributes
    ----------
    covariance_type : str
        The structure's name, as the user gave it.
    structure : CovarianceStructure
    n_components : int
    """

    covariance_type: str
    structure: CovarianceStructure
    n_components: int


def check_n_components(n_components: Any, *, caller: str) -> list[int]:
    """Return the numbers of components, in their order.

    Raises
    ------
    TypeError
        If one is no int.
    ValueError
        If there is none, one is below 1 or one is there twice.
    """
    expected = "expected an int or several, such as range(1, 10)"
    if isinstance(n_components, np.ndarray) and n_components.ndim == 0:
        n_components = n_components.item()
    if isinstance(n_components, (int, np.integer)) and not isinstance(n_components, bool):
        n_components = [n_components]
    if isinstance(n_components, str) or not isinstance(n_components, Iterable):
        raise TypeError(f"The 'n_components' parameter of {caller} is {shown(n_components)}, {expected}.")
    found = [integer_in_range("n_components", one, 1, caller=caller) for one in n_components]
    if not found:
        raise ValueError(
            f"The 'n_components' parameter of {caller} is {shown(n_components)}, which is empty, {expected}. The end "
            "of a range is not part of it."
        )
    _check_unique("n_components", found, caller)
    return found


def check_covariance_types(
    covariance_types: Any, n_features: int, *, caller: str, parameter: str = "covariance_types", with_all: bool = True
) -> list[tuple[str, CovarianceStructure]]:
    """Return the names and structures; "all" is every structure there is, those with few parameters first.

    With one column there are two structures, one variance for all components and one for each; "all" means these.
    Messages name "all" unless the caller does not take it.

    Raises
    ------
    TypeError
        If they are no names.
    ValueError
        If there is none, or no structure of a name, or one is there twice, or it is a name for data of one column and
        there are several.
    """
    if isinstance(covariance_types, str):
        covariance_types = [covariance_types]
    all_or = "'all', " if with_all else ""
    expected = f"expected {all_or}a name or several names of covariance structures"
    if not isinstance(covariance_types, Iterable):
        raise TypeError(f"The {parameter!r} parameter of {caller} is {shown(covariance_types)}, {expected}.")
    given = list(covariance_types)
    if given == ["all"] and parameter == "covariance_types":
        return _all_structures(n_features)
    if not given:
        raise ValueError(f"The {parameter!r} parameter of {caller} is empty, {expected}.")
    if len(given) > 1 and any(isinstance(one, str) and one.casefold() == "all" for one in given):
        raise ValueError(
            f"The {parameter!r} parameter of {caller} has 'all' beside other names: 'all' is every structure there is. "
            "Pass it alone, or only names."
        )
    names = [_name_of(one, n_features, caller, parameter, with_all) for one in given]
    found = [(name, structure_of(name, caller)) for name in names]
    twice = [name for name, structure in found if sum(other is structure for _, other in found) > 1]
    if twice:
        raise ValueError(
            f"The {parameter!r} parameter of {caller} has one structure twice, as {', '.join(map(repr, twice))}: "
            "leave one out."
        )
    return found


def _all_structures(n_features: int) -> list[tuple[str, CovarianceStructure]]:
    if n_features == 1:
        return [(name, STRUCTURES[name]) for name in OF_ONE_COLUMN.values()]
    found = sorted(STRUCTURES.values(), key=lambda structure: structure.n_parameters(3, 3))
    return [(structure.name, structure) for structure in found]


def _name_of(name: Any, n_features: int, caller: str, parameter: str, with_all: bool) -> str:
    """Return a structure's name, checked."""
    if isinstance(name, str) and name in OF_ONE_COLUMN:
        check_one_column(name, n_features, caller, parameter)
        return OF_ONE_COLUMN[name]
    if isinstance(name, str) and name in NAMES:
        return name
    hint = ""
    if isinstance(name, str):
        near = nearest_name(name, (*NAMES, "all") if with_all else NAMES)
        hint = f" Did you mean {near!r}?" if near else ""
    expected = "'all' or names" if with_all else "a name"
    raise (ValueError if isinstance(name, str) else TypeError)(
        f"The {parameter!r} parameter of {caller} has {shown(name)}, expected {expected} among "
        f"{', '.join(map(repr, NAMES))}.{hint}"
    )


def nearest_name(name: str, names: Collection[str]) -> str | None:
    """Return the name that was probably meant, also if only the case of letters differs; None if none is near."""
    by_folded = {other.casefold(): other for other in names}
    wanted = name.casefold()

    def nearness(other: str) -> tuple[float, int]:
        # Of EEL, EEE is nearer than VEE: more letters stand in their places.
        ratio = difflib.SequenceMatcher(None, other, wanted).ratio()
        return ratio, sum(a == b for a, b in zip(other, wanted))

    near = difflib.get_close_matches(wanted, by_folded, n=len(by_folded))
    return by_folded[max(near, key=nearness)] if near else None


def check_criterion(criterion: Any, *, caller: str) -> str:
    """Return the criterion.

    Raises
    ------
    ValueError
        If there is none of the name.
    """
    if isinstance(criterion, str) and criterion not in CRITERIA:
        near = nearest_name(criterion, CRITERIA)
        if near is not None:
            raise ValueError(
                f"The 'criterion' parameter of {caller} must be one of {', '.join(map(repr, CRITERIA))}. Got "
                f"{shown(criterion)} instead. Did you mean {near!r}?"
            )
    return choice_of("criterion", criterion, CRITERIA, caller)


def check_folds(n_folds: Any, n_rows: int, cells: list[Cell], *, caller: str) -> tuple[int, list[Cell]]:
    """Return the number of folds, and the mixtures that can be fitted without a fold.

    Parameters
    ----------
    n_folds : int
    n_rows : int
        Rows of weight above zero.
    cells : list of Cell
        A mixture needs a row for each component without the largest fold.

    Raises
    ------
    TypeError, ValueError
        If it is no int of at least 2, there are fewer rows than folds, or too few are left to fit any mixture.

    Warns
    -----
    UserWarning
        If mixtures are left out.
    """
    found = integer_in_range("n_folds", n_folds, 2, caller=caller)
    if found > n_rows:
        raise ValueError(
            f"n_folds={found} is more than the rows of weight above zero, n_samples={n_rows}, and criterion='cv' holds "
            "out at least one row in each fold: lower n_folds, pass more rows, or choose by 'bic'."
        )
    left = n_rows - -(-n_rows // found)
    kept = [cell for cell in cells if cell.n_components <= left]
    if len(kept) < len(cells):
        beyond = _listed(sorted({cell.n_components for cell in cells if cell.n_components > left}))
        reason = f"criterion='cv' with n_folds={found} leaves {left} of {n_rows} rows to fit"
        if not kept:
            raise ValueError(
                f"{reason}, fewer than n_components={beyond}: ask for fewer components, raise n_folds, or choose by "
                "'bic'."
            )
        warn(f"n_components {beyond} left out: {reason}, and a component needs a row of its own. Raise n_folds.")
    return found, kept


def cells_of(
    numbers: list[int], structures: list[tuple[str, CovarianceStructure]], source: ArraySource, *, caller: str
) -> list[Cell]:
    """Return the mixtures to fit: each structure with each number of components that the rows can hold.

    Raises
    ------
    ValueError
        If no number is left.

    Warns
    -----
    UserWarning
        If numbers are left out, because there are fewer distinct rows.
    """
    most = max(numbers)
    distinct = count_distinct(source, most)
    kept = [number for number in numbers if number <= distinct]
    if len(kept) < len(numbers):
        beyond = [number for number in numbers if number > distinct]
        rows = f"{distinct} distinct row{'' if distinct == 1 else 's'}"
        reason = f"X has n_samples={source.n_rows}, with {rows} of weight above zero"
        if not kept:
            raise ValueError(
                f"The 'n_components' parameter of {caller} asks for {_listed(beyond)} components, but {reason}: a "
                "component needs a row of its own. Pass more rows or ask for fewer components."
            )
        warn(f"n_components {_listed(beyond)} left out: {reason}, and a component needs a row of its own.")
    return [Cell(name, structure, number) for name, structure in structures for number in kept]


def count_distinct(source: ArraySource, most: int) -> int:
    """Return the number of distinct rows of weight above zero, or `most` if there are as many or more."""
    seen: set[bytes] = set()
    first, step = 0, 4 * most
    while first < source.n_rows:
        block = source.X[first : first + step]
        if source.sample_weight is not None:
            block = block[source.sample_weight[first : first + step] > 0.0]
        # Zeros of either sign are one number.
        seen.update(row.tobytes() for row in block + 0.0)
        if len(seen) >= most:
            return most
        first, step = first + step, min(2 * step, 1 << 16)
    return len(seen)


def _check_unique(name: str, values: list[int], caller: str) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(
            f"The {name!r} parameter of {caller} has {_listed(twice)} more than once, expected each number once."
        )


def _listed(numbers: list[int]) -> str:
    """Write numbers as a list, runs of them as ranges: 3, 5 to 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)
