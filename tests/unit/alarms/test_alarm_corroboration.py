import pytest
from unit.alarms.square import Square, at, channel, site_model, station

from cbrn_core.alarm import Certainty, Corroboration, Scope
from cbrn_core.channel import Channel
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit
from cbrn_gateway.alarms.corroboration import WindBook, family, same_substance


def wind_channels(name="st01") -> list[Channel]:
    return [
        channel(f"{name}/ws", "wind_speed", lod=None, sigma=None),
        channel(f"{name}/wd", "wind_direction", lod=None, sigma=None),
    ]


def square_with_wind(north_m: float, east_zone: str = "west"):
    channels = [channel("st01/cl2", lod=0.5), channel("st02/cl2", lod=0.5), *wind_channels()]
    stations = [station("st01"), station("st02", north_m, zone=east_zone)]
    return Square(site_model(channels, stations))


def blow(square, seconds, speed, direction):
    square.reading("st01/ws", seconds, speed)
    square.reading("st01/wd", seconds, direction)


def both(square, first_s, second_s):
    """st02 rises at one time, st01 at another; then one full second passes."""
    for start, name in sorted([(first_s, "st02/cl2"), (second_s, "st01/cl2")]):
        for second in range(start, start + 3):
            square.estimate(name, second, 4.0)
    return square.tick(max(first_s, second_s) + 3)


def certainties(square):
    return {a.condition.certainty for a in square.machine.open_alarms()}


def test_two_stations_in_one_wind_make_it_probable_and_sound_once_more():
    square = square_with_wind(40.0)
    blow(square, 0, 2.0, 0.0)
    changed = both(square, 10, 30)
    assert certainties(square) == {Certainty.PROBABLE}
    for alarm in changed:
        said = alarm.condition
        assert (said.scope, said.corroboration) == (Scope.ZONE, Corroboration.NETWORK)
        assert (said.facts["stations_agreeing"], said.facts["stations_watching"]) == (2, 2)
        assert {item.station for item in said.evidence} == {"st01", "st02"}
        assert alarm.annunciate
    assert len({a.incident for a in changed}) == 1
    assert square.tick(40) == []


def test_stations_of_two_zones_make_it_an_alarm_of_the_site():
    square = square_with_wind(40.0, east_zone="east")
    blow(square, 0, 2.0, 0.0)
    both(square, 10, 30)
    assert {a.condition.scope for a in square.machine.open_alarms()} == {Scope.SITE}


def test_a_station_far_across_the_wind_does_not_agree():
    square = square_with_wind(400.0)
    blow(square, 0, 2.0, 90.0)
    both(square, 10, 11)
    assert certainties(square) == {Certainty.POSSIBLE}
    assert {a.condition.scope for a in square.machine.open_alarms()} == {Scope.STATION}


def test_a_downwind_station_that_saw_it_long_before_does_not_agree():
    square = square_with_wind(40.0)
    blow(square, 0, 2.0, 180.0)
    both(square, 10, 150)
    assert certainties(square) == {Certainty.PROBABLE}
    square = square_with_wind(40.0)
    for second in (0, 100, 200, 300):
        blow(square, second, 2.0, 180.0)
    both(square, 10, 300)
    assert certainties(square) == {Certainty.POSSIBLE}


@pytest.mark.parametrize(("north_m", "certainty"), [(150, "probable"), (250, "possible")])
def test_in_calm_only_near_stations_agree(north_m, certainty):
    square = square_with_wind(north_m)
    blow(square, 0, 0.4, 0.0)
    both(square, 10, 12)
    assert certainties(square) == {Certainty(certainty)}


def test_a_puff_that_has_passed_still_counts_for_ten_minutes():
    square = square_with_wind(40.0)
    for second in range(3):
        square.estimate("st02/cl2", second, 4.0)
    square.tick(3)
    for second in range(3, 70):
        square.estimate("st02/cl2", second, 0.0)
    for second in range(300, 302):
        square.estimate("st01/cl2", second, 4.0)
    raised = square.published[-1].condition
    assert (raised.station, raised.certainty) == ("st01", Certainty.PROBABLE)


def test_certainty_is_not_taken_back_when_the_neighbour_clears():
    square = square_with_wind(40.0)
    both(square, 0, 0)
    for second in range(4, 900):
        square.estimate("st01/cl2", second, 4.0)
        square.estimate("st02/cl2", second, 0.0)
        square.tick(second)
    mine = [a for a in square.machine.open_alarms() if a.condition.station == "st01"]
    assert mine[0].condition.certainty is Certainty.PROBABLE


def test_different_gases_do_not_corroborate_each_other():
    channels = [channel("st01/cl2", lod=0.5), channel("st02/nh3", "nh3", lod=1.0)]
    square = Square(site_model(channels, [station("st01"), station("st02", 30.0)]))
    for second in range(2):
        square.estimate("st01/cl2", second, 4.0)
        square.estimate("st02/nh3", second, 250.0)
    square.tick(2)
    assert certainties(square) == {Certainty.POSSIBLE}
    assert len({a.incident for a in square.machine.open_alarms()}) == 2


def test_a_class_and_an_agent_of_it_are_one_substance():
    assert family("gb") == "nerve"
    assert same_substance("gb", "nerve")
    assert same_substance("nerve", "vx")
    assert not same_substance("gb", "vx")
    assert same_substance("tic", "nh3")
    assert not same_substance("tic", "gb")
    assert not same_substance("cl2", "nh3")


def test_the_mean_wind_is_a_vector_mean_of_fresh_stations():
    book = WindBook()
    assert book.mean(at(0)) is None
    for name, direction in (("a", 350.0), ("b", 10.0)):
        book.note_speed(name, 2.0, at(0))
        book.note_direction(name, direction, at(0))
    wind = book.mean(at(60))
    assert wind.speed_m_s == 2.0
    assert min(wind.from_deg, 360 - wind.from_deg) == pytest.approx(0.0, abs=1e-9)
    assert book.mean(at(121)) is None


def test_wind_arrives_in_any_unit_of_speed():
    square = square_with_wind(400.0)
    assert square.model.channels["st01", "ws"].quantity is Quantity.WIND_SPEED
    known = square.model.channels["st01", "ws"]
    from cbrn_core.reading import Reading

    knots = Reading(
        station="st01", channel="ws", time_us=at(0), received_us=at(0), value=10.0, unit=Unit.KNOT
    )
    square.rules.on_reading(knots, known, at(0))
    square.reading("st01/wd", 0, 90.0)
    both(square, 10, 11)
    assert certainties(square) == {Certainty.POSSIBLE}
