"""The committed JSON Schemas are those of the types, and judge as they should."""

from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from samples.alert_samples import MODEL, alarm

import cbrn_gateway.schemas
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, DetectionClass, Flag, Quality, Reading
from cbrn_core.units import Unit
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.recording import encode_reading
from cbrn_gateway.schemas import file_name, load_schema
from cbrn_gateway.schemas.generate import DIALECT, PAYLOADS, encode, generate, write
from cbrn_gateway.sinks.payloads import encode_estimates, encode_readings, encode_status
from cbrn_gateway.wire import AnswerMessage, CommandMessage

FOLDER = Path(cbrn_gateway.schemas.__file__).parent
READING = Reading(
    station="st05",
    channel="cl2",
    time_us=1,
    received_us=2,
    value=1.25,
    unit=Unit.PPM,
    quality=Quality.UNCERTAIN,
    flags=(Flag.OVER_RANGE,),
    fix=Fix(59.9, 10.7, 12.0),
    detection=Detection(class_=DetectionClass.NERVE, bars=2),
)


def judge(name):
    return Draft202012Validator(load_schema(name))


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_committed_schema_is_the_generated_one(name):
    committed = (FOLDER / file_name(name)).read_bytes()
    assert committed == encode(generate(name)), "run: python -m cbrn_gateway.schemas.generate"


def test_no_schema_lies_about_that_no_type_makes():
    files = {path.name for path in FOLDER.glob("*.json")}
    assert files == {file_name(name) for name in PAYLOADS}


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_schema_is_itself_valid_and_says_its_dialect(name):
    schema = load_schema(name)
    assert schema["$schema"] == DIALECT
    Draft202012Validator.check_schema(schema)


def test_writing_makes_every_file(tmp_path):
    assert {path.name for path in write(tmp_path)} == {path.name for path in FOLDER.glob("*.json")}


def test_live_payloads_obey_their_schemas():
    estimate = Estimate(
        station="st05",
        channel="cl2",
        time_us=1,
        received_us=2,
        value=1.0,
        sigma=0.2,
        unit=Unit.PPM,
        nis=0.5,
        quality=Quality.GOOD,
    )
    status = encode_status(
        "gw-1", "online", since_us=1, online_since_us=1, version="0.1.0", counters={"late": 2}
    )
    payloads = {
        "cbrn-readings/1": encode_readings("gw-1", 7, 1, 1, [READING]),
        "cbrn-reading/1": encode_reading(READING),
        "cbrn-estimate/1": encode_estimates("gw-1", [estimate]),
        "cbrn-status/1": status,
        "cbrn-command/1": msgspec.json.encode(
            CommandMessage(verb="ack", actor="B", alarm_id="x", version=1)
        ),
        "cbrn-answer/1": msgspec.json.encode(AnswerMessage(gateway="gw-1", accepted=True)),
    }
    for name, payload in payloads.items():
        errors = [error.message for error in judge(name).iter_errors(msgspec.json.decode(payload))]
        assert errors == [], name


def test_a_minimal_recording_line_is_valid():
    line = {
        "time": "2026-06-01T06:15:03Z",
        "station": "a",
        "channel": "b",
        "value": 1,
        "unit": "ppm",
    }
    assert judge("cbrn-reading/1").is_valid(line)
    assert judge("cbrn-reading/1").is_valid(line | {"value": None, "quality": "bad"})


@pytest.mark.parametrize(
    ("change", "drop"),
    [
        ({"unit": "furlong"}, None),
        ({"quality": "excellent"}, None),
        ({"value": "high"}, None),
        ({}, "station"),
        ({}, "unit"),
    ],
)
def test_a_wrong_recording_line_is_refused(change, drop):
    line = {"time": "t", "station": "a", "channel": "b", "value": 1, "unit": "ppm"} | change
    line.pop(drop, None)
    assert not judge("cbrn-reading/1").is_valid(line)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "cbrn-alert/2"),
        ("priority", 4),
        ("state", "pending state"),
        ("certainty", "sure"),
        ("purpose", "drill"),
        ("read_aloud", "x" * 201),
        ("observed_at", "2026-06-01T19:01:04+02:00"),
        ("version", 0),
        ("hash", "not a hash"),
        ("source_estimate", "near the fountain"),
    ],
)
def test_a_wrong_alert_is_refused(field, value):
    alert = render_alert(alarm(), MODEL)
    assert judge("cbrn-alert/1").is_valid(alert)
    alert["properties"][field] = value
    assert not judge("cbrn-alert/1").is_valid(alert)


def test_an_alert_without_place_is_refused():
    alert = render_alert(alarm(), MODEL)
    for geometry in (None, {"type": "Point"}, {"type": "Point", "coordinates": [1]}):
        assert not judge("cbrn-alert/1").is_valid(alert | {"geometry": geometry})


def test_an_unknown_schema_has_no_file():
    with pytest.raises(FileNotFoundError):
        load_schema("cbrn-nothing/1")
    with pytest.raises(KeyError):
        generate("cbrn-nothing/1")
