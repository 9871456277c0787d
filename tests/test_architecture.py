"""docs/architecture.md names nothing that is not there, has the folders in order, and its Python runs and is right."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import emix
from emix.em.loop import iterate
from emix.em.result import EMResult
from emix.gaussian.collapse import judge_fit
from emix.gaussian.model import q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import CovarianceStructure
from emix.rows.source import is_source
from gaussian.examples import Array, clusters, start
from test_project import LAYERS

CHECKOUT = Path(__file__).parents[1]
SOURCE = CHECKOUT / "src" / "emix"
PAGE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")

FENCED = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
# Outside of fenced blocks, as a block's fence would pair with the next backtick.
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", PROSE)))
PATHS = [text for text in QUOTED if re.fullmatch(r"[\w./-]*(/|\.(py|pyi|pyx|pxi|h|md|toml|build))", text)]
DOTTED = [text for text in QUOTED if re.fullmatch(r"emix(\.\w+)+", text)]


def words_of(folder: Path) -> set[str]:
    endings = {".py", ".pyi", ".pyx", ".pxi", ".build"}
    files = (path for path in folder.rglob("*") if path.suffix in endings)
    return {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


def test_there_is_something_to_test() -> None:
    assert len(FENCED) >= 6
    assert len(PATHS) >= 30
    assert len(DOTTED) >= 2
    assert PAGE.count("```") == 2 * len(FENCED)


@pytest.mark.parametrize("path", PATHS)
def test_paths_exist(path: str) -> None:
    if path.startswith("."):  # an ending
        return
    assert any((folder / path).exists() for folder in (CHECKOUT, SOURCE, SOURCE / "kernel"))


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", PAGE))
def test_links_lead_to_files(target: str) -> None:
    assert (CHECKOUT / "docs" / target).is_file()


@pytest.mark.parametrize("name", DOTTED)
def test_dotted_names_import(name: str) -> None:
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        # A folder's module may not be an attribute yet.
        found = getattr(found, part, None) or importlib.import_module(".".join(parts[:i]))


def test_other_names_stand_in_the_source() -> None:
    known = words_of(CHECKOUT / "src") | words_of(CHECKOUT / "tests") | {path.stem for path in SOURCE.rglob("*")}
    known |= {word for block in FENCED for word in re.findall(r"\w+", block)}
    unknown = [text for text in QUOTED if text not in PATHS and not set(re.findall(r"[^\W\d]\w*", text)) <= known]
    assert unknown == []


def test_planned_names_are_not_there_yet() -> None:
    # Bold names are planned, except the headings of lists, which are words of the language.
    planned = set(re.findall(r"\*\*(\w+)\*\*", PAGE)) - {"Streams", "Dask", "Acceleration"}
    assert planned >= {"MixtureModel", "mixtures"}
    classes = {word for word in planned if word[0].isupper()}
    assert not classes & words_of(SOURCE)
    assert not (SOURCE / "mixtures").exists()


def test_folders_stand_in_the_order_in_which_they_import_each_other() -> None:
    table = PAGE.partition("| contents |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == LAYERS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A module of the page's Python."""
    module = ModuleType("architecture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)  # pickle looks for classes there
        with pytest.MonkeyPatch.context() as there:
            there.chdir(tmp_path_factory.mktemp("page"))  # it writes files
            for number, block in enumerate(FENCED):
                exec(compile(block, f"<block {number} of architecture.md>", "exec"), module.__dict__)
        yield module


def test_python_of_the_page_runs(page: Any) -> None:
    assert issubclass(page.FirstShared, CovarianceStructure)
    assert is_source(page.files)


def first_shared_start(page: Any, X: Array) -> GaussianParameters:
    begin = start("diag", X, 3)
    return GaussianParameters.of(page.FirstShared(), begin.weights, begin.means, begin.covariances)


def first_shared_after(page: Any, X: Array, theta: GaussianParameters, reg_covar: float = 0.0) -> EMResult:
    return iterate(emix.GaussianModel(3, 2, page.FirstShared(), reg_covar), X, theta, tol=0.0, max_iter=8)


def test_first_shared_has_one_first_variance_and_the_highest_q(page: Any) -> None:
    X = clusters(200, 2, 3)
    kind = page.FirstShared()
    model = emix.GaussianModel(3, 2, kind)
    statistics, _ = model.e_step(X, first_shared_start(page, X))
    best = model.m_step(statistics)
    fitted = best.covariances
    assert (fitted[:, 0] == fitted[0, 0]).all()
    assert kind.project(fitted, best.weights) is fitted
    highest, rng = q_function(best, statistics), np.random.default_rng(0)
    for size in 10.0 ** np.repeat([-4.0, -2.0, 0.0], 20):
        near = kind.project(best.covariances * np.exp(size * rng.normal(size=(3, 2))), best.weights)
        other = GaussianParameters.of(kind, best.weights, best.means, near)
        # Q falls by some 200 size²; its own rounding is near 1e-12.
        assert q_function(other, statistics) < highest


def test_first_shared_does_not_know_order(page: Any) -> None:
    X = clusters(200, 2, 3)
    theta, rng = first_shared_start(page, X), np.random.default_rng(0)
    order = rng.permutation(3)
    plain = first_shared_after(page, X, theta).parameters
    other = first_shared_after(page, rng.permutation(X), theta.permuted(order)).parameters
    assert plain.permuted(order).distance(other) < 1e-9  # the order of sums, over 8 iterations


@pytest.mark.parametrize("exponents", [(3, -7), (494, 494), (-500, -500), (300, -300)])
def test_first_shared_fits_data_of_any_unit(page: Any, exponents: tuple[int, int]) -> None:
    X, unit = clusters(200, 2, 3), 2.0 ** np.array(exponents)
    theta = first_shared_start(page, X)
    moved = GaussianParameters.of(theta.structure, theta.weights, theta.means * unit, theta.covariances * unit**2)
    plain, found = first_shared_after(page, X, theta).parameters, first_shared_after(page, X * unit, moved).parameters
    covariances = found.covariances / unit**2
    back = GaussianParameters.of(theta.structure, found.weights, found.means / unit, covariances)
    # Log-densities of up to 690 are rounded to 1e-13, over 8 iterations.
    assert plain.distance(back) < 1e-10


def test_first_shared_takes_each_component_alone(page: Any) -> None:
    kind, weights = page.FirstShared(), np.array([0.2, 0.3, 0.5])
    for bad in (0.0, -1e-30):  # what rounding may leave of a variance
        covariances = np.array([[1.0, 4.0], [3.0, bad], [1.0, 1.0]])
        found = kind.project(covariances, weights)
        np.testing.assert_array_equal(found[:, 1], covariances[:, 1])
        np.testing.assert_allclose(found[:, 0], 0.2 + 0.9 + 0.5, rtol=1e-15)
        assert kind.project(found, weights) is found
    alone = np.zeros((3, 2))
    assert kind.project(alone, weights) is alone


def test_first_shared_is_judged_and_goes_on_from_a_pickle(page: Any) -> None:
    X = clusters(200, 2, 3)
    half = first_shared_after(page, X, first_shared_start(page, X), 1e-3)
    whole = first_shared_after(page, X, half.parameters, 1e-3)
    again = first_shared_after(page, X, pickle.loads(pickle.dumps(half.parameters)), 1e-3)
    assert again.log_likelihood == whole.log_likelihood
    assert judge_fit(half.statistics, 1e-3, 200.0).collapse is None
    # Its shortfall by the tangent, which a linear structure has, is the difference of two Q.
    model = emix.GaussianModel(3, 2, page.FirstShared(), 1e-3)
    bare = emix.GaussianModel(3, 2, page.FirstShared()).m_step(half.statistics)
    lost = q_function(bare, half.statistics) - q_function(model.m_step(half.statistics), half.statistics)
    assert model.shortfall(half.statistics) == pytest.approx(lost, abs=1e-10)


def npy_files(page: Any, folder: Path, parts: list[Array]) -> Any:
    paths = [str(folder / f"{i}.npy") for i in range(len(parts))]
    for path, part in zip(paths, parts):
        np.save(path, part)
    return page.NpyFiles(paths)


def test_npy_files_name_the_place_of_a_bad_value(page: Any, tmp_path: Path) -> None:
    parts = [np.ones((5, 2)), np.ones((0, 2)), np.ones((7, 2))]
    parts[2][3, 1] = np.nan
    source = npy_files(page, tmp_path, parts)
    for _ in range(2):  # the second read asks again
        with pytest.raises(ValueError, match=r"Input .*2\.npy contains NaN: the first is in row 3, column 1\."):
            source.read()


def test_npy_files_remember_no_summary_that_was_refused(page: Any, tmp_path: Path) -> None:
    narrow = 1e-160 * np.arange(10.0).reshape(5, 2)
    source = npy_files(page, tmp_path, [narrow, narrow])
    for _ in range(2):
        with pytest.raises(ValueError, match="Multiply the column by a large number"):
            source.read()


def test_npy_files_notice_that_one_was_written_anew(page: Any, tmp_path: Path) -> None:
    source = npy_files(page, tmp_path, [np.eye(4), np.eye(4)])
    assert source.read().n_rows == 8
    np.save(tmp_path / "1.npy", np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"1\.npy has changed since it was first read"):
        list(source.batches(1))
