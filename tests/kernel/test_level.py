"""The choice of a level, by the processor and by EMIX_LEVEL."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import emix
from emix.kernel import level


def python(code: str, emix_level: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "EMIX_LEVEL"}
    if emix_level is not None:
        environment["EMIX_LEVEL"] = emix_level
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("forced", level.available_levels())
def test_forced_level_computes(forced: str) -> None:
    code = (
        "import sys, emix; from emix.kernel import level\n"
        "print(level.level_in_use, level.config()['level in use'], 'scipy.linalg' in sys.modules, sep='|')\n"
        "x = emix.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]]).score_samples([[0.0]])[0]\n"
        "print(f'{x:.12f}')\n"
    )
    done = python(code, forced)
    assert done.returncode == 0, done.stderr
    # SciPy's BLAS, which takes long to import, is loaded by its own level alone. The density is −½ log 2π.
    assert done.stdout.splitlines() == [f"{forced}|{forced} (EMIX_LEVEL)|{forced == 'blas'}", "-0.918938533205"]


@pytest.mark.parametrize("forced", [None, ""])
def test_best_level_by_default(forced: str | None) -> None:
    done = python("from emix.kernel import level; print(level.level_in_use, level.config()['level in use'])", forced)
    best = level.available_levels()[0]
    assert done.stdout.split() == [best, best], done.stderr


def test_unknown_level_is_refused() -> None:
    done = python("import emix", "x86-64-v9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: EMIX_LEVEL is 'x86-64-v9', which this build or processor does not have: "
        f"set it to one of {', '.join(level.available_levels())}, or unset it to use the best"
    )


def test_level_of_the_build_that_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level, "supported_levels", lambda: ("baseline",))
    level.available_levels.cache_clear()
    try:
        assert level.available_levels() == ("baseline", "blas")
        monkeypatch.setenv("EMIX_LEVEL", "v4")
        with pytest.raises(ImportError, match="set it to one of baseline, blas"):
            level.choose_level()
    finally:
        level.available_levels.cache_clear()


def test_baseline_and_blas_are_always_there() -> None:
    assert level.available_levels()[-2:] == ("baseline", "blas")


@pytest.mark.parametrize(("dtype", "precision"), [(np.float64, "double"), (np.float32, "single")])
def test_module_for_a_precision(dtype: type, precision: str) -> None:
    kernel = level.kernel_for(np.dtype(dtype))
    assert kernel.__name__ == f"emix.kernel.kernel_{level.level_in_use}_{precision}"
    assert level.kernel_for(np.dtype(dtype)) is kernel
    for name in level.available_levels():
        other = level.kernel_of_level(name, np.dtype(dtype).name)
        # Order of sums and super-blocks are the same at every level.
        for d in (1, 23, 24, 160, 161):
            assert other.super_block_rows(d) == kernel.super_block_rows(d)
        assert other.block_rows == kernel.block_rows


def test_show_config_prints_what_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    emix.show_config()
    # A name of 24 columns, then its value.
    printed = {line[:24].rstrip(): line[25:] for line in capsys.readouterr().out.splitlines()}
    assert printed == level.config()
    assert printed["emix"] == emix.__version__
    assert printed["numpy"] == np.__version__
    assert printed["level in use"].split()[0] == level.level_in_use
    assert level.config()["levels available"] == ", ".join(level.available_levels())
