"""The command's first steps, before the package is there."""

from __future__ import annotations

import os
import subprocess
import sys

import emix


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from _emix_command import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_runs() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"emix {emix.__version__}\n", "")
    assert command("fit").returncode == 2


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "emix", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"emix {emix.__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "emix", "fit"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("(see emix fit --help)\n")


def test_an_import_that_fails_is_one_line() -> None:
    done = command("info", "model.npz", EMIX_LEVEL="foo")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("emix: error: EMIX_LEVEL is 'foo', which this build or processor does not have: ")
    assert done.stderr.count("\n") == 1


def test_an_interrupt_while_the_package_is_imported_is_one_line() -> None:
    code = """
import sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "emix.cli.command_line":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from _emix_command import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "emix: interrupted\n")
