"""The site file that the demo writes for itself."""

from collections import Counter
from itertools import pairwise

import pytest

from cbrn_gateway.demo import places
from cbrn_sim.scenarios import SCENARIOS, scenario
from cbrn_sim.world.square import Point


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_gives_a_site_with_all_its_instruments(demo_site, name):
    model = demo_site(name).model
    assert set(model.devices) == {fitting.device_id for fitting in scenario(name).fittings}
    assert all(channel.simulated for channel in model.channels.values())


def test_every_fixed_station_has_a_name_and_lies_in_its_zone(demo_site):
    model = demo_site().model
    assert len(model.zones) == 3
    for station in model.stations.values():
        assert station.name != station.id
        if station.mobile:
            assert station.zone is None
            continue
        ring = model.zones[station.zone].polygon
        assert min(lat for _, lat in ring) <= station.position.lat <= max(lat for _, lat in ring)
        assert min(lon for lon, _ in ring) <= station.position.lon <= max(lon for lon, _ in ring)
    zones = Counter(s.zone for s in model.stations.values())
    assert min(zones[zone] for zone in model.zones) >= 4


def test_zones_are_closed_rings_that_touch_without_a_gap():
    square = scenario("square").square
    zones = places.zones_of(square)
    assert all(zone.polygon[0] == zone.polygon[-1] for zone in zones)
    for south, north in pairwise(zones):
        assert max(lat for _, lat in south.polygon) == min(lat for _, lat in north.polygon)


@pytest.mark.parametrize(
    ("north_m", "zone"), [(-50.0, "south"), (29.9, "south"), (30.1, "middle"), (500.0, "north")]
)
def test_a_point_belongs_to_the_zone_at_it_or_next_to_it(north_m, zone):
    assert places.zone_at(scenario("square").square, Point(10.0, north_m)) == zone


def test_counters_are_commissioned_with_the_background_of_the_world(demo_site):
    model = demo_site().model
    counters = [c for c in model.channels.values() if c.counting and c.station != "mob01"]
    assert len(counters) == 4
    for channel in counters:
        assert channel.background.value * channel.usv_h_per_cps == pytest.approx(0.12)


def test_the_site_says_that_it_is_a_demonstration_and_keeps_local_time(demo_site):
    config = demo_site()
    assert config.model.site.not_in_service_reason == "a demonstration"
    assert config.model.site.timezone in {"Europe/Oslo", "UTC"}
    assert (config.mqtt.url, config.mqtt.protocol) == ("mqtt://127.0.0.1:1883", 5)


def test_a_detector_on_a_pseudo_terminal_is_read_without_parity(demo_site):
    on_the_bus = [d for d in demo_site().model.devices.values() if d.id in {"st09-xcd", "st12-xcd"}]
    assert [device.options["parity"] for device in on_the_bus] == ["N", "N"]
