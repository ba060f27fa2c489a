"""This gateway and its peer as processes on one load: started, killed, weighed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from bench.live_square import memory_mb
from bench.meter import Heard, Meter, Record, our_records, peer_records

from cbrn_core.errors import StorageError
from cbrn_gateway.store.series import SeriesReader

PEER_VERSION = "3.8.5"
TELEMETRY = "v1/gateway/telemetry"
READINGS = "cbrn/v1/bench/square/reading/+"
ALERTS = "cbrn/v1/bench/square/alert/+"
_RPC = "v1/devices/me/rpc/"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

STALE_AFTER_S = 4.0
"""Four periods: with the default of 5 s a device that hangs just after a read is told at 5.1 s."""

_CHANNELS = (
    ("r0", "pressure", "hPa", 1.0),
    ("r1", "cl2", "ppm", 0.01),
    ("r2", "air_temperature", "degC", 0.1),
    ("r3", "supply", "V", 0.001),
    ("r4", "voltage", "V", 1.0),
)
"""Counter and stamp need 16 bits unscaled: quantities without limits carry them."""


class Weight(NamedTuple):
    """A process and its children: CPU so far, memory, threads."""

    cpu_s: float
    rss_mb: float
    threads: int


class GatewayRun:
    """A gateway that reads the devices on `ports` and publishes to an MQTT port."""

    name = ""
    topics: tuple[str, ...] = ()
    is_ours = False

    def __init__(self, folder: Path, ports: Sequence[int], mqtt_port: int) -> None:
        self.folder = folder
        self.ports = ports
        self.mqtt_port = mqtt_port
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "gateway.log").open("ab") as log:
            self._child = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, env=self.environment()
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(how)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def weigh(self) -> Weight:
        """Return what it and its children cost; SystemExit with its log where it has ended."""
        if self._child is None or self._child.poll() is not None:
            raise SystemExit((self.folder / "gateway.log").read_text(errors="replace")[-4000:])
        parts = [_weight(pid) for pid in _tree(self._child.pid)]
        return Weight(*(sum(column) for column in zip(*parts, strict=True)))

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def records(self, heard: Heard) -> Iterator[Record]:
        raise NotImplementedError

    def answer(self, meter: Meter, topic: str, payload: bytes) -> None:
        """Be the far side where the gateway asks something."""


class Ours(GatewayRun):
    """`cbrn-gateway run` with a profile of the site's own."""

    name = "ours"
    topics = (READINGS, ALERTS)
    is_ours = True

    def __init__(self, folder: Path, ports: Sequence[int], mqtt_port: int, more: str = "") -> None:
        super().__init__(folder, ports, mqtt_port)
        (folder / "profiles").mkdir()
        (folder / "profiles" / "five-registers.toml").write_text(five_registers())
        (folder / "site.toml").write_text(modbus_site(folder, ports, mqtt_port) + more)

    def command(self) -> list[str]:
        program = Path(sys.executable).with_name("cbrn-gateway")
        site_file = str(self.folder / "site.toml")
        return [str(program), "run", "-c", site_file, "--log-level", "WARNING"]

    def records(self, heard: Heard) -> Iterator[Record]:
        return our_records(heard) if "/reading/" in heard[1] else iter(())

    def stored(self) -> set[tuple[int, int]]:
        """Return (device, counter) of every poll in the series store."""
        found: set[tuple[int, int]] = set()
        try:
            reader = SeriesReader(self.folder / "data" / "series.db")
        except StorageError:
            return found
        try:
            for readings, _ in reader.samples_after(0):
                found |= {
                    (int(r.station.removeprefix("st")), int(r.value))
                    for r in readings
                    if r.channel == "r0" and r.value is not None
                }
        finally:
            reader.close()
        return found


class ThingsBoard(GatewayRun):
    """ThingsBoard IoT Gateway from a virtual environment, configured as it ships.

    `by_range` reads the five registers with one request, else it is one request a tag.
    """

    topics = (TELEMETRY, "v1/gateway/connect", "v1/gateway/disconnect", _RPC + "request/+")

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        mqtt_port: int,
        venv: Path,
        *,
        by_range: bool,
        storage: str = "memory",
    ) -> None:
        super().__init__(folder, ports, mqtt_port)
        self.name = f"ThingsBoard {PEER_VERSION}, {'a range' if by_range else 'tags'}"
        self._venv = venv
        self._write(by_range=by_range, storage=storage)

    def command(self) -> list[str]:
        return [str(self._venv / "bin" / "thingsboard-gateway")]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TB_GW_CONFIG_DIR": f"{self.folder}/"}

    def records(self, heard: Heard) -> Iterator[Record]:
        return peer_records(heard) if heard[1] == TELEMETRY else iter(())

    def answer(self, meter: Meter, topic: str, payload: bytes) -> None:
        if not topic.startswith(_RPC):
            return
        if msgspec.json.decode(payload).get("method") == "getSessionLimits":
            limits = {
                "maxPayloadSize": 65536,
                "maxInflightMessages": 100,
                "rateLimits": {},
                "gatewayRateLimits": {},
            }
            number = topic.rpartition("/")[2]
            meter.publish(f"{_RPC}response/{number}", json.dumps(limits).encode())

    def _write(self, *, by_range: bool, storage: str) -> None:
        (shipped,) = self._venv.glob("lib/python3*/site-packages/thingsboard_gateway/config")
        for name in ("logs", "data"):
            (self.folder / name).mkdir()
        for name in ("logs.json", "list.json"):
            shutil.copy(shipped / name, self.folder)
        general = json.loads((shipped / "tb_gateway.json").read_text())
        cloud = general["thingsboard"]
        cloud |= {"host": "127.0.0.1", "port": self.mqtt_port, "remoteConfiguration": False}
        cloud["security"] = {"type": "accessToken", "accessToken": "bench"}
        cloud["reportStrategy"] = {"type": "ON_CHANGE"}
        cloud |= {key: "0:0," for key in list(cloud) if key.lower().endswith("ratelimits")}
        general["storage"] |= {
            "type": storage,
            "data_folder_path": f"{self.folder}/data/",
            "data_file_path": f"{self.folder}/data/",
        }
        connector = {"type": "modbus", "name": "mb", "configuration": "modbus.json"}
        general["connectors"] = [connector]
        (self.folder / "tb_gateway.json").write_text(json.dumps(general))
        slaves = [_slave(device, port, by_range) for device, port in enumerate(self.ports)]
        modbus = {"name": "mb", "logLevel": "INFO", "master": {"slaves": slaves}}
        (self.folder / "modbus.json").write_text(json.dumps(modbus))


def modbus_site(folder: Path, ports: Sequence[int], mqtt_port: int) -> str:
    """Return the site file: one device at each station, on the profile of five registers."""
    parts = [
        f'[gateway]\nid = "gw-01"\ncity = "bench"\ndata_dir = "{folder / "data"}"\n',
        '[site]\nid = "square"\nin_service = true\n',
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{mqtt_port}"\n',
    ]
    for device, port in enumerate(ports):
        lat, lon = 59.91 + device // 50 * 1e-4, 10.73 + device % 50 * 1e-4
        parts.append(
            f'[[station]]\nid = "st{device:03}"\n'
            f"position = {{ lat = {lat:.5f}, lon = {lon:.5f}, height_m = 3 }}\n"
            f'[[device]]\nid = "dev{device:03}"\nstation = "st{device:03}"\n'
            f'driver = "profile:five-registers"\nhost = "127.0.0.1"\nport = {port}\n'
            "period_s = 1.0\n"
        )
    return "".join(parts)


def five_registers() -> str:
    """Return the profile: five neighbouring holding registers from 0 on, one request a poll."""
    parts = [
        'name = "five-registers"\ntitle = "Five holding registers"\n',
        'driver = "chemical.modbus_detector"\n',
        '[document]\ntitle = "modbus_field.py beside this bench"\nrevision = "1"\n',
        "[modbus]\naddress_base = 0\n",
    ]
    for register, (name, quantity, unit, scale) in enumerate(_CHANNELS):
        parts.append(
            f'[[channel]]\nid = "{name}"\nquantity = "{quantity}"\nunit = "{unit}"\n'
            f"stale_after_s = {STALE_AFTER_S}\n"
            f"[modbus.fields.{name}]\nregister = {register}\nscale = {scale}\n"
            f'[[modbus.measurement]]\nfield = "{name}"\nchannels = ["{name}"]\nunit = "{unit}"\n'
        )
    return "".join(parts)


def _slave(device: int, port: int, by_range: bool) -> dict[str, object]:
    one = {"type": "16uint", "functionCode": 3, "objectsCount": 1}
    tags = [one | {"tag": f"r{r}", "address": r} for r in range(len(_CHANNELS))]
    return {
        "host": "127.0.0.1",
        "port": port,
        "type": "tcp",
        "method": "socket",
        "unitId": 1,
        "deviceName": f"dev{device:03}",
        "deviceType": "default",
        "timeout": 35,
        "byteOrder": "BIG",
        "wordOrder": "BIG",
        "retries": 3,
        "retryOnEmpty": True,
        "retryOnInvalid": True,
        "pollPeriod": 1000,
        "connectAttemptTimeMs": 5000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 300_000,
        "reportStrategy": {"type": "ON_CHANGE"},
        "attributes": [],
        "timeseries": [one | {"tag": "r${address}", "address": "0-4"}] if by_range else tags,
        "attributeUpdates": [],
        "rpc": [],
    }


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def _weight(pid: int) -> Weight:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    # user and system time, its own and that of children that have ended
    cpu_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
    return Weight(cpu_s, memory_mb(status, "VmRSS"), int(fields[17]))


Factory = Callable[[Path, Sequence[int], int], GatewayRun]
