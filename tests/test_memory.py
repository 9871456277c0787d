"""Extra memory of a fit does not grow with the number of rows. NumPy tells tracemalloc of its arrays."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import ConvergenceWarning, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.starting_parameters import make_start


def rows(n_rows: int) -> NDArray[np.float64]:
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    X[::2] += 3.0
    return X


def peak(work: Callable[[], Any]) -> int:
    """Most bytes at one time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few iterations are meant
        work()  # what is imported or cached once
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_of_em_does_not_grow_with_the_rows(structure: str, order: Any) -> None:
    covariances = STRUCTURES[structure].form.from_pooled(np.eye(2), 2)
    start = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], covariances)

    def of(n_rows: int) -> int:
        X = np.asarray(rows(n_rows), order=order)
        model = GaussianModel(2, 2, structure, n_threads=2)
        return peak(lambda: fit_em(model, X, start, tol=0.0, max_iter=2))

    # 350 000 rows more: a byte for each would be seen. Python's own objects come to some kilobytes.
    assert abs(of(400_000) - of(50_000)) < 50_000


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("start", ["given", "kmeans", "random"])
def test_memory_of_a_whole_fit_does_not_grow_with_the_rows(start: str, weighted: bool) -> None:
    def of(n_rows: int) -> int:
        X = rows(n_rows)
        weight = np.ones(n_rows) if weighted else None
        given = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": [np.eye(2)] * 2}
        how = given if start == "given" else {"init_params": start}
        gm = GaussianMixture(2, max_iter=2, random_state=0, **how)
        return peak(lambda: gm.fit(X, sample_weight=weight))

    # From twice 65 536 rows on the sample of a start is as large as it gets. As above.
    assert abs(of(600_000) - of(200_000)) < 50_000


def stream_of(n_rows: int, kind: str, folder: Path) -> Any:
    """Rows that are made or read block by block, so that whatever is as long as they are would be seen."""
    if kind == "function":
        return lambda: (rows(50_000) for _ in range(n_rows // 50_000))
    path = folder / f"{n_rows}.npy"
    if not path.exists():
        np.save(path, np.tile(rows(50_000), (n_rows // 50_000, 1)))
    return path if kind == "file" else np.load(path, mmap_mode="r").view("i8").view(np.memmap)


@pytest.mark.parametrize("kind", ["function", "file", "map of other numbers"])
@pytest.mark.parametrize("init_params", ["auto", "kmeans"])
def test_memory_of_a_stream_does_not_grow_with_its_rows(kind: str, init_params: str, tmp_path: Path) -> None:
    def of(n_rows: int) -> tuple[int, int]:
        data = stream_of(n_rows, kind, tmp_path)
        gm = GaussianMixture(2, max_iter=2, random_state=0, init_params=init_params)
        return peak(lambda: gm.fit(data)), peak(lambda: [gm.score(data), gm.bic(data), gm.aic(data), gm.icl(data)])

    few, many = of(300_000), of(1_200_000)
    # A batch of 65 536 rows is a megabyte, and three may be held at the peak, or one, by the moment. The rows
    # themselves are 14 MB more, and a number for each is 7 MB.
    for one, other in zip(few, many, strict=True):
        assert other - one < 3.5e6
    # Three batches, a block of the user's and one that is converted; the sample, and a start's work on it.
    sample = 65_536 * 2 * 8
    assert many[0] < 32e6 + 4 * sample
    assert many[1] < 32e6


@pytest.mark.parametrize("structure", STRUCTURES)
def test_memory_of_a_random_start_does_not_grow_with_the_components(structure: str) -> None:
    X = rows(20_000)

    def of(n_components: int) -> int:
        return peak(lambda: make_start("random", ArraySource(X), GaussianModel(n_components, 2, structure, 1e-6), 0, 0))

    # 198 components more: 32 megabytes if there were a number for each row and component.
    assert abs(of(200) - of(2)) < 200_000
