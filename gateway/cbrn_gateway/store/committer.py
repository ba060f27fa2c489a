"""One thread that commits: whatever is queued becomes one transaction."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import Database

T = TypeVar("T")

_LARGEST_GROUP = 256


class GroupCommitter:
    """Runs jobs on a database in the order of submission, in a thread of its own.

    A job that refuses (raises StorageError) is undone alone. When a transaction fails,
    its jobs are tried once more one by one, so that one too large for the disk does not
    fail the others.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._queue: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether the thread that writes is there."""
        return self._thread.is_alive()

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Queue a job; its future ends after the commit, with a StorageError if it failed.

        Raises:
            StorageError: closed, or the thread is dead.
        """
        task = _Task(job)
        with self._lock:
            if self._closed:
                raise StorageError(f"the {self._name} is closed")
            self._queue.put(task)
        return task.future

    def close(self, timeout_s: float) -> None:
        """Commit what is queued, end the thread and close the file.

        Raises:
            StorageError: the disk did not answer in time.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise StorageError(f"the {self._name} did not finish within {timeout_s} s")
        self._database.close()

    def _run(self) -> None:
        group: list[_Task[Any]] = []
        try:
            while True:
                group, is_last = self._next_group()
                if group:
                    self._commit(group)
                if is_last:
                    return
        finally:
            self._fail_rest(group)

    def _next_group(self) -> tuple[list["_Task[Any]"], bool]:
        group: list[_Task[Any]] = []
        task = self._queue.get()
        while task is not None:
            group.append(task)
            if len(group) == _LARGEST_GROUP:
                return group, False
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list["_Task[Any]"]) -> None:
        try:
            with self._database.transaction():
                for task in group:
                    self._attempt(task)
        except StorageError as error:
            if len(group) == 1:
                group[0].fail(error)
                return
            for task in group:
                self._commit([task])
            return
        for task in group:
            task.finish()

    def _attempt(self, task: "_Task[Any]") -> None:
        connection = self._database.connection
        connection.execute("SAVEPOINT job")
        try:
            task.attempt()
        except StorageError as refusal:
            connection.execute("ROLLBACK TO job")
            task.refusal = refusal
        connection.execute("RELEASE job")

    def _fail_rest(self, group: list["_Task[Any]"]) -> None:
        """Leave nobody waiting, whatever ended the thread."""
        with self._lock:
            self._closed = True
        while not self._queue.empty():
            task = self._queue.get_nowait()
            if task is not None:
                group.append(task)
        for task in group:
            if not task.future.done():
                task.fail(StorageError(f"the {self._name} ended before this was written"))


class _Task(Generic[T]):
    """A job and who waits for it."""

    def __init__(self, job: Callable[[], T]) -> None:
        self.future: Future[T] = Future()
        self.refusal: StorageError | None = None
        self._job = job
        self._outcome: list[T] = []

    def attempt(self) -> None:
        self.refusal = None
        self._outcome = [self._job()]

    def finish(self) -> None:
        if self.refusal is not None:
            self.fail(self.refusal)
        else:
            self.future.set_result(self._outcome[0])

    def fail(self, error: StorageError) -> None:
        self.future.set_exception(error)
