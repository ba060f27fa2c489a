"""Every published frame of the serial instruments decodes as its source states."""

import json
from pathlib import Path

import pytest

from cbrn_drivers.decode import decode_line, decode_lines

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
PROFILES = {
    "gmc_rfc1201": "gmc_rfc1201",
    "gmc_rfc1801": "gmc_rfc1801",
    "safecast_bgeigie": "safecast_bgeigie",
    "winsen_ze03": "winsen_ze03",
    "gill_windsonic": "gill_windsonic",
    "nmea_mwv": "gill_windsonic",
}


def frames():
    for stem, profile in PROFILES.items():
        document = json.loads((GOLDEN / f"{stem}.json").read_text())
        for frame in document["frames"]:
            yield pytest.param(profile, frame, id=f"{stem}-{frame['id']}")


def options_of(frame):
    options = {"request": frame["request"]} if "request" in frame else {}
    if "calibration" in frame["expect"]:
        options["cpm"] = str(frame["expect"]["cpm"])
    return options


def line_of(frame):
    if "input_hex" in frame:
        return frame["input_hex"], "hex"
    return json.dumps(frame["input_text"])[1:-1], "text"


@pytest.mark.parametrize(("profile", "frame"), list(frames()))
def test_a_published_frame_gives_the_published_fields(profile, frame):
    line, mode = line_of(frame)
    decoded = decode_line(profile, line, mode, options_of(frame), fields=True)
    if "error" in frame["expect"]:
        assert decoded["error"] == frame["expect"]["error"]
        assert decoded["detail"]
    else:
        assert decoded == frame["expect"]


@pytest.mark.parametrize(("profile", "frame"), list(frames()))
def test_a_published_frame_gives_readings_or_the_same_error(profile, frame):
    line, mode = line_of(frame)
    options = options_of(frame) | {"gas": "nh3"}
    for output in decode_lines(profile, line, mode, options, fields=False):
        if "error" in frame["expect"]:
            assert output["error"] == frame["expect"]["error"]
        else:
            assert {"channel", "value", "unit", "quality"} <= output.keys()


def test_there_are_as_many_frames_as_the_protocol_document_has():
    assert len(list(frames())) == 29
