"""A bGeigie's own log as readings of one station."""

from itertools import pairwise

import pytest

from cbrn_core.errors import ChecksumError, FrameError, InputError, LengthError
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.times import format_rfc3339
from cbrn_drivers.catalogue import load_profile, open_log
from cbrn_drivers.codec.checksum import xor8

PLACE = "3729.6509,N,13956.5519,E,256.40,A,5,300"


def line(time, counts=2, validity="A"):
    body = f"BNRDD,1,{time},45,{counts},138,{validity},{PLACE}"
    return f"${body}*{xor8(body.encode()):02X}\r\n".encode()


def read(*lines):
    log = open_log(load_profile("safecast_bgeigie"), lines, "walk")
    return list(log), log.counters()


def test_a_line_is_a_reading_of_the_station_at_the_devices_time():
    (reading,), counters = read(line("2013-11-01T23:51:55Z"))
    assert (reading.station, reading.channel, reading.value) == ("walk", "gamma", 0.4)
    assert format_rfc3339(reading.time_us) == "2013-11-01T23:51:55.000Z"
    assert reading.received_us == reading.time_us
    assert reading.fix.lat == pytest.approx(37.494182, abs=1e-6)
    assert counters == {"readings": 1}


def test_damaged_lines_are_yielded_as_errors_in_their_place_and_counted():
    entries, counters = read(
        b"# NEW LOG\r\n",
        line("2013-11-01T23:51:55Z"),
        line("2013-11-01T23:52:00Z").replace(b",45,", b",46,"),
        line("2013-11-01T23:52:05Z")[:40],
        b"\r\n",
        line("2013-11-01T23:52:10Z"),
    )
    kinds = [type(e) for e in entries]
    assert kinds == [Reading, ChecksumError, LengthError, Reading]
    assert counters == {"comments": 1, "readings": 2, "frame_checksum": 1, "frame_length": 1}


def test_a_line_before_the_first_valid_time_is_refused_by_name():
    entries, counters = read(line("2012-00-00T00:00:00Z"), line("2013-11-01T23:51:55Z"))
    assert isinstance(entries[0], InputError)
    assert isinstance(entries[1], Reading)
    assert counters["no_time"] == 1


def test_a_line_that_loses_its_time_follows_the_one_before_and_says_so():
    (first, second), _ = read(line("2013-11-01T23:51:55Z"), line("2000-00-00T00:00:00Z"))
    assert second.time_us - first.time_us == 5_000_000
    assert Flag.CLOCK_UNSYNCED in second.flags
    assert second.raw == "2000-00-00T00:00:00Z"


def test_arrival_never_goes_back_when_the_devices_clock_does():
    (first, second), counters = read(line("2013-11-01T23:51:55Z"), line("2013-11-01T20:00:00Z"))
    assert second.time_us < first.time_us
    assert second.received_us == first.received_us
    assert counters["time_backwards"] == 1


def test_the_comment_about_dead_time_changes_the_lines_behind_it():
    (before, after, again), _ = read(
        line("2013-11-01T23:51:55Z", counts=5000),
        b"# deadtime=on\r\n",
        line("2013-11-01T23:52:00Z", counts=5000),
        b"# deadtime=off\r\n",
        line("2013-11-01T23:52:05Z", counts=5000),
    )
    assert before.value == again.value == 1000.0
    assert after.value == pytest.approx(1127.4, abs=0.1)


def test_an_endless_line_is_refused_and_not_decoded():
    entries, counters = read(b"$" + b"9" * 4000)
    assert isinstance(entries[0], LengthError)
    assert counters == {"frame_length": 1}


EXPECTED = {
    "2_028-0523.LOG": {"comments": 2, "readings": 1701},
    "4_007-0608.LOG": {"comments": 2, "readings": 2311},
    "8_safecast-20120701-094111.log": {"comments": 19, "readings": 1046},
    "bGeigieNanoKit_204-0920.LOG": {
        "comments": 2,
        "readings": 8511,
        "frame_field": 1,
        "frame_length": 1,
    },
    "bgeigie.log": {"comments": 19, "readings": 23},
    "bgeigie0.log": {"comments": 19, "readings": 23, "frame_field": 1},
    "bgeigie_with_corruption.log": {
        "comments": 6,
        "readings": 7,
        "frame_checksum": 1,
        "frame_length": 1,
    },
}


@pytest.mark.needs_shared_data
@pytest.mark.parametrize("name", EXPECTED)
def test_every_line_of_a_real_drive_is_a_reading_or_a_counted_refusal(real_data, name):
    path = real_data / "safecast" / name
    with path.open("rb") as stream:
        log = open_log(load_profile("safecast_bgeigie"), stream, "walk")
        entries = list(log)
    assert log.counters() == EXPECTED[name]
    content = [c for c in path.read_bytes().splitlines() if c.strip()]
    assert len(entries) + log.counters()["comments"] == len(content)
    readings = [e for e in entries if isinstance(e, Reading)]
    assert all(isinstance(e, FrameError) for e in entries if not isinstance(e, Reading))
    assert all(0 <= r.value < 100 and r.livetime_s == 5.0 for r in readings)
    assert all(a.received_us <= b.received_us for a, b in pairwise(readings))


@pytest.mark.needs_shared_data
def test_the_west_is_west_however_often_a_log_says_so(real_data):
    with (real_data / "safecast" / "bgeigie_with_corruption.log").open("rb") as stream:
        entries = list(open_log(load_profile("safecast_bgeigie"), stream, "walk"))
    assert all(-83.3 < r.fix.lon < -83.2 for r in entries if isinstance(r, Reading))


@pytest.mark.needs_shared_data
def test_a_void_start_is_warming_up_and_not_a_quiet_background(real_data):
    with (real_data / "safecast" / "2_028-0523.LOG").open("rb") as stream:
        entries = list(open_log(load_profile("safecast_bgeigie"), stream, "walk"))
    assert all(r.quality is Quality.UNCERTAIN and Flag.WARMING_UP in r.flags for r in entries[:8])
    assert all(r.quality is Quality.GOOD for r in entries[8:])
