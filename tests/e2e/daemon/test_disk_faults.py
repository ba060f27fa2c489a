"""The disk hangs or is full: a gas alarm is with the subscriber within a second all the same."""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from e2e.evidence import (
    alerts,
    journalled,
    status_of,
    stored,
    version_of,
    versions_backwards,
    wait_until,
)
from e2e.failing_disk import FailingDisk
from e2e.gateway_process import CBRN_GATEWAY, Daemon, head, mqtt_table
from e2e.servers import CITY, SITE, TOOL_USER, program, subscriber
from samples.site_samples import table

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]

AT_MOST_S = 1.0
STATIONS = ("st01", "st02", "st03")
DEADLY_PPM = 90.0
BALLAST_MB = 2


class Square:
    """Three stations whose readings a foreign tool publishes, and the daemon on a failing disk."""

    def __init__(self, broker, daemon: Daemon, disk: FailingDisk, soc) -> None:
        self.broker = broker
        self.daemon = daemon
        self.disk = disk
        self.soc = soc

    def says(self, station: str, *values_ppm: float) -> float:
        """Publish readings of one station; return when that was, on the steady clock."""
        now = datetime.now(UTC)
        rows = [
            {"time": rfc3339(now - timedelta(milliseconds=100 * ago)), "value": value}
            | {"station": station, "channel": "cl2", "unit": "ppm"}
            for ago, value in zip(range(len(values_ppm) - 1, -1, -1), values_ppm, strict=True)
        ]
        said_s = time.monotonic()
        for row in rows:
            self._publish(json.dumps({"schema": "cbrn-readings/1", "rows": [row]}))
        return said_s

    def gas_at(self, station: str) -> list[dict]:
        """Return what the subscriber has heard of gas at a station."""
        told = [alert["properties"] for alert in alerts(self.soc)]
        return [p for p in told if p["station"] == station and p["kind"] == "specific"]

    def technical(self) -> set[str]:
        """Return the texts of all technical alarms about a store."""
        told = [alert["properties"] for alert in alerts(self.soc)]
        return {p["text"] for p in told if p["level"] == "store fails"}

    def ends(self) -> dict[str, int]:
        """End the daemon in order; return the counters of its farewell."""
        assert self.daemon.terminate()[0] == 0, self.daemon.tail()
        wait_until(lambda: status_of(self.soc)["state"] == "offline", "the farewell")
        return status_of(self.soc)["counters"]

    def gas_comes(self, station: str) -> tuple[dict, float]:
        """Let gas come; return the first alert of it and after how many seconds it arrived."""
        said_s = self.says(station, DEADLY_PPM, DEADLY_PPM)
        wait_until(lambda: self.gas_at(station), f"gas at {station}")
        return self.gas_at(station)[0], time.monotonic() - said_s

    def _publish(self, payload: str) -> None:
        topic = f"cbrn/v1/{CITY}/{SITE}/external/{TOOL_USER}"
        where = ("-h", "127.0.0.1", "-p", str(self.broker.port), "-q", "1", "-t", topic)
        who = ("-i", TOOL_USER, "-u", TOOL_USER, "-P", self.broker.password(TOOL_USER))
        command = [program("mosquitto_pub", "mosquitto-clients"), *where, *who, "-m", payload]
        subprocess.run(command, check=True)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stations() -> str:
    text = ""
    for number, station in enumerate(STATIONS):
        text += table("[station]", {"id": station})
        text += f"position = {{ lat = 60.0{number}, lon = 10.0, height_m = 3 }}\n"
        device = {"id": f"d-{station}", "station": station, "driver": "external"}
        text += table("[device]", device)
        channel = {"id": "cl2", "quantity": "cl2", "unit": "ppm", "range": [0.0, 100.0]}
        text += table("[device.channel]", channel)
    return text


@pytest.fixture
def square(own_broker, new_daemon, tmp_path):
    """A daemon at work on a disk that is still good."""
    folder = tmp_path / "gateway"
    limits = table("store", {"ballast_mb": BALLAST_MB, "free_disk_floor_mb": BALLAST_MB})
    mqtt = mqtt_table(own_broker, tmp_path)
    daemon = new_daemon(head(folder) + mqtt + limits + stations(), folder)
    disk = FailingDisk(tmp_path / "disk", daemon.data_dir)
    disk.carry(daemon)
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        running = Square(own_broker, daemon, disk, soc)
        wait_until(lambda: status_of(soc) is not None, "the daemon is connected")
        for station in STATIONS:
            running.says(station, 0.1)
        wait_until(lambda: len(stored(daemon.data_dir)) == len(STATIONS), "readings are stored")
        wait_until((daemon.data_dir / "ballast").is_file, "the ballast is there")
        wait_until(lambda: journalled(daemon.data_dir), "something is journalled")
        yield running


def assert_journal_is_whole(square: Square) -> None:
    verify = subprocess.run(
        [CBRN_GATEWAY, "verify", str(square.daemon.data_dir)], capture_output=True, check=False
    )
    assert verify.returncode == 0, verify.stdout
    heard = {version_of(alert) for alert in alerts(square.soc)}
    assert heard <= {version_of(alert) for alert in journalled(square.daemon.data_dir)}
    assert versions_backwards(alerts(square.soc)) == []


def is_made_good(square: Square, station: str) -> bool:
    """Return whether the last that was heard of an alarm is its journalled copy."""
    return square.gas_at(station)[-1]["journal"] == "journalled"


def test_a_hung_disk_does_not_hold_an_alarm_up(square):
    square.disk.hang()
    first, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert first["priority"] == 1
    assert first["journal"] == "pending"
    assert [first[name] for name in ("epoch", "seq", "prev_hash", "hash")] == [None] * 4
    wait_until(lambda: any("journal" in text for text in square.technical()), "a technical alarm")
    second, took_s = square.gas_comes("st02")
    assert took_s < AT_MOST_S
    assert second["journal"] == "pending"

    square.disk.mend()
    wait_until(lambda: is_made_good(square, "st01") and is_made_good(square, "st02"), "the copies")
    assert square.gas_at("st01")[-1]["version"] > first["version"]
    assert square.gas_at("st02")[-1]["version"] > second["version"]
    third, took_s = square.gas_comes("st03")
    assert third["journal"] == "journalled"
    assert took_s < AT_MOST_S
    wait_until(lambda: is_in_log(square), "the log has everything")
    assert square.ends()["alerts_from_memory"] >= 2
    assert_journal_is_whole(square)


def is_in_log(square: Square) -> bool:
    told = {version_of(alert) for alert in alerts(square.soc, "/log/")}
    return {version_of(alert) for alert in journalled(square.daemon.data_dir)} <= told


def test_on_a_full_disk_alarms_are_journalled_in_the_room_of_the_ballast(square):
    square.disk.fill()
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "journalled"
    assert not (square.daemon.data_dir / "ballast").exists()
    wait_until(lambda: any("disk full" in text for text in square.technical()), "it is told")
    before = len(stored(square.daemon.data_dir))

    square.disk.mend()
    wait_until((square.daemon.data_dir / "ballast").is_file, "the ballast is there again")
    assert len(stored(square.daemon.data_dir)) == before
    wait_until(lambda: is_storing_again(square, before), "readings are stored again")
    wait_until(lambda: has_returned(square), "the technical alarm returns")
    counters = square.ends()
    assert counters["ballast_released"] == 1
    assert counters["series_unstored_reading"] > 0
    assert_journal_is_whole(square)


def is_storing_again(square: Square, before: int) -> bool:
    square.says("st02", 0.2)
    return len(stored(square.daemon.data_dir)) > before


def has_returned(square: Square) -> bool:
    told = alerts(square.soc)
    full = {alert["id"] for alert in told if "disk full" in alert["properties"]["text"]}
    states = [alert["properties"]["state"] for alert in told if alert["id"] in full]
    return bool(states) and states[-1] == "rtn_unack"


def test_a_full_disk_without_ballast_does_not_hold_an_alarm_up(square):
    (square.daemon.data_dir / "ballast").unlink()
    square.disk.fill()
    gas, took_s = square.gas_comes("st01")
    assert took_s < AT_MOST_S
    assert gas["journal"] == "pending"
    square.disk.mend()
    wait_until(lambda: is_made_good(square, "st01"), "the journalled copy")
    assert square.gas_at("st01")[-1]["version"] > gas["version"]
    wait_until((square.daemon.data_dir / "ballast").is_file, "the ballast is there again")
    assert_journal_is_whole(square)
