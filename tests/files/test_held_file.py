"""A file that one process at a time holds: locked without a gap while it is replaced, and free once nobody holds it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import emix.files.held_file
from emix.files.held_file import HeldFile
from files.outputs import NEW, OLD, names

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, signals and locks are those of POSIX")

HOLD = """
import sys, time
from emix.files.held_file import HeldFile
file = HeldFile(sys.argv[1])
file.write(b"old")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "held"


def n_open() -> int:
    """Number of open descriptors of this process."""
    return len(os.listdir("/dev/fd"))


def assert_in_use(path: Path) -> None:
    with pytest.raises(BlockingIOError, match="is in use by another fit: pass another path, or wait") as caught:
        HeldFile(path)
    assert caught.value.filename == str(path)


def test_it_is_held_from_the_first_moment_and_after_each_write(path: Path) -> None:
    file = HeldFile(path)
    assert file.is_empty
    assert_in_use(path)
    for content in (OLD, NEW, OLD):
        file.write(content)
        assert path.read_bytes() == content
        assert_in_use(path)
    file.close()
    assert not HeldFile(path).is_empty
    assert names(path.parent) == [path.name]


def test_writes_do_not_gather_descriptors(path: Path) -> None:
    before = n_open()
    file = HeldFile(path)
    for _ in range(5):
        file.write(NEW)
    assert n_open() == before + 1
    file.close()
    assert n_open() == before


def test_a_file_that_nobody_wrote_to_goes_with_its_holder(path: Path) -> None:
    HeldFile(path).close()
    assert names(path.parent) == []


def test_a_removed_file_is_free_again(path: Path) -> None:
    file = HeldFile(path)
    file.write(OLD)
    file.remove()
    other = HeldFile(path)  # another file of that name
    assert other.is_empty
    other.write(NEW)
    file.close()
    assert_in_use(path)
    assert path.read_bytes() == NEW
    other.close()


def test_another_process_is_refused_and_a_killed_one_leaves_no_lock(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert_in_use(path)
        child.send_signal(signal.SIGKILL)
    file = HeldFile(path)
    assert path.read_bytes() == b"old"
    assert names(path.parent) == [path.name]  # no lock file
    file.close()


def live(there: Connection) -> None:
    there.send("lives")
    time.sleep(60)


# Python 3.12 and later warn of a fork of a process with threads, which may be there or not.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_does_not_hold_it(path: Path) -> None:
    file = HeldFile(path)
    file.write(OLD)
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=live, args=(there,))
    child.start()
    try:
        assert here.recv() == "lives"
        file.close()
        HeldFile(path).close()  # though the child lives
    finally:
        child.kill()
        child.join()


def test_what_killed_writes_left_is_cleared(path: Path) -> None:
    code = (
        "import os, sys; from emix.files.held_file import HeldFile; from emix.files.output import writing\n"
        "with writing(sys.argv[1]) as stream:\n    stream.write(b'a part'); stream.flush(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert [name.endswith(".part") for name in names(path.parent)] == [True]
    HeldFile(path).close()
    assert names(path.parent) == []


def test_an_error_of_a_write_leaves_the_file_held_and_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = HeldFile(path)
    file.write(OLD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            file.write(NEW)
    assert path.read_bytes() == OLD
    assert_in_use(path)
    file.write(NEW)
    assert_in_use(path)
    file.close()
    HeldFile(path).close()


def test_a_file_system_without_locks_cannot_tell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(emix.files.held_file, "lock", no_locks)
    files = [HeldFile(path), HeldFile(path)]
    for file in files:
        file.write(NEW)
    assert path.read_bytes() == NEW
    for file in files:
        file.close()


def test_a_link_is_followed(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path.name)
    file = HeldFile(link)
    file.write(NEW)
    assert path.read_bytes() == NEW
    assert_in_use(path)
    file.remove()
    file.close()
    assert names(path.parent) == ["link"]


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("missing/file", FileNotFoundError, "the folder .*missing does not exist"),
        ("", IsADirectoryError, "is a folder, expected the path of a file"),
        ("fifo", OSError, "is no regular file, which could be replaced: pass another path"),
    ],
)
def test_a_path_that_cannot_be_replaced_is_refused(
    what: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(error, match=message):
        HeldFile(tmp_path / what)
