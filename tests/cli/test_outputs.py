"""Where results and messages of the command go: files whole or not at all, streams that are closed, full or left."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

import emix
from emix.cli.command_line import main
from emix.datasets.faithful import faithful_csv
from emix.estimators.mixture_file import mixture_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs, devices and closed descriptors are those of POSIX")

COMMAND = "import sys; from emix.cli.command_line import main; sys.exit(main())"


def command(*arguments: object, **keywords: object) -> subprocess.CompletedProcess[bytes]:
    """Run `emix` as a process."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    return subprocess.run([sys.executable, "-c", COMMAND, *map(str, arguments)], check=False, **streams)


def redirected(redirection: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run `emix` with a shell's redirection."""
    line = f'exec "$0" -c "$1" "${{@:2}}" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, COMMAND, *map(str, arguments)], capture_output=True, check=False
    )


@pytest.fixture
def model_file(csv_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    emix.GaussianMixture(2, random_state=0).fit(pl.read_csv(csv_file)).save(path)
    return path


@pytest.fixture
def read_fifo(tmp_path: Path) -> Callable[[], bytes]:
    """Make a FIFO named "fifo"; the function returned says what came through it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    content: list[bytes] = []
    reader = threading.Thread(target=lambda: content.append(fifo.read_bytes()), daemon=True)
    reader.start()

    def found() -> bytes:
        reader.join(timeout=60)
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        return content[0]

    return found


@pytest.fixture
def null_device(tmp_path: Path) -> Path:
    """A copy of /dev/null, which root could destroy."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        os.close(os.open(device, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"no devices can be made here: {error}")
    return device


# Files


def test_a_full_disk_leaves_the_old_file(csv_file: Path, model_file: Path, tmp_path: Path) -> None:
    # A limit to the size of files stands for it, in a process of its own.
    folder = tmp_path / "out"
    folder.mkdir()
    score, fit = ["score", model_file, csv_file, "--out"], ["fit", csv_file, "-k", "2", "-q"]
    commands = {
        "out.csv": score,
        "out.tsv": score,
        "out.parquet": score,
        "out.npz": [*fit, "--out"],
        "out.png": [*fit, "--plot"],
        "out.svg": [*fit, "--plot"],
        "out.txt": ["data", "faithful", "--out"],
    }
    for name in commands:
        (folder / name).write_bytes(b"old")
    lines = [[str(argument) for argument in [*arguments, folder / name]] for name, arguments in commands.items()]
    code = (
        "import resource, sys; from emix.cli.command_line import main\n"
        "import matplotlib.font_manager\n"  # it writes a file of its own the first time
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        f"sys.exit([main(line) for line in {lines}] != [1] * {len(lines)})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = "".join(f"emix: error: {folder / name}: File too large\n" for name in commands)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", expected)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(commands, b"old")


def test_outputs_replace_files_and_keep_their_permissions(csv_file: Path, model_file: Path, tmp_path: Path) -> None:
    for name, arguments in (
        ("scores.csv", ["score", model_file, csv_file, "--out"]),
        ("scores.parquet", ["score", model_file, csv_file, "--out"]),
        ("fit.png", ["fit", csv_file, "-k", "2", "-q", "--plot"]),
        ("data.csv", ["data", "faithful", "--out"]),
        ("m.npz", ["fit", csv_file, "-k", "2", "-q", "--out"]),
    ):
        path, link = tmp_path / name, tmp_path / f"link-{name}"
        path.write_bytes(b"old")
        path.chmod(0o620)
        link.symlink_to(path)
        assert main([str(argument) for argument in [*arguments, link]]) == 0
        assert path.stat().st_size > 1000
        assert stat.S_IMODE(path.stat().st_mode) == 0o620 and link.is_symlink()


def test_what_may_not_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("emix.files.output.os.open", refuse)
    path = tmp_path / "out.png"
    for arguments in (["fit", "none.csv", "-k", "1", "--out"], ["fit", "none.csv", "-k", "1", "--plot"]):
        assert main([*arguments, str(path)]) == 1
        text = f"emix: error: {path}: Permission denied (no file can be made in {tmp_path})\n"
        assert capsys.readouterr() == ("", text)


# Targets that are no files


def test_a_model_goes_through_a_fifo(csv_file: Path, tmp_path: Path, read_fifo: Callable[[], bytes]) -> None:
    assert main(["fit", str(csv_file), "-k", "2", "-q", "--out", str(tmp_path / "fifo")]) == 0
    (tmp_path / "copy").write_bytes(read_fifo())
    assert emix.GaussianMixture.load(tmp_path / "copy").n_components == 2


def test_a_picture_goes_through_a_fifo_as_png(csv_file: Path, tmp_path: Path, read_fifo: Callable[[], bytes]) -> None:
    assert main(["fit", str(csv_file), "-k", "2", "-q", "--plot", str(tmp_path / "fifo")]) == 0
    assert min(imread(io.BytesIO(read_fifo())).shape[:2]) > 600


def test_scores_go_through_a_fifo_as_csv(
    csv_file: Path,
    model_file: Path,
    tmp_path: Path,
    read_fifo: Callable[[], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["score", str(model_file), str(csv_file)]) == 0
    expected = capsys.readouterr().out
    assert main(["score", str(model_file), str(csv_file), "--out", str(tmp_path / "fifo")]) == 0
    assert read_fifo().decode() == expected


def test_a_data_set_goes_through_a_fifo(tmp_path: Path, read_fifo: Callable[[], bytes]) -> None:
    assert main(["data", "faithful", "--out", str(tmp_path / "fifo")]) == 0
    assert read_fifo().decode() == faithful_csv()


def test_a_device_may_take_everything(csv_file: Path, model_file: Path, null_device: Path) -> None:
    device = str(null_device)
    assert main(["fit", str(csv_file), "-k", "2", "-q", "--out", device, "--plot", device]) == 0
    assert main(["score", str(model_file), str(csv_file), "--out", device]) == 0
    assert main(["data", "faithful", "--out", device]) == 0
    assert stat.S_ISCHR(null_device.stat().st_mode)


# Standard output


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_model_on_standard_output_is_there_alone(csv_file: Path, tmp_path: Path, name: str) -> None:
    done = command("fit", csv_file, "-k", "2", "--out", name, "--plot", tmp_path / "fit.png")
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "copy").write_bytes(done.stdout)
    assert main(["fit", str(csv_file), "-k", "2", "-q", "--out", str(tmp_path / "m.npz")]) == 0
    expected, found = (emix.GaussianMixture.load(tmp_path / name) for name in ("m.npz", "copy"))
    np.testing.assert_array_equal(found.means_, expected.means_)
    assert mixture_bytes(found) == done.stdout  # an archive with a summary behind it would load too
    assert not (tmp_path / "-").exists() and (tmp_path / "fit.png").exists()


def test_what_is_appended_to_is_not_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("ab") as stream:
        assert command("data", "faithful", "--out", "/dev/stdout", stdout=stream).returncode == 0
    assert log.read_text() == "before\n" + faithful_csv()


def test_a_terminal_gets_no_binary_file(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    master, slave = os.openpty()
    try:
        device = os.ttyname(slave)
        for option, name, problem in (
            ("--out", "-", "is a terminal, which cannot show a model file: redirect it, or name a file"),
            ("--out", device, "is a terminal, which cannot show a model file: redirect it, or name a file"),
            ("--plot", device, "is a terminal, which cannot show a picture: redirect it, or name a file"),
        ):
            with os.fdopen(os.dup(slave), "w") as terminal, monkeypatch.context() as context:
                context.setattr(sys, "stdout", terminal)
                assert main(["fit", str(csv_file), "-k", "2", option, name]) == 2
            assert capsys.readouterr().err == f"emix: error: {option} {name} {problem}\n"
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)
    finally:
        os.close(master)
        os.close(slave)


def test_a_picture_needs_a_name(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(csv_file), "-k", "2", "--plot", "-"]) == 2
    text = "emix: error: --plot is -, expected the name of a file that ends in one of .png, .pdf, .svg\n"
    assert capsys.readouterr() == ("", text)


def test_what_standard_input_comes_from_is_not_overwritten(
    model_file: Path, csv_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with csv_file.open() as rows:
        monkeypatch.setattr(sys, "stdin", rows)
        assert main(["score", str(model_file), "-", "--out", str(csv_file)]) == 2
    text = "emix: error: --out is the same file as FILE, -: it would be overwritten\n"
    assert capsys.readouterr() == ("", text)
    assert csv_file.read_text() == faithful_csv()


def test_results_that_do_not_fit_are_one_line(
    csv_file: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "m.npz"
    for arguments in (
        ["info", model_file],
        ["score", model_file, csv_file],
        ["data"],
        ["data", "faithful"],
        ["fit", csv_file, "-k", "2", "--out", out],
        ["fit", csv_file, "-k", "2", "--out", "-"],
        ["--help"],
        ["--version"],
    ):
        with open("/dev/full", "w") as full, monkeypatch.context() as context:
            context.setattr(sys, "stdout", full)
            assert main([str(argument) for argument in arguments]) == 1, arguments
        assert capsys.readouterr().err == "emix: error: standard output: No space left on device\n", arguments
    # The model was written before the summary.
    assert emix.GaussianMixture.load(out).n_components == 2


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "Bad file descriptor"), ("> /dev/full", "No space left on device")]
)
def test_a_process_that_cannot_write_its_results_says_so_once(
    csv_file: Path, tmp_path: Path, redirection: str, reason: str
) -> None:
    out = tmp_path / "m.npz"
    done = redirected(redirection, "fit", csv_file, "-k", "2", "--out", out)
    # 120 would be Python's, whose own attempt to write the rest has failed.
    expected = (1, b"", f"emix: error: standard output: {reason}\n".encode())
    assert (done.returncode, done.stdout, done.stderr) == expected
    assert emix.GaussianMixture.load(out).n_components == 2
    assert redirected(redirection, "--version").returncode == 1


def test_closed_streams_that_are_not_used_do_no_harm(csv_file: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "m.npz", tmp_path / "p.png"
    done = redirected("<&- >&- 2>&-", "fit", csv_file, "-k", "2", "--quiet", "--out", out, "--plot", picture)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert emix.GaussianMixture.load(out).n_components == 2
    assert imread(picture).size


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full"])
def test_messages_that_nobody_reads_do_not_cost_the_results(csv_file: Path, tmp_path: Path, redirection: str) -> None:
    out = tmp_path / "m.npz"
    done = redirected(redirection, "fit", csv_file, "-k", "3", "--max-iter", "1", "-v", "--out", out)
    assert done.returncode == 3
    assert b"NOT converged" in done.stdout
    assert emix.GaussianMixture.load(out).n_iter_ == 1
    # Nor do they turn up among the results.
    done = redirected(redirection, "info", tmp_path / "none.npz")
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_model_is_written_though_nobody_reads_the_summary(csv_file: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command("fit", csv_file, "-k", "2", "--out", tmp_path / "m.npz", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
    assert emix.GaussianMixture.load(tmp_path / "m.npz").n_components == 2


def test_names_that_a_terminal_cannot_show_are_escaped(csv_file: Path, tmp_path: Path) -> None:
    pl.read_csv(csv_file).rename({"waiting": "Öffnung"}).write_csv(tmp_path / "rows.csv")
    out = os.fsdecode(bytes(tmp_path) + b"/m\xff.npz")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = command("fit", tmp_path / "rows.csv", "-k", "2", "--out", out, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\xd6ffnung" in done.stdout and rb"m\udcff.npz" in done.stdout
    assert emix.GaussianMixture.load(out).feature_names_in_[1] == "Öffnung"
