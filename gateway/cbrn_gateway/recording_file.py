"""The file that a capture goes into: written by a thread of its own, so nothing waits for it."""

import os
import stat
import threading
import time
from collections import deque
from pathlib import Path

from cbrn_core.errors import StorageError
from cbrn_gateway.recording import encode_gap

MOST_QUEUED_BYTES = 64_000_000
WRITE_PERIOD_S = 0.5
_CLOSE_WAIT_S = 30.0


class RecordingFile:
    """Lines in, a file out that is at most a second behind.

    When the disk is slower than the lines for too long, lines are lost, counted, and a
    gap stands in the file where they were.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_QUEUED_BYTES) -> None:
        """Make the file; one that holds something is never overwritten.

        Raises:
            StorageError: it holds something, or cannot be made.
        """
        self.path = path
        self.lost = 0
        self.error: str | None = None
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0
        self._unsaid = 0
        self._ending = False
        self._turn = threading.Condition()
        self._descriptor = _made(path)
        self._thread = threading.Thread(target=self._work, name=f"recording {path.name}")
        self._thread.daemon = True
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take a line without its end; never waits for the disk."""
        with self._turn:
            if self._unsaid or self._held_bytes + len(line) > self._most_bytes:
                self.lost += 1
                self._unsaid += 1
                return
            self._lines.append(line)
            self._held_bytes += len(line)

    def close(self) -> None:
        """Write what is left and close.

        Raises:
            StorageError: the disk refused a part, now or before.
        """
        with self._turn:
            self._ending = True
            self._turn.notify()
        self._thread.join(_CLOSE_WAIT_S)
        if self._thread.is_alive():
            raise StorageError(f"{self.path}: the disk does not answer: the end is missing")
        if self.error is not None:
            raise StorageError(f"{self.path}: {self.error}: the recording is not whole")

    def _work(self) -> None:
        try:
            while self._write_some():
                pass
        except OSError as error:
            self.error = error.strerror or str(error)
        finally:
            os.close(self._descriptor)

    def _write_some(self) -> bool:
        """Write what is queued and wait a little; return whether there will be more."""
        began_s = time.monotonic()
        with self._turn:
            ending = self._ending
            lines = list(self._lines)
            self._lines.clear()
            self._held_bytes = 0
            if self._unsaid:
                lines.append(encode_gap(self._unsaid))
                self._unsaid = 0
        left = memoryview(b"".join(line + b"\n" for line in lines))
        while left:
            left = left[os.write(self._descriptor, left) :]
        if lines and stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.fsync(self._descriptor)
        with self._turn:
            spent_s = time.monotonic() - began_s
            self._turn.wait_for(lambda: self._ending, max(0.0, WRITE_PERIOD_S - spent_s))
        return not ending


def _made(path: Path) -> int:
    try:
        if path.is_file() and path.stat().st_size > 0:
            raise StorageError(f"{path}: holds something already; name a new file")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be written: {error}") from None
