"""The worked squares of `config/` are valid, say what is still to do, and place things well."""

import datetime
from pathlib import Path

import pytest

from cbrn_core.place import distance_m
from cbrn_gateway.alarms.actions_types import Play
from cbrn_gateway.alarms.policy import BUILT_IN
from cbrn_gateway.config.lint import lint
from cbrn_gateway.config.load import load_site, parse_site
from cbrn_gateway.config.wires import devices_by_bus

ROOT = Path(__file__).parents[3]
SITES = ROOT / "config" / "sites"
LARGE = SITES / "castelvento-mercato" / "site.toml"
SMALL = SITES / "sandholm-torvet" / "site.toml"
TODAY = datetime.date(2026, 6, 1)
NOT_HERE = "is not on this machine"


def findings(config):
    return [(f.problem.path, f.problem.reason, f.error) for f in lint(config, TODAY)]


def signed_and_in_service(path):
    """Return the square as its city would have it once everything is signed."""
    text = (
        path.read_text().replace("\n#: ", "\n").replace("in_service = false", "in_service = true")
    )
    return parse_site(text, path)


def test_the_policy_for_cities_is_the_packaged_one():
    packaged = ROOT / "gateway/cbrn_gateway/alarms/policies" / f"{BUILT_IN}.toml"
    assert (ROOT / "config/policy" / f"{BUILT_IN}.toml").read_bytes() == packaged.read_bytes()


@pytest.mark.parametrize("path", [LARGE, SMALL], ids=lambda path: path.parent.name)
def test_a_square_is_valid_and_warns_only_of_what_an_example_cannot_have(path):
    found = findings(load_site(path))
    assert not any(error for _, _, error in found)
    assert {path for path, reason, _ in found if NOT_HERE not in reason} == {"site.in_service"}
    secrets = {path for path, reason, _ in found if NOT_HERE in reason}
    assert all(path.endswith("_file") for path in secrets)


def test_an_example_signs_nothing_and_approves_nothing():
    for path in (LARGE, SMALL):
        config = load_site(path)
        assert config.policy.signed == ()
        assert config.model.site.in_service is False
        assert not any(play.playbook.approved_by for play in config.approved.values())


def test_the_small_square_has_four_serial_poles_and_one_detector_on_the_network():
    config = load_site(SMALL)
    assert len(config.model.stations) == 4
    buses = devices_by_bus(config.model.devices.values())
    assert len([bus for bus in buses if "serial:" in bus]) == 4
    assert [bus for bus in buses if ":tcp:" in bus] == [
        "chemical.modbus_detector:tcp:192.0.2.31:502"
    ]


def test_the_large_square_has_twelve_poles_three_zones_and_both_modbus_wires():
    config = load_site(LARGE)
    fixed = [s for s in config.model.stations.values() if not s.mobile]
    assert len(fixed) == 12
    assert (
        {station.zone for station in fixed}
        == set(config.model.zones)
        == {
            "ovest",
            "est",
            "portici",
        }
    )
    sizes = sorted(len(group) for group in devices_by_bus(config.model.devices.values()).values())
    assert sizes == [1] * 6 + [3, 3, 4]
    gamma = [c for c in config.model.channels.values() if c.id == "gamma" and c.station != "auto"]
    assert len(gamma) == 4
    assert all(channel.background is not None for channel in gamma)
    assert config.mqtt.url.startswith("mqtts://")
    assert config.mqtt.password_file == str(LARGE.parent / "secrets/mqtt-password")
    assert config.influx.url.startswith("https://")


@pytest.mark.parametrize("path", [LARGE, SMALL], ids=lambda path: path.parent.name)
def test_every_pole_stands_in_its_zone_some_steps_from_the_next(path):
    model = load_site(path).model
    fixed = [s for s in model.stations.values() if s.position is not None]
    for station in fixed:
        place = (station.position.lat, station.position.lon)
        lons, lats = zip(*model.zones[station.zone].polygon, strict=True)
        assert min(lats) < place[0] < max(lats)
        assert min(lons) < place[1] < max(lons)
        others = [s.position for s in fixed if s is not station]
        nearest_m = min(distance_m(place, (other.lat, other.lon)) for other in others)
        assert 15 < nearest_m < 60


def test_the_large_square_once_signed_is_in_service_without_an_error():
    found = findings(signed_and_in_service(LARGE))
    assert not any(error for _, _, error in found)
    assert [(path, reason[:7]) for path, reason, _ in found if NOT_HERE not in reason] == [
        ("playbook.file", "EXAMPLE")
    ]


def test_the_small_square_in_service_is_told_what_it_lacks():
    found = findings(signed_and_in_service(SMALL))
    assert not any(error for _, _, error in found)
    warned = {path for path, reason, _ in found if NOT_HERE not in reason}
    assert warned == {"mqtt.url", "mqtt.socs", "playbook"}


def test_the_small_square_unsigned_is_told_which_figures_lack_a_signature():
    text = SMALL.read_text().replace("in_service = false", "in_service = true")
    told = [reason for _, reason, error in findings(parse_site(text, SMALL)) if error]
    assert [reason.split(":")[0] for reason in told] == ["co", "nh3"]
    assert "(idlh)" in told[1]


def test_the_playbook_of_the_large_square_becomes_its_steps():
    approved = signed_and_in_service(LARGE).approved
    assert set(approved) == {Play.CHEMICAL_ALARM, Play.RADIATION_ALARM}
    play = approved[Play.CHEMICAL_ALARM]
    assert [step.role for step in play.steps] == ["everyone", "operator", "responder"]
    assert (play.playbook.approved_by, play.playbook.valid_until) == ("M. Rossi", "2027-05-20")
