"""Is a mobile station in the air? Cosmic radiation then explains a rise (safety 10)."""

import msgspec

from cbrn_core.place import Fix, distance_m
from cbrn_core.times import US_PER_S, seconds_to_us

_LEAST_STEP_US = seconds_to_us(2)
_HOLD_US = seconds_to_us(60)


class FlightMemory(msgspec.Struct, frozen=True, array_like=True):
    """Where a mobile station started and was last; `last` is (µs, lat, lon)."""

    start_m: float | None
    last: tuple[int, float, float] | None
    derived_m_s: float | None
    seen_us: int | None


class FlightWatch:
    """Altitude above the first fix and speed over ground of one mobile station.

    The speed is the receiver's own, else from successive fixes at least 2 s apart. A
    flight that was seen stands for a minute, so that a lost fix does not end it.
    """

    def __init__(self, altitude_m: float, speed_m_s: float) -> None:
        self._altitude_m = altitude_m
        self._speed_m_s = speed_m_s
        self._start_m: float | None = None
        self._last: tuple[int, float, float] | None = None
        self._derived_m_s: float | None = None
        self._seen_us: int | None = None

    def is_flying(self, fix: Fix | None, time_us: int) -> bool:
        """Take a fix; return whether altitude explains what is measured now."""
        if fix is not None and fix.gnss_fix is not False:
            self._note(fix, time_us)
        return self._seen_us is not None and 0 <= time_us - self._seen_us <= _HOLD_US

    def memory(self) -> FlightMemory:
        """Return the whole state."""
        return FlightMemory(self._start_m, self._last, self._derived_m_s, self._seen_us)

    def recall(self, memory: FlightMemory) -> None:
        """Replace the state."""
        self._start_m, self._last = memory.start_m, memory.last
        self._derived_m_s, self._seen_us = memory.derived_m_s, memory.seen_us

    def _note(self, fix: Fix, time_us: int) -> None:
        speed_m_s = self._speed(fix, time_us)
        if fix.alt_m is None:
            return
        if self._start_m is None:
            self._start_m = fix.alt_m
        high = fix.alt_m - self._start_m > self._altitude_m
        if high and speed_m_s is not None and speed_m_s > self._speed_m_s:
            self._seen_us = time_us

    def _speed(self, fix: Fix, time_us: int) -> float | None:
        if self._last is not None and time_us < self._last[0]:
            self._last = None
        if self._last is None or time_us - self._last[0] >= _LEAST_STEP_US:
            if self._last is not None:
                last_us, lat, lon = self._last
                moved_m = distance_m((lat, lon), (fix.lat, fix.lon))
                self._derived_m_s = moved_m / ((time_us - last_us) / US_PER_S)
            self._last = (time_us, fix.lat, fix.lon)
        return self._derived_m_s if fix.speed_m_s is None else fix.speed_m_s
