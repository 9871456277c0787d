"""Every Python block and every `emix` command on every page of the site and of the README runs.

The blocks of a page run from top to bottom in one namespace and one empty folder. A block with prompts is compared with
what it prints. docs/architecture.md has a test of its own, tests/test_architecture.py.
"""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import emix

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
OWN_TEST = {DOCS / "architecture.md"}
MADE = {DOCS / "gallery", DOCS / "api" / "generated"}  # by a build of the site
PAGES = [
    CHECKOUT / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if page not in OWN_TEST and not MADE & set(page.parents)),
]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

# Spaces do not count, so that NumPy's printing may differ between versions; `...` stands for last digits.
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def names(pages: list[Path]) -> list[str]:
    return [page.relative_to(CHECKOUT).as_posix() for page in pages]


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and first line (from 0) of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(found[1], found[2], text.count("\n", 0, found.start(2))) for found in BLOCK.finditer(text)]


def run_prompts(text: str, page: ModuleType, name: str, line: int) -> None:
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, line)
    test.globs = page.__dict__  # not a copy: later blocks use these names
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append, clear_globs=False)
    assert result.failed == 0, "".join(said)


def run_commands(text: str) -> None:
    for line in text.splitlines():
        # The shell's own work, and programs that are not ours, are not tried.
        words = shlex.split(line, comments=True)
        if words[:1] == ["emix"] and not set("|<>*") & set(line.partition("#")[0]):
            subprocess.run([sys.executable, "-P", "-m", *words], check=True, capture_output=True, text=True)


@pytest.mark.parametrize("name", names(PAGES))
def test_blocks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # dataclasses and pickle look for a class's module there
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    for language, text, line in blocks(CHECKOUT / name):
        if language == "python" and ">>> " in text:
            run_prompts(text, page, name, line)
        elif language == "python":
            exec(compile("\n" * line + text, name, "exec"), page.__dict__)
        elif language == "sh":
            run_commands(text)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def test_there_is_something_to_test() -> None:
    assert len(PAGES) >= 30
    assert sum(language == "python" for page in PAGES for language, _, _ in blocks(page)) >= 70


@pytest.mark.parametrize("name", names(PAGES))
def test_no_block_is_left_out(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    fences = re.findall(r"^\s*(?:```|~~~)", text, flags=re.MULTILINE)
    # An indented or unclosed fence would be read by Sphinx, and not by this test. A directive has braces.
    directives = re.findall(r"^```\{.*?^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(fences) == 2 * (len(blocks(CHECKOUT / name)) + len(directives))
    assert {language for language, _, _ in blocks(CHECKOUT / name)} <= {"python", "sh", "text"}


def test_api_page_has_every_public_name() -> None:
    listed = re.findall(r"^   (\w+)$", (DOCS / "api" / "index.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(emix.__all__)
