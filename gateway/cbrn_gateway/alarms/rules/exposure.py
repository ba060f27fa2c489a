"""Exposure at one place: running means and toxic loads over sliding windows.

AEGL-k for t minutes is compared with the mean over the last t minutes, or with the load
∫Cⁿdt of that window (ten Berge 1986); below 10 min the 10-min figure stands (no
extrapolation). Reference: NRC, Standing Operating Procedures for AEGLs, 2001, §2.7.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from cbrn_core.agents import Agent
from cbrn_core.times import US_PER_S, seconds_to_us

LONGEST_WINDOW_S = 3600.0
BIN_S = 10.0
_BIN_US = seconds_to_us(BIN_S)


def toxic_load_fraction(
    load: float, anchors: Iterable[tuple[float, float]], exponent: float
) -> float:
    """Return the greatest share of a guideline's load, over its anchor durations.

    Args:
        load: ∫Cⁿdt [unitⁿ·min] of an exposure no longer than the anchors that matter.
        anchors: (minutes, concentration) as tabulated.
        exponent: n.
    """
    shares = (load / (c**exponent * minutes) for minutes, c in anchors)
    return max(shares, default=0.0)


def exponent_for(agent: Agent, minutes: float) -> float | None:
    """Return n of Cⁿ·t for an exposure of so many minutes; None where it is not known."""
    late = agent.late_after_min is not None and minutes > agent.late_after_min
    return agent.late_exponent if late else agent.toxic_load_exponent


class ExposureMemory(msgspec.Struct, frozen=True, array_like=True):
    """What a meter knows; `bins` are (start µs, dose, load, unknown s)."""

    bins: list[tuple[int, float, float, float]]
    last_us: int | None
    last_c: float


class _Bin:
    __slots__ = ("dose", "load", "start_us", "unknown_s")

    def __init__(self, start_us: int) -> None:
        self.start_us = start_us
        self.dose = 0.0
        self.load = 0.0
        self.unknown_s = 0.0


class ExposureMeter:
    """Dose and load of the last hour in bins of 10 s; closed (and empty) in quiet times.

    `exponent` is the n of the load; a gap longer than `hold_last_s` is unknown, not nothing:
    it is counted in `coverage`.
    """

    def __init__(self, exponent: float, hold_last_s: float) -> None:
        self._exponent = exponent
        self._hold_us = seconds_to_us(hold_last_s)
        self._bins: deque[_Bin] = deque()
        self._last_us: int | None = None
        self._last_c = 0.0
        self._means: dict[float, float] = {}
        self._loads: dict[float, float] = {}

    @property
    def is_open(self) -> bool:
        """Return whether anything lies in the last hour."""
        return bool(self._bins)

    def add(self, time_us: int, concentration: float) -> None:
        """Take one sample (not negative).

        One that is older than the last comes from a clock that was set back: what was
        added up is moved back with it, and nothing is integrated in between.
        """
        if self._last_us is not None and time_us < self._last_us:
            self._move(time_us - self._last_us)
            self._last_us = time_us
        last_us, last_c = self._last_us, self._last_c
        self._last_us, self._last_c = time_us, concentration
        self._means.clear()
        if last_us is None or last_us // _BIN_US != time_us // _BIN_US:
            self._loads.clear()
        if last_us is not None and (self._bins or concentration > 0 or last_c > 0):
            self._integrate(last_us, time_us, last_c, concentration)
        self._forget(time_us)

    def idle(self) -> None:
        """Note a sample of nothing while the meter is closed: the next one begins anew.

        A quiet channel does not come here at all, and one sample alone is no exposure.
        """
        self._last_us, self._last_c = None, 0.0
        self._means.clear()
        self._loads.clear()

    def mean(self, window_s: float) -> float:
        """Return the mean concentration of the last `window_s`."""
        if window_s not in self._means:
            self._means[window_s] = self._sum(window_s, load=False) / window_s
        return self._means[window_s]

    def load(self, window_s: float) -> float:
        """Return ∫Cⁿdt of the last `window_s` [unitⁿ·s], summed anew every 10 s."""
        if window_s not in self._loads:
            self._loads[window_s] = self._sum(window_s, load=True)
        return self._loads[window_s]

    def coverage(self, window_s: float) -> float:
        """Return which share of the last `window_s` was measured, 0 to 1."""
        start_us = (self._last_us or 0) - seconds_to_us(window_s)
        unknown_s = sum(b.unknown_s for b in self._bins if b.start_us >= start_us)
        return max(0.0, 1.0 - unknown_s / window_s)

    def memory(self) -> ExposureMemory:
        """Return the whole state."""
        bins = [(b.start_us, b.dose, b.load, b.unknown_s) for b in self._bins]
        return ExposureMemory(bins, self._last_us, self._last_c)

    def recall(self, memory: ExposureMemory) -> None:
        """Replace the state by one of a meter with the same exponent."""
        self._bins.clear()
        for start_us, dose, load, unknown_s in memory.bins:
            found = self._bin(start_us)
            found.dose, found.load, found.unknown_s = dose, load, unknown_s
        self._last_us, self._last_c = memory.last_us, memory.last_c
        self._means.clear()
        self._loads.clear()

    def _move(self, by_us: int) -> None:
        for found in self._bins:
            found.start_us += by_us // _BIN_US * _BIN_US
        self._means.clear()
        self._loads.clear()

    def _integrate(self, start_us: int, end_us: int, first_c: float, last_c: float) -> None:
        if end_us - start_us <= self._hold_us:
            mean_load = (first_c**self._exponent + last_c**self._exponent) / 2
            self._spread(start_us, end_us, ((first_c + last_c) / 2, mean_load))
            return
        known_us = start_us + self._hold_us
        self._spread(start_us, known_us, (first_c, first_c**self._exponent))
        earliest_us = end_us - seconds_to_us(LONGEST_WINDOW_S)
        self._spread(max(known_us, earliest_us), end_us, None)

    def _spread(self, start_us: int, end_us: int, rates: tuple[float, float] | None) -> None:
        at_us = start_us
        while at_us < end_us:
            bin_us = at_us // _BIN_US * _BIN_US
            until_us = min(end_us, bin_us + _BIN_US)
            seconds = (until_us - at_us) / US_PER_S
            target = self._bin(bin_us)
            if rates is None:
                target.unknown_s += seconds
            else:
                target.dose += rates[0] * seconds
                target.load += rates[1] * seconds
            at_us = until_us

    def _bin(self, start_us: int) -> _Bin:
        for found in reversed(self._bins):
            if found.start_us == start_us:
                return found
            if found.start_us < start_us:
                break
        self._bins.append(_Bin(start_us))
        return self._bins[-1]

    def _forget(self, now_us: int) -> None:
        earliest_us = now_us - seconds_to_us(LONGEST_WINDOW_S + BIN_S)
        while self._bins and self._bins[0].start_us < earliest_us:
            self._bins.popleft()
        if self._bins and self._bins[-1].dose == 0 and all(b.dose == 0 for b in self._bins):
            self._bins.clear()

    def _sum(self, window_s: float, *, load: bool) -> float:
        start_us = (self._last_us or 0) - seconds_to_us(window_s)
        total = 0.0
        for found in reversed(self._bins):
            amount = found.load if load else found.dose
            if found.start_us < start_us:
                inside_us = found.start_us + _BIN_US - start_us
                total += amount * max(0, inside_us) / _BIN_US
                break
            total += amount
        return total
