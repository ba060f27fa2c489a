"""The machine's own clock, watched: was it set, is it synchronised, what time was it really?"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from cbrn_core.alarm import Alarm, Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.system_clock import kernel_synchronised

_LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SET_S = 0.5
"""Between two looks a clock that is only slewed moves by half a millisecond."""

UNSYNCED_AFTER_S = 600.0
ON_ITS_WAY_S = 2.0
"""So long what was stamped by the wrong clock may take to the stores."""

_LEAST_SHIFT_US = US_PER_S
_ABOUT = "clock"


class ClockWatch:
    """Tells when the wall clock is set, and gives what this run stamped the right time then.

    The pipeline runs on the steady clock, which begins at the wall time of the start. Once
    the wall clock has been set, alerts show their times by it; `on_set` hears of it, since
    what was told before may show a time to come. What was stored while the steady clock
    stood in for one that was known to be wrong, `put_right` moves by so many µs.
    """

    def __init__(
        self,
        clock: Clock,
        notices: Notices,
        synchronised: Callable[[], bool | None] | None = None,
    ) -> None:
        self._clock = clock
        self._notices = notices
        self._synchronised = synchronised or kernel_synchronised
        self.put_right: Callable[[int], Awaitable[int]] = _none_moved
        self.on_set: Callable[[], None] = _ignore
        self.restamped = 0
        now = clock.now()
        self._began_us = now.steady_us
        self._ahead_us = now.wall_us - now.steady_us
        self._stands_in = now.is_stand_in
        self._is_holding = now.is_stand_in
        self._is_moving = False

    @property
    def shift_us(self) -> int:
        """Return what brings a steady time of this run to the wall clock; 0 below a second."""
        return self._ahead_us if abs(self._ahead_us) >= _LEAST_SHIFT_US else 0

    def is_holding(self) -> bool:
        """Return whether samples shall wait for the right time: at most for ten minutes."""
        return self._is_holding

    def may_move(self) -> bool:
        """Return whether samples of this run stand at a time that is not final yet."""
        return self._stands_in or self._is_moving

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            if self.look():
                await self._put_right()

    def look(self) -> bool:
        """Compare the two clocks; return whether the wall clock is believed from now on."""
        now = self._clock.now()
        ahead_us = now.wall_us - now.steady_us
        moved_us = ahead_us - self._ahead_us
        self._ahead_us = ahead_us
        if abs(moved_us) > seconds_to_us(SET_S):
            self._notices.failing(Reason.CLOCK_SET, _ABOUT, f"by {_signed(moved_us)}")
            self.on_set()
        settled = now.steady_us - self._began_us >= seconds_to_us(UNSYNCED_AFTER_S)
        if settled:
            self._is_holding = False
            if now.is_stand_in or self._synchronised() is False:
                self._notices.failing(Reason.CLOCK_UNSYNCED, _ABOUT, "")
        is_right_again = self._stands_in and not now.is_stand_in
        # in this order: the store's thread asks `may_move` at any time
        self._is_moving |= is_right_again
        self._stands_in = now.is_stand_in
        return is_right_again

    def stamped(self, alarm: Alarm) -> Alarm:
        """Return the alarm with the times of this run as the wall clock tells them.

        Its end lies ahead, whichever run it was set in: that is a time of this run.
        """
        if not self.shift_us:
            return alarm
        return msgspec.structs.replace(
            alarm,
            raised_us=self._wall_us(alarm.raised_us),
            changed_us=self._wall_us(alarm.changed_us),
            ack_us=None if alarm.ack_us is None else self._wall_us(alarm.ack_us),
            until_us=None if alarm.until_us is None else alarm.until_us + self.shift_us,
        )

    async def _put_right(self) -> None:
        await self._clock.sleep(ON_ITS_WAY_S)
        try:
            self.restamped += await self.put_right(self.shift_us)
        except StorageError as error:
            _LOG.error("samples stored before the clock was set keep their time: %s", error)
        self._is_holding = self._is_moving = False

    def _wall_us(self, steady_us: int) -> int:
        return steady_us + self.shift_us if steady_us >= self._began_us else steady_us


async def _none_moved(_shift_us: int) -> int:
    """Stand in where nothing is stored."""
    return 0


def _ignore() -> None:
    """Stand in where nobody wants to know."""


def _signed(moved_us: int) -> str:
    seconds = moved_us / US_PER_S
    if abs(seconds) < 120:
        return f"{seconds:+.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:+.0f} min"
    return f"{seconds / 3600:+.1f} h"
