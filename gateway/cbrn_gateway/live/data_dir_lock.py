"""One process per `data_dir`: a lock that the kernel releases however its holder ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from cbrn_core.errors import StorageError

LOCK_NAME = "gateway.lock"
_LONGEST_NOTE_BYTES = 200


class DataDirLock:
    """`with` it: nobody else who asks for it can work on this `data_dir` meanwhile.

    The file stays when the lock is released; only the lock on it counts.
    """

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder = folder
        self._purpose = purpose
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Make the folder where it is missing, and take the lock.

        Raises:
            StorageError: the folder cannot be written, or another process has the lock.
        """
        path = self._folder / LOCK_NAME
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"data_dir {self._folder} cannot be written: {error.strerror}; "
                "give this user the folder, or name another one in [gateway]"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{self._purpose}, process {os.getpid()}".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, _LONGEST_NOTE_BYTES, 0).decode(errors="replace")
            os.close(descriptor)
            raise StorageError(
                f"data_dir {self._folder} is in use by another gateway "
                f"({holder or 'unknown process'}): end that one first, or use another data_dir"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StorageError(f"{path}: cannot be locked: {error.strerror}") from None
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
