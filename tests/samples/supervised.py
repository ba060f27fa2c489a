"""A bus under its supervisor, nobody lends a hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cbrn_core.protocols import Driver
from cbrn_gateway.live.buses import Bus
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.progress import ProgressWatch
from cbrn_gateway.live.supervisor import PROMPT_WAIT_S
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.pipeline.drops import DropCounter

SLOW_MACHINE_S = 2.0
"""What a busy machine may take beyond; two periods of a tenth of a second are less than that."""

LONG_PERIOD_S = 1.0
"""Two such periods are enough for a busy machine as well: nothing is added to the bound."""


@asynccontextmanager
async def supervised(
    driver: Driver, clock: SystemClock, least_s: float = 5.0
) -> AsyncIterator[Bus]:
    """Run a bus; `least_s` is the least silence that breaks it."""
    watch = ProgressWatch((), clock, least_s)
    bus = Bus("wire", driver, Inbox(clock, DropCounter()), clock, watch=watch)
    running = asyncio.create_task(bus.supervisor.run())
    try:
        yield bus
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait for a condition."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"{what} did not come within {within_s:g} s"
        await asyncio.sleep(0.005)


async def readings_are_back(bus: Bus, period_s: float) -> None:
    """Wait for a reading: within two periods and the back-off, itself at most two seconds."""
    before = bus.readings
    assert bus.supervisor.wait_s <= PROMPT_WAIT_S
    allowed_s = 2 * period_s + bus.supervisor.wait_s
    if period_s < LONG_PERIOD_S:
        allowed_s += SLOW_MACHINE_S
    await until(lambda: bus.readings > before, "a reading", allowed_s)
