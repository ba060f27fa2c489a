"""Going on where an earlier run ended.

Alarms come from the journal; filters and rules from the last snapshot and the readings
stored after it. What the stores took but the spool may not have is spooled once more:
InfluxDB overwrites a point with itself.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import Alarm, AlarmState
from cbrn_core.errors import InputError, StorageError, StoreDamaged
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_MS, US_PER_S, format_rfc3339
from cbrn_gateway.alarms.render import alarm_from_alert
from cbrn_gateway.live.system_clock import SystemClock, machine_of
from cbrn_gateway.pipeline.pipeline import Pipeline, StepOutput
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.journal_file import JournalEntry
from cbrn_gateway.store.series_reader import SeriesReader, Snapshot

_LOG = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Rows heard again at most: about five seconds of work."""

MOST_ENDED = 4_096
"""Ended alarms looked at: without a snapshot the journal is read from its beginning."""

VERSIONS_SKIPPED = 1_000
"""More than any alarm has told in the part of a journal that a damaged file costs."""

_PAGE_ENTRIES = 1_000

KeepSamples = Callable[[Sequence[Reading], Sequence[Estimate]], None]
KeepAlert = Callable[[bytes], None]


class Resumed(NamedTuple):
    """How much of an earlier run was taken up, and what it still had to publish.

    `missing_ms`: since when, before this start, no sample is stored; a process that was
    killed could not count them itself. 0 where nothing is stored, or the clock cannot tell.
    """

    alarms_open: int
    filters: int
    rows: int
    seconds: float
    out: StepOutput
    missing_ms: int = 0


class Restart:
    """Brings a new pipeline to where the stores say that the last one was.

    `now_us` (steady): what is journalled later was stamped by a clock that was wrong, and
    counts as told now; else nothing would be due until then. By `ahead_us` the wall clock,
    which the journal shows, is ahead of the steady one. `journal_lost`: a part of the
    journal is lost, or was in memory alone. It may have told versions that nobody here
    knows: every alarm goes on beyond them.

    Attributes:
        series_damage: why not everything that is stored could be heard again.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        journal: Journal,
        series: SeriesReader,
        config_hash: str,
        *,
        now_us: int,
        ahead_us: int,
        journal_lost: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._journal = journal
        self._series = series
        self._config_hash = config_hash
        self._now_us = now_us
        self._ahead_us = ahead_us
        self._journal_lost = journal_lost
        self.series_damage: StoreDamaged | None = None

    async def resume(self, keep_samples: KeepSamples, keep_alert: KeepAlert) -> Resumed:
        """Take everything up; `keep_samples` and `keep_alert` get what is spooled once more.

        Raises:
            StorageError: the journal cannot be read.
        """
        began_s = time.monotonic()
        snapshot = self._snapshot()
        filters = self._recall(snapshot)
        journalled = (await self._journal.head()).seq
        known = 0 if snapshot is None else min(snapshot.journal_seq, journalled)
        closed = await self._since(known, keep_alert)
        alarms = self._told(_alarms(await self._journal.open_alerts()) + closed)
        alarms_open = self._pipeline.machine.rebuild(alarms)
        self._pipeline.rules.adopt(alarms)
        rows = await self._hear_again(snapshot, keep_samples)
        restated = []
        if self._journal_lost:
            restated = self._pipeline.machine.skip_versions(VERSIONS_SKIPPED, self._now_us)
        out = self._pipeline.catch_up(alarms)
        out.alarms[:0] = restated
        seconds = time.monotonic() - began_s
        return Resumed(alarms_open, filters, rows, seconds, out, self._missing_ms())

    def _missing_ms(self) -> int:
        try:
            since_us = self._series.latest_received_us()
        except StoreDamaged as damage:
            self.series_damage = damage
            return 0
        if not 0 < since_us < self._now_us:
            return 0
        missing_us = self._now_us - since_us
        _LOG.warning(
            "readings are missing since %s: nothing of the last %.3f s is stored",
            format_rfc3339(since_us),
            missing_us / US_PER_S,
        )
        return missing_us // US_PER_MS

    def _snapshot(self) -> Snapshot | None:
        try:
            return self._series.load_snapshot()
        except StoreDamaged as damage:
            self.series_damage = damage
            return None

    def _recall(self, snapshot: Snapshot | None) -> int:
        if snapshot is None:
            return 0
        same_config = snapshot.config_hash == self._config_hash
        try:
            return self._pipeline.recall(snapshot.state, same_config=same_config)
        except InputError as error:
            _LOG.warning("the filters start anew: %s", error)
            return 0

    async def _since(self, seq: int, keep_alert: KeepAlert) -> list[Alarm]:
        """Return the last alarms that ended after an entry; hand on every alert since."""
        ended: deque[Alarm] = deque(maxlen=MOST_ENDED)
        while page := await self._journal.entries(seq, _PAGE_ENTRIES):
            seq = page[-1].seq
            for entry in page:
                if entry.alarm_id is not None:
                    keep_alert(entry.body)
                    ended += (a for a in _alarms([entry]) if a.state is AlarmState.NORMAL)
        return list(ended)

    def _told(self, alarms: Sequence[Alarm]) -> list[Alarm]:
        return [
            msgspec.structs.replace(
                alarm,
                changed_us=min(alarm.changed_us, self._now_us),
                until_us=None if alarm.until_us is None else alarm.until_us - self._ahead_us,
            )
            for alarm in alarms
        ]

    async def _hear_again(self, snapshot: Snapshot | None, keep_samples: KeepSamples) -> int:
        rows = 0
        try:
            newest = self._series.last_row()
            row = max(0 if snapshot is None else snapshot.last_row, newest - MOST_ROWS)
            for readings, estimates in self._series.samples_after(row):
                self._pipeline.hear_again(readings)
                keep_samples(readings, estimates)
                rows += len(readings)
                await asyncio.sleep(0)
        except StoreDamaged as damage:
            _LOG.error("heard again up to a damaged page only: %s", damage)
            self.series_damage = damage
        return rows


def clock_going_on(data_dir: Path, *, kept_by_host: bool = False) -> SystemClock:
    """Return the machine's clocks, the steady one not before what an earlier run has stored."""
    return SystemClock(stored_until_us(data_dir), machine_of(kept_by_host=kept_by_host))


def stored_until_us(data_dir: Path) -> int:
    """Return the latest steady time that the stores of an earlier run speak of, 0 without one."""
    path = data_dir / "series.db"
    if not path.exists():
        return 0
    try:
        series = SeriesReader(path)
        try:
            return series.latest_received_us()
        finally:
            series.close()
    except StorageError as error:
        _LOG.warning("the steady clock starts from the wall clock: %s", error)
        return 0


def _alarms(entries: Sequence[JournalEntry]) -> list[Alarm]:
    alarms = []
    for entry in entries:
        try:
            alarms.append(alarm_from_alert(msgspec.json.decode(entry.body)))
        except (InputError, msgspec.DecodeError) as error:
            _LOG.error("journal entry %d cannot be taken up again: %s", entry.seq, error)
    return alarms
