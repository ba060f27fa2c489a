"""Plume and puff against published figures and the conservation of mass."""

import numpy as np
import pytest

from cbrn_sim.world.dispersion import (
    Stability,
    Terrain,
    briggs_widths_m,
    plume_g_m3,
    puff_g_m3,
)

# Q = 1 g/s, u = 3 m/s, h = 2 m, z = 1.5 m:
# terrain, class, x, sigma_y, sigma_z, C(y = 0), C(y = 20 m) in g/m3.
PLUMES = [
    (Terrain.RURAL, "D", 100, 7.960298, 5.595029, 2.165880e-3, 9.223430e-5),
    (Terrain.RURAL, "D", 500, 39.036003, 22.677868, 1.191324e-4, 1.044789e-4),
    (Terrain.RURAL, "F", 100, 3.980149, 1.553398, 8.825291e-3, 2.902426e-8),
    (Terrain.URBAN, "C", 100, 21.572775, 20.0, 2.440125e-4, 1.587717e-4),
    (Terrain.URBAN, "D", 100, 15.689291, 13.794610, 4.823231e-4, 2.140296e-4),
    (Terrain.URBAN, "D", 500, 73.029674, 65.275337, 2.224139e-5, 2.142279e-5),
    (Terrain.URBAN, "E", 100, 10.786387, 7.460038, 1.248406e-3, 2.237691e-4),
    (Terrain.URBAN, "F", 100, 10.786387, 7.460038, 1.248406e-3, 2.237691e-4),
]


@pytest.mark.parametrize(("terrain", "pasquill", "x", "sigma_y", "sigma_z", "axis", "off"), PLUMES)
def test_the_plume_reproduces_the_published_figures(
    terrain, pasquill, x, sigma_y, sigma_z, axis, off
):
    stability = Stability(pasquill)
    widths = briggs_widths_m(x, stability, terrain)
    assert widths == pytest.approx((sigma_y, sigma_z), rel=1e-6)
    plume = plume_g_m3(
        rate_g_s=1.0,
        wind_m_s=3.0,
        downwind_m=float(x),
        crosswind_m=np.array([0.0, 20.0]),
        height_m=1.5,
        release_height_m=2.0,
        stability=stability,
        terrain=terrain,
    )
    assert plume == pytest.approx([axis, off], rel=1e-6)


def test_the_puff_reproduces_the_published_figure():
    sigma_y, sigma_z = briggs_widths_m(180.0, Stability.D)
    concentration = puff_g_m3(
        mass_g=1000.0,
        sigma_h_m=sigma_y,
        sigma_z_m=sigma_z,
        off_centre_m=0.0,
        height_m=1.5,
        release_height_m=0.0,
    )
    assert float(concentration) == pytest.approx(6.673887e-3, rel=1e-6)


def test_nothing_is_upwind_of_a_plume():
    plume = plume_g_m3(
        rate_g_s=1.0,
        wind_m_s=3.0,
        downwind_m=np.array([-50.0, -0.1, 0.0]),
        crosswind_m=0.0,
        height_m=1.5,
        release_height_m=2.0,
        stability=Stability.D,
    )
    assert plume.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("stability", list(Stability))
@pytest.mark.parametrize("terrain", list(Terrain))
def test_what_flows_through_a_plane_is_what_is_released(stability, terrain):
    sigma_y, sigma_z = (float(s) for s in briggs_widths_m(150.0, stability, terrain))
    y = np.linspace(-8 * sigma_y, 8 * sigma_y, 401)
    z = np.linspace(0.0, 2.0 + 9 * sigma_z, 4001)
    plume = plume_g_m3(
        rate_g_s=2.5,
        wind_m_s=3.0,
        downwind_m=150.0,
        crosswind_m=y[:, None],
        height_m=z[None, :],
        release_height_m=2.0,
        stability=stability,
        terrain=terrain,
    )
    flux = np.trapezoid(np.trapezoid(3.0 * plume, z, axis=1), y)
    assert flux == pytest.approx(2.5, rel=1e-6)


def test_a_puff_holds_its_mass():
    r = np.linspace(0.0, 200.0, 20_001)
    mass = 0.0
    heights = np.linspace(0.0, 150.0, 3001)
    columns = [
        np.trapezoid(
            puff_g_m3(
                mass_g=750.0,
                sigma_h_m=20.0,
                sigma_z_m=15.0,
                off_centre_m=r,
                height_m=float(z),
                release_height_m=3.0,
            )
            * 2
            * np.pi
            * r,
            r,
        )
        for z in heights[::10]
    ]
    mass = np.trapezoid(columns, heights[::10])
    assert mass == pytest.approx(750.0, rel=1e-6)
