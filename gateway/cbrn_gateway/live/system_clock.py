"""The machine's own clocks: a steady one that never steps, and the wall."""

import asyncio
import ctypes
import time
from collections.abc import Callable

from cbrn_core.clock import Now

_NS_PER_US = 1_000
_WRITTEN_US = 1_793_491_200_000_000
"""2026-11-01: no clock that is right shows less than when this was written."""

_TIMEX_BYTES = 512
_TIME_ERROR = 5


def kernel_synchronised() -> bool | None:
    """Return whether the kernel says that its clock is synchronised; None where it does not say.

    Source: adjtimex(2); with no modes set it only reads, and TIME_ERROR is 5.
    """
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


class SystemClock:
    """Steady time runs from the wall time of the start by the monotonic clock.

    `floor_us`: where the steady clock starts at the earliest, so that it goes on
    forwards from what an earlier run has stored, whatever the wall clock says. A wall clock
    of before this was written, that the kernel does not vouch for either, has booted in the
    past: until it is set, the steady clock stands in for it.
    """

    def __init__(
        self,
        floor_us: int = 0,
        *,
        synchronised: Callable[[], bool | None] = kernel_synchronised,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._synchronised = synchronised
        begun_us = max(wall_ns() // _NS_PER_US, floor_us, _WRITTEN_US)
        self._offset_us = begun_us - monotonic_ns() // _NS_PER_US

    def now(self) -> Now:
        """Return both clocks."""
        steady_us = self._offset_us + self._monotonic_ns() // _NS_PER_US
        wall_us = self._wall_ns() // _NS_PER_US
        if wall_us < _WRITTEN_US and self._synchronised() is not True:
            return Now(steady_us, steady_us, is_stand_in=True)
        return Now(steady_us, wall_us)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
