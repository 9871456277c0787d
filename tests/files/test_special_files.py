"""FIFOs, devices and open files, which are no regular files: they are written through, and read as far as they go."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest

from emix import GaussianMixture
from emix.files.model_file import load_model, save_model
from emix.files.output import check_writable, is_regular_target, is_terminal, writing
from files.outputs import NEW, OLD, names, write

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs, devices and descriptors are those of POSIX")


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A device on which there is never any space; for root a copy of it, since root could destroy /dev/full."""
    if os.geteuid() != 0:
        return Path("/dev/full")
    copy = tmp_path / "full"
    try:
        os.mknod(copy, stat.S_IFCHR | 0o666, os.stat("/dev/full").st_rdev)
        os.close(os.open(copy, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"no devices can be made here: {error}")
    return copy


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    content = []
    reader = threading.Thread(target=lambda: content.append(fifo.read_bytes()), daemon=True)
    reader.start()
    check_writable(fifo)  # opens nothing: the reader has not seen an end
    GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], "spherical").save(fifo)
    reader.join(timeout=60)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert names(tmp_path) == ["fifo"]
    (tmp_path / "model").write_bytes(content[0])
    assert GaussianMixture.load(tmp_path / "model").means_ == [[0.0]]


def test_a_device_is_written_through() -> None:
    # The slave of a pseudo-terminal: a character device that everybody may have, and that nobody misses.
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        device = os.ttyname(slave)
        before = os.stat(device).st_rdev
        write(device, b"through")
        assert os.read(master, 100) == b"through"
        assert os.stat(device).st_rdev == before
        assert is_terminal(device) and not is_regular_target(device)
    finally:
        os.close(master)
        os.close(slave)


def test_a_link_to_a_fifo_is_followed(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    content = []
    reader = threading.Thread(target=lambda: content.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write(link)
    reader.join(timeout=60)
    assert content == [NEW]
    assert link.is_symlink() and stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_full_device_is_named(full_device: Path) -> None:
    with pytest.raises(OSError, match=f"No space left on device: '{full_device}'"):
        write(full_device)
    assert stat.S_ISCHR(full_device.stat().st_mode)
    with pytest.raises(OSError, match=f"No space left on device: '{full_device}'"):
        save_model(full_device, {}, {})


def test_a_fifo_whose_reader_went_away_is_named(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def abandoned() -> None:
        with writing(fifo) as stream:
            os.close(reader)
            stream.write(NEW)

    with pytest.raises(BrokenPipeError, match=f"'{fifo}'"):
        abandoned()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc: descriptors have no links to be followed")
def test_an_open_file_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "result.csv"
    path.write_bytes(OLD)
    # As in `emix data faithful --out /dev/stdout >> log`: the file is not replaced under the shell that appends to it.
    with path.open("ab") as log:
        write(f"/dev/fd/{log.fileno()}", b"1")
        link = tmp_path / "link"
        link.symlink_to(f"/proc/self/fd/{log.fileno()}")
        write(link, b"2")
        log.write(b"3")
        assert not is_regular_target(str(link))
    assert path.read_bytes() == OLD + b"123"
    assert names(tmp_path) == ["link", path.name]
    with pytest.raises(OSError, match="/dev/fd/987654"):
        write("/dev/fd/987654")


def test_a_device_that_never_ends_is_no_model_file(tmp_path: Path) -> None:
    # In a process of its own and with little memory, all of which would be taken.
    code = (
        "import resource; from emix.files.model_file import load_model\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try: load_model('/dev/zero')\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.startswith("ModelFileError '/dev/zero' is damaged or is not a model file of emix (")


def test_a_model_is_read_from_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: save_model(fifo, {"kind": "x"}, {"a": [1.0]}))
    writer.start()
    header, arrays = load_model(fifo)
    writer.join()
    assert header == {"kind": "x"} and arrays["a"] == [1.0]
