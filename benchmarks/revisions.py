"""Compare the working tree with an earlier commit: time per iteration and result, under two minutes.

Both are built by pip with the same compiler, options and versions of everything, below
``build/revisions`` (which git ignores), and run by turns. What was built is kept, and serves every commit with the
same sources for as long as compiler, flags and packages are the same; the first use, which also makes the environment,
takes some five minutes more.

Run it as ``python benchmarks/revisions.py HEAD~1`` before every change to the kernel.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from compare import log_likelihood
from data import REVISION_PROBLEMS
from timing import faster_with_range, ratio_by_round, with_range
from workers import HERE, Worker, measure, stage

ROOT = HERE.parent
BUILDS = ROOT / "build" / "revisions"

#: What a build is made of: a commit that changes other things only has its predecessor's.
_SOURCES = ("src", "meson.build", "meson.options", "pyproject.toml")

#: Variables that change how a compiler is called.
_FLAGS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")

#: emix's own pool sleeps when it is idle; nothing else runs here that would spin.
_REST_SECONDS = 0.01

#: Neither has a round beyond the second on a problem where it has run for so many seconds: on a busy machine, too,
#: all problems together stay below two minutes.
_BUDGET_SECONDS = 4.0


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command in the root; its output, or an end with all that it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{' '.join(map(str, command))}: exit status {done.returncode}")
    return done.stdout


def key(*parts: str) -> str:
    """A name for a folder, another one whenever a part is another."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def environment() -> Path:
    """The interpreter of a virtual environment that builds and runs both, made when there is none with these needs."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        needs: list[str] = tomllib.load(file)["build-system"]["requires"]
    # NumPy and SciPy as they are here, so that the times belong to what is in use.
    needs += [f"{name}=={version(name)}" for name in ("numpy", "scipy")]
    if shutil.which("ninja") is None:
        needs.append("ninja")
    folder = BUILDS / f"environment-{key(sys.executable, sys.version, *needs)}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / "ready"
    if not ready.exists():
        print("making the environment …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needs)
        ready.touch()
    return python


def tools(python: Path) -> str:
    """What builds: the versions that the environment has got, the compiler and its flags."""
    packages = run(python, "-m", "pip", "freeze", "--all", "--disable-pip-version-check")
    flags = [f"{name}={os.environ.get(name, '')}" for name in _FLAGS]
    command = [*shlex.split(os.environ.get("CC", "cc")), "--version"]
    # Where no compiler answers to that (Windows), meson finds one, of which nothing is known here.
    compiler = run(*command) if shutil.which(command[0]) else "unknown"
    return "\n".join([sys.version, packages, compiler, *flags])


def build(python: Path, source: Path, target: Path, meson_folder: Path) -> None:
    """Install the emix of a source tree into a folder of its own."""
    meson_folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    options += ["--target", str(target), f"-Cbuild-dir={meson_folder}"]
    # Its scripts are on the path as in an activated environment: the build looks for ninja and cython there.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    run(python, "-m", "pip", "install", *options, str(source), env={**os.environ, "PATH": path})


def build_commit(python: Path, commit: str, built_with: str) -> Path:
    """The folder with the emix of a commit, built unless it is there."""
    sources = run("git", "ls-tree", commit, *_SOURCES)
    folder = BUILDS / key(sources, built_with)
    target = folder / "site"
    if not (folder / "ready").exists():
        print(f"building {commit[:12]} …", flush=True)
        source = folder / "source"
        shutil.rmtree(folder, ignore_errors=True)
        source.mkdir(parents=True)
        archive = folder / "source.tar"
        run("git", "archive", "--output", archive, commit)
        shutil.unpack_archive(archive, source, filter="data")
        build(python, source, target, folder / "meson")
        (folder / "ready").touch()
    return target


def build_worktree(python: Path, built_with: str) -> Path:
    """The folder with the emix of the working tree; only what changed is compiled again."""
    print("building the working tree …", flush=True)
    folder = BUILDS / f"worktree-{key(built_with)}"
    build(python, ROOT, folder / "site", folder / "meson")
    return folder / "site"


def compare(sites: dict[str, Path], python: Path, only: str, n_threads: int, repeats: int) -> None:
    """Measure both and print a line per problem."""
    workers = {name: Worker("emix", str(python), n_threads, {"PYTHONPATH": str(site)}) for name, site in sites.items()}
    before, after = workers
    logs: list[float] = []
    try:
        for name, worker in workers.items():
            about = worker.ask("about")
            if "versions" not in about:
                raise SystemExit(f"{name} does not run: {about}")
            if not Path(about["versions"]["path"]).is_relative_to(sites[name]):
                raise SystemExit(f"{name} was imported from {about['versions']['path']} instead of {sites[name]}")
            print(f"{name}: level {about['versions']['level']}")
        print(
            f"\n{'ms per iteration (least–most of rounds)':42}{before:>20}{after:>20}  {'times as fast':22}"
            "log-likelihood differs by"
        )
        for problem in REVISION_PROBLEMS:
            if only not in problem.name:
                continue
            with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
                files = stage(problem, Path(folder))
                timings = measure(workers, problem, files, repeats, _REST_SECONDS, _BUDGET_SECONDS)
                X = np.load(files[0])
            refusals = [f"{name} {t.refusal[0]}: {t.refusal[1]}" for name, t in timings.items() if t.refusal]
            if refusals:
                print(f"{problem.name:42}{'; '.join(refusals)}")
                continue
            ends = [log_likelihood(X, t.parameters) for t in timings.values() if t.parameters is not None]
            old, new = timings[before].record(), timings[after].record()
            ratio = ratio_by_round(timings[before], timings[after])
            if ratio is not None:
                logs.append(math.log(ratio["times"]))
            print(
                f"{problem.name:42}{with_range(old):>20}{with_range(new):>20}  {faster_with_range(ratio):22}"
                f"{abs(ends[1] / ends[0] - 1.0):.0e}",
                flush=True,
            )
    finally:
        for worker in workers.values():
            worker.close()
    if logs:
        print(f"\n{'geometric mean':84}{math.exp(sum(logs) / len(logs)):.2f}×")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="HEAD", help="any name of a commit (default: %(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="problems whose name contains TEXT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(argv)
    begin = time.perf_counter()
    commit = run("git", "rev-parse", "--verify", "--end-of-options", f"{options.revision}^{{commit}}").strip()
    python = environment()
    built_with = tools(python)
    sites = {
        commit[:12]: build_commit(python, commit, built_with),
        "working tree": build_worktree(python, built_with),
    }
    compare(sites, python, options.only, options.threads, options.repeats)
    print(f"{time.perf_counter() - begin:.0f} s in all", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
