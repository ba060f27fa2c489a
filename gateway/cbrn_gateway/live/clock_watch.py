"""The machine's own clock, watched: was it set, is it synchronised, what time was it really?"""

import ctypes
from collections.abc import Callable

import msgspec

from cbrn_core.alarm import Alarm, Reason
from cbrn_core.clock import Clock
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.live.notices import Notices

LOOK_EVERY_S = 1.0
SET_S = 0.5
"""Between two looks a clock that is only slewed moves by half a millisecond."""

UNSYNCED_AFTER_S = 600.0
_BELIEVED_BEHIND_US = seconds_to_us(86_400)
_LEAST_SHIFT_US = US_PER_S
_ABOUT = "clock"
_TIMEX_BYTES = 512
_TIME_ERROR = 5


class ClockWatch:
    """Tells when the wall clock is set, and gives alerts the time that it shows now.

    The pipeline runs on the steady clock, which begins at the wall time of the start. Once
    the wall clock has been set, what this run stamped is shown in the time that is right.
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
        now = clock.now()
        self._began_us = now.steady_us
        self._ahead_us = now.wall_us - now.steady_us

    @property
    def shift_us(self) -> int:
        """Return what brings a steady time of this run to the wall clock; 0 below a second.

        A wall clock more than a day behind what was stored before is not believed.
        """
        small = abs(self._ahead_us) < _LEAST_SHIFT_US
        return 0 if small or self._ahead_us < -_BELIEVED_BEHIND_US else self._ahead_us

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Compare the two clocks."""
        now = self._clock.now()
        ahead_us = now.wall_us - now.steady_us
        moved_us = ahead_us - self._ahead_us
        self._ahead_us = ahead_us
        if abs(moved_us) > seconds_to_us(SET_S):
            self._notices.failing(Reason.CLOCK_SET, _ABOUT, f"by {_signed(moved_us)}")
        settled = now.steady_us - self._began_us >= seconds_to_us(UNSYNCED_AFTER_S)
        if settled and self._synchronised() is False:
            self._notices.failing(Reason.CLOCK_UNSYNCED, _ABOUT, "")

    def stamped(self, alarm: Alarm) -> Alarm:
        """Return the alarm with the times of this run as the wall clock tells them."""
        if not self.shift_us:
            return alarm
        return msgspec.structs.replace(
            alarm,
            raised_us=self._wall_us(alarm.raised_us),
            changed_us=self._wall_us(alarm.changed_us),
            ack_us=None if alarm.ack_us is None else self._wall_us(alarm.ack_us),
            until_us=None if alarm.until_us is None else self._wall_us(alarm.until_us),
        )

    def _wall_us(self, steady_us: int) -> int:
        return steady_us + self.shift_us if steady_us >= self._began_us else steady_us


def kernel_synchronised() -> bool | None:
    """Return whether the kernel says that its clock is synchronised; None where it does not say.

    Source: adjtimex(2); with no modes set it only reads, and TIME_ERROR is 5.
    """
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _signed(moved_us: int) -> str:
    seconds = moved_us / US_PER_S
    if abs(seconds) < 120:
        return f"{seconds:+.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:+.0f} min"
    return f"{seconds / 3600:+.1f} h"
