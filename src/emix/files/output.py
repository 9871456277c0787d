"""The one way in which emix writes a file: whole or not at all.

The bytes go to a temporary file in the same folder, are forced to the disk, and then take the place of the file in one
step. A reader, a crash, a full disk or ``kill -9`` finds the old file or the new one, never a part.

What is no regular file (a FIFO, a device, an open descriptor such as ``/dev/stdout``) cannot be replaced by another
file without ceasing to be what it is. The bytes go straight into it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

if sys.platform != "win32":
    import fcntl

__all__ = ["check_writable", "is_regular_target", "is_terminal", "writing"]

# Where there are no locks, a temporary file that nobody has written to for so long belongs to nobody.
_ABANDONED_SECONDS = 3600.0
# As many links as Linux follows in one path.
_MOST_LINKS = 40


class _Target(NamedTuple):
    """A regular file to write: its folder, its path behind all symbolic links, what it is now (None: nothing yet)."""

    folder: str
    path: str
    state: os.stat_result | None

    @property
    def prefix(self) -> str:
        """How the names of its temporary files begin; short, however long its own name is."""
        name = os.fsencode(os.path.basename(self.path))
        return os.path.join(self.folder, f".emix-{zlib.crc32(name):08x}-")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to be written whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, exactly as given. A symbolic link is followed. An existing file is replaced when the block
        ends without an exception; it keeps its permissions, and its owner and group where the system allows that.
        Other hard links to it keep the old content. What is no regular file is written through.

    Yields
    ------
    binary file
        Open for writing. Temporary files that killed writes of this file left behind are gone.

    Raises
    ------
    OSError
        If the file cannot be written. `filename` is `path`, whichever file the system complained of.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "greeting.txt"
    ...     with writing(path) as stream:
    ...         stream.write(b"hello")
    ...     path.read_bytes()
    5
    b'hello'
    """
    name = os.fsdecode(path)
    with _errors_named(name):
        target = _find(name)
        if target is None:
            with _open_through(name) as stream:
                yield stream
            return
        _check_permission(name, target)
        _clear_abandoned(target)
        descriptor, temporary = _create_temporary(target)
        stream = os.fdopen(descriptor, "wb")
        try:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            if target.state is not None:
                _take_over(temporary, target.state)
            if sys.platform == "win32":
                stream.close()  # an open file is not moved there
            os.replace(temporary, target.path)
        except BaseException:
            # A close that fails to write what is left in the buffer has closed all the same.
            with contextlib.suppress(OSError):
                stream.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        # Not before: who closes the file lets go of the lock that protects its temporary name.
        stream.close()
        _sync_folder(target.folder)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that could not be written, before the work whose result it is to hold.

    A temporary file is made beside it and removed, so that whatever forbids this is found now.

    Raises
    ------
    OSError
        As `writing` would.
    """
    name = os.fsdecode(path)
    with _errors_named(name):
        target = _find(name)
        if target is None:
            return  # to open a FIFO would wait for its reader
        _check_permission(name, target)
        descriptor, temporary = _create_temporary(target)
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):  # not locked any more, and so anybody's to clear
            os.unlink(temporary)


def is_regular_target(path: str) -> bool:
    """Whether a path would be written by replacing it; False for what is written through, and for what cannot be."""
    try:
        return _find(path) is not None
    except OSError:
        return False


def is_terminal(path: str) -> bool:
    """Whether a path is a terminal, such as /dev/tty."""
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _errors_named(name: str) -> Iterator[None]:
    """Let errors name the file that was asked for, not a temporary one, nor none as failed writes do."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = name
            if error.filename2 is not None:
                del error.filename2  # None would be shown
        raise


def _find(name: str) -> _Target | None:
    """Return the file that a path means; None for what is to be written through.

    Raises
    ------
    OSError
        If it is a folder or in no folder, or if the way to it is barred.
    """
    if _own_descriptor(name) is not None:
        return None
    try:
        state = os.stat(name)
    except FileNotFoundError:
        state = None
    if (state is not None and stat.S_ISDIR(state.st_mode)) or (name and not os.path.basename(name)):
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected the path of a file", name)
    if state is not None and not stat.S_ISREG(state.st_mode):
        return None
    if not name:
        raise FileNotFoundError(errno.ENOENT, "an empty text names no file", name)
    path = os.path.realpath(name)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, f"the folder {folder} does not exist", name)
    return _Target(folder, path, state)


def _own_descriptor(name: str) -> int | None:
    """Return the number of the process's own open file that a path such as /dev/stdout or /dev/fd/3 means.

    It may be open on a regular file. That one is not to be replaced: the process, or a shell's ``>>``, writes on in it.
    """
    if sys.platform == "win32":
        return None
    path = name
    for _ in range(_MOST_LINKS):
        folder, last = os.path.split(path)
        folder = os.path.realpath(folder)
        if last.isdecimal() and folder in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(last)
        path = os.path.join(folder, last)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None


def _open_through(name: str) -> BinaryIO:
    descriptor = _own_descriptor(name)
    if descriptor is not None:
        return os.fdopen(os.dup(descriptor), "wb")

    def opener(path: str, flags: int) -> int:
        # Nothing is made in its place if it has gone, and a terminal does not become the process's own.
        return os.open(path, (flags & ~(os.O_CREAT | os.O_TRUNC)) | getattr(os, "O_NOCTTY", 0))

    return open(name, "wb", opener=opener)


def _check_permission(name: str, target: _Target) -> None:
    """Refuse to replace a file that may not be written: the folder alone decides whether it could be."""
    if target.state is not None:
        os.close(os.open(name, os.O_WRONLY))


def _create_temporary(target: _Target) -> tuple[int, str]:
    """Make a new file beside the target, and lock it: that tells it from one that a killed write left behind."""
    # Rows that were private are so while they are written too. A new file gets what the umask gives any new file.
    mode = 0o666 if target.state is None else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = f"{target.prefix}{os.urandom(8).hex()}.part"
        try:
            descriptor = os.open(temporary, flags, mode)
        except PermissionError as error:
            raise PermissionError(
                error.errno, f"{os.strerror(error.errno or errno.EACCES)} (no file can be made in {target.folder})"
            ) from error
        try:
            _lock(descriptor)
        except BlockingIOError:  # another write has just taken it for abandoned, and removes it
            pass
        except OSError:  # a file system without locks, on which nothing is taken for abandoned
            return descriptor, temporary
        else:
            if os.path.exists(temporary):  # nor has it been removed before it was locked
                return descriptor, temporary
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file for as long as it is open.

    Raises
    ------
    BlockingIOError
        If somebody else has locked it.
    OSError
        If the file system has no locks.
    """
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clear_abandoned(target: _Target) -> None:
    """Remove the temporary files of killed writes to the target. What cannot be removed stays: it does no harm."""
    ours = re.compile(re.escape(os.path.basename(target.prefix)) + r"[0-9a-f]{16}\.part")
    try:
        names = [name for name in os.listdir(target.folder) if ours.fullmatch(name)]
    except OSError:  # a folder that takes files may hide what it has
        return
    for name in names:
        path = os.path.join(target.folder, name)
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                if time.time() - os.stat(path).st_mtime > _ABANDONED_SECONDS:
                    os.unlink(path)
                continue
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                _lock(descriptor)  # fails while the write that made it is alive
                os.unlink(path)
            finally:
                os.close(descriptor)


def _take_over(temporary: str, state: os.stat_result) -> None:
    """Give the new file the owner, the group and the permissions of the old one, as far as the system allows."""
    if sys.platform != "win32":
        for owner, group in ((-1, state.st_gid), (state.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(temporary, owner, group)
    os.chmod(temporary, stat.S_IMODE(state.st_mode))  # after the owner, whose change takes some permissions away


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power cut too; only POSIX can open a folder for that."""
    if sys.platform == "win32":
        return
    # Some network file systems refuse to sync a folder. The file itself is complete and in place.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
