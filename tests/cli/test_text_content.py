"""Bytes of text files: compressed, from pipes and devices, damaged, without end."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from emix.cli.command_line import main
from emix.cli.text_content import TextContent

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"a,b\n" + b"1.5,2\n2.5,4\n4,3\n" * 5

# Enough for the command, far from enough for an input without end.
LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30));"
    "from emix.cli.command_line import main; sys.exit(main())"
)


def read(source: str) -> bytes:
    with TextContent(source).open() as stream:
        return stream.read()


def use_as_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stream)
    return stream


@pytest.mark.parametrize(
    "content",
    [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])],
    ids=["plain", "one member", "two members"],
)
def test_gzip_is_seen_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    for name in ("rows.csv", "rows.csv.gz"):
        (tmp_path / name).write_bytes(content)
        assert read(str(tmp_path / name)) == TEXT
    stream = use_as_stdin(monkeypatch, content)
    assert read("-") == TEXT
    assert not stream.buffer.closed


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".txt.gz", ".dat.gz", ".gz", ".CSV.GZ", ".txt", ".dat"])
def test_suffixes_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    text = TEXT.replace(b",", b"\t") if "tsv" in suffix else TEXT
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.lower().endswith("gz") else text)
    assert main(["fit", str(path), "-k", "1"]) == 0
    assert "15 rows, 2 columns (a, b)" in capsys.readouterr().out


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(TEXT)
    changed = bytearray(content)
    changed[len(content) // 2] ^= 255
    path = tmp_path / "rows.csv.gz"
    for damaged in (content[:-9], content[:20], content[:2], bytes(changed), content + b"rest"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="its gzip compression is damaged or cut off"):
            read(str(path))


def test_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["fit", "-", "-k", "1"]) == 1
    assert capsys.readouterr() == ("", "emix: error: standard input: it is closed\n")
    use_as_stdin(monkeypatch, b"").close()
    assert main(["fit", "-", "-k", "1"]) == 1
    assert capsys.readouterr() == ("", "emix: error: standard input: it is closed\n")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emix.cli.text_content.LONGEST_LINE", 1 << 20)
    monkeypatch.setattr("emix.cli.text_content.CHUNK_BYTES", 1000)
    line = b"1" * (1 << 20)
    (tmp_path / "rows.csv").write_bytes(b"a,b\n" + line + b"\n")
    with pytest.raises(ValueError, match="line 2 does not end within 1 MiB: not a table"):
        list(TextContent(str(tmp_path / "rows.csv")).lines())
    use_as_stdin(monkeypatch, b"a,b\n" + line + line)
    with pytest.raises(ValueError, match="no line ends within 1 MiB: not a table"):
        read("-")
    use_as_stdin(monkeypatch, line[:-1] + b"\n" + line[:-1])
    assert len(read("-")) == 2 * len(line) - 1


@pytest.mark.skipif(sys.platform != "linux", reason="devices, and a limit of memory that holds")
@pytest.mark.parametrize(
    ("device", "name", "words"),
    [
        ("/dev/zero", None, "standard input: there is a zero byte after 0 others: not a text, or not one in UTF-8"),
        ("/dev/urandom", None, "standard input: "),
        ("/dev/zero", "rows.csv", "rows.csv: there is a zero byte after 0 others"),
        ("/dev/urandom", "rows.txt", "rows.txt: "),
        ("/dev/zero", "rows.csv.gz", "rows.csv.gz: there is a zero byte after 0 others"),
        ("/dev/zero", "rows", "rows: there is a zero byte after 0 others"),
        ("/dev/zero", "rows.npy", "rows.npy: is a pipe or a device, expected a .npy file on a disk"),
        ("/dev/zero", "rows.parquet", "rows.parquet: is a pipe or a device, expected a .parquet file on a disk"),
    ],
)
def test_devices_without_end_are_refused(tmp_path: Path, device: str, name: str | None, words: str) -> None:
    if name is not None:
        (tmp_path / name).symlink_to(device)
    source = "-" if name is None else str(tmp_path / name)
    with open(device, "rb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, "fit", source, "-k", "1"],
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"emix: error: {'' if name is None else f'{tmp_path}/'}{words}")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="devices, and a limit of memory that holds")
def test_a_device_is_no_model(csv_file: Path) -> None:
    for arguments in (["info", "/dev/zero"], ["score", "/dev/urandom", str(csv_file)]):
        done = subprocess.run([sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "is damaged or is not a model file of emix" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="Windows has no FIFO")
@pytest.mark.parametrize("name", ["rows.csv", "63"])
def test_a_pipe_is_read_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    pipe = tmp_path / name
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(TEXT,))
    writer.start()
    assert main(["fit", str(pipe), "-k", "1"]) == 0
    writer.join()
    assert "15 rows, 2 columns (a, b)" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="the file system takes no such name")
def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"k\xe9.csv")
    (tmp_path / name).write_bytes(TEXT)
    code = "import sys; from _emix_command import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", name, "-k", "1", "--out", os.fsdecode(b"k\xe9.npz"), "--plot", "fit.png"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"Model file  k\\udce9.npz\nPicture     fit.png\n")
    assert (tmp_path / os.fsdecode(b"k\xe9.npz")).exists()
