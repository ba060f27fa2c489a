"""The writer of readings and estimates: one thread, group commits, nothing lost silently."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count, repeat
from typing import Any, TypeVar

import msgspec

from cbrn_core.errors import StorageError, StoreDamaged
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_gateway.store.backlog import Backlog
from cbrn_gateway.store.healing import Healing
from cbrn_gateway.store.hold import Hold
from cbrn_gateway.store.lane import Lane
from cbrn_gateway.store.quarantine import SetAside
from cbrn_gateway.store.restamp import Moved, move_lines, move_samples
from cbrn_gateway.store.retention import Keep, Retention
from cbrn_gateway.store.roller import STEP_PAUSE_S, Roller
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_reader import Snapshot
from cbrn_gateway.store.spool import INFLUX, Consequence, Spool, SpoolFill, SpoolLine, SpoolReader

T = TypeVar("T")

COMMIT_S = 0.15
"""Contracts allow a crash to cost the last 200 ms of readings."""

_CLOSE_TIMEOUT_S = 2.0
_RETRY_S = 1.0
_SAMPLE_BYTES = 200
_LINE_BYTES = 400
"""What a waiting row takes of its file, generously: a shortfall is made up at the next commit."""

_NAMES = {c: c.name.lower() for c in reversed(Consequence)}
_BY_NAME = {name: c for c, name in _NAMES.items()}


class Batch(msgspec.Struct, frozen=True):
    """What one step of the pipeline leaves to be kept.

    `lines` is line protocol for InfluxDB by consequence; `stored_us` is wall time.
    """

    readings: Sequence[Reading] = ()
    estimates: Sequence[Estimate] = ()
    lines: Mapping[Consequence, Sequence[bytes]] = {}
    stored_us: int = 0


class Writer:
    """Writes series and spool from one thread; made and used on the event loop.

    A commit follows at most `interval_s` after the first waiting row, earlier at
    `commit_rows`. At most `max_waiting_rows` wait per file; then the oldest readings
    go first, counted. While a file refuses, its rows wait and are tried again each
    second; `on_error` is told of every failed commit, on the loop. What `keep` does not
    allow to be kept is taken away between commits, and old rows are rolled up, in steps of
    some milliseconds.

    Attributes:
        on_set_aside: told of a file that turned out to be damaged and was set aside, on the loop.
        may_move: whether `restamp` may come yet: what this run stores is not rolled up then.
    """

    def __init__(
        self,
        series: Series,
        spool: Spool,
        *,
        on_error: Callable[[StorageError], None],
        interval_s: float = COMMIT_S,
        commit_rows: int = 1_000,
        max_waiting_rows: int = 50_000,
        keep: Keep = Keep(),  # noqa: B008 - immutable
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_error = on_error
        self._interval_s = interval_s
        self._commit_rows = commit_rows
        self._series = series
        self._spool = spool
        self._wake = threading.Condition()
        self._series_lane = Lane(
            series.database,
            Backlog(("reading", "estimate"), max_waiting_rows),
            self._write_samples,
            self._wake,
            newest=series.last_row(),
        )
        self._spool_lane = Lane(
            spool.database,
            Backlog(tuple(_BY_NAME), max_waiting_rows),
            self._write_lines,
            self._wake,
        )
        self._lanes = (self._series_lane, self._spool_lane)
        self._sizes = ((self._series_lane, _SAMPLE_BYTES), (self._spool_lane, _LINE_BYTES))
        self._first = (series.last_row(), spool.newest_seq())
        self.may_move: Callable[[], bool] = _never
        self.on_set_aside: Callable[[SetAside], None] = _ignore
        self._roller = Roller(series, through_row=self._last_to_roll)
        self._retention = Retention(series, spool, keep, roller=self._roller)
        self._hold = Hold(series, spool)
        self._is_held = False
        self._spool_reader = SpoolReader(spool.database.path)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="spool-reader")
        self._healing = Healing(series, spool, self._spool_reader, self._reading)
        self._due_s: float | None = None
        self._stopping = False
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def committed_row(self) -> int:
        """Return the sample row up to which everything is committed, or dropped and counted."""
        return self._series_lane.committed

    @property
    def is_alive(self) -> bool:
        """Return whether the thread that writes is there."""
        return self._thread.is_alive()

    def submit(self, batch: Batch) -> int:
        """Take a batch without blocking; return the row number of its last sample.

        That number, taken when the filters have seen the batch, is a snapshot's
        `last_row`.

        Raises:
            StorageError: the writer is closed or has died.
        """
        self._refuse_when_ended()
        with self._wake:
            lane = self._series_lane
            # a reading comes last: it gives its number to the row that its estimate shares
            for name, samples in (("estimate", batch.estimates), ("reading", batch.readings)):
                lane.backlog.put(name, zip(count(lane.newest + 1), samples))
                lane.newest += len(samples)
            for consequence, lines in batch.lines.items():
                self._spool_lane.backlog.put(
                    _NAMES[consequence], zip(repeat(batch.stored_us), lines)
                )
            waiting = self._waiting_rows()
            was_idle = waiting and self._due_s is None
            if was_idle:
                self._due_s = time.monotonic() + self._interval_s
            if was_idle or waiting >= self._commit_rows:
                self._wake.notify()
            return lane.newest

    def shed(self, names: frozenset[str]) -> None:
        """Store samples of these names in place of older ones only: the disk is too full.

        Those for which no room can be made are dropped, counted; so are those that made way.
        """
        with self._wake:
            for lane in self._lanes:
                lane.shed = tuple(name for name in lane.backlog.names[::-1] if name in names)
            self._is_held = bool(names)
            # it ends with a commit: also where none would come
            self._due_s = self._due_s or time.monotonic() + self._interval_s
            self._wake.notify()

    def note_damage(self, name: str, damage: StoreDamaged) -> None:
        """Say that somebody who reads a file (series, spool) found it damaged: it is set aside."""
        with self._wake:
            for lane in self._lanes:
                if lane.database.path.stem == name:
                    lane.database.damage = damage
            self._due_s = self._due_s or time.monotonic() + self._interval_s
            self._wake.notify()

    async def flush(self) -> int:
        """Commit everything submitted so far; return `committed_row`; raises StorageError."""
        await self._ask(self._series_lane, _nothing)
        await self._ask(self._spool_lane, _nothing)
        return self._series_lane.committed

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Save a snapshot once its samples and their lines are committed; raises StorageError.

        A restart spools again only what was stored after the newest snapshot.
        """
        await self._ask(self._spool_lane, _nothing)
        await self._ask(self._series_lane, partial(self._series.save_snapshot, snapshot))

    async def restamp(self, shift_us: int, base_us: int = 0) -> int:
        """Move what was stored since the start by a wrong clock; return how many samples.

        `base_us` is how far beside the arrival that clock has stamped samples.
        In steps, so that a commit never waits for more than one. Raises StorageError.
        """
        if not shift_us:
            return 0
        row, seq = self._first
        await self._ask(self._series_lane, self._roller.hold)
        try:
            while self._roller.is_busy:
                self._refuse_when_ended()
                await asyncio.sleep(STEP_PAUSE_S)
            return await self._move_all(row, seq, shift_us, base_us)
        finally:
            self._roller.go_on()

    async def peek_lines(
        self, limit_rows: int, limit_bytes: int, consumer: str = INFLUX
    ) -> list[SpoolLine]:
        """Return the oldest committed lines that a consumer has not had (Spool.peek)."""
        return await self._read(partial(self._spool_reader.peek, limit_rows, limit_bytes, consumer))

    async def delete_lines_through(self, seq: int, consumer: str = INFLUX) -> None:
        """Note that a consumer has had the lines up to `seq` (Spool.delete_through)."""
        await self._ask(self._spool_lane, partial(self._spool.delete_through, seq, consumer))

    async def quarantine_line(
        self, seq: int, line: bytes, reason: str, consumer: str = INFLUX
    ) -> None:
        """Set a line aside that a consumer rejects (Spool.quarantine)."""
        await self._ask(
            self._spool_lane, partial(self._spool.quarantine, seq, line, reason, consumer)
        )

    async def spool_fill(self) -> SpoolFill:
        """Return how full the spool is; raises StorageError."""
        return await self._read(self._spool_reader.fill)

    def counters(self) -> dict[str, int]:
        """Return what was lost here and why, since the start, and what waits."""
        with self._wake:
            counters = {
                "series_waiting": len(self._series_lane.backlog),
                "spool_waiting": len(self._spool_lane.backlog),
                "series_unwritable": self._series.unwritable,
                "series_retired": self._series.retired,
                "series_made_way": self._hold.made_way,
                "room_refused": self._hold.refused,
                "retention_refused": self._retention.refused,
                "series_rolled": self._roller.rolled,
                "series_roll_stuck": self._roller.stuck,
                "rolling_refused": self._roller.refused,
                "rolling_step_longest_ms": self._roller.longest_ms,
            }
            counters |= {f"spool_evicted_{name}": n for name, n in self._spool.evicted.items() if n}
            for file, lane in (("series", self._series_lane), ("spool", self._spool_lane)):
                for name, dropped in lane.backlog.dropped.items():
                    counters[f"{file}_dropped_{name}"] = dropped
                for name, dropped in lane.unstored.items():
                    counters[f"{file}_unstored_{name}"] = dropped
        return counters

    async def close(self) -> None:
        """Commit what waits, end the thread and close the files, all within 2 s.

        Raises:
            StorageError: the disk did not answer in time, or refused the last rows.
        """
        if self._closed:
            return
        self._closed = True
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._reading.submit(self._spool_reader.close)
        self._reading.shutdown(wait=False)
        await asyncio.to_thread(self._finish)
        lost = self._waiting_rows()
        if lost:
            error = self._series_lane.error or self._spool_lane.error
            raise StorageError(f"{lost} rows could not be written before the end") from error

    def _finish(self) -> None:
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            raise StorageError(f"the disk did not answer within {_CLOSE_TIMEOUT_S} s")
        self._series.close()
        self._spool.close()

    def _run(self) -> None:
        try:
            is_last = False
            while not is_last:
                is_last = self._wait_until_due()
                if not is_last and self._healing.is_due:
                    self._heal()
                if is_last or self._is_commit_due():
                    self._commit()
                # also where a commit is always due: what is kept would grow without bound
                if not is_last and self._retention.wait_s() <= 0:
                    self._retention.step()
        finally:
            self._end()

    def _wait_until_due(self) -> bool:
        """Wait for the next commit or step of the retention; return whether it ends now."""
        with self._wake:
            while (wait_s := self._wait_s()) > 0:
                self._wake.wait(wait_s)
            return self._stopping

    def _wait_s(self) -> float:
        retention_s = self._retention.wait_s()
        commit_s = self._commit_wait_s()
        return retention_s if commit_s is None else min(commit_s, retention_s)

    def _is_commit_due(self) -> bool:
        with self._wake:
            commit_s = self._commit_wait_s()
        return commit_s is not None and commit_s <= 0

    def _commit_wait_s(self) -> float | None:
        """Return how long the next commit may wait; None: for ever."""
        if self._stopping or any(lane.has_jobs for lane in self._lanes):
            return 0
        if self._due_s is None:
            return None
        is_failing = any(lane.error for lane in self._lanes)
        if self._waiting_rows() >= self._commit_rows and not is_failing:
            return 0
        return self._due_s - time.monotonic()

    def _commit(self) -> None:
        self._make_room()
        with self._wake:
            self._due_s = None
            was_busy = self._waiting_rows() > 0
            # all at one moment: a kill must not leave lines of readings that are not stored
            for lane in self._lanes:
                lane.take()
        for lane in self._lanes:
            if not lane.commit():
                self._tell(lane.error)
        pause_s = _RETRY_S if any(lane.error for lane in self._lanes) else self._interval_s
        with self._wake:
            # while rows keep coming it wakes once per commit, not also for the first row
            if self._due_s is None and (was_busy or self._waiting_rows()):
                self._due_s = time.monotonic() + pause_s

    def _heal(self) -> None:
        """Set a damaged file aside and go on in a new one; what waits comes into that."""
        try:
            aside = self._healing.heal()
        except StorageError as error:
            self._tell(error)
        else:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.on_set_aside, aside)

    def _make_room(self) -> None:
        """See to room for what waits, where the files may not grow."""
        if not self._is_held:
            self._hold.end()
            return
        with self._wake:
            wanted_bytes = {
                lane.database: len(lane.backlog) * size_bytes for lane, size_bytes in self._sizes
            }
        room_bytes = self._hold.room_for(wanted_bytes)
        for lane, size_bytes in self._sizes:
            lane.room_rows = room_bytes[lane.database] // size_bytes

    def _end(self) -> None:
        """Leave nobody waiting, whatever ended the thread."""
        with self._wake:
            self._ended = True
        reason = StorageError("the store's writer has ended")
        for lane in self._lanes:
            lane.refuse(reason)
        if not self._stopping:
            self._tell(reason)

    def _tell(self, error: StorageError | None) -> None:
        if error is not None:
            with suppress(RuntimeError):  # the loop has gone: nobody is left to tell
                self._loop.call_soon_threadsafe(self._on_error, error)

    def _write_samples(self, rows: Mapping[str, Sequence[Any]]) -> None:
        self._series.append_numbered(rows["reading"], rows["estimate"])

    def _write_lines(self, rows: Mapping[str, Sequence[Any]]) -> None:
        if any(rows.values()):
            self._spool.append_stamped({_BY_NAME[name]: lines for name, lines in rows.items()})

    def _last_to_roll(self) -> int | None:
        return self._first[0] if self.may_move() else None

    def _waiting_rows(self) -> int:
        return len(self._series_lane.backlog) + len(self._spool_lane.backlog)

    def _refuse_when_ended(self) -> None:
        if self._closed or self._ended:
            raise StorageError("the store's writer has ended")

    async def _ask(self, lane: Lane, job: Callable[[], None]) -> None:
        with self._wake:
            self._refuse_when_ended()
            future: Future[None] = lane.ask(job)
            self._wake.notify()
        await asyncio.shield(asyncio.wrap_future(future))

    async def _move_all(self, row: int, seq: int, shift_us: int, base_us: int) -> int:
        samples = partial(move_samples, self._series.database, row, base_us=base_us)
        lines = partial(move_lines, self._spool.database, seq)
        rows = await self._move(self._series_lane, samples, shift_us)
        await self._move(self._spool_lane, lines, shift_us)
        return rows

    async def _move(
        self, lane: Lane, step: Callable[[int | None, int], Moved], shift_us: int
    ) -> int:
        done: list[Moved] = []
        while not done or done[-1].last is not None:
            last = done[-1].last if done else None
            await self._ask(lane, partial(_note, done, partial(step, last, shift_us)))
        return sum(moved.rows for moved in done)

    async def _read(self, query: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError("the store's writer has ended")
        try:
            return await asyncio.wrap_future(self._reading.submit(query))
        except StoreDamaged as damage:
            self.note_damage(self._spool.database.path.stem, damage)
            raise


def _never() -> bool:
    """Be the answer where the clock is right."""
    return False


def _ignore(_: object) -> None:
    """Stand in where nobody wants to know."""


def _note(done: list[T], job: Callable[[], T]) -> None:
    done.append(job())


def _nothing() -> None:
    """Be the job of a flush: its answer comes after the commit."""
