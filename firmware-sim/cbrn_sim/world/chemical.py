"""Releases of a gas: each a row of puffs that drift with the wind and grow as they travel."""

import msgspec
import numpy as np

from cbrn_core.units import Unit, convert
from cbrn_sim.world.dispersion import Floats, Stability, Terrain, briggs_widths_m, puff_g_m3
from cbrn_sim.world.square import Point
from cbrn_sim.world.wind import WindField

_DRIFT_STEP_S = 0.25
_MG_PER_G = 1e3


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A mass of one agent set free at one point, evenly over `duration_s` (0: at once).

    Attributes:
        initial_width_m: width of the cloud where it leaves the source; added in
            quadrature, keeps the concentration finite there.
        lives_s: after this age a puff has left the square and is forgotten.
    """

    agent: str
    molar_mass_g_mol: float
    mass_g: float
    start_s: float
    duration_s: float
    point: Point
    stability: Stability = Stability.D
    terrain: Terrain = Terrain.URBAN
    initial_width_m: float = 0.4
    puff_interval_s: float = 0.5
    lives_s: float = 600.0

    @property
    def end_s(self) -> float:
        """Return when the release stops."""
        return self.start_s + self.duration_s


class Cloud:
    """One release carried by one wind; concentrations at any point and moment."""

    def __init__(self, release: Release, wind: WindField) -> None:
        self.release = release
        count = max(1, round(release.duration_s / release.puff_interval_s))
        self._puff_mass_g = release.mass_g / count
        interval_s = release.duration_s / count
        self._released_s = release.start_s + interval_s * (np.arange(count, dtype=np.float64) + 0.5)
        self._grid_s, self._drift = _drift(wind, release)
        self._at_release = self._drift_at(self._released_s)

    def concentration_g_m3(self, point: Point, t_s: float) -> float:
        """Return the concentration at `point` in g/m³."""
        r = self.release
        age_s = t_s - self._released_s
        alive = (age_s > 0) & (age_s < r.lives_s)
        if not alive.any():
            return 0.0
        now = self._drift_at(np.array([t_s]))
        east, north, travelled = now - self._at_release[:, alive]
        sigma_y, sigma_z = briggs_widths_m(travelled, r.stability, r.terrain)
        puffs = puff_g_m3(
            mass_g=self._puff_mass_g,
            sigma_h_m=np.hypot(sigma_y, r.initial_width_m),
            sigma_z_m=np.hypot(sigma_z, r.initial_width_m),
            off_centre_m=np.hypot(
                point.east_m - r.point.east_m - east, point.north_m - r.point.north_m - north
            ),
            height_m=point.height_m,
            release_height_m=r.point.height_m,
        )
        return float(puffs.sum())

    def concentration_ppm(self, point: Point, t_s: float) -> float:
        """Return the concentration at `point` in ppm at 25 °C and 1013.25 hPa."""
        mg_m3 = self.concentration_g_m3(point, t_s) * _MG_PER_G
        return convert(mg_m3, Unit.MG_M3, Unit.PPM, molar_mass_g_mol=self.release.molar_mass_g_mol)

    def _drift_at(self, t_s: Floats) -> Floats:
        return np.stack([np.interp(t_s, self._grid_s, row) for row in self._drift])


def _drift(wind: WindField, release: Release) -> tuple[Floats, Floats]:
    """Return a time grid and, on it, how far east, north and in all the air has moved."""
    span_s = release.duration_s + release.lives_s + _DRIFT_STEP_S
    grid_s = release.start_s + np.arange(0.0, span_s, _DRIFT_STEP_S)
    speed, from_deg = wind.series(grid_s)
    # Wind from 240 degrees carries towards 60: minus sine and cosine of where it comes from.
    velocity = np.stack(
        [-speed * np.sin(np.radians(from_deg)), -speed * np.cos(np.radians(from_deg)), speed]
    )
    steps = (velocity[:, 1:] + velocity[:, :-1]) / 2 * _DRIFT_STEP_S
    moved = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)
    return grid_s, moved
