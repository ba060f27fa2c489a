"""The processes of an acceptance test: the gateway's daemon, and the square it watches."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from e2e.servers import CITY, DATABASE, GATEWAY, GATEWAY_USER, SITE, Influx, Mosquitto, Process
from samples.site_samples import site_head, table

from cbrn_sim.fittings import Endpoint

CBRN_GATEWAY = str(Path(sys.executable).with_name("cbrn-gateway"))
SQUARE = Path(__file__).with_name("square_main.py")
WATCHED = Path(__file__).with_name("watched_main.py")


class Daemon(Process):
    """`cbrn-gateway run -c SITE.toml` as a process of its own, its loop watched."""

    def __init__(self, folder: Path, site_text: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data_dir = folder / "kept"
        self.site_file = folder / "site.toml"
        self.site_file.write_text(site_text)
        self._was_stopped = False
        self._blocking_calls = folder / "blocking-calls.txt"
        command = ["env", f"CBRN_BLOCKING_CALLS={self._blocking_calls}", sys.executable]
        command += [str(WATCHED), "run", "-c", str(self.site_file)]
        super().__init__("cbrn-gateway", command, folder, self._opens_its_door)

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and how many seconds the end took."""
        child, self.child = self.child, None
        assert child is not None
        started_s = time.monotonic()
        child.send_signal(signal.SIGTERM)
        try:
            code = child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            raise AssertionError(f"SIGTERM did not end it:\n{self.tail()}") from None
        return code, time.monotonic() - started_s

    def stutter(self, seconds: float) -> None:
        """Give the process no time for so long, as a busy machine does."""
        assert self.child is not None
        self._was_stopped = True
        self.child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.child.send_signal(signal.SIGCONT)

    def blocking_calls(self) -> str:
        """Return what blocked its loop; a stopped process looks blocked and is not judged."""
        if self._was_stopped or not self._blocking_calls.exists():
            return ""
        return self._blocking_calls.read_text()

    def _opens_its_door(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.data_dir / "control.sock")) == 0


class Square:
    """The simulated square as a process of its own, on real ptys and TCP ports."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "square.log").open("wb")
        self._child = subprocess.Popen(
            [sys.executable, str(SQUARE), str(folder / "wires"), str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.endpoints = self._read_endpoints()

    def stop(self) -> None:
        """Switch every instrument off: its wires are gone."""
        if self._child.poll() is None:
            self.resume()
            self._child.terminate()
        self._child.wait(10)
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()

    def pause(self) -> None:
        """Let every instrument fall silent; its wires stay."""
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def _read_endpoints(self) -> list[Endpoint]:
        assert self._child.stdout is not None
        endpoints = []
        for line in self._child.stdout:
            if line.strip() == b"ready":
                return endpoints
            endpoints.append(msgspec.json.decode(line, type=Endpoint))
        raise AssertionError(f"the square did not start: {self._log.name}")


def head(folder: Path) -> str:
    """Return the beginning of a site file whose `data_dir` lies in `folder`."""
    return site_head(GATEWAY, CITY, SITE, folder / "kept")


def mqtt_table(broker: Mosquitto, folder: Path, **more: object) -> str:
    """Return `[mqtt]` for the broker's plain port, with user and password from files."""
    keys = {
        "url": broker.url(),
        "username_file": secret(folder, "mqtt-user", GATEWAY_USER),
        "password_file": str(broker.password_file(GATEWAY_USER)),
    }
    return table("mqtt", keys | more)


def influx_table(influx: Influx, folder: Path) -> str:
    """Return `[influx]` for the v2 write address in front of InfluxDB 1.6."""
    keys = {
        "url": influx.url(),
        "bucket": DATABASE,
        "username_file": secret(folder, "influx-user", "gateway"),
        "password_file": str(influx.password_file("gateway")),
    }
    return table("influx", keys)


def secret(folder: Path, name: str, text: str) -> str:
    """Write a file that only its owner may read; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return os.fspath(path)
