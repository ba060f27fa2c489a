"""Everything that a soak runs on: square, servers, wires, disk and daemon, on fast clocks."""

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
from e2e.evidence import journalled
from e2e.failing_disk import FailingDisk
from e2e.frozen_wire import behind
from e2e.gateway_process import Daemon, head, influx_table, mqtt_table
from e2e.servers import Influx, Mosquitto, Subscriber, subscriber
from e2e.soak.fast_clock import SoakTime
from e2e.soak.soak_square import Order
from samples.site_samples import chlorine, instruments, table

from cbrn_core.errors import CbrnError
from cbrn_gateway.live.control import ask
from cbrn_sim.fittings import Endpoint

_HERE = Path(__file__).parent
_BALLAST_MB = 2


class Told(msgspec.Struct, frozen=True, tag_field="kind", tag="told"):
    """An alert as it was journalled; `age_s` is how old it was by the machine's wall clock."""

    passed_s: float
    id: str
    age_s: float
    said: dict


class Size(msgspec.Struct, frozen=True, tag_field="kind", tag="size"):
    """How big the daemon was at a moment."""

    passed_s: float
    pid: int
    resident_bytes: int
    files: int
    threads: int
    tasks: int


class ToldSquare:
    """The square as a process of its own; `tell` it what happens."""

    def __init__(self, folder: Path, seed: int, speed: float) -> None:
        command = [sys.executable, str(_HERE / "soak_square.py"), str(folder), str(seed)]
        self._child = subprocess.Popen(
            [*command, str(speed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._orders = self._child.stdin
        lines = iter(self._child.stdout.readline, b"ready\n")
        self.endpoints = [msgspec.json.decode(line, type=Endpoint) for line in lines]

    def tell(self, order: Order) -> None:
        self._orders.write(msgspec.json.encode(order) + b"\n")
        self._orders.flush()

    def stop(self) -> None:
        """Switch every instrument off."""
        if not self._orders.closed:
            self._orders.close()
        self._child.wait(20)
        if self._child.stdout is not None:
            self._child.stdout.close()


class SoakSite:
    """`with` it: all of it runs, the daemon too; afterwards nothing is left."""

    def __init__(self, folder: Path, seed: int, speed: float) -> None:
        self.folder = folder
        self.seed = seed
        self.time = SoakTime.begin(folder, speed)
        self.broker = Mosquitto(folder / "mosquitto")
        self.influx = Influx(folder / "influx")
        self.diary_file = folder / "diary.jsonl"
        self.soc: Subscriber
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def diary(self) -> list[Told | Size]:
        """Return what the daemon wrote of itself, over all its lives."""
        whole = self.diary_file.read_bytes().rpartition(b"\n")[0].splitlines()
        return [msgspec.json.decode(line, type=Told | Size) for line in whole]

    def told(self) -> list[Told]:
        return [entry for entry in self.diary() if isinstance(entry, Told)]

    def order(self, verb: str, alarm_id: str, **more: object) -> str:
        """Have an operator do something at the gateway's door; return the answer."""
        command = {"schema": "cbrn-command/1", "verb": verb, "actor": "K. Nordmann"}
        line = msgspec.json.encode(command | {"alarm_id": alarm_id} | more)
        try:
            return asyncio.run(ask(self.daemon.data_dir, line)).decode()
        except CbrnError as error:
            return str(error)

    def apply(self, *, guest: bool) -> None:
        """Give the daemon a site file with or without one more station."""
        self.daemon.site_file.write_text(self._text + (chlorine("guest") if guest else ""))
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        assert self.daemon.child is not None
        self.daemon.child.send_signal(number)

    def keep_sessions(self) -> None:
        """Have mosquitto write its sessions down, as it does now and then by itself."""
        assert self.broker.process.child is not None
        self.broker.process.child.send_signal(signal.SIGUSR1)
        time.sleep(0.2)

    def journal(self) -> list[dict]:
        """Return what is journalled of alarms."""
        return [entry for entry in journalled(self.daemon.data_dir) if "properties" in entry]

    def _start(self) -> None:
        for server in (self.broker, self.influx):
            server.start()
            self._stack.callback(server.stop)
        self.square = ToldSquare(self.folder / "wires", self.seed, self.time.terms.speed)
        self._stack.callback(self.square.stop)
        mqtt, self.to_broker = behind(mqtt_table(self.broker, self.folder))
        self._stack.callback(self.to_broker.close)
        database, self.to_influx = behind(influx_table(self.influx, self.folder))
        self._stack.callback(self.to_influx.close)
        limits = table("store", {"ballast_mb": _BALLAST_MB, "free_disk_floor_mb": _BALLAST_MB})
        self._text = head(self.folder / "gateway") + mqtt + database + limits
        self._text += instruments(self.square.endpoints)
        self.daemon = Daemon(self.folder / "gateway", self._text)
        self.daemon.command = [
            *("env", self.time.environment(), f"CBRN_SOAK_DIARY={self.diary_file}"),
            f"CBRN_BLOCKING_CALLS={self.folder / 'blocking-calls.txt'}",
            *(sys.executable, str(_HERE / "soak_daemon.py")),
            *("run", "-c", str(self.daemon.site_file)),
        ]
        self.disk = FailingDisk(self.folder / "disk", self.daemon.data_dir)
        self.disk.carry(self.daemon)
        self._stack.callback(self.daemon.kill)
        listening = subscriber(self.broker, "cbrn/#", options=("-c", "-x", "86400"))
        self.soc = self._stack.enter_context(listening)
        self.keep_sessions()
        self.daemon.start()
