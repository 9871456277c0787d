"""Each shortcut can be switched off: a fit ends where it ends without any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emix import GaussianModel, GaussianParameters
from emix.gaussian.shortcuts import SHORTCUTS
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import each_structure
from gaussian.shortcuts.bounded import K, case

N_ITER = 12
D = 27  # enough features for a first look, at the levels that have one


def result_of(
    structure: str, X: np.ndarray[Any, Any], theta: GaussianParameters, shortcuts: Any
) -> tuple[list[str], tuple[GaussianParameters, float]]:
    """Names of the shortcuts that a run may take; parameters and the log-likelihood after some iterations."""
    model = GaussianModel(K, X.shape[1], structure, 1e-6, shortcuts=shortcuts)
    run = model.begin(X)
    for _ in range(N_ITER):
        statistics, log_likelihood = run.e_step(theta)
        theta = model.m_step(statistics)
    return [one.name for one in run.shortcuts], (theta, log_likelihood)


def assert_same_result(
    found: tuple[GaussianParameters, float], expected: tuple[GaussianParameters, float], dtype: str
) -> None:
    # As the README promises. Single precision: sums of other rows are taken in it, and their rounding, 1e-7, grows.
    of_log_likelihood, of_parameters = (1e-12, 1e-9) if dtype == "float64" else (1e-6, 1e-3)
    assert found[1] == pytest.approx(expected[1], rel=of_log_likelihood)
    for name in ("weights", "means", "covariances"):
        one, other = getattr(found[0], name), getattr(expected[0], name)
        np.testing.assert_allclose(one, other, rtol=0, atol=of_parameters * np.abs(other).max(), err_msg=name)


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("separation", [1.0, 6.0], ids=["overlap", "separate"])
def test_each_alone_and_all_together_give_what_none_gives(structure: str, dtype: str, separation: float) -> None:
    full = not STRUCTURES[structure].form.uses_origin
    d = D if full else 8
    X, theta = case(structure, d, separation, dtype)
    names, expected = result_of(structure, X, theta, ())
    assert names == []
    allowed, found = result_of(structure, X, theta, "auto")
    assert set(allowed) <= set(SHORTCUTS)
    assert "bounds" in allowed
    assert ("origin" in allowed) == (not full)
    assert_same_result(found, expected, dtype)
    for name in SHORTCUTS:
        names, found = result_of(structure, X, theta, [name])
        assert names == [one for one in allowed if one == name]
        assert_same_result(found, expected, dtype)


def test_packing_can_be_switched_off() -> None:
    # Separate components: most rows of a block have no responsibility for most of them, and packed sums are added in
    # another order.
    X, theta = case("full", D, 6.0, "float64")
    packed, dense = (result_of("full", X, theta, names)[1][0].packed for names in (("packing",), ()))
    assert packed.tobytes() != dense.tobytes()


def test_an_array_of_names_is_a_list_of_names() -> None:
    assert GaussianModel(2, 2, shortcuts=np.array(["bounds", "screen"])).shortcuts == ("bounds", "screen")


def test_order_and_repetition_of_the_names_do_not_matter() -> None:
    X, theta = case("diag")
    expected, _ = result_of("diag", X, theta, "auto")
    assert len(expected) > 1
    found, _ = result_of("diag", X, theta, (name for name in [*reversed(SHORTCUTS), SHORTCUTS[0]]))
    assert found == expected


@pytest.mark.parametrize(
    ("shortcuts", "error", "message"),
    [
        ("bounds", TypeError, r"shortcuts is 'bounds', expected 'auto', or a list of names among \('origin', "),
        (None, TypeError, "shortcuts is None, expected 'auto', or a list of names"),
        (3, TypeError, "shortcuts is 3, expected 'auto', or a list of names"),
        ({"bounds": False}, TypeError, "expected 'auto', or a list of names"),
        (b"bounds", TypeError, r"shortcuts is b'bounds', expected 'auto'"),
        (["bonds"], ValueError, r"shortcuts has 'bonds', expected names among \('origin', "),
        (("bounds", 3), ValueError, "shortcuts has 3, expected names among"),
        (["auto"], ValueError, "shortcuts has 'auto', expected names among"),
        ([["bounds"]], ValueError, r"shortcuts has \['bounds'\], expected names among"),
    ],
)
def test_other_names_are_refused(shortcuts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GaussianModel(2, 2, shortcuts=shortcuts)
