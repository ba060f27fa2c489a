"""bGeigie, ZE03 and WindSonic write what their documents print."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cbrn_sim.instruments.bgeigie import (
    BgeigieNano,
    LogPlayer,
    Whereabouts,
    degrees_minutes,
    sentence,
)
from cbrn_sim.instruments.windsonic import LowWind, WindSonic
from cbrn_sim.instruments.ze03 import Mode, Ze03
from cbrn_sim.streams import stream
from cbrn_sim.world.wind import Wind

REAL_DATA = Path(
    os.environ.get("CBRN_REAL_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)


def bgeigie(well, tube, place, when, **options):
    return BgeigieNano(2408, tube, lambda _t_s: place, lambda _t_s: when, well, **options)


def test_a_nano_line_is_the_captured_one(well, fixed_tube):
    model = bgeigie(
        well,
        fixed_tube(cps=4, cpm=34, total=42),
        Whereabouts(50 + 3.1563 / 60, 14 + 30.9260 / 60, 242.8),
        datetime(2022, 3, 20, 15, 30, 42, tzinfo=UTC),
        satellites=4,
        hdop=2.1,
    )
    assert model.emit(5.0) == (
        b"$BNRDD,2408,2022-03-20T15:30:42Z,34,4,42,A,5003.1563,N,01430.9260,E,242.80,A,4,210*4B\r\n"
    )


def test_a_young_or_empty_count_is_marked_void(well, fixed_tube):
    place, when = Whereabouts(-33.5, -70.25, 5.0), datetime(2026, 1, 2, tzinfo=UTC)
    young = bgeigie(well, fixed_tube(cpm=9, bins_run=11), place, when).emit(5.0)
    empty = bgeigie(well, fixed_tube(cpm=0), place, when).emit(5.0)
    assert b",9,0,0,V,3330.0000,S,07015.0000,W," in young
    assert b",0,0,0,V," in empty


def test_before_a_fix_the_date_is_impossible_and_the_position_void(well, fixed_tube):
    line = bgeigie(well, fixed_tube(cpm=30), None, datetime(2026, 1, 2, tzinfo=UTC)).emit(5.0)
    assert line.startswith(b"$BNRDD,2408,2012-00-00T00:00:00Z,30,")
    assert b",V,0,9999*" in line


@pytest.mark.parametrize(
    ("degrees", "digits", "text"),
    [(4.9999999, 2, "0500.0000"), (0.0, 3, "00000.0000"), (139.942532, 3, "13956.5519")],
)
def test_angles_carry_minutes_over(degrees, digits, text):
    assert degrees_minutes(degrees, digits) == text


def test_a_sentence_has_two_upper_case_digits_of_checksum():
    body = "BNRDD,2023,2013-11-01T23:51:55Z,45,2,138,A,3729.6509,N,13956.5519,E,256.40,A,5,300"
    assert sentence(body) == f"${body}*7D\r\n".encode()


def test_a_log_is_played_line_by_line_with_its_damage(tmp_path):
    log = tmp_path / "drive.LOG"
    log.write_bytes(b"# NEW LOG\n# format=1.2.9nano\r\n$A*00\n$B,\xff*11\r\n\n$C*22")
    player = LogPlayer(log, period_s=0.5)
    assert player.emit(0.5) == b"# NEW LOG\r\n# format=1.2.9nano\r\n$A*00\r\n"
    assert player.emit(1.0) == b"$B,\xff*11\r\n"
    assert player.emit(1.5) == b"\r\n$C*22\r\n"
    assert not player.is_over
    assert player.emit(2.0) == b""
    assert player.is_over


@pytest.mark.needs_shared_data
def test_real_drives_are_played_without_changing_a_byte():
    logs = sorted((REAL_DATA / "safecast").glob("*.[lL][oO][gG]"))
    if not logs:
        pytest.skip(f"no bGeigie logs in {REAL_DATA / 'safecast'}; set CBRN_REAL_DATA")
    for log in logs:
        player = LogPlayer(log)
        played = bytearray()
        while not player.is_over:
            played += player.emit(0.0)
        assert played.splitlines() == log.read_bytes().splitlines()


def test_the_ze03_sends_five_ppm_of_ammonia_as_printed(well):
    module = Ze03("nh3", lambda _t_s: 5.2, well)
    assert module.emit(1.0).hex() == "ff8600050000000075"


@pytest.mark.parametrize(
    ("gas", "ppm", "steps"),
    [("nh3", 101.0, 100), ("cl2", 2.84, 28), ("so2", 99.0, 200), ("co", 700.4, 700), ("hf", -1, 0)],
)
def test_the_ze03_knows_the_step_and_range_of_each_gas(well, gas, ppm, steps):
    frame = Ze03(gas, lambda _t_s: ppm, well).emit(1.0)
    assert frame[2] * 256 + frame[3] == steps
    assert sum(frame[1:]) & 0xFF == 0


def test_the_ze03_changes_its_mode_on_command(well):
    module = Ze03("nh3", lambda _t_s: 5.0, well)
    assert module.receive(bytes.fromhex("ff0178040000000083"), 0.0).hex() == "ff7801000000000087"
    assert module.mode is Mode.ON_REQUEST
    assert module.emit(1.0) == b""
    assert module.receive(bytes.fromhex("ff0186000000000079"), 1.2).hex() == "ff8600050000000075"
    assert module.receive(bytes.fromhex("ff0178030000000084"), 1.4).hex() == "ff7801000000000087"
    assert module.emit(2.0).hex() == "ff8600050000000075"


def test_the_ze03_finds_a_command_behind_rubbish_and_damage(well):
    module = Ze03("nh3", lambda _t_s: 5.0, well, mode=Mode.ON_REQUEST)
    read = bytes.fromhex("ff0186000000000079")
    damaged = read[:-1] + b"\x78"
    assert module.receive(b"\x00\xff\x01" + damaged + read, 0.0).hex() == "ff8600050000000075"
    assert module.receive(read[:5], 0.0) == b""
    assert module.receive(read[5:], 0.0).hex() == "ff8600050000000075"


def test_the_ze03_shows_zero_while_warming_up(well):
    well.warm_up()
    assert Ze03("nh3", lambda _t_s: 50.0, well).emit(1.0).hex() == "ff860000000000007a"


@pytest.mark.parametrize(
    ("wind", "low_wind", "line"),
    [
        (Wind(2.74, 229.0), LowWind.EMPTY, b"\x02Q,229,002.74,M,00,\x0316\r\n"),
        (Wind(0.04, 229.0), LowWind.EMPTY, b"\x02Q,,000.04,M,00,\x032A\r\n"),
        (Wind(0.05, 160.0), LowWind.FROZEN, b"\x02Q,160,000.05,M,00,\x031C\r\n"),
    ],
)
def test_the_windsonic_writes_the_manuals_lines(well, wind, low_wind, line):
    assert WindSonic(lambda _t_s: wind, well, low_wind=low_wind).emit(1.0) == line


def test_the_windsonic_in_fixed_field_keeps_the_last_direction(well):
    winds = {1.0: Wind(3.0, 160.4), 2.0: Wind(0.01, 300.0)}
    sonic = WindSonic(winds.__getitem__, well, low_wind=LowWind.FROZEN)
    assert sonic.emit(1.0).startswith(b"\x02Q,160,")
    assert sonic.emit(2.0).startswith(b"\x02Q,160,000.01")


def test_the_windsonic_measures_from_its_own_north_mark(well):
    sonic = WindSonic(lambda _t_s: Wind(3.0, 10.0), well, north_mark_deg=30.0)
    assert sonic.emit(1.0).startswith(b"\x02Q,340,")


def test_the_windsonic_reports_its_status(well):
    well.fault_code(4)
    assert b",M,04," in WindSonic(lambda _t_s: Wind(3.0, 10.0), well).emit(1.0)


def test_the_windsonic_never_writes_three_hundred_and_sixty(well):
    assert WindSonic(lambda _t_s: Wind(3.0, 359.7), well).emit(1.0).startswith(b"\x02Q,000,")


def test_the_windsonic_scatters_by_the_makers_accuracy(well):
    sonic = WindSonic(lambda _t_s: Wind(10.0, 180.0), well, stream(1, "scatter"), rate_hz=4.0)
    assert sonic.period_s == 0.25
    speeds = [float(sonic.emit(1.0).split(b",")[2]) for _ in range(2000)]
    mean = sum(speeds) / len(speeds)
    assert mean == pytest.approx(10.0, abs=0.02)
    spread = (sum((s - mean) ** 2 for s in speeds) / len(speeds)) ** 0.5
    assert spread == pytest.approx(0.2, rel=0.1)
