"""Arguments that do not fit each other are refused before the kernel reads or writes anything."""

from __future__ import annotations

import numpy as np
import pytest

from emix.kernel.level import kernel_of_level
from kernel.naive import Array, accumulator, each_level, random_case


@each_level
def test_what_does_not_belong_together_is_refused(level: str) -> None:
    case = random_case("full", "float64", 10, 3, 2, weighted=True)
    kernel = kernel_of_level(level, "float64")
    slots = np.zeros((1, 2 + 6 + 18 + 1))
    with pytest.raises(ValueError, match="slots are 1 × 5, expected a width of 27"):
        accumulator(kernel, case, np.zeros((1, 5)))
    with pytest.raises(ValueError, match="X is 10 × 0, expected one row and one feature at least"):
        kernel.Rows(case.X[:, :0])
    with pytest.raises(ValueError, match="9 weights for 10 rows"):
        kernel.Rows(case.X, np.ones(9))
    # A super-block has 512 rows: row 5 would be taken for the first of one.
    for first_row in (5, -512):
        with pytest.raises(ValueError, match=f"first_row is {first_row}, expected a multiple of super_block_rows, 512"):
            kernel.Rows(case.X, None, first_row)
    with pytest.raises(ValueError, match="a workspace has 10 numbers"):
        kernel.Accumulator(*case.arguments, np.zeros((1, 10)), slots)
    with pytest.raises(ValueError, match="36 numbers are not the parameters of 2 components in 3 dimensions"):
        kernel.Scorer(*case.arguments[:-1], case.arguments[-1][1:])
    run, rows = accumulator(kernel, case, slots), kernel.Rows(case.X, case.sample_weight)
    with pytest.raises(ValueError, match="thread 1 has no workspace: there are 1"):
        run.accumulate(rows, 1, 0, 10, None)
    with pytest.raises(ValueError, match="thread 0 has no workspace: there are 0"):
        accumulator(kernel, case, slots, n_threads=0).accumulate(rows, 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows 0 to 11 are asked for, of the 10 from row 0 on"):
        run.accumulate(rows, 0, 0, 11, None)
    with pytest.raises(ValueError, match="first_row is 5, expected a multiple of super_block_rows, 512"):
        run.accumulate(rows, 0, 5, 10, None)
    with pytest.raises(ValueError, match="rows 0 to 10 are asked for, of the 10 from row 512 on"):
        run.accumulate(kernel.Rows(case.X, None, 512), 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows have 2 features, expected 3"):
        run.accumulate(kernel.Rows(case.X[:, :2]), 0, 0, 10, None)
    with pytest.raises(TypeError, match="rows"):
        run.accumulate(None, 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows have 2 features, expected 3"):
        kernel.Scorer(*case.arguments).score(case.X[:, :2], 0, 10, None, None, None, None)
    assert not slots.any()


@each_level
@pytest.mark.parametrize("code", [-1, 4])
def test_unknown_structures_are_refused(level: str, code: int) -> None:
    case = random_case("full", "float64", 10, 3, 2)
    kernel = kernel_of_level(level, "float64")
    _, *sizes_and_arguments = case.arguments
    text = f"the covariance form has the code {code}, expected 0 to 3"
    with pytest.raises(ValueError, match=text):
        kernel.Scorer(code, *sizes_and_arguments)
    workspace, slots = np.zeros((1, kernel.workspace_size(2, 3))), np.zeros((1, 27))
    with pytest.raises(ValueError, match=text):
        kernel.Accumulator(code, *sizes_and_arguments, workspace, slots)
    with pytest.raises(ValueError, match="there are -1 components and 3 features, expected 1 or more of each"):
        kernel.Scorer(0, -1, *sizes_and_arguments[1:])


@each_level
def test_bounds_of_another_shape_are_refused(level: str) -> None:
    case = random_case("full", "float64", 600, 3, 2)
    kernel = kernel_of_level(level, "float64")
    slots = np.zeros((1, 2 + 6 + 18 + 1))
    run, rows = accumulator(kernel, case, slots), kernel.Rows(case.X, case.sample_weight)
    n_groups = -(-600 // kernel.group_rows(2))
    right: dict[str, Array] = {
        "order": np.arange(600, dtype=np.uint16),
        "near": np.zeros((n_groups, 2), np.float32),
        "shrink": np.ones(2, np.float32),
        "moved": np.zeros(2, np.float32),
        "labels": np.zeros(600, np.uint16),
    }
    for name, wrong, message in [
        ("order", np.arange(599, dtype=np.uint16), "rows 0 to 600 are asked for, of the 599 from row 0 on"),
        ("near", right["near"][1:], f"near is {n_groups - 1} × 2, expected {n_groups} × 2"),
        ("near", np.zeros((n_groups, 1), np.float32), f"near is {n_groups} × 1, expected {n_groups} × 2"),
        ("shrink", right["shrink"][1:], "shrink has 1 numbers, expected 2"),
        ("moved", right["moved"][1:], "moved has 1 numbers, expected 2"),
        ("labels", right["labels"][1:], "labels has 599 numbers, expected 600"),
    ]:
        with pytest.raises(ValueError, match=message):
            run.accumulate_bounded(rows, 0, 0, 600, 0, *{**right, name: wrong}.values(), None)
    assert not slots.any()
    assert run.accumulate_bounded(rows, 0, 0, 600, 0, *right.values(), None) > 0
    assert slots.any()
