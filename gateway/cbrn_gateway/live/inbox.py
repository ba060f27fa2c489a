"""The bounded intake between the buses and the pipeline: batches in, one ordered list out."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from cbrn_core.clock import Clock
from cbrn_core.reading import Flag, Reading
from cbrn_core.times import US_PER_S
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_gateway.pipeline.pipeline import Event, Noticed, Ordered, Restated

MOST_READINGS = 100_000
DROP_INBOX_FULL = "inbox_full"


class Inbox:
    """Events in order of arrival; readings are dropped and counted when it is full.

    Commands and what the gateway noticed of itself are never dropped. An event that was
    stamped before the pipeline's last turn is stamped anew, so that a recording of the inbox
    replays as it was. While `is_clock_doubted`, readings are flagged `clock_unsynced`.
    """

    def __init__(self, clock: Clock, drops: DropCounter, most: int = MOST_READINGS) -> None:
        self.is_clock_doubted: Callable[[], bool] = _never
        self._clock = clock
        self._drops = drops
        self._most = most
        self._events: list[Event] = []
        self._filled = asyncio.Event()
        self._floor_us = 0

    def put(self, batch: Sequence[Reading]) -> None:
        """Take a batch in; never waits."""
        room = self._most - len(self._events)
        if len(batch) > room:
            self._drops.add(DROP_INBOX_FULL, len(batch) - max(room, 0))
            batch = batch[: max(room, 0)]
        if self.is_clock_doubted():
            batch = [_flagged(reading) for reading in batch]
        floor_us = self._floor_us
        for reading in batch:
            event = reading
            if reading.received_us < floor_us:
                event = msgspec.structs.replace(reading, received_us=floor_us)
            self._events.append(event)
        self._filled.set()

    def put_order(self, event: Ordered | Noticed | Restated) -> None:
        """Take in a command, or what the gateway noticed of itself."""
        self._events.append(event)
        self._filled.set()

    def stir(self) -> None:
        """Have `wait` return though nothing has arrived: its deadline may be another now."""
        self._filled.set()

    def take(self) -> tuple[int, list[Event]]:
        """Return the time of this turn and all events up to it; the inbox is empty then."""
        events, self._events = self._events, []
        self._filled.clear()
        self._floor_us = self._clock.now().steady_us
        return self._floor_us, events

    async def wait(self, until_us: int | None) -> None:
        """Return when something has arrived, or when `until_us` (steady) has come."""
        if until_us is None:
            await self._filled.wait()
            return
        seconds = (until_us - self._clock.now().steady_us) / US_PER_S
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._filled.wait()
        except TimeoutError:
            return


def _flagged(reading: Reading) -> Reading:
    if Flag.CLOCK_UNSYNCED in reading.flags:
        return reading
    return msgspec.structs.replace(reading, flags=(*reading.flags, Flag.CLOCK_UNSYNCED))


def _never() -> bool:
    """Be the answer where the clock is vouched for."""
    return False
