"""The kernel's files can be read one after the other: no two of them need each other, and none is left out."""

from __future__ import annotations

import itertools
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

KERNEL = Path(__file__).parents[2] / "src" / "emix" / "kernel"
MODULES = sorted(KERNEL.rglob("*.pyx"))

each_module = pytest.mark.parametrize("module", MODULES, ids=[path.stem for path in MODULES])

# Comments, docstrings and other strings name what they speak of, and use nothing.
_WORDS_ABOUT_CODE = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|#.*')

# A function or class at the left margin, a constant or struct there or in a block of `cdef`, a member of an enum.
_FUNCTION = re.compile(r"^(?:cdef|cpdef|def)\b(?! class| struct| enum| extern)[^\n(=]*?(\w+)\(", re.MULTILINE)
_TYPE = re.compile(r"^(?:    )?(?:cdef class|cdef struct|cdef enum|ctypedef \w+(?: \w+)*?) (\w+)\b", re.MULTILINE)
_CONSTANT = re.compile(r"^(?:cdef|   ) (?:const )?(?:double|Py_ssize_t|size_t|int) (\w+) = ", re.MULTILINE)
_ENUM = re.compile(r"^( *)cdef enum\b.*:\n((?:\1 +.*\n|\n)+)", re.MULTILINE)


def code_of(path: Path) -> str:
    return _WORDS_ABOUT_CODE.sub("", path.read_text(encoding="utf-8"))


def files_of(module: Path) -> list[Path]:
    """The module and the files that it includes, in their order, each where it is included first."""
    found = [module]
    for name in re.findall(r'^include "(.+)"', module.read_text(encoding="utf-8"), flags=re.MULTILINE):
        found += files_of((module.parent / name).resolve())
    return list(dict.fromkeys(found))


def functions_in(code: str) -> set[str]:
    return set(_FUNCTION.findall(code))


def values_in(code: str) -> set[str]:
    """Types and constants."""
    members = {name for _, body in _ENUM.findall(code) for name in re.findall(r"\b[A-Z]\w*", body)}
    return members | {*_TYPE.findall(code), *_CONSTANT.findall(code)}


def uses(code: str, functions: set[str], values: set[str]) -> set[str]:
    """Which of these names occur: functions where they are called, and no attributes."""
    called = set(re.findall(r"(?<![\w.])(\w+)\(", code))
    return called & functions | set(re.findall(r"(?<![\w.])(\w+)\b", code)) & values


def needs_of(module: Path) -> dict[Path, dict[Path, set[str]]]:
    """For each file of a module, the other files that it needs, and the names of these that it uses."""
    code = {path: code_of(path) for path in files_of(module)}
    functions = {path: functions_in(text) for path, text in code.items()}
    values = {path: values_in(text) for path, text in code.items()}
    needs: dict[Path, dict[Path, set[str]]] = {path: {} for path in code}
    for path, text in code.items():
        for other in code:
            used = uses(text, functions[other], values[other]) if other != path else set()
            if used:
                needs[path][other] = used
    return needs


@each_module
def test_no_two_files_need_each_other(module: Path) -> None:
    needs = needs_of(module)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # Each file of the circle is needed by the next one.
        circle = error.args[1]
        links = [
            f"{needing.name} uses {', '.join(sorted(needs[needing][needed]))} of {needed.name}"
            for needed, needing in itertools.pairwise(circle)
        ]
        pytest.fail("files need each other in a circle: " + "; ".join(links))


@each_module
def test_each_file_is_needed_or_needs_another(module: Path) -> None:
    """The names are found at all: a file that stands alone would be a sign that they are not."""
    needs = needs_of(module)
    needed = {path for others in needs.values() for path in others}
    if len(needs) > 1:
        assert {path.name for path in needs if not needs[path] and path not in needed} <= {module.name}


def test_every_file_is_included_somewhere() -> None:
    included = {path for module in MODULES for path in files_of(module)}
    assert sorted(KERNEL.rglob("*.pxi")) == sorted(included - set(MODULES))


def test_a_name_is_defined_in_one_file_of_a_module() -> None:
    """Otherwise the graph would not be that of the compiler."""
    for module in MODULES:
        codes = [code_of(path) for path in files_of(module)]
        names = [name for code in codes for name in functions_in(code) | values_in(code)]
        assert not {name for name in names if names.count(name) > 1}
