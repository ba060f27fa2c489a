"""The order of one channel's readings, also after its clock was set back.

A filter needs times that rise. An old reading is told from a clock that was set back by
its pace: a backlog arrives all at once or faster than it was measured, a clock that is
wrong runs on at the pace of the readings' arrival. Nothing may stay unheard until a wrong
clock has caught up with the time it once showed.

What was overtaken on its way by at most half a minute is still news, once; what is older,
or was there before, is history.
"""

from bisect import bisect_left
from enum import Enum

import msgspec

from cbrn_core.times import seconds_to_us

CLOCK_SET_AFTER_S = 2.0
"""So long old readings must come at their own pace before their clock is believed."""

HORIZON_S = 30.0
"""By so much a reading may be overtaken and still be judged."""

_HORIZON_US = seconds_to_us(HORIZON_S)
_MOST_RECENT = 32
_CLOCK_SET_AFTER_US = seconds_to_us(CLOCK_SET_AFTER_S)
_MOST_PACE = 2.0


class Order(Enum):
    """Where a reading stands among those of its channel."""

    NEXT = "next"
    BELATED = "belated"
    """Overtaken by a newer one, not there before: it may raise an alarm, never end one."""

    LATE = "late"
    """A repeat, or older than the horizon: kept and shown, its level is not judged."""

    CLOCK_SET = "clock_set"
    """First one after the clock was found to have been set back."""


class Pace(msgspec.Struct, array_like=True):
    """Whether old readings, one after the other, come as fast as they were measured; µs."""

    first_time_us: int | None = None
    first_at_us: int = 0
    last_time_us: int = 0

    def keeps(self, time_us: int, at_us: int) -> bool:
        """Take the next old reading; return whether a wrong clock explains it."""
        if self.first_time_us is None or time_us < self.last_time_us:
            self.first_time_us, self.first_at_us, self.last_time_us = time_us, at_us, time_us
            return False
        if time_us == self.last_time_us:
            return False
        self.last_time_us = time_us
        measured_us, arrived_us = time_us - self.first_time_us, at_us - self.first_at_us
        in_pace = measured_us <= _MOST_PACE * arrived_us and arrived_us <= _MOST_PACE * measured_us
        return in_pace and arrived_us >= _CLOCK_SET_AFTER_US

    def forget(self) -> None:
        """Note a reading that is not old."""
        self.first_time_us = None


class Timeline(msgspec.Struct, array_like=True):
    """What is known of one channel's times; `at_us` are arrivals on the steady clock.

    Attributes:
        last_us: measurement time of the newest reading in order.
        last_at_us: its arrival.
        shift_us: what the filters add to measurement times so that theirs never fall.
        recent_us: the times taken last, at least 32 where there were so many.
    """

    last_us: int | None = None
    last_at_us: int = 0
    shift_us: int = 0
    behind: Pace = msgspec.field(default_factory=Pace)
    recent_us: list[int] = []

    def place(self, time_us: int, at_us: int) -> Order:
        """Take the next reading to arrive; return where it stands."""
        if self.last_us is None or time_us > self.last_us:
            self._take(time_us, at_us)
            return Order.NEXT
        if not self.behind.keeps(time_us, at_us):
            return self._overtaken(time_us)
        self.recent_us.clear()
        went_on_us = max(1, at_us - self.last_at_us)
        self.shift_us += self.last_us + went_on_us - time_us
        self._take(time_us, at_us)
        return Order.CLOCK_SET

    def _take(self, time_us: int, at_us: int) -> None:
        self.last_us, self.last_at_us = time_us, at_us
        self.behind.forget()
        self._remember(time_us)

    def _overtaken(self, time_us: int) -> Order:
        recent_us = self.recent_us
        newest_us = recent_us[-1] if recent_us else time_us
        forgotten = len(recent_us) >= _MOST_RECENT and time_us < recent_us[0]
        is_history = newest_us - time_us > _HORIZON_US or forgotten
        place = bisect_left(recent_us, time_us)
        if is_history or recent_us[place : place + 1] == [time_us]:
            return Order.LATE
        recent_us.insert(place, time_us)
        return Order.BELATED

    def _remember(self, time_us: int) -> None:
        self.recent_us.append(time_us)
        if len(self.recent_us) >= 2 * _MOST_RECENT:
            del self.recent_us[:-_MOST_RECENT]
