"""The engine of the `decode` command: lines in, JSON-ready objects out."""

import json

import pytest

from cbrn_core.errors import ConfigError
from cbrn_drivers.decode import decode_line, decode_lines, frame_of_line

WIND = "\\u0002Q,229,002.74,M,00,\\u000316\\r\\n"


def test_one_frame_with_two_values_gives_two_lines():
    lines = decode_lines("gill_windsonic", WIND, "text", {}, fields=False)
    assert [(x["channel"], x["value"], x["unit"]) for x in lines] == [
        ("wind_speed", 2.74, "m/s"),
        ("wind_direction", 229.0, "deg"),
    ]
    assert decode_line("gill_windsonic", WIND, "text", {}, fields=False) == {"readings": lines}


def test_a_reading_shows_what_the_frame_told_and_nothing_else():
    text = "$BNRDD,2108,2013-12-06T13:03:58Z,22,2,115,A,3145.7607,N,03510.1975,E,734.90,V,3,908*64"
    (reading,) = decode_lines("safecast_bgeigie", text, "text", {}, fields=False)
    assert reading == {
        "time": "2013-12-06T13:03:58.000Z",
        "channel": "gamma",
        "value": 0.4,
        "unit": "cps",
        "quality": "good",
        "flags": ["no_fix"],
        "raw": "2013-12-06T13:03:58Z",
        "livetime_s": 5.0,
        "lat": pytest.approx(31.762678, abs=1e-6),
        "lon": pytest.approx(35.169958, abs=1e-6),
        "alt_m": 734.9,
        "gnss_fix": False,
    }


@pytest.mark.parametrize(
    "line",
    [
        "FF 86 00 05 00 00 00 00 75",
        "ff8600050000000075",
        "FF:86:00:05:00:00:00:00:75",
        "0xFF, 0x86, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x75",
        "  FF86 0005 0000 0000 75\r\n",
    ],
)
def test_hex_is_read_as_people_write_it(line):
    assert decode_line("winsen_ze03", line, "hex", {}, fields=True)["hi_lo_2_3"] == 5


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("zz", "hex"),
        ("abc", "hex"),
        ("FF 8 6", "hex"),
        ("0x", "hex"),
        ("\\q", "text"),
        ("\\u12", "text"),
        ("€", "text"),
        ("\\", "text"),
    ],
)
def test_a_line_that_is_no_frame_at_all_is_an_error_of_its_own_kind(line, mode):
    assert decode_line("winsen_ze03", line, mode, {}, fields=True)["error"] == "format"


def test_escapes_are_those_of_json_and_plain_quotes_are_let_through():
    assert frame_of_line('\\u0002\\r\\n\\t\\\\\\/\\"a"\\u00ff', "text") == b'\x02\r\n\t\\/"a"\xff'


def test_bytes_that_the_terminal_could_not_read_are_kept():
    assert frame_of_line(b"\xff\x80a".decode("utf-8", "surrogateescape"), "text") == b"\xff\x80a"


def test_a_bad_frame_is_an_object_with_its_kind_and_detail():
    line = WIND.replace("16", "06")
    for fields in (True, False):
        (output,) = decode_lines("gill_windsonic", line, "text", {}, fields=fields)
        assert output["error"] == "checksum"
        assert "06" in output["detail"]


def test_the_profile_decides_the_dialect():
    narrow = decode_line("gmc_rfc1201", "0017", "hex", {"request": "<GETCPM>>"}, fields=True)
    wide = decode_line("gmc_rfc1801", "0017", "hex", {"request": "<GETCPM>>"}, fields=True)
    assert narrow == {"cpm": 23}
    assert wide["error"] == "length"


def test_a_battery_is_a_reading_of_its_own():
    (reading,) = decode_lines("gmc_rfc1201", "2a", "hex", {"request": "<GETVOLT>>"}, fields=False)
    assert (reading["channel"], reading["value"], reading["unit"]) == ("battery", 4.2, "V")


def test_a_command_of_the_host_gives_no_reading():
    line = "3c5345544441544554494d451801081136393e3e"
    assert decode_lines("gmc_rfc1201", line, "hex", {}, fields=False) == []


def test_an_unknown_profile_is_a_configuration_error():
    with pytest.raises(ConfigError):
        decode_line("nothing", "00", "hex", {}, fields=True)


def test_every_output_is_json():
    for fields in (True, False):
        json.dumps(
            decode_line("gill_windsonic", WIND.replace("00,", "04,"), "text", {}, fields=fields)
        )
