"""The machine's own clocks: a steady one that never steps, and the wall.

A machine without a battery for its clock boots with one that was saved when it was switched
off, hours behind, and looks right until a time server sets it. So a wall clock for which the
kernel does not vouch at the start is not believed for the first ten minutes after the boot.
A kernel that never vouches (a virtual machine whose hypervisor keeps its clock, a site
without any time) costs those ten minutes once a boot, however often the daemon is started;
`[gateway] clock_kept_by_host` spares them.
"""

import asyncio
import ctypes
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from cbrn_core.clock import Now
from cbrn_core.times import seconds_to_us

WAIT_AFTER_BOOT_S = 600.0
"""So long a machine may take after its boot until its clock is synchronised."""

SET_S = 0.5
"""A clock that moves further between two looks was set: slewing is half a millisecond a second."""

_NS_PER_US = 1_000
_WRITTEN_US = 1_793_491_200_000_000
"""2026-11-01: no clock that is right shows less than when this was written."""

_ASK_EVERY_US = 100_000
_TIMEX_BYTES = 512
_TIME_ERROR = 5


def kernel_synchronised() -> bool | None:
    """Return whether the kernel says that its clock is synchronised; None where it does not say.

    Source: adjtimex(2); with no modes set it only reads, and TIME_ERROR is 5.
    """
    adjtimex = _adjtimex()
    state = -1 if adjtimex is None else adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def nobody_says() -> bool | None:
    """Stand in for the kernel where something outside this machine keeps its clock."""
    return None


def uptime_s() -> float:
    """Return how long ago the machine was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Machine(NamedTuple):
    """What tells whether a wall clock may be believed."""

    synchronised: Callable[[], bool | None] = kernel_synchronised
    uptime_s: Callable[[], float] = uptime_s


def machine_of(*, kept_by_host: bool) -> Machine:
    """Return this machine, its kernel not asked where something outside keeps its clock."""
    return Machine(nobody_says) if kept_by_host else Machine()


class SystemClock:
    """Steady time runs from the wall time of the start by the monotonic clock.

    `floor_us`: where the steady clock starts at the earliest, so that it goes on
    forwards from what an earlier run has stored, whatever the wall clock says. The steady
    clock stands in for a wall clock that is not believed:

    - one of before this was written, that the kernel does not vouch for either, until it is set;
    - one for which the kernel does not vouch at the start, until it does, or the clock is set,
      or the machine has been up for ten minutes.
    """

    def __init__(
        self,
        floor_us: int = 0,
        machine: Machine = Machine(),  # noqa: B008 - immutable
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._synchronised = machine.synchronised
        wall_us = wall_ns() // _NS_PER_US
        begun_us = max(wall_us, floor_us, _WRITTEN_US)
        self._offset_us = begun_us - monotonic_ns() // _NS_PER_US
        self._ahead_us = wall_us - begun_us
        self._ask_us = begun_us
        self._wait_until_us = begun_us + seconds_to_us(WAIT_AFTER_BOOT_S - machine.uptime_s())
        self._waits = self._synchronised() is False

    def now(self) -> Now:
        """Return both clocks."""
        steady_us = self._offset_us + self._monotonic_ns() // _NS_PER_US
        wall_us = self._wall_ns() // _NS_PER_US
        if wall_us < _WRITTEN_US:
            is_stand_in = self._synchronised() is not True
        else:
            self._waits = self._waits and self._is_to_wait(steady_us, wall_us)
            is_stand_in = self._waits
        return Now(steady_us, steady_us if is_stand_in else wall_us, is_stand_in)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)

    def _is_to_wait(self, steady_us: int, wall_us: int) -> bool:
        was_set = abs(wall_us - steady_us - self._ahead_us) > seconds_to_us(SET_S)
        if was_set or steady_us >= self._wait_until_us:
            return False
        if steady_us < self._ask_us:
            return True
        self._ask_us = steady_us + _ASK_EVERY_US
        return self._synchronised() is False


@cache
def _adjtimex() -> Callable[[ctypes.Array[ctypes.c_char]], int] | None:
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
