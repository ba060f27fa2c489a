"""Samples that were overtaken on their way: in a row they may raise a level, never end one."""

from collections.abc import Iterable

from cbrn_core.estimate import Estimate
from cbrn_core.reading import Purpose, Reading
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.rules.levels import ALARM_RANK, LevelTest

LONGEST_GAP_S = 30.0
"""Between two that count as one after the other."""

MOST_KEPT = 8

BelatedMemory = list[tuple[int, float]]
"""The last ones of a channel, oldest first: time [µs] and value."""


class BelatedSamples:
    """What one channel's filter no longer takes, judged as it was shown."""

    def __init__(self) -> None:
        self._row: BelatedMemory = []

    def raised(
        self, time_us: int, value: float, tests: Iterable[LevelTest | None]
    ) -> LevelTest | None:
        """Take the next one; return the highest level that it raises with those before it."""
        if self._row and not 0 < time_us - self._row[-1][0] <= seconds_to_us(LONGEST_GAP_S):
            self._row = []
        self._row = [*self._row, (time_us, value)][-MOST_KEPT:]
        reached = [test for test in tests if test is not None and self._reaches(test)]
        if not reached:
            return None
        for test in reached:
            test.raise_now()
        return max(reached, key=lambda test: test.level.rank)

    def memory(self) -> BelatedMemory:
        """Return what is remembered."""
        return self._row

    def recall(self, memory: BelatedMemory) -> None:
        """Replace what is remembered."""
        self._row = memory

    def _reaches(self, test: LevelTest) -> bool:
        level = test.level
        if test.holding or level.rank < ALARM_RANK or level.hold_s > 0:
            return False
        last = self._row[-level.samples :]
        return len(last) == level.samples and all(v >= test.setpoint for _, v in last)


def as_shown(reading: Reading, value: float) -> Estimate:
    """Return a reading as the estimate that it is by itself."""
    return Estimate(
        station=reading.station,
        channel=reading.channel,
        time_us=reading.time_us,
        received_us=reading.received_us,
        value=value,
        sigma=reading.sigma or 0.0,
        unit=reading.unit,
        nis=0.0,
        quality=reading.quality,
        flags=reading.flags,
        instrument_value=value,
        fix=reading.fix,
        purpose=reading.purpose or Purpose.ACTUAL,
    )
