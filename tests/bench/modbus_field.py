"""A field of Modbus TCP devices in a process of its own, for benches.

Five holding registers each, made at the moment of the read: a change counter that moves once
a second (device `i` at its own place in the second), a gas in clean air, a temperature and a
supply that change as often, and the milliseconds of the read. Nothing has to be logged to
know when a value came about: counter k of device i began at k + phase(i) seconds UTC.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from math import floor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples.register_server import port_of, serve

REGISTERS = 5
WORD = 0x10000
_GOLDEN = 0.6180339887498949


def phase(device: int) -> float:
    """Return where in the second a device's values change, evenly spread."""
    return device * _GOLDEN % 1.0


def counter_at(device: int, time_s: float) -> int:
    return floor(time_s - phase(device))


def words_at(device: int, time_s: float) -> tuple[int, ...]:
    """Return the registers: counter, cl2 in 0.01 ppm, 0.1 degC, mV, milliseconds."""
    k = counter_at(device, time_s)
    return (
        k % WORD,
        1 + (3 * k + device) % 2,
        215 + (k + device) % 5,
        24_000 + (7 * k + device) % 40,
        int(time_s * 1000) % WORD,
    )


class FieldProcess:
    """Devices first … first + count - 1, each alone on its port, in one child process."""

    def __init__(self, first: int, count: int, folder: Path) -> None:
        self.ports: list[int] = []
        self._dump = folder / f"field-{first}.json"
        self._command = [sys.executable, __file__, str(first), str(count), str(self._dump)]
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; after a kill on the ports that it had."""
        command = [*self._command, *map(str, self.ports)]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self._child.stdout.readline())

    def send(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def kill(self) -> None:
        """End it at once; what it served until then is kept by the file it wrote last."""
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()

    def reads(self) -> dict[int, list[float]]:
        """Return when each device was read so far (UTC s), reads of register 0 alone."""
        self._dump.unlink(missing_ok=True)
        self.send(signal.SIGUSR1)
        while not self._dump.exists():
            time.sleep(0.01)
        return {int(device): times for device, times in json.loads(self._dump.read_text()).items()}


async def run(first: int, count: int, dump: Path, ports: Sequence[int]) -> None:
    reads: dict[int, list[float]] = {device: [] for device in range(first, first + count)}

    def registers(device: int, address: int, size: int) -> Sequence[int]:
        now_s = time.time()
        if address == 0:
            reads[device].append(now_s)
        return words_at(device, now_s)[address : address + size]

    def write() -> None:
        new = dump.with_suffix(".new")
        new.write_text(json.dumps(reads))
        new.replace(dump)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, write)
    servers = [
        await serve(lambda address, size, d=device: registers(d, address, size), port)
        for device, port in zip(reads, ports or [0] * count, strict=True)
    ]
    print(json.dumps([port_of(server) for server in servers]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("dump", type=Path)
    parser.add_argument("ports", type=int, nargs="*")
    said = parser.parse_args()
    asyncio.run(run(said.first, said.count, said.dump, said.ports))
