"""Errors and warnings of emix. If scikit-learn is loaded, they are also instances of its classes of the same names."""

from __future__ import annotations

import copyreg
import math
import reprlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import FrameType
from typing import Any

__all__ = [
    "ConvergenceWarning",
    "DegenerateCovarianceError",
    "DegenerateFitError",
    "ModelFileError",
    "NotFittedError",
    "Warned",
    "not_fitted",
    "shown",
    "warn",
    "warn_convergence",
    "warnings_held",
]


class NotFittedError(ValueError, AttributeError):
    """A method that needs fitted parameters was called before `fit`."""

    def __reduce__(self) -> Any:
        return _by_name(super().__reduce__())


class ConvergenceWarning(UserWarning):
    """A fit ended before it converged, or its log-likelihood fell."""

    def __reduce__(self) -> Any:
        return _by_name(super().__reduce__())


class DegenerateFitError(ValueError):
    """A component of a model has no parameters that mean anything. Other starts may end well.

    Attributes
    ----------
    component : int
        Number of the component; 0 where the parameters in question belong to all.
    n_effective : float or None
        Sum of the component's responsibilities (in rows, or in total sample weight); None if it is not known.
    """

    def __init__(self, message: str, component: int, n_effective: float | None = None) -> None:
        super().__init__(message)
        self.component = component
        self.n_effective = n_effective

    def __reduce__(self) -> tuple[type, tuple[str, int, float | None]]:
        return type(self), (str(self), self.component, self.n_effective)


class DegenerateCovarianceError(DegenerateFitError):
    """A component's covariance is not positive definite to working precision.

    Attributes
    ----------
    component : int
        Number of the component; 0 for ``tied``, whose covariance belongs to all.
    n_effective : float or None
        Sum of the component's responsibilities (in rows, or in total sample weight); None if it is not known.
    """


class ModelFileError(ValueError):
    """A file that is not a model file of emix, is damaged, or is of a newer format.

    Attributes
    ----------
    path : str
        The file, as it was given.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path!r} {problem}")
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type[ModelFileError], tuple[str, str]]:
        # By default, unpickling would call the class with the formatted message alone.
        return type(self), (self.path, self.problem)


class _Joined(type):
    """Type of the classes that are joined with scikit-learn's. No module holds these under a name that pickle finds."""


# A recorded warning holds its class, so that the class is pickled with it.
copyreg.pickle(_Joined, lambda kind: (current_class, (kind.__name__,)))


@cache
def _joined_with_sklearn(name: str) -> type:
    from sklearn import exceptions

    return _Joined(name, (globals()[name], getattr(exceptions, name)), {"__module__": __name__})


def _by_name(reduced: Any) -> Any:
    """Return the pickled form of an instance, with its class by name.

    scikit-learn may be loaded in the process that pickles and not in the one that unpickles, or the other way round.
    """
    kind, arguments, *state = reduced
    if kind.__module__ != __name__:  # a derived class of another module
        return reduced
    return (_instance, (kind.__name__, arguments), *state)


def _instance(name: str, arguments: tuple[Any, ...]) -> Any:
    return current_class(name)(*arguments)


def current_class(name: str) -> Any:
    """Return the class of this name: joined with scikit-learn's once scikit-learn is loaded."""
    return _joined_with_sklearn(name) if "sklearn.exceptions" in sys.modules else globals()[name]


def not_fitted(
    estimator_name: str, or_else: str = ", or make one from known parameters with 'from_parameters'"
) -> Exception:
    """Return the error for a method of an estimator that is not fitted yet; `or_else` is its way other than fit."""
    error: Exception = current_class("NotFittedError")(
        f"This {estimator_name} instance is not fitted yet. Call 'fit' with appropriate arguments before using this "
        f"estimator{or_else}."
    )
    return error


# A message shows at most so many numbers of an array, or so many characters of another value.
_MOST_NUMBERS = 6
_MOST_CHARACTERS = 120

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _MOST_CHARACTERS


def shown(value: object) -> str:
    """Return the text of a value for a message: one short line, however large the value is.

    Examples
    --------
    >>> shown("kmeans"), shown(0.5), shown([1, 2])
    ("'kmeans'", '0.5', '[1, 2]')
    >>> shown(list(range(1000)))
    '[0, 1, 2, 3, 4, 5, ...]'
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape) and math.prod(shape) > _MOST_NUMBERS:
        return f"<{type(value).__name__} of shape {shape}>"
    text = " ".join(_SHORT.repr(value).split())
    return text if len(text) <= 2 * _MOST_CHARACTERS else f"{text[: 2 * _MOST_CHARACTERS]}..."


Warned = list[tuple[str, type[Warning]]]
"""Messages and categories of warnings."""

_held: ContextVar[Warned | None] = ContextVar("held", default=None)


@contextmanager
def warnings_held() -> Iterator[Warned]:
    """Hold back the warnings of this thread, for another thread to pass to `warn`.

    The other thread is the one that called into emix: a warning names the line of that call.
    """
    found: Warned = []
    token = _held.set(found)
    try:
        yield found
    finally:
        _held.reset(token)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called into emix, however many calls within emix lie between."""
    if (held := _held.get()) is not None:
        held.append((message, category))
        return
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame) == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_convergence(message: str) -> None:
    """Warn with a ConvergenceWarning."""
    warn(message, current_class("ConvergenceWarning"))


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
