"""How old a channel's last report may be: learnt periods and stale deadlines.

Deadlines are values in a heap, so that replay steps exactly to each (no timers).
"""

import heapq
from collections.abc import Mapping
from statistics import median

import msgspec

from cbrn_core.channel import Channel
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.pipeline.timeline import Timeline

PERIOD_LEAST_S = 0.1
PERIOD_MOST_S = 600.0
INTERVALS_LEARNT = 10
STALE_LEAST_S = 5.0
STALE_PERIODS = 3
FIRST_REPORT_GRACE_S = 60.0
LONGEST_WARM_UP_S = 1800.0
"""An instrument that warms up for longer does not watch."""


class Freshness(msgspec.Struct, kw_only=True):
    """One channel's reporting rhythm; times on the steady clock in µs.

    Attributes:
        last_received_us: arrival of the last reading that told something.
        warming_since_us: since when it has been warming up without a break.
    """

    last_received_us: int | None = None
    warming_since_us: int | None = None
    timeline: Timeline = msgspec.field(default_factory=Timeline)
    intervals_us: list[int] = []
    stale: bool = False


def learnt_period_s(channel: Channel, freshness: Freshness) -> float | None:
    """Return the configured period, else the median of the last ten intervals (contracts §2)."""
    if channel.period_s is not None:
        return channel.period_s
    if not freshness.intervals_us:
        return None
    period_s = median(freshness.intervals_us) / US_PER_S
    return min(max(period_s, PERIOD_LEAST_S), PERIOD_MOST_S)


def stale_after_us(channel: Channel, freshness: Freshness) -> int:
    """Return the age at which a report is stale: configured, or max(3 periods, 5 s)."""
    if channel.stale_after_s is not None:
        return seconds_to_us(channel.stale_after_s)
    period_s = learnt_period_s(channel, freshness)
    if period_s is None:
        return seconds_to_us(FIRST_REPORT_GRACE_S)
    return seconds_to_us(max(STALE_PERIODS * period_s, STALE_LEAST_S))


def has_fixed_wait(channel: Channel) -> bool:
    """Return whether the age at which reports are stale is known beforehand."""
    return channel.stale_after_s is not None or channel.period_s is not None


def note_interval(freshness: Freshness, interval_us: int) -> None:
    """Learn one more interval between two measurements."""
    freshness.intervals_us.append(interval_us)
    del freshness.intervals_us[:-INTERVALS_LEARNT]


def still_warms_up(freshness: Freshness, at_us: int) -> bool:
    """Note that the channel warms up; return whether it has not done so for too long."""
    if freshness.warming_since_us is None:
        freshness.warming_since_us = at_us
    return at_us - freshness.warming_since_us <= seconds_to_us(LONGEST_WARM_UP_S)


class StaleDeadlines:
    """Which slot goes stale next.

    A later deadline is not moved in the heap: it is looked up when the entry comes up.
    An earlier one (the period has been learnt) replaces the entry at once.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._watched_us: dict[int, int] = {}

    def watch(self, slot: int, deadline_us: int) -> None:
        """Watch a slot until `deadline_us`, unless it is watched until an earlier moment."""
        watched_us = self._watched_us.get(slot)
        if watched_us is None or deadline_us < watched_us:
            self._watched_us[slot] = deadline_us
            heapq.heappush(self._heap, (deadline_us, slot))

    def move(self, slots: Mapping[int, int]) -> None:
        """Watch each slot under its new number; those without one no longer."""
        self._watched_us = {slots[s]: us for s, us in self._watched_us.items() if s in slots}
        self._heap = [(deadline_us, slot) for slot, deadline_us in self._watched_us.items()]
        heapq.heapify(self._heap)

    def is_watched(self, slot: int) -> bool:
        """Return whether a slot has a deadline."""
        return slot in self._watched_us

    def next_us(self) -> int | None:
        """Return the earliest moment at which something may be stale."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_us: int) -> tuple[int, int] | None:
        """Return (deadline, slot) of the earliest entry due at `now_us`, no longer watched."""
        while self._heap and self._heap[0][0] <= now_us:
            deadline_us, slot = heapq.heappop(self._heap)
            if self._watched_us.get(slot) == deadline_us:
                del self._watched_us[slot]
                return deadline_us, slot
        return None
