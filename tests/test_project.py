"""What holds for the project as a whole: version, layers, light import, contents of the installation, stubs."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import emix
from emix.kernel.processor import supported_levels

CHECKOUT = Path(__file__).parents[1]
SOURCE = CHECKOUT / "src" / "emix"
INSTALLED = Path(emix.__file__).parent

# Each layer imports only from those before it. Data sets need none of them but the first.
LAYERS = [
    "exceptions", "arguments", "random_source", "requirements", "kernel", "parallel", "rows", "em", "gaussian",
    "starts", "distributed", "files", "normal", "estimators", "choice", "supervised", "sklearn_patch", "summary",
    "plots", "report", "faces", "cli",
]  # fmt: skip

# Methods that show or write a result import their layer when they are called, and so does what opens rows of a library
# that few have: files, and the modules that they may import so.
SHOWN_WHEN_CALLED = {
    "choice/selection.py": {"emix.plots.selection", "emix.summary.selection"},
    "estimators/mixture_display.py": {"emix.plots.kinds", "emix.summary.description", "emix.summary.summary"},
    "estimators/sklearn_protocol.py": {"emix.summary.estimator_html"},
    "gaussian/statistics.py": {"emix.estimators.statistics_file"},
    "normal/multivariate_normal.py": {"emix.summary.estimator_html"},
    "rows/opening.py": {"emix.distributed.source"},
}

MODULES = sorted(module.name for module in pkgutil.walk_packages(emix.__path__, "emix."))
# emix.kernel.memoryviews is Cython's own.
COMPILED = [
    name
    for name in MODULES
    if not (importlib.util.find_spec(name).origin or "").endswith(".py") and name != "emix.kernel.memoryviews"
]


def source_files() -> list[str]:
    return sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Every emix module that a file imports, anywhere in it, also for types only: a type is a dependency too."""
    package = ["emix", *path.relative_to(SOURCE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            # `from emix import rows` imports a module; `from emix import GaussianMixture` needs all of emix
            found |= {f"{module}.{alias.name}" if module == "emix" else module for alias in node.names}
    return {module for module in found if module.split(".")[0] == "emix"}


def test_version_is_the_same_everywhere() -> None:
    meson = re.search(r"^  version: '(.+)',$", (CHECKOUT / "meson.build").read_text(), flags=re.MULTILINE)
    assert meson is not None
    assert emix.__version__ == meson[1]
    assert importlib.metadata.version("emix") == emix.__version__


@pytest.mark.parametrize("file", source_files())
def test_layers_import_only_from_those_before(file: str) -> None:
    layer = Path(file).parts[0].removesuffix(".py")
    imported = imported_modules(SOURCE / file) - SHOWN_WHEN_CALLED.get(Path(file).as_posix(), set())
    modules = {module.split(".")[1] if "." in module else "" for module in imported}
    modules.discard("__version__")  # a constant of the package, not a layer
    if layer == "__init__":
        allowed = {*LAYERS, "datasets"}  # the faces for types and when they are asked for: see the next test
    elif layer in ("cli", "__main__"):
        return  # may import everything
    elif layer == "datasets":
        allowed = {"datasets", "exceptions"}
    else:
        allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    assert modules <= allowed, f"{file} imports from {sorted(modules - allowed)}"


@pytest.mark.parametrize(("file", "shown"), SHOWN_WHEN_CALLED.items())
def test_what_shows_a_result_is_imported_when_it_is_called(file: str, shown: set[str]) -> None:
    assert shown <= imported_modules(SOURCE / file)
    at_once = ast.parse((SOURCE / file).read_text(encoding="utf-8")).body
    assert not [node.module for node in at_once if isinstance(node, ast.ImportFrom) and node.module in shown]


def test_import_emix_is_light() -> None:
    code = "import sys, emix; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"scipy", "sklearn", "pandas", "polars", "pyarrow", "matplotlib", "dask", "joblib"}
    assert not heavy & {name.split(".")[0] for name in loaded}
    shown = ("emix.faces", "emix.summary", "emix.plots", "emix.report", "emix.cli")
    assert not [name for name in loaded if name.startswith(shown)]
    assert "memoryviews" not in loaded  # what our modules share has no name outside of emix
    # What only files of models need, and NumPy does not load either, would be a quarter of NumPy's own time.
    code = "import sys, numpy; print(*sorted(sys.modules))"
    with_numpy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    files = {"hashlib", "json", "secrets", "shutil", "zipfile", "pathlib", "inspect"}
    assert not (files & set(loaded)) - set(with_numpy)


def test_faces_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, emix\n"
        "assert 'faces' in dir(emix) and 'emix.faces' not in sys.modules\n"
        "print(emix.faces.summary.__name__, emix.faces.plot_mixture.__name__)\n"
        "assert not {'matplotlib', 'polars', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "summary plot_mixture\n"
    with pytest.raises(AttributeError, match="module 'emix' has no attribute 'fases'"):
        emix.fases  # noqa: B018 (the access is what raises)


def test_every_source_file_is_named_in_the_build() -> None:
    build = (CHECKOUT / "src" / "meson.build").read_text(encoding="utf-8")
    named = set(re.findall(r"^    'emix/(.+)',$", build, flags=re.MULTILINE))
    compiled = {".pyx", ".pxi", ".h", ".c", ".so", ".pyd", ".html"}
    present = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix not in compiled and path.name != "meson.build" and path.parent.name[0] != "_"
    }
    assert named == present
    missing = [name for name in named if not (INSTALLED / name).is_file()]
    assert not missing


def runs_here(name: str) -> bool:
    """False for a module of a level that this processor lacks: importing it ends the process.

    A level's modules differ in nothing that a stub declares, so that what is asked here holds for them too.
    """
    level = re.match(r"emix\.kernel\.(?:kernel|clusters)_([a-z0-9]+)", name)
    return level is None or level[1] in (*supported_levels(), "blas")


@pytest.mark.parametrize("name", [name for name in COMPILED if runs_here(name)])
def test_stub_agrees_with_the_compiled_module(name: str) -> None:
    # One stub, kernel.pyi, stands for the kernel of every level and precision; and so for clusters.pyi.
    stem = re.sub(r"^(kernel|clusters)_.*", r"\1", name.rpartition(".")[2])
    stub = ast.parse((SOURCE / "kernel" / f"{stem}.pyi").read_text(encoding="utf-8"))
    module = importlib.import_module(name)
    public = {key for key in vars(module) if not key.startswith("_")}

    declared = {}
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            declared[node.name] = [argument.arg for argument in inspect_arguments(node)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared[node.target.id] = []
        elif isinstance(node, ast.ClassDef):
            declared[node.name] = []
            methods = {method.name for method in node.body if isinstance(method, ast.FunctionDef)} - {"__init__"}
            assert methods == {key for key in vars(getattr(module, node.name)) if not key.startswith("_")}
    assert public == set(declared)

    for key, arguments in declared.items():
        if callable(getattr(module, key)) and not inspect.isclass(getattr(module, key)):
            assert embedded_arguments(getattr(module, key).__doc__) == arguments, key


def embedded_arguments(doc: str) -> list[str]:
    """Names of arguments from the first line of a compiled function's docstring: name(type a, type[:, ::1] b=None)"""
    text = re.sub(r"\[[^\]]*\]", "", doc.partition("(")[2].partition(")")[0])
    return [argument.partition("=")[0].split()[-1] for argument in text.split(",") if argument.strip() not in ("", "/")]


def inspect_arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


@pytest.mark.parametrize("name", sorted({"emix", *MODULES} - set(COMPILED)))
def test_examples_in_docstrings_run(name: str) -> None:
    if name.endswith("__main__"):
        return  # importing it runs it
    module = importlib.import_module(name)
    # Spaces do not count, so that NumPy's printing may differ between versions; `...` stands for last digits.
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples of {name}"


def test_what_shows_a_fit_uses_only_what_is_public() -> None:
    private = [
        f"{path.name}:{node.lineno} {ast.unparse(node)}"
        for folder in ("summary", "plots", "report", "cli")
        for path in sorted((SOURCE / folder).glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and is_private(node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert private == []


# Names that begin with an underscore and are public all the same: of named tuples, and of protocols.
PUBLIC_UNDERSCORES = {
    "_asdict", "_fields", "_make", "_replace",
    "_repr_html_", "_repr_png_", "_ipython_display_",  # IPython's
    "_n_parameters",  # scikit-learn's, which GaussianMixture has too
}  # fmt: skip
# Functions that take an attribute's name as text.
BY_NAME = {"setattr", "getattr", "hasattr", "delattr", "setitem", "attrgetter", "methodcaller", "patch"}


def is_private(name: str) -> bool:
    return re.match(r"_[^_]", name) is not None and name not in PUBLIC_UNDERSCORES


def private_names(tree: ast.AST) -> list[str]:
    """Names of other modules' private parts in a file: attributes, imports, and texts such as monkeypatch takes."""
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                names = [node.attr]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            names = ".".join([module, *(alias.name for alias in node.names)]).split(".")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
            texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            names = ".".join(texts).split(".")
        found += [f"{node.lineno}: {name}" for name in names if is_private(name)]
    return found


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_tests_and_benchmarks_use_only_what_is_public(folder: str) -> None:
    private = [
        f"{path.relative_to(CHECKOUT)}:{name}"
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for name in private_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert private == []


def test_private_names_are_found() -> None:
    for text, expected in (
        ("run._before", ["_before"]),
        ("a.b._c.d", ["_c"]),
        ("self._x, cls._y, x.__dict__, x._replace(y=1), x.y_", []),
        ("self.run._before", ["_before"]),
        ("from emix.gaussian.scoring import _arguments as arguments, Scores", ["_arguments"]),
        ("from emix._inner import x", ["_inner"]),
        ("import emix._inner", ["_inner"]),
        ("monkeypatch.setattr(run, '_pass', None)", ["_pass"]),
        ("monkeypatch.setattr('emix.cli.tables._ROWS', 2)", ["_ROWS"]),
        ("getattr(x, '_y')", ["_y"]),
        ("def _of_this_file(): return _of_this_file", []),
    ):
        assert [name.partition(": ")[2] for name in private_names(ast.parse(text))] == expected, text


def test_tolerances_are_those_that_are_written() -> None:
    # Without rtol, assert_allclose adds 1e-7 of the expected numbers to atol.
    unclear = []
    for path in sorted((CHECKOUT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("assert_allclose"):
                named = {keyword.arg for keyword in node.keywords}
                if "atol" in named and "rtol" not in named:
                    unclear.append(f"{path.name}:{node.lineno}")
    assert unclear == []
