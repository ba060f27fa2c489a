"""One level of one channel: when it is reached, and when it is left again."""

from collections.abc import Iterable, Sequence

import msgspec

from cbrn_core.alarm import Basis, Priority, Reason
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.rules.watched import Facts

NOTICE_RANK = 10
LOW_RANK = 15
ALARM_RANK = 20
EXCEEDED_RANK = 30
EXTREME_RANK = 40
EXTREME_EXCEEDED_RANK = 50
"""Severity within one alarm: the fact `level_rank`, by which the machine sees an escalation."""

_WIDEST_DEADBAND = 0.5


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A level and how it is judged.

    Attributes:
        words: the alert's `level`.
        setpoint: in the channel's canonical unit.
        hold_s: how long it must hold beside the consecutive samples.
        facts: about the limit behind it.
    """

    rank: int
    reason: Reason
    words: str
    setpoint: float
    priority: Priority
    samples: int
    off_delay_s: float
    hold_s: float = 0.0
    basis: Basis = Basis.MOMENTARY
    facts: Facts = {}


class LevelMemory(msgspec.Struct, frozen=True, array_like=True):
    """How far one level has been reached or left; steady µs."""

    holding: bool
    count: int
    first_us: int
    below_us: int | None
    setpoint: float


class LevelTest:
    """Consecutive samples, persistence, deadband and off-delay of one level.

    It clears below set − max(fraction of set, n σ), the deadband being at most half of
    the setpoint, so that a noisy channel can clear at all.
    """

    __slots__ = (
        "_below_us",
        "_deadband",
        "_first_us",
        "_hold_us",
        "_off_us",
        "_sigmas",
        "active",
        "count",
        "holding",
        "level",
        "setpoint",
    )

    def __init__(self, level: Level, deadband_fraction: float, deadband_sigmas: float) -> None:
        self.level = level
        self.setpoint = level.setpoint
        self.active = False
        self.holding = False
        self.count = 0
        self._deadband = deadband_fraction
        self._sigmas = deadband_sigmas
        self._hold_us = seconds_to_us(level.hold_s)
        self._off_us = seconds_to_us(level.off_delay_s)
        self._first_us = 0
        self._below_us: int | None = None

    @property
    def pending(self) -> bool:
        """Return whether the level is reached but not yet for long enough."""
        return self.count > 0 and not self.holding

    def clear_limit(self, sigma: float) -> float:
        """Return the value below which the level counts as left."""
        deadband = max(self._deadband * self.setpoint, self._sigmas * sigma)
        return self.setpoint - min(deadband, _WIDEST_DEADBAND * self.setpoint)

    def see(self, value: float, sigma: float, now_us: int) -> bool:
        """Take one more sample; return whether the level holds now."""
        self.active = (
            self._held(value, sigma, now_us)
            if self.holding
            else self._reached(value, sigma, now_us)
        )
        return self.active

    def raise_now(self) -> None:
        """Let the level hold without further samples (one extreme sample, or a restart)."""
        self.active = self.holding = True
        self._below_us = None

    def interrupt(self) -> None:
        """Forget that the level was being left: nothing fresh is known any more."""
        self._below_us = None

    def memory(self) -> LevelMemory:
        """Return the whole state."""
        return LevelMemory(self.holding, self.count, self._first_us, self._below_us, self.setpoint)

    def recall(self, memory: LevelMemory) -> None:
        """Replace the state by that of a test of the same level."""
        self.active = False
        self.holding, self.count = memory.holding, memory.count
        self._first_us, self._below_us = memory.first_us, memory.below_us
        self.setpoint = memory.setpoint

    def _reached(self, value: float, sigma: float, now_us: int) -> bool:
        if value < self.setpoint:
            tolerated = self._hold_us > 0 and self.count > 0 and value >= self.clear_limit(sigma)
            if not tolerated:
                self.count = 0
            return False
        self.count += 1
        if self.count == 1:
            self._first_us = now_us
        long_enough = now_us - self._first_us >= self._hold_us
        if self.count < self.level.samples or not long_enough:
            return False
        self.raise_now()
        return True

    def _held(self, value: float, sigma: float, now_us: int) -> bool:
        if value >= self.clear_limit(sigma):
            self._below_us = None
            return True
        if self._below_us is None:
            self._below_us = now_us
        if now_us - self._below_us >= self._off_us:
            self.holding = False
            self.count = 0
        return False


def recall_equal(
    tests: Iterable[LevelTest], levels: Sequence[Level], memories: Sequence[LevelMemory]
) -> None:
    """Let each test go on where an equal level was remembered."""
    for test in tests:
        for level, memory in zip(levels, memories, strict=True):
            if level == test.level:
                test.recall(memory)
