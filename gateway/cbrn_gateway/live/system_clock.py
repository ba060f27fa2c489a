"""The machine's own clocks: a steady one that never steps, and the wall."""

import asyncio
import time
from collections.abc import Callable

from cbrn_core.clock import Now

_NS_PER_US = 1_000
_DAY_US = 86_400 * 1_000_000


class SystemClock:
    """Steady time runs from the wall time of the start by the monotonic clock.

    `floor_us`: where the steady clock starts at the earliest, so that it goes on
    forwards from what an earlier run has stored, whatever the wall clock says. A wall clock
    more than a day behind the steady one has booted in the past: until it is set, the
    steady clock stands in for it.
    """

    def __init__(
        self,
        floor_us: int = 0,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        wall_us = wall_ns() // _NS_PER_US
        self._offset_us = max(wall_us, floor_us) - monotonic_ns() // _NS_PER_US

    def now(self) -> Now:
        """Return both clocks."""
        steady_us = self._offset_us + self._monotonic_ns() // _NS_PER_US
        wall_us = self._wall_ns() // _NS_PER_US
        return Now(steady_us, steady_us if wall_us < steady_us - _DAY_US else wall_us)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
