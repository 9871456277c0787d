"""Every file is written whole or not at all, and what is no regular file is written through."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from emix import GaussianMixture
from emix.files.model_file import load_model, save_model
from emix.files.output import check_writable, is_regular_target, is_terminal, writing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs, devices, links and permissions are those of POSIX")

OLD = b"what was there before"
NEW = b"what takes its place" * 1000


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


def write(path: str | os.PathLike[str], content: bytes = NEW) -> None:
    with writing(path) as stream:
        stream.write(content)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


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


# Targets that are no regular files


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
def test_an_open_file_is_written_on(path: Path, tmp_path: Path) -> None:
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


# Model files


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
