"""docs/architecture.md names nothing that is not there, has the folders in order, and its Python runs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

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
    planned = set(re.findall(r"\*\*(\w+)\*\*", PAGE)) - {"Streams", "Dask", "Acceleration", "Checkpoints"}
    assert planned >= {"MixtureModel", "mixtures", "restore"}
    classes = {word for word in planned if word[0].isupper()}
    assert not classes & words_of(SOURCE)
    assert not (SOURCE / "mixtures").exists()


def test_folders_stand_in_the_order_in_which_they_import_each_other() -> None:
    table = PAGE.partition("| contents |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == LAYERS


def test_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it writes files
    names = {"__name__": "architecture"}
    for number, block in enumerate(FENCED):
        exec(compile(block, f"<block {number} of architecture.md>", "exec"), names)
