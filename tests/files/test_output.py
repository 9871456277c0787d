"""Every file is written whole or not at all, under the name that was given and with its permissions."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emix.files.model_file import save_model
from emix.files.output import check_writable, is_regular_target, is_terminal, writing
from files.outputs import NEW, OLD, names, write

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, signals and permissions are those of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "result.csv"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that a user without privileges may enter, for whom the test goes on; root may do everything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if before == 0:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


# Whole or not at all


def test_the_old_file_stands_until_the_new_one_is_whole(path: Path) -> None:
    with writing(path) as stream:
        stream.write(NEW[:100])
        stream.flush()
        assert path.read_bytes() == OLD
        stream.write(NEW[100:])
    assert path.read_bytes() == NEW
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_nothing_else(path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with writing(path) as stream:
            stream.write(NEW)
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == OLD
    assert names(path.parent) == [path.name]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    # A limit to the size of files stands for the full disk; in a process of its own, whose other files do not matter.
    code = (
        "import resource, sys; from emix.files.output import writing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try:\n"
        "    with writing(sys.argv[1]) as stream: stream.write(bytes(20_000))\n"
        "except OSError as error: print(error.errno, error.filename, error)"
    )
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert found == f"{errno.EFBIG} {path} [Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: '{path}'\n"
    assert path.read_bytes() == OLD
    assert names(path.parent) == [path.name]


def kill_in_the_middle(path: Path) -> None:
    code = (
        "import sys; from emix.files.output import writing\n"
        "with writing(sys.argv[1]) as stream:\n"
        "    stream.write(bytes(100_000)); stream.flush(); print(flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None and writer.stdout is not None
    assert writer.stdout.readline() == "\n"
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    writer.stdin.close()
    writer.stdout.close()


def test_what_a_killed_write_left_is_cleared_by_the_next_of_the_same_name(path: Path) -> None:
    kill_in_the_middle(path)
    assert path.read_bytes() == OLD
    left = [name for name in names(path.parent) if name != path.name]
    assert len(left) == 1 and left[0].startswith(".emix-")  # hidden, and whose it is
    write(path.with_name("another"))
    assert left[0] in names(path.parent)
    with writing(path) as stream:
        assert left[0] not in names(path.parent)  # its space is free before more is needed
        stream.write(NEW)
    assert path.read_bytes() == NEW
    assert names(path.parent) == ["another", path.name]


def test_files_of_others_are_not_cleared(path: Path) -> None:
    with writing(path):
        (temporary,) = set(names(path.parent)) - {path.name}
    for name in (f"{temporary}.old", f"x{temporary}", temporary.replace(".part", ".tmp"), ".emix-notes"):
        (path.parent / name).touch()
    (path.parent / temporary).mkdir()
    before = names(path.parent)
    write(path)
    assert names(path.parent) == before


def test_a_living_write_of_the_same_name_is_left_alone(path: Path) -> None:
    with writing(path) as first:
        first.write(b"first")
        with writing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert names(path.parent) == [path.name]


def test_processes_that_write_the_same_file_leave_one_of_theirs(path: Path) -> None:
    code = (
        "import sys; from emix.files.output import writing\n"
        "for _ in range(50):\n"
        "    with writing(sys.argv[1]) as stream:\n"
        "        for _ in range(10): stream.write(sys.argv[2].encode() * 10_000); stream.flush()"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path, letter]) for letter in "abc"]
    found = set()
    while any(writer.poll() is None for writer in writers):
        found.add(path.read_bytes())
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert {path.read_bytes()} | found <= {OLD, *(letter * 100_000 for letter in (b"a", b"b", b"c"))}
    assert names(path.parent) == [path.name]


def test_a_file_system_without_locks_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_in_the_middle(path)

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    write(path)
    assert path.read_bytes() == NEW
    # Nobody can tell whether its write is alive.
    assert len(names(path.parent)) == 2


# Names


def test_links_are_followed_to_what_they_mean(path: Path) -> None:
    folder = path.parent / "folder"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to(f"../{path.name}")
    (folder / "chain").symlink_to("link")
    write(folder / "chain")
    assert path.read_bytes() == NEW
    assert link.is_symlink() and (folder / "chain").is_symlink()
    # A link to nothing yet is a link to the new file.
    (folder / "new").symlink_to("../fresh")
    write(folder / "new")
    assert (path.parent / "fresh").read_bytes() == NEW
    assert (folder / "new").is_symlink()


@pytest.mark.parametrize("name", ["x" * 255, "\u6a21\u578b" * 40, os.fsdecode(b"no UTF-8 \xff"), " ", "-", ".hidden"])
def test_every_name_that_the_system_allows_can_be_written(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    write(os.fsencode(tmp_path / name))  # type: ignore[arg-type]
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("missing/result", FileNotFoundError, "the folder .*missing does not exist"),
        ("result.csv/result", NotADirectoryError, "Not a directory"),
        ("", FileNotFoundError, "an empty text names no file: ''"),
        (".", IsADirectoryError, "is a folder, expected the path of a file"),
        ("folder/", IsADirectoryError, "is a folder, expected the path of a file"),
        ("new/", IsADirectoryError, "is a folder, expected the path of a file"),
        ("loop", OSError, "Too many levels of symbolic links"),
        ("x" * 256, OSError, "File name too long"),
    ],
)
def test_paths_that_cannot_be_written_are_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[OSError], text: str
) -> None:
    monkeypatch.chdir(path.parent)
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    before = names(path.parent)
    for attempt in (write, check_writable):
        with pytest.raises(error, match=text) as caught:
            attempt(name)
        assert caught.value.filename == name
    assert names(path.parent) == before
    assert not is_regular_target(name)


# Permissions


def test_a_new_file_has_the_umask_s_permissions_and_an_old_one_keeps_its_own(path: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new")
        path.chmod(0o604)
        with writing(path):
            (temporary,) = set(names(tmp_path)) - {"new", path.name}
            # Rows of a file that was private are not readable for a moment.
            assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_a_file_to_its_owner(path: Path) -> None:
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    write(path)
    state = path.stat()
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (1234, 2345, 0o640)


def test_a_file_that_may_not_be_written_is_not_replaced(unprivileged: Path) -> None:
    if os.geteuid() == 65534:
        os.seteuid(0)
        os.chown(unprivileged, 65534, -1)
        os.seteuid(65534)
    path = unprivileged / "result.csv"
    path.write_bytes(OLD)
    path.chmod(0o444)
    for attempt in (write, check_writable):
        with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
            attempt(path)
    assert path.read_bytes() == OLD
    assert names(unprivileged) == [path.name]


def test_permission_denied_names_the_file_asked_for(unprivileged: Path) -> None:
    if os.geteuid() != 65534:
        unprivileged.chmod(0o555)  # the user's own folder
    path = unprivileged / "result.csv"
    for attempt in (write, check_writable, lambda name: save_model(name, {}, {})):
        with pytest.raises(PermissionError) as caught:
            attempt(path)
        text = f"Permission denied (no file can be made in {unprivileged})"
        assert str(caught.value) == f"[Errno {errno.EACCES}] {text}: '{path}'"


def test_a_check_leaves_nothing(path: Path) -> None:
    check_writable(path)
    check_writable(path.with_name("new"))
    assert names(path.parent) == [path.name]
    assert path.read_bytes() == OLD
    assert is_regular_target(str(path)) and not is_terminal(str(path))
