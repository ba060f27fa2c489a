"""Wind, clouds, radiation, people: the same for the same seed, and physically right."""

import numpy as np
import pytest
from msgspec.structs import replace

from cbrn_core.place import distance_m
from cbrn_core.units import Unit, convert
from cbrn_sim.scenarios import CHLORINE_G_MOL, fictional_square, scenario
from cbrn_sim.streams import stream
from cbrn_sim.world.chemical import Cloud, Release
from cbrn_sim.world.dispersion import plume_g_m3
from cbrn_sim.world.people import Path, Waypoint, walk
from cbrn_sim.world.radiation import caesium_137
from cbrn_sim.world.square import Point
from cbrn_sim.world.wind import WindClimate, WindField
from cbrn_sim.world.world import World

STEADY = WindClimate(speed_m_s=3.0, from_deg=270.0, speed_sd=0.0, direction_sd_deg=0.0)


def leak(**changes):
    defaults = {
        "agent": "cl2",
        "molar_mass_g_mol": CHLORINE_G_MOL,
        "mass_g": 900.0,
        "start_s": 10.0,
        "duration_s": 300.0,
        "point": Point(0.0, 0.0, 1.0),
    }
    return Release(**(defaults | changes))


def test_streams_differ_by_name_and_seed_and_repeat_otherwise():
    first = stream(1, "a").random(4).tolist()
    assert stream(1, "a").random(4).tolist() == first
    assert stream(2, "a").random(4).tolist() != first
    assert stream(1, "b").random(4).tolist() != first


def test_the_same_seed_gives_the_same_world_in_any_order_of_asking():
    square = scenario("square")
    one, other = World(square, 7), World(square, 7)
    point = square.square.point_of("st06")
    times = [30.0, 90.0, 61.5, 200.0]
    forwards = [(one.wind(t), one.concentration_ppm("cl2", point, t)) for t in times]
    backwards = [(other.wind(t), other.concentration_ppm("cl2", point, t)) for t in reversed(times)]
    assert forwards == backwards[::-1]


def test_another_seed_gives_another_wind():
    square = scenario("square")
    assert World(square, 1).wind(50.0) != World(square, 2).wind(50.0)


def test_the_wind_keeps_its_mean_and_spread():
    climate = WindClimate(speed_m_s=4.0, from_deg=240.0, speed_sd=0.15, direction_sd_deg=6.0)
    t_s = np.arange(0.0, 20_000.0, 5.0)
    speeds, directions = WindField(climate, 3).series(t_s)
    assert speeds.mean() == pytest.approx(4.0, rel=0.03)
    assert speeds.std() == pytest.approx(0.6, rel=0.15)
    assert directions.mean() == pytest.approx(240.0, abs=1.0)
    assert directions.std() == pytest.approx(6.0, rel=0.15)


def test_a_long_release_in_a_steady_wind_becomes_the_plume():
    cloud = Cloud(leak(puff_interval_s=0.25), WindField(STEADY, 1))
    for x, y in [(60.0, 0.0), (100.0, 10.0)]:
        expected = plume_g_m3(
            rate_g_s=3.0,
            wind_m_s=3.0,
            downwind_m=x,
            crosswind_m=y,
            height_m=1.5,
            release_height_m=1.0,
            stability=leak().stability,
        )
        assert cloud.concentration_g_m3(Point(x, y, 1.5), 250.0) == pytest.approx(
            float(expected), rel=0.05
        )


def test_gas_arrives_with_the_wind_and_not_before_the_release():
    cloud = Cloud(leak(), WindField(STEADY, 1))
    downwind, upwind = Point(60.0, 0.0), Point(-60.0, 0.0)
    assert cloud.concentration_g_m3(downwind, 9.9) == 0.0
    assert cloud.concentration_g_m3(downwind, 15.0) < 1e-9
    assert cloud.concentration_g_m3(downwind, 45.0) > 1e-3
    assert cloud.concentration_g_m3(upwind, 200.0) < 1e-9


def test_gas_is_gone_long_after_the_release():
    cloud = Cloud(leak(), WindField(STEADY, 1))
    assert cloud.concentration_g_m3(Point(60.0, 0.0), 10.0 + 300.0 + 601.0) == 0.0


def test_a_cloud_carries_its_whole_mass():
    released = leak(mass_g=500.0, duration_s=8.0, puff_interval_s=2.0)
    cloud = Cloud(released, WindField(STEADY, 1))
    # Every step is below half a width, where the trapezoid rule is exact for a Gaussian.
    east = np.arange(0.0, 380.0, 12.0)
    north = np.arange(-168.0, 168.1, 12.0)
    height = np.arange(0.0, 170.1, 10.0)
    grid = [
        [[cloud.concentration_g_m3(Point(e, n, z), 78.0) for z in height] for n in north]
        for e in east
    ]
    columns = np.trapezoid(np.array(grid), height, axis=2)
    mass = np.trapezoid(np.trapezoid(columns, north, axis=1), east)
    assert mass == pytest.approx(500.0, rel=1e-5)


def test_ppm_follow_from_grams_by_the_molar_mass():
    cloud = Cloud(leak(), WindField(STEADY, 1))
    point = Point(50.0, 2.0)
    mg_m3 = 1000.0 * cloud.concentration_g_m3(point, 120.0)
    ppm = convert(mg_m3, Unit.MG_M3, Unit.PPM, molar_mass_g_mol=CHLORINE_G_MOL)
    assert cloud.concentration_ppm(point, 120.0) == pytest.approx(ppm, rel=1e-12)
    assert ppm == pytest.approx(mg_m3 * 24.4654 / CHLORINE_G_MOL, rel=1e-5)


def test_a_gas_nobody_released_is_only_ambient():
    world = World(replace(scenario("square"), ambient_ppm={"nh3": 0.02}), 1)
    point = Point(50.0, 40.0)
    assert world.concentration_ppm("nh3", point, 100.0) == 0.02
    assert world.concentration_ppm("hcn", point, 100.0) == 0.0


@pytest.mark.parametrize(("distance", "excess"), [(1, 343), (22, 0.71), (30, 0.38), (40, 0.21)])
def test_caesium_follows_the_inverse_square(distance, excess):
    rest = Path(waypoints=(Waypoint(0.0, Point(0.0, 0.0, 1.5)),), stays=True)
    source = caesium_137(3.7, rest)
    assert source.dose_rate_usv_h(Point(distance, 0.0), 5.0) == pytest.approx(
        excess, rel=0.005, abs=0.005
    )


def test_each_station_has_its_own_background():
    world = World(scenario("quiet"), 1)
    square = world.scenario.square
    assert world.dose_rate_usv_h(square.point_of("st07"), 0.0) == 0.31
    assert world.dose_rate_usv_h(square.point_of("st01"), 0.0) == 0.12


def test_the_visitor_raises_the_dose_rate_while_passing_and_leaves_nothing_behind():
    world = World(scenario("square"), 1)
    point = world.scenario.square.point_of("st02")
    rates = [world.dose_rate_usv_h(point, t) for t in (60.0, 70.0 + 53.0 / 0.8, 400.0)]
    assert rates[0] == rates[2] == 0.12
    assert rates[1] > 10.0


def test_a_walk_takes_the_time_of_its_length():
    path = walk(10.0, 2.0, (Point(0.0, 0.0), Point(20.0, 0.0), Point(20.0, 10.0)))
    assert path.at(9.9) is None
    assert path.at(15.0) == Point(10.0, 0.0)
    assert path.at(22.5) == Point(20.0, 5.0)
    assert path.at(25.1) is None


def test_a_patrol_begins_again():
    path = walk(0.0, 1.0, (Point(0.0, 0.0), Point(10.0, 0.0), Point(0.0, 0.0)), repeats=True)
    assert path.at(5.0) == path.at(25.0) == path.at(2005.0) == Point(5.0, 0.0)


def test_the_plane_and_the_globe_agree_on_distances():
    square = fictional_square()
    a, b = square.position(Point(0.0, 0.0)), square.position(Point(120.0, 90.0))
    assert distance_m((a.lat, a.lon), (b.lat, b.lon)) == pytest.approx(150.0, rel=1e-4)


def test_the_truth_names_release_and_source():
    truth = World(scenario("square"), 4).truth()
    assert truth.seed == 4
    (release,) = truth.releases
    assert (release.agent, release.start_s, release.rate_g_s) == ("cl2", 16.0, 14.0)
    (source,) = truth.sources
    assert source.carried_by == "visitor"
    assert source.usv_h_at_1_m == pytest.approx(343.0, rel=1e-3)
    assert [t_s for t_s, _, _ in source.track] == [70.0, 245.0]
