"""Whether alerts went out that only memory knows, for the next start after a kill.

One byte that is overwritten in place: that needs no room on a full disk and no answer of a
hung one, and outlives the process. A power cut meanwhile may lose it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

FILE_NAME = "told-from-memory"
_TOLD, _NOTHING = b"1", b"0"


class MemoryMark:
    """The mark of one `data_dir`; made at a start, it never waits for the disk afterwards.

    Attributes:
        was_left: an earlier run ended while alerts were in its memory alone.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory-mark")
        self.was_left = False
        with suppress(OSError):
            self.was_left = self._path.is_file() and self._path.read_bytes() == _TOLD
            if not self.was_left:
                self._path.write_bytes(_NOTHING)

    def put(self, told: bool) -> None:
        """Note that alerts are in memory alone, or that the journal has them all."""
        self._thread.submit(self._write, _TOLD if told else _NOTHING)

    def close(self) -> None:
        """Take no more notes; those that wait are still written."""
        self._thread.shutdown(wait=False)

    def _write(self, mark: bytes) -> None:
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, mark, 0)
            finally:
                os.close(descriptor)
