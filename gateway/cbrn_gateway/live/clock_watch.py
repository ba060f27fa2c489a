"""The machine's own clock, watched: was it set, is it synchronised, what time was it really?"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from cbrn_core.alarm import Alarm, Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.system_clock import SET_S, WAIT_AFTER_BOOT_S, Machine

_LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
UNSYNCED_AFTER_S = 600.0
LATEST_S = 3600.0
"""So long after the start what this run stored may still be moved by its first true clock."""

ON_ITS_WAY_S = 2.0
"""So long what was stamped by the wrong clock may take to the stores."""

_LEAST_SHIFT_US = US_PER_S
_ABOUT = "clock"


class ClockWatch:
    """Tells when the wall clock is set, and gives what this run stamped the right time then.

    The pipeline runs on the steady clock, which begins at the wall time of the start. Once
    the wall clock has been set, alerts show their times by it; `on_set` hears of it, since
    what was told before may show a time to come. What was stored while the steady clock
    stood in for one that was not believed, or while the kernel had not yet vouched for it
    once (for an hour at most: then it may be rolled up), is put right:
    `put_right(shift_us, base_us)` moves what stands `base_us` beside its arrival.
    """

    def __init__(
        self,
        clock: Clock,
        notices: Notices,
        machine: Machine = Machine(),  # noqa: B008 - immutable
    ) -> None:
        self._clock = clock
        self._notices = notices
        self._machine = machine
        self.put_right: Callable[[int, int], Awaitable[int]] = _none_moved
        self.on_set: Callable[[], None] = _ignore
        self.restamped = 0
        now = clock.now()
        self._began_us = now.steady_us
        self._ahead_us = self._base_us = now.wall_us - now.steady_us
        self._stands_in = now.is_stand_in
        self._is_holding = now.is_stand_in and not self._has_waited()
        self._is_unvouched = machine.synchronised() is False
        self._may_come_true = self._is_unvouched
        self._is_moving = False

    @property
    def shift_us(self) -> int:
        """Return what brings a steady time of this run to the wall clock; 0 below a second."""
        return self._ahead_us if abs(self._ahead_us) >= _LEAST_SHIFT_US else 0

    def is_holding(self) -> bool:
        """Return whether samples shall wait for the right time: ten minutes after a boot at most.

        A daemon that is started later on the same boot holds nothing.
        """
        return self._is_holding

    def is_doubted(self) -> bool:
        """Return whether a sample of now gets a time that nobody vouches for."""
        return self._stands_in or self._is_unvouched

    def may_move(self) -> bool:
        """Return whether samples of this run stand at a time that is not final yet."""
        return self._stands_in or self._is_moving or self._may_come_true

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
        run_us = now.steady_us - self._began_us
        vouched = self._machine.synchronised()
        self._is_unvouched = vouched is False
        if self._has_waited():
            self._is_holding = False
        if run_us >= seconds_to_us(UNSYNCED_AFTER_S) and self.is_doubted():
            self._notices.failing(Reason.CLOCK_UNSYNCED, _ABOUT, "")
        is_right_again = self._stands_in and not now.is_stand_in
        came_true = self._may_come_true and vouched is True and ahead_us != self._base_us
        # in this order: the store's thread asks `may_move` at any time
        self._is_moving |= is_right_again or came_true
        self._stands_in = now.is_stand_in
        self._may_come_true &= self._is_unvouched and run_us < seconds_to_us(LATEST_S)
        return is_right_again or came_true

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
        shift_us = self._ahead_us - self._base_us
        if abs(shift_us) >= _LEAST_SHIFT_US:
            try:
                self.restamped += await self.put_right(shift_us, self._base_us)
            except StorageError as error:
                _LOG.error("samples stored before the clock was set keep their time: %s", error)
            self._base_us += shift_us
        self._is_holding = self._is_moving = False

    def _has_waited(self) -> bool:
        return self._machine.uptime_s() >= WAIT_AFTER_BOOT_S

    def _wall_us(self, steady_us: int) -> int:
        return steady_us + self.shift_us if steady_us >= self._began_us else steady_us


async def _none_moved(_shift_us: int, _base_us: int) -> int:
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
