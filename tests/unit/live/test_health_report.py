"""How full and how old the spool is, and the daemon's own figures as points of the series."""

import asyncio

import pytest

from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.live.health_report import LOOK_EVERY_S, LOOKS_PER_POINT, HealthReport
from cbrn_gateway.store.spool import SpoolFill

START_US = 1_780_000_000_000_000


class Spool:
    """A writer whose spool holds what a test says."""

    def __init__(self) -> None:
        self.oldest_us: int | None = None
        self.is_broken = False

    async def spool_fill(self) -> SpoolFill:
        if self.is_broken:
            raise StorageError("spool.db: the disk refuses to read")
        rows = 0 if self.oldest_us is None else 7
        return SpoolFill(
            rows=rows, bytes=100 * rows, oldest_us=self.oldest_us, evicted={}, quarantined=0
        )


def gate():
    opened = asyncio.Event()
    return opened.wait(), opened.set


@pytest.fixture
def clock():
    return ManualClock(START_US, gate)


@pytest.mark.asyncio
async def test_it_says_how_old_the_oldest_line_is_and_nothing_of_a_spool_it_cannot_read(clock):
    spool = Spool()
    report = HealthReport(spool, clock, dict, lambda _: None)
    assert report.counters() == {}
    await report.look()
    assert report.counters() == {"spool_lines": 0, "spool_bytes": 0, "spool_age_s": 0}
    spool.oldest_us = START_US - 90 * US_PER_S
    await report.look()
    assert report.counters() == {"spool_lines": 7, "spool_bytes": 700, "spool_age_s": 90}
    spool.is_broken = True
    await report.look()
    assert report.counters() == {}


@pytest.mark.asyncio
async def test_the_figures_are_written_at_the_start_and_once_a_minute(clock):
    written = []
    report = HealthReport(Spool(), clock, lambda: {"turns": 5}, written.append)
    running = asyncio.create_task(report.run())
    seen = []
    for _ in range(2 * LOOKS_PER_POINT):
        for _ in range(3):
            await asyncio.sleep(0)
        seen.append(len(written))
        clock.advance(LOOK_EVERY_S)
    running.cancel()
    assert written[0] == {"turns": 5}
    assert seen == [1] * LOOKS_PER_POINT + [2] * LOOKS_PER_POINT
