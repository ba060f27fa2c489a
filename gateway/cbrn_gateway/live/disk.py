"""The disk under `data_dir`: its ballast, and what gives way when it fills up.

Consequence decides what is kept: below the floor readings are stored in place of older ones
only, below half of it estimates too, so that the newest are there and delivered; alarms always.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from cbrn_core.alarm import Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.texts_types import StoreLevel
from cbrn_gateway.config.structs import BYTES_PER_MB, StoreTable
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.store.ballast import Ballast, disk_bytes, file_bytes, free_bytes

_LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
ROOM_AGAIN = 1.1
"""Storing goes on above this multiple of the floor, so that it does not flutter."""

LEAST_FULL_BYTES = BYTES_PER_MB
"""With less room than this, or than the ballast takes, a disk is full."""

LENT_S = 60.0

JOURNAL_MOST_BYTES = 1_000 * BYTES_PER_MB
JOURNAL_SHARE = 0.1
"""Of the disk; a journal that takes more, or more than a gigabyte, is told."""

_ABOUT = "disk"
_ABOUT_JOURNAL = "journal-size"
_RANKS = {level: rank for rank, level in enumerate(StoreLevel)}
_SHED = (frozenset[str](), frozenset({"reading"}), frozenset({"reading", "estimate"}))

Shed = Callable[[frozenset[str]], None]


class Disk:
    """Watches the room on the disk; `run` until cancelled.

    `shed` is told which samples the stores may take in place of older ones only.
    """

    def __init__(
        self,
        folder: Path,
        limits: StoreTable,
        clock: Clock,
        notices: Notices,
        shed: Shed,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._floor_bytes = limits.free_disk_floor_mb * BYTES_PER_MB
        self._ballast_bytes = int(limits.ballast_mb * BYTES_PER_MB)
        self._ballast = Ballast(folder, self._ballast_bytes)
        self._clock = clock
        self._notices = notices
        self._shed = shed
        self._full_bytes = max(LEAST_FULL_BYTES, self._ballast_bytes)
        self._level = 0
        self._released = False
        self._is_full = False
        self._asked_us: int | None = None
        self._journal_bytes = 0

    async def run(self) -> None:
        """Keep the ballast and the floor; a disk that does not answer is waited for."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Measure the room once and act on it."""
        try:
            room_bytes = await asyncio.to_thread(free_bytes, self._folder)
        except StorageError as error:
            self._notices.failing(Reason.STORE_FAILED, _ABOUT, str(error))
            return
        await self._watch_journal()
        await self._keep_ballast(room_bytes)
        self._judge_floor(room_bytes)
        self._judge_full(room_bytes)
        self._tell(room_bytes)

    async def give_room(self, is_full: bool = True) -> bool:
        """Release the ballast for the journal; return whether that made room.

        Where the disk is not known to be full (a quota, a limit, a defect) nothing more is
        said of it, and the ballast is built again a minute after it was asked for last.
        """
        self._asked_us = self._clock.now().steady_us
        made_room = await asyncio.to_thread(self._ballast.release)
        if not is_full:
            if made_room:
                _LOG.error("the disk refuses to write: the ballast was released for the journal")
            return made_room
        self._released = self._ballast_bytes > 0
        self._set_level(len(_SHED) - 1)
        if made_room:
            _LOG.error("the disk is full: the ballast was released for the journal")
        self._is_full = True
        self._tell_level(StoreLevel.DISK_FULL)
        return made_room

    def counters(self) -> dict[str, int]:
        """Return how often the ballast was released, what gives way, and what may be kept."""
        return {
            "ballast_released": self._ballast.released,
            "disk_shedding_level": self._level,
            "series_most_mb": int(self._limits.series_most_mb),
            "spool_most_mb": int(self._limits.spool_most_mb),
            "journal_bytes": self._journal_bytes,
        }

    async def _watch_journal(self) -> None:
        """Tell of a journal that outgrows the disk: nobody but a person may shorten it."""
        try:
            self._journal_bytes, size_bytes = await asyncio.to_thread(self._journal_and_disk)
        except StorageError:  # the look at the room tells
            return
        most_bytes = min(JOURNAL_MOST_BYTES, JOURNAL_SHARE * size_bytes)
        if self._journal_bytes > most_bytes:
            facts = {"taken_mb": self._journal_bytes // BYTES_PER_MB}
            level = StoreLevel.JOURNAL_LARGE.value
            self._notices.failing(Reason.STORE_FAILED, _ABOUT_JOURNAL, "", level, facts)
        elif self._journal_bytes < 0.9 * most_bytes:
            self._notices.mended(Reason.STORE_FAILED, _ABOUT_JOURNAL)

    def _journal_and_disk(self) -> tuple[int, int]:
        return file_bytes(self._folder / "journal.db"), disk_bytes(self._folder)

    def _judge_floor(self, room_bytes: int) -> None:
        if room_bytes < self._floor_bytes / 2:
            level = 2
        elif room_bytes < self._floor_bytes:
            level = 1
        else:
            level = 0
        # a full journal says more than the figure of free blocks, which quotas may belie
        has_room = room_bytes >= self._floor_bytes * ROOM_AGAIN and not self._released
        if level > self._level or has_room:
            self._set_level(level)

    def _set_level(self, level: int) -> None:
        if level != self._level:
            names = sorted(_SHED[level]) or "nothing"
            _LOG.warning("stored in place of older ones only, for want of room: %s", names)
        self._level = level
        self._shed(_SHED[level])

    async def _keep_ballast(self, room_bytes: int) -> None:
        if not self._released and (self._is_lent or await asyncio.to_thread(self._is_held)):
            return
        self._released = True
        if room_bytes < max(self._floor_bytes, self._ballast_bytes) + self._ballast_bytes:
            return
        try:
            await asyncio.to_thread(self._ballast.build)
        except StorageError as error:
            _LOG.warning("%s", error)
        else:
            self._released = False

    @property
    def _is_lent(self) -> bool:
        """Return whether the ballast was asked for lately, on a disk that may not be full."""
        if self._asked_us is None:
            return False
        return self._clock.now().steady_us - self._asked_us < seconds_to_us(LENT_S)

    def _is_held(self) -> bool:
        return self._ballast.is_held

    def _judge_full(self, room_bytes: int) -> None:
        if room_bytes < self._full_bytes:
            self._is_full = True
        elif room_bytes >= 2 * self._full_bytes and not self._released:
            self._is_full = False

    def _tell(self, room_bytes: int) -> None:
        if self._is_full:
            self._tell_level(StoreLevel.DISK_FULL)
        elif self._released or self._level:
            free_mb = int(room_bytes // BYTES_PER_MB)
            self._tell_level(StoreLevel.DISK_NEARLY_FULL, free_mb=free_mb)
        else:
            self._notices.mended(Reason.STORE_FAILED, _ABOUT)

    def _tell_level(self, level: StoreLevel, **facts: int) -> None:
        facts["level_rank"] = _RANKS[level]
        self._notices.failing(Reason.STORE_FAILED, _ABOUT, "", level.value, facts)
