"""Sources of random numbers, as NumPy and scikit-learn have them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from emix.exceptions import shown

__all__ = ["RandomSource", "RandomState", "random_source", "seed_of"]

# The types are text, since importing numpy.random would double the time that emix takes to import.
RandomSource: TypeAlias = "np.random.RandomState | np.random.Generator"
"""A generator that draws random numbers."""

RandomState: TypeAlias = "int | np.integer[Any] | np.random.Generator | np.random.RandomState | None"
"""Types of an argument `random_state`."""


def random_source(random_state: Any) -> RandomSource:
    """Return a generator of random numbers; an int gives the same numbers each time.

    None gives the generator of the module numpy.random, as in scikit-learn; np.random.seed sets its seed.

    Raises
    ------
    TypeError, ValueError
        If it is none of None, a non-negative int, a Generator, a RandomState.
    """
    # scikit-learn's checks set random_state to the module numpy.random itself.
    if random_state is None or random_state is np.random:
        return np.random.mtrand._rand  # NumPy has no public name for it
    if _is_seed(random_state):
        return np.random.default_rng(int(random_state))
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        return random_state
    raise TypeError(_not_random(random_state))


def seed_of(random_state: Any) -> int:
    """Return the seed of a fit: an int is its own seed, a generator is asked for one.

    Raises
    ------
    TypeError, ValueError
        As in `random_source`.
    """
    if _is_seed(random_state):
        return int(random_state)
    source = random_source(random_state)
    if isinstance(source, np.random.Generator):
        return int(source.integers(2**63))
    return int(source.randint(2**31 - 1))


def _is_seed(random_state: Any) -> bool:
    if not isinstance(random_state, (int, np.integer)) or isinstance(random_state, bool):
        return False
    if random_state < 0:
        raise ValueError(_not_random(random_state))
    return True


def _not_random(random_state: Any) -> str:
    return (
        "The 'random_state' parameter must be None, an int in the range [0, inf), a numpy.random.Generator or a "
        f"numpy.random.RandomState. Got {shown(random_state)} instead."
    )
