"""The journal: the only truth about alarms, durable before anything is sent.

An alert is *sent* when it is journalled. Writing and reading have a thread each, so
that a slow disk never stops the event loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from cbrn_core.errors import StorageError, StoreDamaged
from cbrn_gateway.store.chain import Entry
from cbrn_gateway.store.committer import GroupCommitter
from cbrn_gateway.store.journal_file import Head, JournalEntry, JournalFile, JournalReader
from cbrn_gateway.store.outbox import Consumer, Pending
from cbrn_gateway.store.quarantine import SetAside, renew_journal_file

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 2.0


class Journal:
    """`journal.db` for asyncio; every method raises StorageError when the file refuses.

    What was queued is written even when nobody waits for it any more: a caller with a
    deadline keeps the task and asks again later (safety 18).

    Attributes:
        damaged: set when the file turned out to be damaged, until `begin_anew` is done.
    """

    def __init__(self, file: JournalFile, path: Path, consumers: Iterable[Consumer] = ()) -> None:
        self.damaged = asyncio.Event()
        self._damage = ""
        self._path = path
        self._consumers = tuple(consumers)
        self._is_renewing = False
        self._file = file
        self._reader = JournalReader(path)
        self._committer = GroupCommitter(file.database, "journal")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        epoch: int,
        consumers: Iterable[Consumer] = (),
        restored: bool = False,
    ) -> Self:
        """Open or make a journal; touches the disk, so before the loop or in a thread.

        `epoch` (UTC seconds) is used where a journal is made, or `restored` from a backup.

        Raises:
            StorageError: damaged, or of another kind; nothing is deleted.
            ChainBroken: the end of the chain does not match the newest entry.
        """
        return cls.over(JournalFile(path, epoch=epoch, restored=restored), path, consumers)

    @classmethod
    def over(cls, file: JournalFile, path: Path, consumers: Iterable[Consumer] = ()) -> Self:
        """Take an opened file; it is closed when its consumers cannot be registered."""
        try:
            known = tuple(consumers)
            file.set_consumers(known)
            return cls(file, path, known)
        except BaseException:
            file.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Return whether the thread that writes is there."""
        return self._committer.is_alive or self._is_renewing

    async def begin_anew(self, epoch: int) -> SetAside:
        """Set the damaged file aside and go on behind its verified entries, in a new epoch.

        Whoever writes or reads meanwhile is refused. `epoch` is in UTC seconds.

        Raises:
            StorageError: the disk refuses or does not answer; call it again.
        """
        self._is_renewing = True
        await asyncio.to_thread(self._committer.close, _CLOSE_TIMEOUT_S)
        await asyncio.wrap_future(self._reading.submit(self._reader.close))
        aside = await asyncio.to_thread(self._renew, epoch)
        self._is_renewing = False
        self.damaged.clear()
        return aside

    async def append(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Seal and write entries, all or none; return them as sealed once they are durable.

        An alert version that is already there is not written again: what was journalled
        first is returned, so repeating after an error is harmless.
        """
        return await self._write(lambda: self._file.append(entries))

    async def open_alerts(self) -> list[JournalEntry]:
        """Return the newest version of each alarm that is not normal, by seq."""
        return await self._read(self._reader.open_alerts)

    async def entries(self, after_seq: int = 0, limit: int = 1000) -> list[JournalEntry]:
        """Return up to `limit` entries after `after_seq`, by seq."""
        return await self._read(lambda: self._reader.entries(after_seq, limit))

    async def head(self) -> Head:
        """Return the end of the chain."""
        return await self._read(self._reader.head)

    async def pending_newest(self, consumer: str, limit: int = 100) -> list[Pending]:
        """Return the newest versions not yet delivered: real before drill, by priority."""
        return await self._read(lambda: self._reader.pending_newest(consumer, limit))

    async def pending_in_order(self, consumer: str, limit: int = 100) -> list[JournalEntry]:
        """Return the entries after a log consumer's cursor, strictly by seq."""
        return await self._read(lambda: self._reader.pending_in_order(consumer, limit))

    async def delivered(self, consumer: str, seqs: Sequence[int]) -> None:
        """Note deliveries of view newest; a version that came in meanwhile stays pending."""
        await self._write(lambda: self._file.delivered(consumer, seqs))

    async def advance(self, consumer: str, seq: int) -> None:
        """Note that a log consumer has been told everything up to `seq`."""
        await self._write(lambda: self._file.advance(consumer, seq))

    async def set_consumers(self, consumers: Sequence[Consumer]) -> None:
        """Reconcile the consumers with a new configuration, by name."""
        self._consumers = tuple(consumers)
        await self._write(lambda: self._file.set_consumers(consumers))

    async def close(self) -> None:
        """Write what is queued and close; StorageError if the disk does not answer in 2 s."""
        try:
            await asyncio.to_thread(self._committer.close, _CLOSE_TIMEOUT_S)
        finally:
            if not self._closed:
                self._closed = True
                self._reading.submit(self._reader.close)
                self._reading.shutdown(wait=False)

    async def _write(self, job: Callable[[], T]) -> T:
        with self._noting_damage():
            return await asyncio.shield(asyncio.wrap_future(self._committer.submit(job)))

    async def _read(self, query: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError("the journal is closed")
        with self._noting_damage():
            return await asyncio.wrap_future(self._reading.submit(query))

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except StoreDamaged as damage:
            self._damage = str(damage)
            self.damaged.set()
            raise

    def _renew(self, epoch: int) -> SetAside:
        file, aside = renew_journal_file(
            self._path, self._damage, epoch=epoch, consumers=self._consumers
        )
        file.set_consumers(self._consumers)
        self._file, self._reader = file, JournalReader(self._path)
        self._committer = GroupCommitter(file.database, "journal")
        return aside
