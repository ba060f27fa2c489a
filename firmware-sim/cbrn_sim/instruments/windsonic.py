"""Gill WindSonic ultrasonic anemometer: continuous polar output.

Source: Gill 1405-PS-0019 issue 30, section 6.1 and appendix E: STX, fields, ETX, XOR of
all bytes between them, CR LF; direction is empty below 0.05 m/s in CSV format.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from cbrn_sim.faults import Faults
from cbrn_sim.world.wind import Wind

_NO_DIRECTION_BELOW_M_S = 0.05
_SPEED_SPREAD = 0.02
_DIRECTION_SPREAD_DEG = 2.0
_STX, _ETX = b"\x02", b"\x03"


class LowWind(StrEnum):
    """What the direction field holds below 0.05 m/s."""

    EMPTY = "csv"
    FROZEN = "fixed_field"


class WindSonic:
    """One anemometer; `spike` and `step` faults are in m/s, a fault code is its status.

    Its scatter is the maker's accuracy: 2 % of the speed and 2 degrees. `north_mark_deg`
    is where its own north mark points, so that its direction is relative to that.
    """

    def __init__(
        self,
        wind: Callable[[float], Wind],
        faults: Faults,
        rng: np.random.Generator | None = None,
        *,
        rate_hz: float = 1.0,
        node: str = "Q",
        low_wind: LowWind = LowWind.EMPTY,
        north_mark_deg: float = 0.0,
    ) -> None:
        self.period_s = 1.0 / rate_hz
        self._wind = wind
        self._faults = faults
        self._rng = rng
        self._node = node
        self._low_wind = low_wind
        self._north_mark_deg = north_mark_deg
        self._direction_deg = 0

    def receive(self, chunk: bytes, t_s: float) -> bytes:  # noqa: ARG002 - continuous output
        """Return nothing: in continuous output it does not listen."""
        return b""

    def emit(self, t_s: float) -> bytes:
        """Return one line."""
        speed_m_s, from_deg = self._measured(t_s)
        speed_m_s = max(0.0, self._faults.report("speed", speed_m_s))
        from_deg = self._faults.report("direction", from_deg, scale=0.0)
        status = self._faults.active_code
        body = (
            f"{self._node},{self._direction(speed_m_s, from_deg)},{speed_m_s:06.2f},M,{status:02d},"
        )
        return framed(body)

    def _measured(self, t_s: float) -> tuple[float, float]:
        wind = self._wind(t_s)
        if self._rng is None:
            return wind.speed_m_s, wind.from_deg
        speed_m_s = wind.speed_m_s * (1 + _SPEED_SPREAD * self._rng.standard_normal())
        return speed_m_s, wind.from_deg + _DIRECTION_SPREAD_DEG * self._rng.standard_normal()

    def _direction(self, speed_m_s: float, from_deg: float) -> str:
        is_still = round(speed_m_s, 2) < _NO_DIRECTION_BELOW_M_S
        if is_still and self._low_wind is LowWind.EMPTY:
            return ""
        if not is_still:
            self._direction_deg = round(from_deg - self._north_mark_deg) % 360
        return f"{self._direction_deg:03d}"


def framed(body: str) -> bytes:
    """Return one line around the fields (with their last comma)."""
    checksum = 0
    for byte in body.encode("ascii"):
        checksum ^= byte
    return _STX + body.encode("ascii") + _ETX + f"{checksum:02X}\r\n".encode("ascii")
