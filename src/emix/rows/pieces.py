"""Rows as a reader hands them out, of any length and layout, and how they are laid into blocks of a kernel's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from emix.rows.conversion import few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from emix.rows.validation import FloatArray

__all__ = ["ArrayPiece", "ColumnsPiece", "Layout", "Piece", "check_alike"]


class Layout(NamedTuple):
    """Columns and precision of rows, which all pieces of a source have in common.

    `order` is the order of memory in which the piece can be copied fastest; it may differ.
    """

    n_features: int
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    weighted: bool
    order: Any = "C"

    @classmethod
    def of(cls, X: NDArray[Any], names: Sequence[Any] | None, weighted: bool) -> Layout:
        """Return the layout of an array, whose columns have these names; names of another type than str are none."""
        named = names is not None and all(isinstance(name, str) for name in names)
        order = "F" if X.flags.f_contiguous and not X.flags.c_contiguous else "C"
        return cls(X.shape[1], X.dtype, tuple(names) if names is not None and named else None, weighted, order)


class Piece(Protocol):
    """Rows that follow one another.

    Attributes
    ----------
    layout : Layout
    n_rows : int
    called : callable
        The number of a row within its file or block -> how that is called in messages.
    first_row : int
        Number of the first row within that file or block.
    """

    @property
    def layout(self) -> Layout:
        """Columns and precision."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def called(self) -> Callable[[int], str]:
        """Gives the name of the file or block for a row of it."""

    @property
    def first_row(self) -> int:
        """Number of the first row within it."""

    def put(self, first: int, X: FloatArray, weight: NDArray[np.float64] | None) -> None:
        """Copy rows, from number `first` of this piece on, to all of `X`, and their weights, if there are weights."""


@dataclass
class ArrayPiece:
    """Rows in an array, with weights or without."""

    layout: Layout
    called: Callable[[int], str]
    first_row: int
    X: NDArray[Any]
    weight: NDArray[Any] | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    def put(self, first: int, X: FloatArray, weight: NDArray[np.float64] | None) -> None:
        """Copy rows, as of `Piece`."""
        X[:] = self.X[first : first + len(X)]
        if weight is not None and self.weight is not None:
            weight[:] = self.weight[first : first + len(X)]


@dataclass
class ColumnsPiece:
    """Rows in one array for each column, as Arrow has them, with weights or without."""

    layout: Layout
    called: Callable[[int], str]
    first_row: int
    columns: Sequence[NDArray[Any]]
    weight: NDArray[Any] | None
    n_rows: int

    def put(self, first: int, X: FloatArray, weight: NDArray[np.float64] | None) -> None:
        """Copy rows, as of `Piece`."""
        last = first + len(X)
        for j, column in enumerate(self.columns):
            X[:, j] = column[first:last]
        if weight is not None and self.weight is not None:
            weight[:] = self.weight[first:last]


def check_alike(layout: Layout, piece: Piece, first: str) -> None:
    """Refuse a piece whose columns or types are others than those of the first, which is called `first`.

    Raises
    ------
    ValueError
        With the name of the piece.
    """
    found = piece.layout
    if found[:4] == layout[:4]:
        return
    remedy = "in the same order"
    if found.n_features != layout.n_features:
        what, expected = f"{found.n_features} columns", f"{layout.n_features}"
    elif found.feature_names != layout.feature_names:
        what, expected = (
            "no names of columns" if names is None else f"the columns {few(names)}"
            for names in (found.feature_names, layout.feature_names)
        )
    elif found.dtype != layout.dtype:
        what, expected = f"rows of {found.dtype}", f"{layout.dtype}"
        remedy = "all float32 or all float64: other numbers, such as integers, become float64"
    else:
        what, expected = ("weights" if one.weighted else "no weights" for one in (found, layout))
    raise ValueError(
        f"{piece.called(piece.first_row)} has {what}, expected {expected}, as {first} has. Hand out blocks with the "
        f"same columns, {remedy}."
    )
