"""The demo as a new user meets it: it shows an alarm, ends in order and leaves nothing."""

import json
import signal
import time
import xml.etree.ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from cbrn_gateway.alarms.lint import lint, lint_alert
from cbrn_gateway.demo.broker import find_mosquitto
from cbrn_gateway.schemas import load_schema

RUNS_S = 45
FIRST_ALARM_BY_S = 60.0
SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def is_svg_with_every_station(path):
    words = {node.text for node in ET.parse(path).getroot().iter(SVG_TEXT)}
    heads = {word.split()[0] for word in words if word}
    return {f"st{number:02d}" for number in range(1, 13)} | {"mast", "mast2", "mob01"} <= heads


@pytest.mark.timeout(240)
def test_a_located_exercise_alarm_of_priority_1_comes_within_a_minute_and_all_is_tidied(demo):
    started_s = time.monotonic()
    demo.start("--headless", "--json", "--duration", str(RUNS_S))
    first_line = demo.lines_until('"priority": 1,')[-1]
    assert time.monotonic() - started_s < FIRST_ALARM_BY_S
    first = json.loads(first_line)
    told = first["properties"]
    assert (told["purpose"], told["kind"], told["state"]) == ("exercise", "specific", "unack")
    assert (told["station"], told["zone"], told["agent"]) == ("st05", "middle", "cl2")
    assert first["geometry"]["type"] == "Point"
    assert first["geometry"]["coordinates"] == pytest.approx([10.0001437, 60.0004049], abs=1e-6)
    status, rest, errors = demo.end()
    assert (status, errors) == (0, "")
    alerts = [first, *map(json.loads, rest.splitlines())]
    validator = Draft202012Validator(load_schema("cbrn-alert/1"))
    for alert in alerts:
        validator.validate(alert)
        assert lint_alert(alert) == []
    hazards = [a["properties"] for a in alerts if a["properties"]["hazard"] != "technical"]
    assert {told["purpose"] for told in hazards} == {"exercise"}
    kept = [json.loads(line) for line in (demo.out / "alerts.jsonl").read_text().splitlines()]
    assert kept[-len(alerts) :] == alerts
    assert is_svg_with_every_station(demo.out / "square.svg")
    demo.wait_until_alone()
    assert list(demo.scratch.iterdir()) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order_with_its_summary_and_picture(demo, number):
    child = demo.start("--scenario", "quiet", "--duration", "600")
    opening = demo.lines_until("instruments read")
    assert opening[-1].startswith("21 of 21 instruments read (")
    assert find_mosquitto() is None or any("mosquitto.conf" in c for c in demo.offspring())
    child.send_signal(number)
    status, output, errors = demo.end()
    assert (status, errors) == (0, "")
    assert "no priority 1 alarm" in output
    assert "readings dropped: none" in output
    assert f"picture of the square: {demo.out}" in output
    assert is_svg_with_every_station(demo.out / "square.svg")
    shown = "".join(opening) + output
    assert [v for line in shown.splitlines() for v in lint(line)] == []
    demo.wait_until_alone()
    assert list(demo.scratch.iterdir()) == []


@pytest.mark.timeout(240)
def test_the_opening_says_what_runs_where_and_how_to_watch(demo):
    demo.start("--scenario", "chlorine_single", "--duration", "600")
    opening = "".join(demo.lines_until("runs "))
    demo.child.send_signal(signal.SIGINT)
    assert demo.end()[0] == 0
    broker = "mosquitto, MQTT 5" if find_mosquitto() else "embedded amqtt, MQTT 3.1.1"
    dialect = "mqttv5" if find_mosquitto() else "mqttv311"
    for part in (
        "21 simulated instruments at 15 stations",
        f"broker    {broker}, mqtt://127.0.0.1:",
        "no password, this machine only",
        f"mosquitto_sub -V {dialect} -h 127.0.0.1 -p ",
        "-t 'cbrn/v1/demo/square/exercise/alert/+'",
        "-t 'cbrn/v1/demo/square/exercise/reading/+'",
        "15 s after the start chlorine is released (simulated)",
    ):
        assert part in opening


@pytest.mark.timeout(240)
def test_without_mosquitto_it_says_so_and_reads_every_instrument_too(demo, tmp_path):
    nothing = tmp_path / "sitecustomize.py"
    nothing.write_text(
        "import cbrn_gateway.sinks.embedded_broker as b\nb.find_mosquitto = lambda: None\n"
    )
    demo.start("--scenario", "quiet", "--duration", "600", PYTHONPATH=str(tmp_path))
    opening = "".join(demo.lines_until("instruments read"))
    demo.child.send_signal(signal.SIGINT)
    assert demo.end()[0] == 0
    assert "mosquitto is not installed: using the embedded broker amqtt (MQTT 3.1.1)" in opening
    assert "broker    embedded amqtt, MQTT 3.1.1, " in opening
    assert "21 of 21 instruments read" in opening


@pytest.mark.timeout(240)
def test_the_broker_goes_even_when_the_demo_is_killed(demo):
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: mosquitto)")
    child = demo.start("--scenario", "quiet", "--duration", "600")
    demo.lines_until("runs ")
    assert demo.offspring()
    child.kill()
    child.wait()
    demo.wait_until_alone()


@pytest.mark.timeout(240)
def test_it_ends_in_order_when_nobody_reads_its_output(demo):
    child = demo.start("--scenario", "quiet", "--duration", "600")
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=120) == 0
    assert child.stderr.read() == ""
    demo.wait_until_alone()


def test_a_port_that_is_taken_is_one_clear_line_and_exit_status_1(demo):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo.start("--port", str(port), "--duration", "5")
        status, _, errors = demo.end()
    assert status == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in errors
    assert "Traceback" not in errors


def test_a_folder_that_cannot_be_made_is_exit_status_2(demo):
    demo.scratch.with_name("in-the-way").touch()
    demo.out = demo.scratch.with_name("in-the-way") / "out"
    demo.start("--duration", "5")
    status, _, errors = demo.end()
    assert status == 2
    assert errors.startswith(f"--out: {demo.out}: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--duration", "0"),
        ("--duration", "nan"),
        ("--duration", "1e9"),
        ("--port", "70000"),
        ("--scenario", "party"),
        ("--seed", "x"),
    ],
)
def test_bad_usage_is_exit_status_2_and_names_the_option(demo, arguments):
    demo.start(*arguments)
    status, _, errors = demo.end()
    assert status == 2
    assert arguments[0] in errors
    assert "Traceback" not in errors
