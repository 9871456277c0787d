"""Fits of dask collections with a checkpoint: ended, they go on with the same bits, if partitions are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import emix
from emix.distributed.source import DaskSource
from emix.rows.sampling import SAMPLE_ROWS
from estimators.kept_fits import EndedError, assert_same_fit, ended_after, fit_with_ends, mixture, not_converged, rows
from partitioned import array_of, cut

pytestmark = not_converged

# More rows than a start looks at, so that the fit is done where the partitions lie.
X = rows(SAMPLE_ROWS + 5000)
LENGTHS = (30_000, 0, 30_000, len(X) - 60_000)
PARTS = array_of(cut(X, LENGTHS))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("unit", [None, 1.0, 1e-300])
def test_a_fit_that_was_ended_has_the_same_bits(dtype: Any, unit: float | None, tmp_path: Path) -> None:
    parts = array_of(cut(X.astype(dtype), LENGTHS))
    weight = None if unit is None else unit * np.random.default_rng(2).random(len(X))
    whole = mixture(max_iter=6).fit(parts, sample_weight=weight, checkpoint=tmp_path / "whole")
    found = fit_with_ends(mixture(max_iter=6), parts, tmp_path / "ended", [1, 2], sample_weight=weight)
    assert_same_fit(found, whole)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_changes_no_bit_of_a_fit_where_no_shortcut_learns(tmp_path: Path) -> None:
    assert_same_fit(mixture().fit(PARTS, checkpoint=tmp_path / "fit.checkpoint"), mixture().fit(PARTS))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (array_of(cut(X, (30_000, 30_000, len(X) - 60_000))), "4 partitions, this one has 3 partitions. "),
        (
            array_of(cut(X, (30_000, 1, 29_999, len(X) - 60_000))),
            "0 rows in partition 1, this one has 1 row in partition 1. ",
        ),
        (X, "4 partitions, this one has no partitions. "),
    ],
)
def test_other_partitions_are_refused(other: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(EndedError):
        mixture().fit(PARTS, callback=ended_after(3), checkpoint=path, checkpoint_every=0.0)
    with pytest.raises(ValueError, match=f"is of a fit with {message}Pass the same rows in the same partitions to go"):
        mixture().fit(other, checkpoint=path)
    mixture().fit(PARTS, checkpoint=path)


def test_a_frame_whose_lengths_are_found_by_the_fit(tmp_path: Path) -> None:
    frame = dd.from_pandas(pd.DataFrame(X, columns=["a", "b", "c"]), npartitions=3)
    whole = mixture(max_iter=5).fit(frame, checkpoint=tmp_path / "whole")
    assert_same_fit(fit_with_ends(mixture(max_iter=5), frame, tmp_path / "ended", [3]), whole)


def test_a_source_takes_weights() -> None:
    weight = np.arange(len(X), dtype=float)
    source = DaskSource(PARTS)
    assert source.total_weight == len(X)
    found = emix.GaussianMixture(2, max_iter=2, init_params="random", random_state=0).fit(source, sample_weight=weight)
    assert found.total_weight_ == weight.sum()  # whole numbers below 2**53
