"""Each thing that a valid configuration may still hurt is found, with its path, and only then."""

import datetime
from pathlib import Path

import msgspec
import pytest
from samples.alert_samples import MODEL, alarm

from cbrn_core.agents import AGENTS
from cbrn_core.units import Unit
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.alarms.rules.chemical_levels import chemical_levels
from cbrn_gateway.alarms.signatures import alarming_rows, row_key
from cbrn_gateway.config.lint import lint
from cbrn_gateway.config.load import parse_site

TODAY = datetime.date(2026, 6, 1)
HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "d"
[site]
id = "torg"
in_service = {in_service}
standing_cordon_m = {{ chemical = 100 }}
[[zone]]
id = "z"
[[station]]
id = "st1"
zone = "z"
position = {{ lat = 59.9, lon = 10.7 }}
"""
CL2 = """
[[device]]
id = "d1"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
"""
UNSIGNED = next(
    agent_id
    for agent_id in AGENTS
    if [row.needs_signature for row in alarming_rows(agent_id)[:2]] == [True, True]
)
UNSIGNED_GAS = CL2.replace("cl2", UNSIGNED)
SIGN_GAS = f'[[alarms.signed]]\nagent = "{UNSIGNED}"\nby = "K. Nordmann"\ndate = 2026-05-01\n'
SIGN_CL2 = '[[alarms.signed]]\nagent = "cl2"\nby = "K. Nordmann, head"\ndate = 2026-05-01\n'
MQTT = '[mqtt]\nurl = "mqtts://broker.example"\nsocs = ["soc-1"]\n'
APPROVED = """
[playbook]
approved_by = "K. Nordmann"
role = "head of service"
date = 2026-05-01
valid_until = 2026-12-31
sources = ["plan 2026"]
"""
SECOND = '[[station]]\nid = "st2"\nzone = "z"\nposition = { lat = 59.9, lon = 10.8 }\n'


def found(*blocks, in_service=True, today=TODAY, folder=Path()):
    text = HEAD.format(in_service=str(in_service).lower()) + "".join(blocks)
    config = parse_site(text, folder / "site.toml")
    return {f.problem.path: (f.problem.reason, f.error) for f in lint(config, today)}


def modbus(device, station="st1", more=""):
    return (
        f'[[device]]\nid = "{device}"\nstation = "{station}"\ndriver = "profile:sensepoint-xcd"\n'
        f'gas = "cl2"\nhost = "192.0.2.1"\n{more}\n'
    )


def gmc(device, port, station="st1"):
    return (
        f'[[device]]\nid = "{device}"\nstation = "{station}"\ndriver = "profile:gq-gmc-500"\n'
        f'port = "{port}"\n'
    )


def test_a_signed_site_with_tls_and_an_approved_playbook_leaves_nothing_to_say():
    assert found(CL2, SIGN_CL2, MQTT, APPROVED) == {}


def test_a_detection_limit_above_the_alarm_level_is_said():
    ((path, (reason, error)),) = found(CL2, "lod = 3.5\n", SIGN_CL2, MQTT, APPROVED).items()
    assert (path, error) == ("device[0].channel cl2.lod", False)
    assert "AEGL-2" in reason
    assert "not detectable here" in reason
    assert found(CL2, "lod = 2.7\n", SIGN_CL2, MQTT, APPROVED) == {}


def test_a_detection_limit_that_follows_from_the_noise_counts_too():
    assert "device[0].channel cl2.lod" in found(CL2, "sigma = 1.2\n", SIGN_CL2, MQTT, APPROVED)
    assert found(CL2, "sigma = 0.1\n", SIGN_CL2, MQTT, APPROVED) == {}


def test_a_range_that_ends_below_the_alarm_level_is_said():
    assert "device[0].channel cl2.range" in found(CL2, "range = [0, 2]\n", SIGN_CL2, MQTT, APPROVED)


def test_the_city_own_level_is_the_one_that_must_be_detectable():
    stricter = "lod = 2.0\n[alarms.overrides.cl2]\nlevel = 1.5\n"
    assert "device[0].channel cl2.lod" in found(CL2, stricter, SIGN_CL2, MQTT, APPROVED)


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "/dev/ttyACM12"])
def test_a_port_that_renumbers_is_said(port):
    reason, error = found(CL2, gmc("g", port), in_service=False)["device[1].port"]
    assert "/dev/serial/by-id/" in reason
    assert not error
    stable = found(CL2, gmc("g", "/dev/serial/by-id/usb-1"), in_service=False)
    assert "device[1].port" not in stable


def test_in_service_without_tls_is_said():
    assert "without TLS" in found(CL2, SIGN_CL2, '[mqtt]\nurl = "mqtt://b"\n')["mqtt.url"][0]
    assert "no control room" in found(CL2, SIGN_CL2)["mqtt"][0]
    assert "without TLS" in found('[influx]\nurl = "http://b"\n')["influx.url"][0]
    plain = found(CL2, '[mqtt]\nurl = "mqtt://b"\n', in_service=False)
    assert "mqtt.url" not in plain


def test_an_unsigned_limit_is_an_error_in_service_only():
    reason, error = found(UNSIGNED_GAS, MQTT, APPROVED)["alarms.signed"]
    assert error
    assert reason.startswith(f"{UNSIGNED}: limit not signed off by the city")
    assert row_key(alarming_rows(UNSIGNED)[1]) in reason
    assert "alarms.signed" not in found(UNSIGNED_GAS, in_service=False)
    assert found(UNSIGNED_GAS, SIGN_GAS, MQTT, APPROVED) == {}


def test_signing_one_row_leaves_the_others_unsigned():
    first, second = (row_key(row) for row in alarming_rows(UNSIGNED)[:2])
    one = f'{SIGN_GAS}level = "{first}"\n'
    reason, _ = found(UNSIGNED_GAS, one, MQTT, APPROVED)["alarms.signed"]
    assert first not in reason
    assert second in reason


def test_signing_in_the_overrides_counts_for_all_rows():
    signed = f'[alarms.overrides.{UNSIGNED}]\nsigned_by = "K. Nordmann, head"\n'
    assert found(UNSIGNED_GAS, signed, MQTT, APPROVED) == {}


@pytest.mark.parametrize(
    ("removed", "says"),
    [
        ('role = "head of service"\n', "it lacks role"),
        ('sources = ["plan 2026"]\n', "it lacks sources"),
        ("valid_until = 2026-12-31\n", "it lacks valid_until"),
    ],
)
def test_an_incomplete_approval_is_none(removed, says):
    reason, error = found(CL2, SIGN_CL2, MQTT, APPROVED.replace(removed, ""))["playbook"]
    assert "EXAMPLE – not approved by your service" in reason
    assert says in reason
    assert not error


def test_an_approval_counts_from_its_first_to_its_last_day():
    def on(day):
        return found(CL2, SIGN_CL2, MQTT, APPROVED, today=datetime.date.fromisoformat(day))

    assert on("2026-05-01") == on("2026-12-31") == {}
    assert "EXAMPLE" in on("2027-01-01")["playbook.valid_until"][0]
    assert "EXAMPLE" in on("2026-04-30")["playbook.date"][0]


def test_a_gamma_background_that_was_not_commissioned_is_said_in_service():
    assert "not commissioned" in found(gmc("g", "/dev/x"))["device[0].channel gamma.background"][0]
    told = found(gmc("g", "/dev/x"), in_service=False)
    assert "device[0].channel gamma.background" not in told


def test_devices_that_cannot_share_their_wire_are_an_error_under_their_own_paths():
    twice = found(SECOND, gmc("a", "/dev/x"), gmc("b", "/dev/x", "st2"), in_service=False)
    assert twice["device[1].port"] == ("one port has one instrument, not a, b", True)
    same_unit = found(SECOND, modbus("a"), modbus("b", "st2"), in_service=False)
    assert same_unit["device[1].unit_id"][1] is True
    assert "unit 1 already" in same_unit["device[1].unit_id"][0]
    other = modbus("b", "st2", more="unit_id = 2\nretries = 2")
    settings = found(SECOND, modbus("a"), other, in_service=False)
    assert settings["device[1].retries"][1] is True


def test_two_drivers_on_one_port_are_an_error():
    wind = gmc("w", "/dev/x").replace("gq-gmc-500", "gill-windsonic")
    reason, error = found(gmc("g", "/dev/x"), wind, in_service=False)["device[1].port"]
    assert error
    assert "taken by g" in reason


def test_a_secret_that_is_missing_or_open_to_others_is_said(tmp_path):
    table = MQTT + 'username_file = "user"\npassword_file = "word"\n'
    for name, mode in (("user", 0o600), ("word", 0o640)):
        (tmp_path / name).write_text("hush")
        (tmp_path / name).chmod(mode)
    told = found(CL2, SIGN_CL2, APPROVED, table, folder=tmp_path)
    assert list(told) == ["mqtt.password_file"]
    assert "chmod 600" in told["mqtt.password_file"][0]
    (tmp_path / "word").unlink()
    told = found(CL2, SIGN_CL2, APPROVED, table, folder=tmp_path)
    assert "the daemon stops without it" in told["mqtt.password_file"][0]


def test_a_missing_file_of_tls_costs_the_link_not_the_daemon(tmp_path):
    files = 'ca_file = "ca.crt"\ncrl_file = "revoked.pem"\n'
    told = found(CL2, SIGN_CL2, APPROVED, MQTT + files, folder=tmp_path)
    assert set(told) == {"mqtt.ca_file", "mqtt.crl_file"}
    assert "there is no link until it is" in told["mqtt.ca_file"][0]


def test_in_service_without_control_rooms_it_is_told_that_no_path_is_proven():
    told = found(CL2, SIGN_CL2, APPROVED, MQTT.replace('socs = ["soc-1"]', ""))
    assert list(told) == ["mqtt.socs"]


def test_a_data_dir_too_deep_for_its_socket_is_an_error(tmp_path):
    told = found(CL2, in_service=False, folder=tmp_path / ("x" * 100))
    assert told["gateway.data_dir"][1] is True


def test_a_word_that_no_machine_may_say_is_found_in_a_playbook(tmp_path):
    (tmp_path / "steps.toml").write_text(
        'name = "ours"\n[[step]]\nplay = "channel_silent"\nrole = "everyone"\n'
        'text = "The area is safe."\n'
    )
    told = found(CL2, APPROVED + 'file = "steps.toml"\n', in_service=False, folder=tmp_path)
    assert "“safe”" in told["playbook.file channel_silent"][0]


@pytest.mark.parametrize("agent_id", sorted(AGENTS))
def test_signing_every_row_of_an_agent_leaves_no_level_unsigned(agent_id):
    """The rows that can be signed are exactly those that the rules use."""
    rows = [row_key(row) for row in alarming_rows(agent_id)]
    signed = "".join(
        f'[[alarms.signed]]\nagent = "{agent_id}"\nlevel = "{row}"\nby = "K"\ndate = 2026-05-01\n'
        for row in rows
    )
    config = parse_site(HEAD.format(in_service="true") + signed, Path("site.toml"))
    unit = next((row.unit for row in AGENTS[agent_id].limits), Unit.PPM)
    levels = chemical_levels(agent_id, unit, config.policy)
    made = [levels.notice, levels.level, levels.extreme, *(e.level for e in levels.exposures)]
    assert not any(level.facts.get("limit_unsigned") for level in made if level is not None)
    unsigned = chemical_levels(agent_id, unit, msgspec.structs.replace(config.policy, signed=()))
    needed = any(row.needs_signature for row in alarming_rows(agent_id))
    made = [unsigned.notice, unsigned.level, unsigned.extreme]
    made += [exposure.level for exposure in unsigned.exposures]
    assert any(level.facts.get("limit_unsigned") for level in made if level is not None) is needed


def mark(*blocks):
    config = parse_site(HEAD.format(in_service="true") + CL2 + "".join(blocks), Path("site.toml"))
    properties = render_alert(alarm(), MODEL, config.presentation)["properties"]
    return properties["playbook"], {step["mark"] for step in properties["actions"]}


def test_an_approval_stands_on_every_step_of_an_alert_while_it_counts():
    example = "EXAMPLE – not approved by your service"
    assert mark()[1] == {example}
    playbook, marks = mark(APPROVED)
    assert marks == {"approved by your service"}
    assert (playbook["approved_by"], playbook["role"]) == ("K. Nordmann", "head of service")
    assert playbook["sources"] == ["plan 2026"]
    assert mark(APPROVED.replace('role = "head of service"\n', ""))[1] == {example}
    assert mark(APPROVED.replace("2026-12-31", "2026-05-02"))[1] == {
        "EXPIRED – approval of your service has ended"
    }
