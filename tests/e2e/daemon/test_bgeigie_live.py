"""A bGeigie's own drive, live on a serial line at 9600 baud, through to InfluxDB.

Its clock is years off: the readings are kept under the time of their arrival, marked, with
the device's own time beside them.
"""

import sqlite3
import time
from contextlib import closing
from functools import reduce
from operator import xor
from pathlib import Path

import msgspec
import pytest
from e2e.evidence import (
    points,
    quarantined,
    spooled,
    status_of,
    stored,
    wait_until,
)
from e2e.gateway_process import Daemon, head, influx_table, mqtt_table
from e2e.serial_feeder import SerialFeeder
from e2e.servers import subscriber
from samples.site_samples import mobile_bgeigie

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(240),
]

SYNTHESISED = Path(__file__).parents[2] / "data" / "bgeigie" / "walk_with_damage.log"
LONGEST_BYTES = 24_000
"""25 s at 9600 baud."""
STUTTER_S = 1.0
"""So long the machine has no time for the daemon: several lines then arrive at once."""
FIELDS = {b"BNRDD": 15, b"BMRDD": 15, b"BGRDD": 15}


class Drive(msgspec.Struct):
    """What one drive left behind."""

    log: bytes
    counters: dict[str, int]
    rows: list[tuple]
    points: list
    started_us: int
    ended_us: int

    def dropped(self) -> int:
        names = ("frame_checksum", "frame_length", "frame_field", "frame_unexpected")
        return sum(n for k, n in self.counters.items() if k.rpartition(".")[2] in names)


def well_summed(log: bytes) -> tuple[list[bytes], int]:
    """Return the good sentences of a log and how many lines hold a damaged one."""
    good, damaged = [], 0
    for line in log.replace(b"\r", b"\n").split(b"\n"):
        sentence = line[line.rfind(b"$") :] if b"$" in line else b""
        body, star, printed = sentence[1:].rpartition(b"*")
        is_summed = star and f"{reduce(xor, body, 0):02X}".encode() == printed
        if is_summed and len(body.split(b",")) == FIELDS.get(body.split(b",")[0]):
            good.append(body)
        elif sentence:
            damaged += 1
    return good, damaged


def real_log(folder: Path) -> bytes:
    """Return the drive with corrupted lines, and behind it an ordinary one up to our patience."""
    damaged = (folder / "safecast" / "bgeigie_with_corruption.log").read_bytes()
    whole = damaged + b"\r\n" + (folder / "safecast" / "2_028-0523.LOG").read_bytes()
    return whole[: whole.rfind(b"\n", 0, LONGEST_BYTES) + 1]


@pytest.fixture(
    scope="module",
    params=["synthesised", pytest.param("real", marks=pytest.mark.needs_shared_data)],
)
def drive(request, broker, influx, tmp_path_factory) -> Drive:
    if request.param == "real":
        log = real_log(request.getfixturevalue("real_data"))
    else:
        log = SYNTHESISED.read_bytes()
    folder = tmp_path_factory.mktemp(request.param)
    line = SerialFeeder(folder / "usb-bgeigie")
    station = f"car-{request.param}"
    servers = mqtt_table(broker, folder) + influx_table(influx, folder)
    site = head(folder / "gateway") + servers + mobile_bgeigie(line.link, station)
    daemon = Daemon(folder / "gateway", site)
    try:
        with subscriber(broker, "cbrn/v1/+/gateway/+/status") as soc:
            started_us = time.time_ns() // 1000
            daemon.start()
            wait_until(lambda: line.is_open, "the port is open")
            line.play(log)
            wait_until(lambda: len(stored(daemon.data_dir)) > 30, "part of the drive")
            daemon.stutter(STUTTER_S)
            wait_until(lambda: line.is_over, "the drive is over")
            wait_until(
                lambda: len(stored(daemon.data_dir)) >= len(well_summed(log)[0]), "all stored", 10
            )
            wait_until(lambda: not spooled(daemon.data_dir), "all delivered")
            code, _ = daemon.terminate()
            wait_until(lambda: (status_of(soc) or {}).get("state") == "offline", "the farewell")
            status = status_of(soc) or {}
    finally:
        daemon.kill()
        line.close()
    assert code == 0
    assert quarantined(daemon.data_dir) == []
    found = [point for point in points(influx) if point.station == station]
    return Drive(log, status["counters"], rows(daemon), found, started_us, time.time_ns() // 1000)


def rows(daemon: Daemon) -> list[tuple]:
    """Return (time_us, raw, flags, lat, value) of every stored reading, in order."""
    statement = "SELECT time_us, raw, flags, lat, value FROM head ORDER BY row"
    uri = f"{(daemon.data_dir / 'series.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return connection.execute(statement).fetchall()


def test_every_good_line_is_one_sample_and_one_point(drive):
    good, _ = well_summed(drive.log)
    assert len(good) > 100
    assert len(drive.rows) == len(good)
    assert len(drive.points) == len(set(drive.points)) == len(good)
    assert {point.time_us for point in drive.points} == {row[0] for row in drive.rows}


def test_every_damaged_line_is_counted(drive):
    _, damaged = well_summed(drive.log)
    assert damaged > 0
    assert drive.dropped() == damaged


def test_the_time_is_that_of_arrival_and_the_devices_own_is_kept_beside_it(drive):
    good, _ = well_summed(drive.log)
    times = [row[0] for row in drive.rows]
    assert times == sorted(times)
    assert drive.started_us <= times[0] <= times[-1] <= drive.ended_us
    assert [row[1] for row in drive.rows] == [body.split(b",")[2].decode() for body in good]
    assert all("clock_unsynced" in row[2].split(",") for row in drive.rows)


def test_the_counts_are_those_of_the_last_five_seconds(drive):
    good, _ = well_summed(drive.log)
    for row, body in zip(drive.rows, good, strict=True):
        counts = int(body.split(b",")[4])
        if row[4] is None:
            assert counts == 0
        else:
            assert row[4] == pytest.approx(counts / 5, rel=1e-3)


def test_each_point_says_where_it_was_measured(drive, influx):
    located = influx.query("SELECT lat, lon FROM radiological GROUP BY station")
    here = {row["time"] // 1000: row for row in located if row["station"].startswith("car-")}
    for time_us, _, _, lat, _ in drive.rows:
        assert here[time_us]["lat"] == pytest.approx(lat)
