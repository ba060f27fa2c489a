import json
import struct
from pathlib import Path

import pytest

from cbrn_core.errors import ChecksumError, ConfigError, ExceptionReply, UnexpectedReply
from cbrn_core.reading import InstrumentAlarm, Quality
from cbrn_core.units import Unit
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.chemical.modbus_detector import decode_readings, fields
from cbrn_drivers.codec.modbus import crc16

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "data" / "golden" / "modbus.json").read_text(encoding="utf-8")
)["frames"]
PROFILES = {"raeguard3": "raeguard", "scd30": "scd30", "polytron": "polytron-8000"}
XCD = load_profile("sensepoint-xcd")
REQUEST = "05 03 00 02 00 05 25 8D"
REPLY = bytes.fromhex("0503 0A 41FC0000 0000 0001 0001 B827".replace(" ", ""))


def sealed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "little")


@pytest.mark.parametrize("frame", GOLDEN, ids=[f["id"] for f in GOLDEN])
def test_every_golden_frame_gives_the_fields_it_must(frame):
    profile = PROFILES.get(frame["id"].partition("_")[0], "sensepoint-xcd")
    shown = fields(bytes.fromhex(frame["input_hex"]), {}, load_profile(profile))
    assert {key: shown.get(key) for key in frame["expect"]} == frame["expect"]


@pytest.mark.parametrize(
    "told",
    [{"request": REQUEST}, {"register": "40003"}, {"register": "2"}, {"register": "40003..40007"}],
)
def test_what_the_wire_does_not_say_may_be_told(told):
    assert fields(REPLY, told, XCD)["gas"] == 31.5
    assert fields(REPLY, told, XCD)["registers"] == "40003..40007"


def test_registers_elsewhere_give_other_fields():
    shown = fields(REPLY, {"register": "40100"}, XCD)
    assert shown["registers"] == "40100..40104"
    assert "gas" not in shown


def test_the_identity_word_is_taken_apart():
    shown = fields(sealed(bytes.fromhex("0503022505")), {"register": "40001"}, XCD)
    assert (shown["identity_type"], shown["identity_address"]) == (0x25, 5)


def test_a_tcp_frame_is_read_where_it_is_said_to_be_one():
    frame = struct.pack(">HHHB", 1, 0, 13, 5) + REPLY[1:-2]
    assert fields(frame, {"framing": "tcp"}, XCD)["gas"] == 31.5
    with pytest.raises(ChecksumError):
        fields(frame, {}, XCD)


def test_an_alarm_reply_is_a_reading_with_the_instruments_own_alarm():
    (reading,) = decode_readings(REPLY, {}, XCD)
    assert (reading.channel, reading.value, reading.unit) == ("cl2", 31.5, Unit.PPM)
    assert reading.quality is Quality.GOOD
    assert reading.detection.instrument_alarm is InstrumentAlarm.A1


def test_the_fitted_gas_may_be_told():
    (reading,) = decode_readings(REPLY, {"gas": "nh3"}, XCD)
    assert reading.channel == "nh3"


def test_a_request_holds_no_reading_and_a_refusal_is_an_error():
    assert decode_readings(bytes.fromhex(REQUEST), {}, XCD) == []
    with pytest.raises(ExceptionReply, match="illegal data address"):
        decode_readings(bytes.fromhex("0583028130"), {}, XCD)


@pytest.mark.parametrize(
    "told",
    [
        {"unit_id": "6"},
        {"request": sealed(bytes.fromhex("060300020005")).hex()},
        {"request": sealed(bytes.fromhex("050400020005")).hex()},
        {"request": sealed(bytes.fromhex("050300020009")).hex()},
    ],
)
def test_a_reply_to_another_question_is_refused(told):
    with pytest.raises(UnexpectedReply):
        decode_readings(REPLY, told, XCD)
    with pytest.raises(UnexpectedReply):
        fields(REPLY, told, XCD)


@pytest.mark.parametrize(
    "told",
    [
        {"request": "zz"},
        {"request": "05"},
        {"request": REPLY.hex()},
        {"register": "x"},
        {"register": "200000"},
        {"unit_id": "five"},
        {"address_base": "high"},
    ],
)
def test_an_option_that_cannot_be_used_is_a_configuration_error(told):
    with pytest.raises(ConfigError):
        fields(REPLY, told, XCD)


def test_a_number_that_is_none_is_shown_as_null():
    frame = sealed(bytes.fromhex("0503047FC00000"))
    assert fields(frame, {"register": "40003"}, XCD)["gas"] is None
