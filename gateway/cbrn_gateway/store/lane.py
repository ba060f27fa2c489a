"""The way of rows into one file: what waits, what is asked for, one transaction for both."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from cbrn_core.errors import StorageError
from cbrn_gateway.store.backlog import Backlog
from cbrn_gateway.store.database import Database

Write = Callable[[Mapping[str, Sequence[Any]]], None]


class _Load(NamedTuple):
    """What one commit writes; `newest` is the number of its last row."""

    rows: dict[str, list[Any]]
    jobs: "list[_LaneJob]"
    newest: int


_NOTHING = _Load({}, [], 0)


class Lane:
    """Rows and jobs for one file; filled by the event loop, emptied by the writer thread.

    `lock` guards what both touch and is never held while the disk works.

    Attributes:
        database: the file.
        backlog: rows that wait.
        newest: number of the last row that was put in, where rows are numbered.
        committed: number of the last row that is committed, or was dropped and counted.
        error: why the last commit failed; None after one that went well.
        shed: names of rows that are written only where `room_rows` allows, for want of room on
            the disk; the last named goes first, and of each the oldest.
        room_rows: for how many rows there is room in the next commit, where some are shed.
        unstored: rows dropped for that, by name.
    """

    def __init__(
        self,
        database: Database,
        backlog: Backlog,
        write: Write,
        lock: threading.Condition,
        newest: int = 0,
    ) -> None:
        self.backlog = backlog
        self.newest = newest
        self.committed = newest
        self.error: StorageError | None = None
        self.shed: Sequence[str] = ()
        self.room_rows = 0
        self.unstored: Counter[str] = Counter()
        self.database = database
        self._write = write
        self._lock = lock
        self._jobs: list[_LaneJob] = []
        self._taken = _NOTHING

    def ask(self, job: Callable[[], None]) -> "Future[None]":
        """Queue a job that runs after every row now waiting; call with the lock held."""
        queued = _LaneJob(job)
        self._jobs.append(queued)
        return queued.future

    @property
    def has_jobs(self) -> bool:
        """Return whether somebody waits for an answer."""
        return bool(self._jobs)

    def take(self) -> None:
        """Take what waits, for the next commit; call with the lock held."""
        self._taken = _Load(self.backlog.take(), self._jobs, self.newest)
        self._jobs = []
        if self.shed:
            self._drop_shed(self._taken.rows)

    def commit(self) -> bool:
        """Write what was taken in one transaction; on failure rows wait again, jobs have failed."""
        (rows, jobs, newest), self._taken = self._taken, _NOTHING
        if not (jobs or any(rows.values())):
            self.committed = newest
            return True
        failure: StorageError | None = StorageError("the store's writer has failed")
        try:
            with self.database.transaction():
                self._write(rows)
                for job in jobs:
                    job.attempt()
            failure = None
        except StorageError as error:
            failure = error
            with self._lock:
                self.backlog.give_back(rows)
        finally:
            # before the answers: who was told may look at once
            self.error = failure
            if failure is None:
                self.committed = newest
            for job in jobs:
                job.finish(failure)
        return failure is None

    def _drop_shed(self, rows: dict[str, list[Any]]) -> None:
        left = self.room_rows - sum(len(of) for name, of in rows.items() if name not in self.shed)
        for name in self.shed:
            found = rows.get(name, [])
            gone = max(0, len(found) - max(0, left))
            if gone:
                self.unstored[name] += gone
                rows[name] = found[gone:]
            left -= len(found) - gone

    def refuse(self, reason: StorageError) -> None:
        """Leave nobody waiting: no commit will come any more."""
        with self._lock:
            jobs, self._jobs = self._taken.jobs + self._jobs, []
        for job in jobs:
            job.finish(reason)


class _LaneJob:
    def __init__(self, job: Callable[[], None]) -> None:
        self.future: Future[None] = Future()
        self._job = job
        self._refusal: StorageError | None = None

    def attempt(self) -> None:
        """Run; a refusal concerns the asker alone: jobs refuse before they write."""
        try:
            self._job()
        except StorageError as refusal:
            self._refusal = refusal

    def finish(self, failure: StorageError | None) -> None:
        """Answer, with why the commit failed where it did."""
        error = failure or self._refusal
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
