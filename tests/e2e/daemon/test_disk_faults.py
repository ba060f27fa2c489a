"""The disk hangs or is full: a gas alarm is with the subscriber within a second all the same."""

import resource
import subprocess
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from e2e.evidence import (
    alerts,
    has_heard_whole_journal,
    journalled,
    stored,
    versions_backwards,
    versions_of,
    wait_until,
)
from e2e.external_square import DEADLY_PPM, ExternalSquare, stations
from e2e.failing_disk import FailingDisk
from e2e.gateway_process import CBRN_GATEWAY, head, mqtt_table
from e2e.servers import subscriber
from samples.site_samples import table

from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_reader import SeriesReader, Snapshot

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]

AT_MOST_S = 1.0
BALLAST_MB = 2
SMALL_FILE_BYTES = 4_096
NEARLY_FULL_BYTES = 900_000
"""Below half of the floor: neither readings nor estimates may make a file grow."""
SILENCE_TOLD_S = 15.0
"""Ten of them by the clock, the others for a machine that is busy with other tests."""


@pytest.fixture
def failing(own_broker, new_daemon, tmp_path):
    """A daemon at work on a disk that is still good."""
    folder = tmp_path / "gateway"
    limits = table("store", {"ballast_mb": BALLAST_MB, "free_disk_floor_mb": BALLAST_MB})
    mqtt = mqtt_table(own_broker, tmp_path)
    daemon = new_daemon(head(folder) + mqtt + limits + stations(), folder)
    disk = FailingDisk(tmp_path / "disk", daemon.data_dir)
    disk.carry(daemon)
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        running = ExternalSquare(own_broker, daemon, soc)
        running.is_at_work()
        wait_until((daemon.data_dir / "ballast").is_file, "the ballast is there")
        wait_until(lambda: journalled(daemon.data_dir), "something is journalled")
        yield running, disk


def assert_journal_is_whole(square: ExternalSquare) -> None:
    verify = subprocess.run(
        [CBRN_GATEWAY, "verify", str(square.daemon.data_dir)], capture_output=True, check=False
    )
    assert verify.returncode == 0, verify.stdout
    heard = versions_of(alerts(square.soc))
    assert heard <= versions_of(journalled(square.daemon.data_dir))
    assert versions_backwards(alerts(square.soc)) == []


def is_made_good(square: ExternalSquare, station: str) -> bool:
    """Return whether the last that was heard of an alarm is its journalled copy."""
    return square.gas_at(station)[-1]["journal"] == "journalled"


def test_a_hung_disk_does_not_hold_an_alarm_up(failing):
    square, disk = failing
    disk.hang()
    first, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert first["priority"] == 1
    assert first["journal"] == "pending"
    assert [first[name] for name in ("epoch", "seq", "prev_hash", "hash")] == [None] * 4
    wait_until(lambda: any("journal" in text for text in square.technical()), "a technical alarm")
    second, took_s = square.gas_comes("st02")
    assert took_s < AT_MOST_S
    assert second["journal"] == "pending"

    disk.mend()
    wait_until(lambda: is_made_good(square, "st01") and is_made_good(square, "st02"), "the copies")
    assert square.gas_at("st01")[-1]["version"] > first["version"]
    assert square.gas_at("st02")[-1]["version"] > second["version"]
    third, took_s = square.gas_comes("st03")
    assert third["journal"] == "journalled"
    assert took_s < AT_MOST_S
    wait_until(lambda: is_in_log(square), "the log has everything")
    assert square.ends()["alerts_from_memory"] >= 2
    assert_journal_is_whole(square)


def test_a_hung_disk_is_told_while_all_is_quiet(failing):
    square, disk = failing
    disk.hang()
    hung_s = time.monotonic()
    wait_until(lambda: silences(square), "the technical alarm")
    took_s = time.monotonic() - hung_s
    assert took_s < SILENCE_TOLD_S
    first = silences(square)[0]
    assert (first["state"], first["journal"]) == ("unack", "pending")
    assert "does not answer (since " in first["text"]
    disk.mend()
    wait_until(lambda: silences(square)[-1]["state"] == "rtn_unack", "its end")
    wait_until(lambda: is_in_log(square), "the log has everything")
    assert_journal_is_whole(square)


def silences(square: ExternalSquare) -> list[dict]:
    told = [alert["properties"] for alert in alerts(square.soc)]
    return [p for p in told if p["level"] == "disk does not answer"]


def is_in_log(square: ExternalSquare) -> bool:
    return has_heard_whole_journal(square.soc, square.daemon.data_dir)


def test_on_a_full_disk_alarms_are_journalled_in_the_room_of_the_ballast(failing):
    square, disk = failing
    disk.fill()
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "journalled"
    assert not (square.daemon.data_dir / "ballast").exists()
    wait_until(lambda: any(map(is_about_room, square.technical())), "it is told")
    before = len(stored(square.daemon.data_dir))
    for _ in range(10):
        square.says("st02", 0.2)

    disk.mend()
    wait_until((square.daemon.data_dir / "ballast").is_file, "the ballast is there again")
    wait_until(lambda: is_storing_again(square, before), "readings are stored again")
    wait_until(lambda: has_returned(square), "the technical alarm returns")
    counters = square.ends()
    assert counters["ballast_released"] == 1
    kept = len(stored(square.daemon.data_dir))
    assert kept + counters.get("series_unstored_reading", 0) == counters["external_messages"]
    assert_journal_is_whole(square)


def test_on_a_disk_nearly_full_the_newest_readings_take_the_place_of_the_oldest(failing):
    square, disk = failing
    data_dir = square.daemon.data_dir
    assert square.daemon.terminate()[0] == 0
    seed(data_dir / "series.db")
    square.daemon.start()
    wait_until((data_dir / "ballast").is_file, "the ballast is there")
    oldest = stored(data_dir)[0]
    disk.fill(NEARLY_FULL_BYTES)
    wait_until(lambda: any(map(is_about_room, square.technical())), "it is told")
    told_ppm = [0.01 * n for n in range(1, 21)]
    before = len(stored(data_dir))
    for value_ppm in told_ppm:
        square.says("st02", value_ppm)
    wait_until(lambda: newest_ppm(data_dir, len(told_ppm)) == told_ppm, "the newest are stored")
    assert oldest not in stored(data_dir)
    assert len(stored(data_dir)) < before
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "journalled"
    counters = square.ends()
    assert counters["series_made_way"] > 0
    assert "series_unstored_reading" not in counters
    assert counters["ballast_released"] == 0
    assert_journal_is_whole(square)


def seed(path: Path) -> None:
    """Let a series hold a day of a reading every five seconds."""
    now_us = time.time_ns() // 1_000
    said = Reading(
        station="st01", channel="cl2", time_us=0, received_us=0, value=0.1, unit=Unit.PPM
    )
    times_us = [now_us - ago_s * US_PER_S for ago_s in range(86_400, 60, -5)]
    with closing(Series(path)) as series:
        series.append(
            [msgspec.structs.replace(said, time_us=us, received_us=us) for us in times_us]
        )
        row = series.last_row()
        series.save_snapshot(Snapshot(journal_seq=0, last_row=row, config_hash="", state=b""))


def newest_ppm(data_dir: Path, count: int) -> list[float]:
    with closing(SeriesReader(data_dir / "series.db")) as series:
        return [r.value for r in series.readings(("st02", "cl2"))][-count:]


def test_a_limit_of_the_file_size_is_told_and_costs_nothing_once_it_is_lifted(failing):
    square, _ = failing
    limit_files(square, SMALL_FILE_BYTES)
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "pending"
    wait_until(lambda: any(map(is_refusal, square.technical())), "the technical alarm")
    assert not any(map(is_about_room, square.technical())), "nobody knows that the disk is full"
    assert not (square.daemon.data_dir / "ballast").exists()
    for _ in range(5):
        square.says("st02", 0.2)

    limit_files(square, resource.RLIM_INFINITY)
    wait_until(lambda: is_made_good(square, "st01"), "the journalled copy")
    wait_until(lambda: newest_ppm(square.daemon.data_dir, 5) == [0.2] * 5, "what waited is stored")
    wait_until(lambda: is_in_log(square), "the log has everything")
    counters = square.ends()
    assert counters["ballast_released"] == 1
    assert "series_dropped_reading" not in counters
    assert len(stored(square.daemon.data_dir)) == counters["external_messages"]
    assert_journal_is_whole(square)


def limit_files(square: ExternalSquare, most_bytes: int) -> None:
    """Let no file of the daemon grow beyond a size (RLIMIT_FSIZE)."""
    child = square.daemon.child
    assert child is not None
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))


def is_refusal(text: str) -> bool:
    return "the disk refuses to read or write" in text


def is_storing_again(square: ExternalSquare, before: int) -> bool:
    square.says("st02", 0.2)
    return len(stored(square.daemon.data_dir)) > before


def is_about_room(text: str) -> bool:
    return "the disk of this gateway is full" in text


def has_returned(square: ExternalSquare) -> bool:
    told = alerts(square.soc)
    full = {alert["id"] for alert in told if is_about_room(alert["properties"]["text"])}
    states = [alert["properties"]["state"] for alert in told if alert["id"] in full]
    return bool(states) and states[-1] == "rtn_unack"


def test_a_full_disk_without_ballast_does_not_hold_an_alarm_up(failing):
    square, disk = failing
    (square.daemon.data_dir / "ballast").unlink()
    disk.fill()
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "pending"
    disk.mend()
    wait_until(lambda: is_made_good(square, "st01"), "the journalled copy")
    assert square.gas_at("st01")[-1]["version"] > gas["version"]
    wait_until((square.daemon.data_dir / "ballast").is_file, "the ballast is there again")
    assert_journal_is_whole(square)


def goes_on(square: ExternalSquare, told: int) -> bool:
    """Return whether the last that was heard is journalled, and newer or another alarm's."""
    heard = [a for a in alerts(square.soc) if a["properties"]["station"] == "st01"]
    gas = [a for a in heard if a["properties"]["kind"] == "specific"]
    last = gas[-1]["properties"]
    is_newer = gas[-1]["id"] != gas[0]["id"] or last["version"] > told
    return is_newer and last["journal"] == "journalled"


def test_a_kill_while_alarms_are_in_memory_alone_lets_no_version_go_back(failing):
    square, disk = failing
    disk.hang()
    square.gas_comes("st01")
    square.says("st01", *[0.5 * DEADLY_PPM] * 3)
    mark = square.daemon.data_dir / "told-from-memory"
    wait_until(lambda: mark.read_bytes() == b"1", "it is noted for the next start")
    told = max(p["version"] for p in square.gas_at("st01"))
    square.daemon.kill()
    disk.mend()
    square.daemon.start()
    square.says("st01", DEADLY_PPM, DEADLY_PPM)
    # what reached the disk before the kill may be told once more, then what follows it
    wait_until(lambda: goes_on(square, told), "the alarm is journalled and goes on")
    last = square.gas_at("st01")[-1]
    assert last["priority"] == 1
    wait_until(lambda: is_in_log(square), "the log has everything")
    assert versions_backwards(alerts(square.soc)) == []
    wait_until(lambda: mark.read_bytes() == b"0", "nothing is in memory alone any more")
