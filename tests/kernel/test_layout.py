"""The layouts of packed arrays that Python and compiled code have are one."""

from __future__ import annotations

import pytest

from emix.kernel import factors, layout

LAYOUTS = {
    "slot": layout.slot_layout,
    "statistics": layout.statistics_layout,
    "density": layout.density_layout,
    "parameters": layout.parameters_layout,
    "arguments": layout.arguments_layout,
}


@pytest.mark.parametrize("form", [layout.FULL, layout.TIED, layout.DIAG, layout.SPHERICAL])
@pytest.mark.parametrize(("K", "d"), [(1, 1), (3, 4), (7, 2)])
def test_python_and_compiled_code_agree(form: int, K: int, d: int) -> None:
    compiled = factors.layouts(form, K, d)
    assert compiled.keys() == LAYOUTS.keys()
    for name, offsets in compiled.items():
        found = LAYOUTS[name](form, K, d)
        assert found.size == offsets.pop("size")
        for part, offset in offsets.items():
            assert getattr(found, part).start == offset, (name, part)


@pytest.mark.parametrize("form", [layout.FULL, layout.TIED, layout.DIAG, layout.SPHERICAL])
@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_parts_fill_an_array_without_gaps(form: int, name: str) -> None:
    found = LAYOUTS[name](form, 3, 4)
    parts = {part: place for part, place in found._asdict().items() if part != "size"}
    if name == "parameters":  # whose density has parts of its own
        for part in ("means", "whitening", "log_det"):
            inner = parts.pop(part)
            assert parts["density"].start < inner.start < inner.stop <= parts["density"].stop
    end = 0
    for part in parts.values():
        assert part.start == end
        end = part.stop
    assert end == found.size


def test_spread_size() -> None:
    sizes = [layout.spread_size(form, 3, 4) for form in (layout.FULL, layout.TIED, layout.DIAG, layout.SPHERICAL)]
    assert sizes == [48, 16, 12, 3]
