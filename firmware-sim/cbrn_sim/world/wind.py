"""Wind over the square: a mean and a seeded turbulence, the same everywhere in the square."""

from math import pi
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from cbrn_sim.streams import stream

Floats = npt.NDArray[np.float64]

_MODES = 32
_SLOWEST_HZ = 1 / 900
_FASTEST_HZ = 0.5
_CALMEST_M_S = 0.02


class WindClimate(msgspec.Struct, frozen=True, kw_only=True):
    """What the wind is like.

    Attributes:
        from_deg: direction it blows from, clockwise from true north.
        speed_sd: standard deviation of the speed as a fraction of the mean.
        direction_sd_deg: standard deviation of the direction.
        memory_s: time over which gusts and swings remember themselves.
    """

    speed_m_s: float
    from_deg: float
    speed_sd: float = 0.15
    direction_sd_deg: float = 6.0
    memory_s: float = 25.0


class Wind(NamedTuple):
    """Wind at one moment; direction it blows from, 0 up to 360, clockwise from true north."""

    speed_m_s: float
    from_deg: float


class WindField:
    """Wind as a function of time: closed form, so any moment may be asked in any order.

    Each of speed and direction is a sum of cosines with seeded phases whose power falls
    with frequency as that of a first-order process with `memory_s`.
    """

    def __init__(self, climate: WindClimate, seed: int) -> None:
        self.climate = climate
        rng = stream(seed, "wind")
        self._hz = np.geomspace(_SLOWEST_HZ, _FASTEST_HZ, _MODES)
        # Log-spaced modes each stand for a band as wide as their own frequency.
        power = self._hz / (1.0 + (2 * pi * self._hz * climate.memory_s) ** 2)
        self._amplitude = np.sqrt(2.0 * power / power.sum())
        self._speed_phase = rng.uniform(0.0, 2 * pi, _MODES)
        self._direction_phase = rng.uniform(0.0, 2 * pi, _MODES)

    def at(self, t_s: float) -> Wind:
        """Return the wind at scenario time `t_s`."""
        speed, direction = self.series(np.array([t_s]))
        return Wind(float(speed[0]), float(direction[0]) % 360.0)

    def series(self, t_s: Floats) -> tuple[Floats, Floats]:
        """Return speed (m/s) and direction (deg, not wrapped) for many moments."""
        angle = 2 * pi * self._hz * t_s[:, None]
        gust = np.cos(angle + self._speed_phase) @ self._amplitude
        swing = np.cos(angle + self._direction_phase) @ self._amplitude
        speed = self.climate.speed_m_s * (1.0 + self.climate.speed_sd * gust)
        direction = self.climate.from_deg + self.climate.direction_sd_deg * swing
        return np.maximum(speed, _CALMEST_M_S), direction
