import pytest
from unit.alarms.square import Square, at, channel, site_model, station

from cbrn_core.alarm import AlarmState, Priority, Reason, Scope
from cbrn_core.channel import Grade
from cbrn_core.reading import Flag, Quality
from cbrn_gateway.alarms.coverage import Ability

WEST = [station("st1", zone="west"), station("st2", 30, zone="west")]
EAST = [station("st3", 60, zone="east")]


def square(*channels):
    return Square(site_model(list(channels), [*WEST, *EAST]))


@pytest.fixture
def two_in_the_west():
    return square(channel("st1/cl2"), channel("st2/cl2"), channel("st3/nh3", "nh3"))


def silent(square, name, seconds):
    square.apply(square.rules.on_stale(tuple(name.split("/")), at(seconds)), seconds)
    square.apply(square.rules.on_tick(at(seconds)), seconds)


def speaks(square, name, seconds):
    square.apply(square.rules.on_fresh(tuple(name.split("/")), at(seconds)), seconds)
    square.reading(name, seconds)
    square.apply(square.rules.on_tick(at(seconds)), seconds)


def told(square):
    return [a for a in square.published if a.condition.reason is Reason.COVERAGE_LOST]


def abilities(square):
    return {(c.zone, c.agent): c.ability for c in square.rules.coverage()}


def test_a_zone_is_blind_when_its_last_sensor_for_a_gas_falls_silent(two_in_the_west):
    square = two_in_the_west
    silent(square, "st1/cl2", 1)
    assert told(square) == []
    silent(square, "st2/cl2", 2)
    (alarm,) = told(square)
    said = alarm.condition
    assert (said.zone, said.agent, said.scope) == ("west", "cl2", Scope.ZONE)
    assert said.priority is Priority.P2
    assert said.facts["detail"] == "st1/cl2: silent; st2/cl2: silent"


def test_a_zone_that_watches_again_is_no_longer_blind(two_in_the_west):
    square = two_in_the_west
    silent(square, "st1/cl2", 1)
    silent(square, "st2/cl2", 2)
    speaks(square, "st1/cl2", 3)
    assert told(square)[-1].state is AlarmState.RTN_UNACK
    assert abilities(square)["west", "cl2"] is Ability.DEGRADED


def test_an_instrument_that_says_it_is_ill_does_not_watch(two_in_the_west):
    square = two_in_the_west
    silent(square, "st1/cl2", 1)
    ill = {"flags": (Flag.INSTRUMENT_FAULT,), "quality": Quality.BAD}
    square.reading("st2/cl2", 2, None, **ill)
    square.apply(square.rules.on_tick(at(2)), 2)
    assert told(square)[0].condition.facts["detail"] == (
        "st1/cl2: silent; st2/cl2: instrument fault"
    )


def test_one_sensor_of_a_zone_is_told_by_its_own_alarm_only():
    square = Square(site_model([channel("st3/nh3", "nh3")], EAST))
    silent(square, "st3/nh3", 1)
    assert told(square) == []
    assert square.rules.coverage()[0].ability is Ability.CANNOT


def test_every_zone_answers_for_every_gas_of_the_site(two_in_the_west):
    square = two_in_the_west
    assert set(abilities(square).values()) == {Ability.CANNOT}
    for name in ("st1/cl2", "st2/cl2", "st3/nh3"):
        square.reading(name, 1)
    found = {(c.zone, c.agent): (c.ability, c.because) for c in square.rules.coverage()}
    not_fitted = (Ability.CANNOT, ("no sensor for it is fitted here",))
    assert found == {
        ("east", "cl2"): not_fitted,
        ("east", "nh3"): (Ability.CAN, ()),
        ("west", "cl2"): (Ability.CAN, ()),
        ("west", "nh3"): not_fitted,
    }


def test_indicative_sensors_alone_are_degraded_cover():
    square = Square(site_model([channel("st3/nh3", "nh3", grade=Grade.INDICATIVE)], EAST))
    square.reading("st3/nh3", 1)
    (found,) = square.rules.coverage()
    assert (found.ability, found.because) == (Ability.DEGRADED, ("indicative sensors only",))


def test_a_blind_zone_is_taken_up_after_a_restart_and_cleared_when_it_watches(two_in_the_west):
    before = two_in_the_west
    silent(before, "st1/cl2", 1)
    silent(before, "st2/cl2", 2)
    after = Square(before.model)
    open_alarms = before.machine.open_alarms()
    after.machine.rebuild(open_alarms)
    after.rules.adopt(open_alarms)
    assert after.rules.needs_tick
    speaks(after, "st2/cl2", 5)
    assert told(after)[-1].state is AlarmState.RTN_UNACK
