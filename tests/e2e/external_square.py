"""A square that speaks over MQTT alone: gas comes when a test says so, and is timed."""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta

from e2e.evidence import alerts, status_of, stored, wait_until
from e2e.gateway_process import Daemon
from e2e.servers import CITY, SITE, TOOL_USER, Mosquitto, Subscriber, program
from samples.site_samples import table

from cbrn_gateway.alarms.texts_types import StoreLevel

STATIONS = ("st01", "st02", "st03")
DEADLY_PPM = 90.0


class ExternalSquare:
    """Three stations whose readings a foreign tool publishes, a daemon, and a subscriber."""

    def __init__(self, broker: Mosquitto, daemon: Daemon, soc: Subscriber) -> None:
        self.broker = broker
        self.daemon = daemon
        self.soc = soc

    def is_at_work(self) -> None:
        """Wait until it is connected and stores what every station says."""
        wait_until(lambda: status_of(self.soc) is not None, "the daemon is connected")
        before = len(stored(self.daemon.data_dir))
        for station in STATIONS:
            self.says(station, 0.1)
        wait_until(
            lambda: len(stored(self.daemon.data_dir)) >= before + len(STATIONS), "what they say"
        )

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
        return {p["text"] for p in told if p["level"] in set(StoreLevel)}

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
