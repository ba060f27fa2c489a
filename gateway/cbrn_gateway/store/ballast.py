"""A file that only takes up room, given up so that alarms can be journalled on a full disk."""

import os
from contextlib import suppress
from pathlib import Path

from cbrn_core.errors import StorageError

FILE_NAME = "ballast"


class Ballast:
    """The ballast of one `data_dir`; every call may wait for the disk: use a thread.

    Attributes:
        released: how often it was given up since the start.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.released = 0
        self._path = folder / FILE_NAME
        self._size_bytes = size_bytes

    @property
    def is_held(self) -> bool:
        """Return whether the room is taken, every block of it."""
        if self._size_bytes == 0:
            return True
        try:
            found = self._path.stat()
        except OSError:
            return False
        return found.st_size == self._size_bytes and found.st_blocks * 512 >= self._size_bytes

    def build(self) -> None:
        """Take the room with real blocks; what was begun is given back on a refusal.

        Raises:
            StorageError: there is not enough room, or the disk refuses.
        """
        if self.is_held:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, self._size_bytes)
                os.posix_fallocate(descriptor, 0, self._size_bytes)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            with suppress(OSError):
                self._path.unlink()
            raise StorageError(
                f"{self._path}: no room for the ballast: {error.strerror}"
            ) from error

    def release(self) -> bool:
        """Give the room up; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self.released += 1
        return True


def free_bytes(folder: Path) -> int:
    """Return how much this user may still write on the file system of a folder.

    Raises:
        StorageError: the file system does not answer.
    """
    found = _file_system(folder)
    return found.f_bavail * found.f_frsize


def disk_bytes(folder: Path) -> int:
    """Return the size of the file system of a folder; raises StorageError."""
    found = _file_system(folder)
    return found.f_blocks * found.f_frsize


def file_bytes(path: Path) -> int:
    """Return what a database takes of the disk with its log, 0 where there is none."""
    taken = 0
    for name in (path.name, f"{path.name}-wal"):
        with suppress(OSError):
            taken += path.with_name(name).stat().st_size
    return taken


def _file_system(folder: Path) -> os.statvfs_result:
    try:
        return os.statvfs(folder)
    except OSError as error:
        raise StorageError(f"{folder}: the file system does not answer: {error}") from error
