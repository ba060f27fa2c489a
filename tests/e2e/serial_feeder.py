"""A serial line that says what a file holds, at the pace of its baud rate."""

import os
import select
import threading
import time
import tty
from pathlib import Path

_BITS_PER_BYTE = 10
_CHUNK_BYTES = 24


class SerialFeeder:
    """A pty behind a symlink; `play` sends bytes as a UART of that rate would."""

    def __init__(self, link: Path, baudrate: int = 9600) -> None:
        self.link = link
        self._bytes_per_s = baudrate / _BITS_PER_BYTE
        self._master, slave = os.openpty()
        tty.setraw(slave)
        link.symlink_to(os.ttyname(slave))
        # the settings stay with the terminal; only the driver holds the line open
        os.close(slave)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Return whether somebody holds the other end: until then the terminal is hung up."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    @property
    def is_over(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def play(self, content: bytes) -> None:
        self._thread = threading.Thread(target=self._send, args=(content,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)
        os.close(self._master)
        self.link.unlink(missing_ok=True)

    def _send(self, content: bytes) -> None:
        started_s = time.monotonic()
        for start in range(0, len(content), _CHUNK_BYTES):
            due_s = started_s + (start + _CHUNK_BYTES) / self._bytes_per_s
            if self._ended.wait(max(0.0, due_s - time.monotonic())):
                return
            os.write(self._master, content[start : start + _CHUNK_BYTES])
