"""Time as a dependency: the protocol, and the clock that tests turn by hand."""

import heapq
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from cbrn_core.times import seconds_to_us


class Now(msgspec.Struct, frozen=True, gc=False):
    """One moment on both clocks.

    `steady_us` never steps (freshness, delays, order); it starts at the wall time of
    the process start, so that a recording of it replays as it was. `wall_us` is what
    the machine's clock says (stamps for people and databases); where that is known to be
    wrong, the steady clock `is_stand_in` for it.
    """

    steady_us: int
    wall_us: int
    is_stand_in: bool = False


class Clock(Protocol):
    """Where time comes from; drivers may await it, everything pure is given a `now`."""

    def now(self) -> Now:
        """Return both clocks."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        ...


class ManualClock:
    """A clock that moves only when a test moves it.

    While `is_stand_in` is set the steady clock stands in for the wall clock. `make_gate`
    returns a fresh pair (awaitable, opener); the test supplies one built on its event loop,
    so that core itself stays free of asyncio.
    """

    def __init__(
        self,
        start_us: int = 0,
        make_gate: Callable[[], tuple[Awaitable[None], Callable[[], None]]] | None = None,
    ) -> None:
        self._steady_us = start_us
        self._wall_offset_us = 0
        self.is_stand_in = False
        self._make_gate = make_gate
        self._sleepers: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> Now:
        """Return both clocks."""
        wall_us = self._steady_us + (0 if self.is_stand_in else self._wall_offset_us)
        return Now(self._steady_us, wall_us, self.is_stand_in)

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has advanced the clock by `seconds`."""
        if self._make_gate is None:
            raise RuntimeError("this ManualClock was made without gates: nothing may sleep on it")
        gate, opener = self._make_gate()
        self._count += 1
        until_us = self._steady_us + seconds_to_us(seconds)
        heapq.heappush(self._sleepers, (until_us, self._count, opener))
        await gate

    def advance(self, seconds: float) -> None:
        """Move both clocks and wake the sleepers whose time has come."""
        self._steady_us += seconds_to_us(seconds)
        while self._sleepers and self._sleepers[0][0] <= self._steady_us:
            heapq.heappop(self._sleepers)[2]()

    def step_wall(self, seconds: float) -> None:
        """Let the wall clock jump, as a time server does; the steady clock does not move."""
        self._wall_offset_us += seconds_to_us(seconds)
