"""Gaussian plume and puff with Briggs dispersion widths: pure functions.

Sources: G. A. Briggs, "Diffusion estimation for small emissions", ATDL-106, 1973 (the
widths, urban and open country); plume and puff formulas with ground reflection as in
any text on dispersion. Valid beyond about 100 m over open ground: in a square this
makes a plausible world, not a prediction.
"""

from enum import StrEnum
from math import pi

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Stability(StrEnum):
    """Pasquill class: A very unstable … D neutral … F stable."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class Terrain(StrEnum):
    """Which set of Briggs widths."""

    RURAL = "rural"
    URBAN = "urban"


# (a, k, p): width = a x (1 + k x)^p, x in m.
_Curve = tuple[float, float, float]
_S = Stability
_SIGMA_Y: dict[Terrain, dict[Stability, _Curve]] = {
    Terrain.RURAL: {
        s: (a, 1e-4, -0.5)
        for s, a in zip(Stability, (0.22, 0.16, 0.11, 0.08, 0.06, 0.04), strict=True)
    },
    Terrain.URBAN: {
        s: (a, 4e-4, -0.5)
        for s, a in zip(Stability, (0.32, 0.32, 0.22, 0.16, 0.11, 0.11), strict=True)
    },
}
_SIGMA_Z: dict[Terrain, dict[Stability, _Curve]] = {
    Terrain.RURAL: {
        _S.A: (0.20, 0.0, 1.0),
        _S.B: (0.12, 0.0, 1.0),
        _S.C: (0.08, 2e-4, -0.5),
        _S.D: (0.06, 1.5e-3, -0.5),
        _S.E: (0.03, 3e-4, -1.0),
        _S.F: (0.016, 3e-4, -1.0),
    },
    Terrain.URBAN: {
        _S.A: (0.24, 1e-3, 0.5),
        _S.B: (0.24, 1e-3, 0.5),
        _S.C: (0.20, 0.0, 1.0),
        _S.D: (0.14, 3e-4, -0.5),
        _S.E: (0.08, 1.5e-3, -0.5),
        _S.F: (0.08, 1.5e-3, -0.5),
    },
}


def briggs_widths_m(
    distance_m: Floats | float, stability: Stability, terrain: Terrain = Terrain.URBAN
) -> tuple[Floats, Floats]:
    """Return (sigma_y, sigma_z) in metres after `distance_m` of travel."""
    x = np.asarray(distance_m, dtype=np.float64)
    a_y, k_y, p_y = _SIGMA_Y[terrain][stability]
    a_z, k_z, p_z = _SIGMA_Z[terrain][stability]
    return a_y * x * (1 + k_y * x) ** p_y, a_z * x * (1 + k_z * x) ** p_z


def plume_g_m3(
    *,
    rate_g_s: float,
    wind_m_s: float,
    downwind_m: Floats | float,
    crosswind_m: Floats | float,
    height_m: Floats | float,
    release_height_m: float,
    stability: Stability,
    terrain: Terrain = Terrain.URBAN,
) -> Floats:
    """Return the concentration of a steady plume in g/m³; zero upwind of the release."""
    x = np.asarray(downwind_m, dtype=np.float64)
    y = np.asarray(crosswind_m, dtype=np.float64)
    z = np.asarray(height_m, dtype=np.float64)
    sigma_y, sigma_z = briggs_widths_m(np.where(x > 0, x, 1.0), stability, terrain)
    lateral = np.exp(-(y**2) / (2 * sigma_y**2))
    vertical = _reflected(z, release_height_m, sigma_z)
    plume = rate_g_s / (2 * pi * wind_m_s * sigma_y * sigma_z) * lateral * vertical
    return np.where(x > 0, plume, 0.0)


def puff_g_m3(
    *,
    mass_g: Floats | float,
    sigma_h_m: Floats | float,
    sigma_z_m: Floats | float,
    off_centre_m: Floats | float,
    height_m: float,
    release_height_m: float,
) -> Floats:
    """Return the concentration in g/m³ at a horizontal distance from a puff's centre.

    The puff is round in the plane (sigma_x = sigma_y = `sigma_h_m`) and reflected by
    the ground.
    """
    sigma_h = np.asarray(sigma_h_m, dtype=np.float64)
    sigma_z = np.asarray(sigma_z_m, dtype=np.float64)
    lateral = np.exp(-(np.asarray(off_centre_m, dtype=np.float64) ** 2) / (2 * sigma_h**2))
    vertical = _reflected(np.float64(height_m), release_height_m, sigma_z)
    return np.asarray(mass_g / ((2 * pi) ** 1.5 * sigma_h**2 * sigma_z) * lateral * vertical)


def _reflected(height_m: Floats | np.float64, release_height_m: float, sigma_z_m: Floats) -> Floats:
    below = np.exp(-((height_m - release_height_m) ** 2) / (2 * sigma_z_m**2))
    mirrored = np.exp(-((height_m + release_height_m) ** 2) / (2 * sigma_z_m**2))
    return np.asarray(below + mirrored)
