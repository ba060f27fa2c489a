"""A byte that is written now and then, so that a disk that hangs is noticed before an alarm."""

import os
import queue
import threading
from asyncio import wrap_future
from concurrent.futures import Future
from pathlib import Path

from cbrn_core.errors import StorageError

FILE_NAME = "probe"


class Probe:
    """The probe of one `data_dir`; a thread of its own waits for the disk, and may wait for ever.

    No executor: the process could not end while one of its threads hangs.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._asked: queue.SimpleQueue[Future[None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disk-probe", daemon=True)
        self._thread.start()

    async def ask(self) -> None:
        """Return when the disk has taken the byte; raises StorageError when it refuses."""
        asked: Future[None] = Future()
        self._asked.put(asked)
        await wrap_future(asked)

    def close(self) -> None:
        """End the thread as soon as the disk lets it."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            if not asked.set_running_or_notify_cancel():
                continue
            try:
                self._write()
            except OSError as error:
                asked.set_exception(StorageError(f"{self._path}: {error.strerror}"))
            else:
                asked.set_result(None)

    def _write(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # in place: that needs no room on a full disk
            os.pwrite(descriptor, b"0", 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
