"""A file that one process at a time holds, while it replaces it whole time and again.

POSIX: the holder has the file open and locked. Each new file that takes its place is locked before it does so, so that
the path is locked without a gap. The system unlocks it when the process ends, however it ends, and nothing stays beside
it. Windows does not replace open files: there the lock is a file beside it, which the system removes when the process
ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import weakref

from emix.files.output import check_writable, clear_abandoned, is_regular_target, lock, writing

__all__ = ["HeldFile"]

_held: weakref.WeakSet[HeldFile] = weakref.WeakSet()


class HeldFile:
    """A file to be written again and again. It is made, empty, if it is not there.

    Parameters
    ----------
    path : str or os.PathLike
        A symbolic link is followed.

    Raises
    ------
    BlockingIOError
        If another process, or another object of this one, holds it. A file system without locks cannot tell.
    OSError
        If it cannot be written, or is no regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fsdecode(path)
        check_writable(self.name)
        if not is_regular_target(self.name):
            raise OSError(errno.EINVAL, "is no regular file, which could be replaced: pass another path", self.name)
        self._path = os.path.realpath(self.name)
        self._descriptors = [self._hold()]
        _held.add(self)
        clear_abandoned(self._path)

    def _hold(self) -> int:
        if sys.platform == "win32":
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_TEMPORARY | os.O_NOINHERIT
                return os.open(f"{self._path}.lock", flags)
            except (FileExistsError, PermissionError):
                raise self._in_use() from None
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                raise self._in_use() from None
            except OSError:  # a file system without locks
                return descriptor
            # Whoever held the path may have replaced or removed the file between the two calls.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                    return descriptor
            os.close(descriptor)

    def _in_use(self) -> BlockingIOError:
        return BlockingIOError(errno.EWOULDBLOCK, "is in use by another fit: pass another path, or wait", self.name)

    @property
    def is_empty(self) -> bool:
        """True if nothing was ever written."""
        try:
            return os.stat(self._path).st_size == 0
        except FileNotFoundError:
            return True

    def write(self, content: bytes) -> None:
        """Replace the file, whole or not at all, as `emix.files.output.writing` does."""
        before = list(self._descriptors)
        with writing(self._path) as stream:
            stream.write(content)
            if sys.platform != "win32":
                # `writing` has locked the new file, and the copy of its descriptor keeps it locked. It is noted before
                # the file takes its place: an interrupt may come right after.
                self._descriptors.append(os.dup(stream.fileno()))
        if sys.platform != "win32":
            self._descriptors = self._descriptors[len(before) :]
            for descriptor in before:
                os.close(descriptor)

    def remove(self) -> None:
        """Remove the file; `close` comes after."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def close(self) -> None:
        """Let go of the file. An empty one is removed."""
        if self._descriptors and self.is_empty:
            self.remove()
        self._let_go()

    def _let_go(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)


def _let_go_of_all() -> None:
    for file in list(_held):
        file._let_go()


# A forked child has a copy of each descriptor, and with it the lock, also when its parent is killed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)
