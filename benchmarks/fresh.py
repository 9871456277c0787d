"""Calls a function in a process of its own, for what must not see what ran before: imports, memory, thread counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from workers import HERE, THREAD_VARIABLES, absolute_python_path

_CODE = """
import importlib, json, sys
module, _, name = sys.argv[1].partition(":")
print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))))
"""


def call(
    function: str, n_threads: int | None = None, environment: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """Return what ``module:name`` of this folder returns, called with these arguments in a new process.

    Parameters
    ----------
    function : str
        ``module:name``; arguments and result go through JSON.
    n_threads : int or None
        Set for every thread pool that listens to the environment; None: as libraries choose by themselves.
    environment : mapping, optional
        More variables.

    Raises
    ------
    RuntimeError
        If the process fails; the message is the last that it said.
    """
    variables = {**os.environ, **(environment or {})}
    for name in THREAD_VARIABLES:
        variables.pop(name, None)
        if n_threads is not None:
            variables[name] = str(n_threads)
    absolute_python_path(variables)
    command = [sys.executable, "-c", _CODE, function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=HERE, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(f"{function}: {said[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
