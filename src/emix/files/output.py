"""The one way in which emix writes a file: whole or not at all.

The bytes go to a temporary file in the same folder and are forced to the disk. The temporary file then replaces the
file in one step. A reader finds the old file or the new one, never a part, even after a crash, a full disk or
``kill -9``.

A target that is no regular file (a FIFO, a device, an open descriptor such as ``/dev/stdout``) must not be replaced by
a file. The bytes go straight into it.
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

__all__ = ["check_writable", "clear_abandoned", "is_regular_target", "is_terminal", "lock", "writing"]

# On systems without locks, a temporary file is abandoned if nobody has written to it for so long.
_ABANDONED_SECONDS = 3600.0
# Number of symbolic links that Linux follows in one path.
_MOST_LINKS = 40


class _Target(NamedTuple):
    """A regular file to write: its folder, its path behind all symbolic links, its state now (None: no file yet)."""

    folder: str
    path: str
    state: os.stat_result | None

    @property
    def prefix(self) -> str:
        """Beginning of the names of its temporary files; short, however long its own name is."""
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
        Other hard links to it keep the old content. A target that is no regular file is written directly.

    Yields
    ------
    binary file
        Open for writing. Temporary files that killed writes of this file left behind have been removed.

    Raises
    ------
    OSError
        If the file cannot be written. Its `filename` is `path`, even if the system reported another file.

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
                stream.close()  # Windows does not move an open file
            os.replace(temporary, target.path)
        except BaseException:
            # If close cannot write the rest of the buffer, it closes the file all the same.
            with contextlib.suppress(OSError):
                stream.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        # The file is closed only now: closing releases the lock that protects its temporary name.
        stream.close()
        _sync_folder(target.folder)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise an error if a path cannot be written, before the work whose result will go there.

    A temporary file is made beside it and removed, so that any obstacle is found now.

    Raises
    ------
    OSError
        As in `writing`.
    """
    name = os.fsdecode(path)
    with _errors_named(name):
        target = _find(name)
        if target is None:
            return  # opening a FIFO would wait for its reader
        _check_permission(name, target)
        descriptor, temporary = _create_temporary(target)
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):  # without a lock, another write may have removed it
            os.unlink(temporary)


def clear_abandoned(path: str) -> None:
    """Remove what killed writes of a path left beside it, as the next `writing` does."""
    if (target := _find(path)) is not None:
        _clear_abandoned(target)


def is_regular_target(path: str) -> bool:
    """True if writing a path would replace it; False if it is written directly, as a FIFO is, or cannot be written."""
    try:
        return _find(path) is not None
    except OSError:
        return False


def is_terminal(path: str) -> bool:
    """True if a path is a terminal, such as /dev/tty."""
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
    """Make errors name the requested file, not a temporary one. Errors of failed writes would name no file at all."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = name
            if error.filename2 is not None:
                del error.filename2  # a None would be shown in the message
        raise


def _find(name: str) -> _Target | None:
    """Return the regular file that a path means; None if it is something else, which is written directly.

    Raises
    ------
    OSError
        If it is a folder, its folder does not exist, or the system denies access to it.
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

    It may be a regular file. That file must not be replaced: the process, or a shell's ``>>``, goes on writing to it.
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
        # If the target has gone, no file is made in its place. A terminal does not become the process's own.
        return os.open(path, (flags & ~(os.O_CREAT | os.O_TRUNC)) | getattr(os, "O_NOCTTY", 0))

    return open(name, "wb", opener=opener)


def _check_permission(name: str, target: _Target) -> None:
    """Refuse to replace a file without write permission: replacing it would need only the folder's permission."""
    if target.state is not None:
        os.close(os.open(name, os.O_WRONLY))


def _create_temporary(target: _Target) -> tuple[int, str]:
    """Make a new file beside the target, and lock it. A file that a killed write left behind has no lock."""
    # Private rows stay private while they are written. A new target gets the permissions that the umask gives.
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
            lock(descriptor)
        except BlockingIOError:  # another write has just taken it for abandoned, and removes it
            pass
        except OSError:  # a file system without locks, on which nothing is taken for abandoned
            return descriptor, temporary
        else:
            if os.path.exists(temporary):  # it was not removed before it was locked
                return descriptor, temporary
        os.close(descriptor)


def lock(descriptor: int) -> None:
    """Lock a file for as long as it is open.

    Raises
    ------
    BlockingIOError
        If another process has locked it.
    OSError
        If the file system has no locks.
    """
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clear_abandoned(target: _Target) -> None:
    """Remove the temporary files of killed writes to the target. Files that cannot be removed stay: they do no harm."""
    ours = re.compile(re.escape(os.path.basename(target.prefix)) + r"[0-9a-f]{16}\.part")
    try:
        names = [name for name in os.listdir(target.folder) if ours.fullmatch(name)]
    except OSError:  # a folder may take new files and yet not list its files
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
                lock(descriptor)  # fails while the write that made it is alive
                os.unlink(path)
            finally:
                os.close(descriptor)


def _take_over(temporary: str, state: os.stat_result) -> None:
    """Give the new file the owner, the group and the permissions of the old one, as far as the system allows."""
    if sys.platform != "win32":
        for owner, group in ((-1, state.st_gid), (state.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(temporary, owner, group)
    os.chmod(temporary, stat.S_IMODE(state.st_mode))  # after chown, which takes some permissions away


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power cut too. Only POSIX systems can open a folder for that."""
    if sys.platform == "win32":
        return
    # Some network file systems refuse to sync a folder. The file itself is complete and in place.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
