"""The machine's own clocks: a steady one that never steps, and the wall."""

import asyncio
import time

from cbrn_core.clock import Now

_NS_PER_US = 1_000


class SystemClock:
    """Steady time runs from the wall time of the start by the monotonic clock.

    `floor_us`: where the steady clock starts at the earliest, so that it goes on
    forwards from what an earlier run has stored, whatever the wall clock says.
    """

    def __init__(self, floor_us: int = 0) -> None:
        wall_us = time.time_ns() // _NS_PER_US
        self._offset_us = max(wall_us, floor_us) - time.monotonic_ns() // _NS_PER_US

    def now(self) -> Now:
        """Return both clocks."""
        return Now(
            self._offset_us + time.monotonic_ns() // _NS_PER_US, time.time_ns() // _NS_PER_US
        )

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
