"""Calls of polars that read. Its exceptions and panics become errors of one line."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from emix.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    import polars as pl


def polars() -> ModuleType:
    """Import polars, or raise an error that says how to install it."""
    return require("polars", "cli", "reading CSV and Parquet files")


def read(reader: Callable[..., pl.DataFrame], *arguments: Any, **keywords: Any) -> pl.DataFrame:
    """Call a reader of polars.

    Raises
    ------
    ValueError
        If polars cannot read the file.
    """
    errors = polars().exceptions
    try:
        with _rust_silent():
            return reader(*arguments, **keywords)
    except errors.PolarsError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot be read: {first_line or type(error).__name__}") from error
    except errors.PanicException as error:  # a BaseException, which Rust raises for some damaged files
        raise ValueError(f"cannot be read: the file is damaged ({str(error).strip().partition(chr(10))[0]})") from error


@contextlib.contextmanager
def _rust_silent() -> Iterator[None]:
    """Drop Rust's report of a panic: it goes to the process's standard error, not through Python's."""
    if sys.stderr is None:  # it is closed, and its number may be that of the file to be read
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
