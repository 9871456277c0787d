"""Chunks of rows and their slots."""

from __future__ import annotations

import pytest

from emix.parallel.chunks import BLOCK, CHUNK, Chunks


@pytest.mark.parametrize("n_rows", [1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7])
@pytest.mark.parametrize("operations", [1.0, 1e6])
@pytest.mark.parametrize("most_slots", [None, 1, 2, 3])
def test_slots_take_the_same_rows_in_the_same_order_from_any_number_of_threads(
    n_rows: int, operations: float, most_slots: int | None
) -> None:
    taken: list[list[list[tuple[int, int]]]] = []
    for n_threads in (1, 2, 3):
        chunks = Chunks(n_rows, operations, n_threads, most_slots)
        assert chunks.n_slots == min(-(-n_rows // CHUNK), most_slots or n_rows)
        slots: list[list[tuple[int, int]]] = [[] for _ in range(chunks.n_slots)]
        taken.append(slots)
        chunks.each(lambda slot, first, last: taken[-1][slot].append((first, last)))
    assert taken[0] == taken[1] == taken[2]
    calls = sorted(call for slot in taken[0] for call in slot)
    assert [first for first, _ in calls] == [0, *(last for _, last in calls[:-1])] and calls[-1][1] == n_rows
    for i, slot in enumerate(taken[0]):
        assert slot == sorted(slot)
        assert {first // CHUNK % len(taken[0]) for first, _ in slot} == {i}
    # A call of 2e9 operations is short enough for signals.
    assert max(last - first for first, last in calls) <= (CHUNK if operations == 1.0 else 2000 // BLOCK * BLOCK)


def test_error_ends_it() -> None:
    def refuse(slot: int, first: int, last: int) -> None:
        raise ArithmeticError("no")

    for n_rows in (1, 3 * CHUNK):
        with pytest.raises(ArithmeticError, match="no"):
            Chunks(n_rows, 1.0, 2).each(refuse)
