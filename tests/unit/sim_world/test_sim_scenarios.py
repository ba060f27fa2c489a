"""The named scenarios do what their story says, for every seed tried."""

import pytest

from cbrn_core.errors import CommandRefused
from cbrn_core.place import is_id
from cbrn_sim.fittings import ModbusWire, XcdFitting
from cbrn_sim.instruments.response import GasCell, GasSensor
from cbrn_sim.scenarios import SCENARIOS, default_fittings, fictional_square, scenario
from cbrn_sim.streams import stream
from cbrn_sim.world.world import World

AEGL2_CL2_PPM = 2.8
STATIONS = [f"st{number:02d}" for number in range(1, 13)]


def first_crossing_s(world, station, until_s):
    """Return when a noiseless cell at the station first reads above the level."""
    point = world.scenario.square.point_of(station)
    cell = GasCell(sigma=0.0)
    sensor = GasSensor(
        cell, lambda t_s: world.concentration_ppm("cl2", point, t_s), stream(1, "unused")
    )
    readings = (t_s for t_s in range(until_s) if sensor.reading(t_s) > AEGL2_CL2_PPM)
    return next(readings, None)


def highest_ppm(world, station, until_s):
    point = world.scenario.square.point_of(station)
    return max(world.concentration_ppm("cl2", point, float(t)) for t in range(0, until_s, 2))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_square_shows_one_station_first_and_two_more_later(seed):
    world = World(scenario("square"), seed)
    crossings = {s: first_crossing_s(world, s, 180) for s in ("st05", "st06", "st07")}
    assert crossings["st05"] is not None
    assert crossings["st05"] <= 44
    assert crossings["st06"] is not None
    assert crossings["st07"] is not None
    assert crossings["st05"] < crossings["st06"] < crossings["st07"]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6, 7, 8])
def test_chlorine_single_is_above_the_level_at_one_station_only(seed):
    world = World(scenario("chlorine_single"), seed)
    highest = {station: highest_ppm(world, station, 340) for station in STATIONS}
    assert highest.pop("st12") > 2 * AEGL2_CL2_PPM
    assert max(highest.values()) < 0.3
    assert first_crossing_s(world, "st12", 60) <= 45


def test_quiet_is_quiet():
    world = World(scenario("quiet"), 1)
    assert max(highest_ppm(world, station, 100) for station in STATIONS) == 0.0
    assert world.truth().releases == ()
    assert world.truth().sources == ()


def test_an_unknown_scenario_is_refused_by_name():
    with pytest.raises(CommandRefused, match="no scenario 'party'; there are square"):
        scenario("party")


def test_every_scenario_has_a_story_and_fits_its_own_square():
    for name, each in SCENARIOS.items():
        assert each.name == name
        assert len(each.story) > 50
        places = {place.id for place in each.square.stations} | set(each.patrols)
        assert {fitting.station_id for fitting in each.fittings} <= places


def test_the_stations_stand_thirty_to_forty_metres_apart():
    square = fictional_square()
    points = [square.point_of(station) for station in STATIONS]
    for point in points:
        nearest = min(point.distance_m(other) for other in points if other != point)
        assert 30 <= nearest <= 40
        assert 0 <= point.east_m <= square.width_m
        assert 0 <= point.north_m <= square.depth_m


def test_at_least_twenty_instruments_are_fitted_with_usable_ids():
    fittings = default_fittings()
    ids = [fitting.device_id for fitting in fittings]
    assert len(set(ids)) == len(ids) >= 20
    assert all(is_id(device_id) for device_id in ids)
    detectors = [fitting for fitting in fittings if isinstance(fitting, XcdFitting)]
    over_tcp = [fitting for fitting in detectors if fitting.over is ModbusWire.TCP]
    assert len(over_tcp) == 8
    assert len({fitting.wire for fitting in over_tcp}) > 1
    assert len({fitting.wire for fitting in detectors if fitting not in over_tcp}) == 1
    assert len({(fitting.wire, fitting.unit_id) for fitting in detectors}) == 12
