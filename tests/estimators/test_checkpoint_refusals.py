"""Checkpoints that a fit does not go on from: of another fit, in use, damaged, or no file at all. Each has its text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emix.estimators.checkpoint
import emix.estimators.checkpoint_facts
from emix import GaussianMixture, ModelFileError
from estimators.kept_fits import EndedError, assert_same_fit, ended_after, mixture, not_converged, rows

pytestmark = not_converged

X = rows()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The checkpoint of a fit that was ended in its second run."""
    found = tmp_path / "fit.checkpoint"
    with pytest.raises(EndedError):
        mixture(n_init=2).fit(X, callback=ended_after(17), checkpoint=found, checkpoint_every=0.0)
    return found


def refused(path: Path, message: str, data: Any = X, weight: Any = None, **settings: Any) -> None:
    """The fit is refused with this text, the file stays as it is, and the estimator too."""
    gm, before = mixture(**{"n_init": 2, **settings}), path.read_bytes()
    state = dict(vars(gm))
    expected = f"^checkpoint {str(path)!r} is of a fit with {message}, or remove the file to begin anew.$"
    with pytest.raises(ValueError, match=expected):
        gm.fit(data, sample_weight=weight, checkpoint=path, checkpoint_every=0.0)
    assert path.read_bytes() == before
    assert vars(gm) == state


# Another fit


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 4}, "n_components=3, this one has n_components=4. Set n_components=3 to go on"),
        (
            {"covariance_type": "tied"},
            "covariance_type='full', this one has covariance_type='tied'. Set covariance_type='full' to go on",
        ),
        ({"tol": 0.5}, "tol=0.0, this one has tol=0.5. Set tol=0.0 to go on"),
        ({"reg_covar": 1e-6}, "reg_covar='auto', this one has reg_covar=1e-06. Set reg_covar='auto' to go on"),
        ({"max_iter": 13}, "max_iter=12, this one has max_iter=13. Set max_iter=12 to go on"),
        ({"n_init": 3}, "n_init=2, this one has n_init=3. Set n_init=2 to go on"),
        (
            {"init_params": "random"},
            "init_params='kmeans', this one has init_params='random'. Set init_params='kmeans' to go on",
        ),
        ({"random_state": 1}, "random_state=0, this one has random_state=1. Set random_state=0 to go on"),
        (
            {"means_init": X[:3]},
            "means_init None, this one has means_init with the digest [0-9a-f]{8}. Set the same means_init to go on",
        ),
        (
            {"weights_init": [0.5, 0.25, 0.25]},
            (
                "weights_init None, this one has weights_init with the digest [0-9a-f]{8}. Set the same weights_init "
                "to go on"
            ),
        ),
    ],
)
def test_other_settings(settings: dict[str, Any], message: str, path: Path) -> None:
    refused(path, message, **settings)


def test_another_generator_says_how_to_go_on(path: Path) -> None:
    refused(
        path, r"the seed 0, this one has the seed \d+. Set random_state=0 to go on",
        random_state=np.random.default_rng(3),
    )  # fmt: skip


@pytest.mark.parametrize("other", [5, np.random.default_rng(3), np.random.RandomState(3)])
def test_the_fit_of_a_generator_asks_for_its_state(other: Any, tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(EndedError):
        mixture(n_init=2, random_state=np.random.default_rng(7)).fit(
            X, callback=ended_after(17), checkpoint=path, checkpoint_every=0.0
        )
    seed = int(np.random.default_rng(7).integers(2**63))
    refused(
        path,
        (
            rf"the seed {seed}, this one has the seed \d+. Pass the generator in the state that it had, or "
            f"random_state={seed}, to go on"
        ),
        random_state=other,
    )
    copied = shutil.copy(path, tmp_path / "copy")
    expected = mixture(n_init=2, random_state=np.random.default_rng(7)).fit(X, checkpoint=path)
    assert_same_fit(mixture(n_init=2, random_state=seed).fit(X, checkpoint=copied), expected)


@pytest.mark.parametrize(
    ("data", "weight", "message"),
    [
        (X[:-1], None, "900 rows, this one has 899 rows. Pass the same rows to go on"),
        (X[:, :2], None, "3 columns, this one has 2 columns. Pass the same rows to go on"),
        (
            X.astype(np.float32), None,
            "rows of dtype float64, this one has rows of dtype float32. Pass the same rows to go on",
        ),
        (
            X, np.full(900, 0.5),
            ("rows of total weight 900.0, this one has rows of total weight 450.0. Pass the same rows and weights "
            "to go on"),
        ),
        (
            X * [1.0, 2.0, 1.0], None,
            (r"column 1 from [-\d.]+ to [-\d.]+, this one has column 1 from [-\d.]+ to [-\d.]+. Pass the same rows to "
            "go on"),
        ),
    ],
)  # fmt: skip
def test_other_rows(data: Any, weight: Any, message: str, path: Path) -> None:
    refused(path, message, data, weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emix", "emix 0.0.9, this one has emix {}. Use emix 0.0.9 to go on"),
        (
            "level",
            (
                "the instruction-set level 0.0.9, this one has the instruction-set level {}. Set the environment "
                "variable EMIX_LEVEL=0.0.9 to go on"
            ),
        ),
        (
            "machine",
            "a processor of the kind 0.0.9, this one has a processor of the kind {}. Use such a processor to go on",
        ),
    ],
)
def test_another_emix(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, facts = tmp_path / "fit.checkpoint", emix.estimators.checkpoint_facts.facts_of_process()
    with monkeypatch.context() as patch:
        patch.setattr(emix.estimators.checkpoint, "facts_of_process", lambda: {**facts, name: "0.0.9"})
        with pytest.raises(EndedError):
            mixture(n_init=2).fit(X, callback=ended_after(17), checkpoint=path, checkpoint_every=0.0)
    refused(path, message.format(re.escape(facts[name])))


def test_another_warm_start(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    one, other = (mixture(max_iter=n, warm_start=True).fit(X).set_params(max_iter=12) for n in (1, 2))
    with pytest.raises(EndedError):
        one.fit(X, callback=ended_after(4), checkpoint=path, checkpoint_every=0.0)
    message = (
        "with the start of warm_start with the digest [0-9a-f]{8}, this one has the start of warm_start with the "
        "digest [0-9a-f]{8}. Fit from the same fitted parameters to go on, or"
    )
    with pytest.raises(ValueError, match=message):
        other.fit(X, checkpoint=path)
    one.fit(X, checkpoint=path)


def test_settings_that_change_no_result_may_differ(path: Path) -> None:
    expected = mixture(n_init=2).fit(X, checkpoint=path.with_name("other"))
    found = mixture(n_init=2, n_threads=1, verbose_interval=3).fit(X, checkpoint=path)
    assert_same_fit(found, expected)


def test_names_of_one_structure_are_one(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(EndedError):
        mixture(covariance_type="tied").fit(X, callback=ended_after(4), checkpoint=path, checkpoint_every=0.0)
    mixture(covariance_type="EEE").fit(X, checkpoint=path)
    assert not path.exists()


# In use


def test_a_path_in_use_is_refused(path: Path) -> None:
    tried: list[str] = []

    def callback(run: int, record: Any) -> None:
        with pytest.raises(BlockingIOError, match="is in use by another fit: pass another path, or wait") as caught:
            mixture(n_init=2).fit(X, checkpoint=path)
        tried.append(str(caught.value.filename))

    mixture(n_init=2).fit(X, callback=callback, checkpoint=path, checkpoint_every=0.0)
    assert set(tried) == {str(path)}
    assert not path.exists()


# No checkpoint


def damaged(path: Path, problem: str, may_be_damaged: bool = True) -> None:
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=problem) as caught:
        mixture(n_init=2).fit(X, checkpoint=path)
    assert str(caught.value).startswith(repr(str(path)))
    assert ". Pass another path for checkpoint" in str(caught.value)
    assert "save the model" not in str(caught.value)  # advice for model files
    assert str(caught.value).endswith(", or remove the file if it is a checkpoint that was damaged.") == may_be_damaged
    assert path.read_bytes() == before


def test_a_truncated_file(path: Path) -> None:
    content = path.read_bytes()
    for length in (1, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        damaged(path, "is no checkpoint to go on from: it is ")


def test_a_flipped_byte(path: Path) -> None:
    content, named = bytearray(path.read_bytes()), []
    expected = mixture(n_init=2).fit(X, checkpoint=path.with_name("other"))
    for place in range(40, len(content), len(content) // 40):
        changed = content.copy()
        changed[place] ^= 0x10
        path.write_bytes(changed)
        try:
            found = mixture(n_init=2).fit(X, checkpoint=path)
        except ModelFileError as error:
            named.append(str(path) in str(error))
        else:  # a byte of the archive that says nothing: dates, permissions
            assert_same_fit(found, expected)
    assert all(named)
    assert len(named) > 30


def test_a_file_of_another_kind(path: Path) -> None:
    mixture().fit(X).save(path)
    damaged(path, "holds a model of kind 'GaussianMixture', expected 'Checkpoint'", may_be_damaged=False)
    path.write_text("x,y\n1,2\n")
    damaged(path, "is no checkpoint to go on from: it is damaged or is not a model file of emix")


def test_an_empty_file_is_a_fit_that_has_not_kept_anything(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    path.touch()
    mixture().fit(X, checkpoint=path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"checkpoint": 5}, TypeError, "checkpoint is 5, expected the path of a file, or None"),
        ({"checkpoint": "missing/x"}, FileNotFoundError, "the folder .*missing does not exist"),
        ({"checkpoint": "x", "checkpoint_every": -1.0}, ValueError, "'checkpoint_every' parameter of GaussianMixture"),
        ({"checkpoint": "x", "checkpoint_every": "a"}, TypeError, "'checkpoint_every' parameter of GaussianMixture"),
        ({"checkpoint": "."}, IsADirectoryError, "is a folder, expected the path of a file"),
    ],
)
def test_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        mixture().fit(X, **arguments)
    assert not list(tmp_path.iterdir())


def test_bad_rows_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(2).fit([[0.0], [np.nan]], checkpoint=tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_copied_file_goes_on_twice(path: Path) -> None:
    other = path.with_name("copy")
    shutil.copy(path, other)
    assert_same_fit(mixture(n_init=2).fit(X, checkpoint=path), mixture(n_init=2).fit(X, checkpoint=other))
