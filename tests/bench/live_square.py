"""The daemon as users run it, on pseudo-terminals that a thread feeds in real time."""

import os
import subprocess
import sys
import threading
import time
import tty
from math import expm1
from pathlib import Path

from bench.square_load import frames, gas_frame, site_text

from cbrn_core.times import US_PER_S

READY_S = 60.0
TAU_S = 30.0 / 2.302585
"""T90 of 30 s, as the module's profile has it."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class LiveSquare:
    """Instruments at one reading a second each, and one `cbrn-gateway run` that reads them.

    Attributes:
        exposed: since when (UTC s) a gas module is in gas, and what it shows in the end, in
            steps of its display; it rises with the lag of its kind of cell.
        sent: when each frame was given to its wire as a whole (UTC s), by instrument.
    """

    def __init__(self, instruments: int, folder: Path, extra: str = "") -> None:
        self.instruments = instruments
        self.folder = folder
        self.exposed: dict[int, tuple[float, int]] = {}
        self.sent: dict[int, list[float]] = {i: [] for i in range(instruments)}
        self._wires = [os.openpty() for _ in range(instruments)]
        for master, slave in self._wires:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self.site_file = folder / "site.toml"
        names = [os.ttyname(slave) for _, slave in self._wires]
        self.site_file.write_text(site_text(instruments, folder, names.__getitem__, extra))
        self._ended = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the wires, then the daemon."""
        self._feeder.start()
        program = Path(sys.executable).with_name("cbrn-gateway")
        command = [program, "run", "-c", self.site_file, "--log-level", "WARNING"]
        with (self.folder / "daemon.log").open("wb") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Return the process; SystemExit with its log when it has ended."""
        if self._daemon is None or self._daemon.poll() is not None:
            raise SystemExit((self.folder / "daemon.log").read_text()[-4000:])
        return self._daemon.pid

    def stop(self) -> None:
        """End the daemon in order, then the wires."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)
        self._ended.set()
        self._feeder.join()
        for master, slave in self._wires:
            os.close(master)
            os.close(slave)

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds of all threads of the daemon so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_mb(self, name: str) -> float:
        """Return `VmRSS` or `VmHWM` of the daemon."""
        return memory_mb(Path(f"/proc/{self.pid}/status").read_text(), name)

    def _feed(self) -> None:
        start_us = time.time_ns() // 1000
        for time_us, index, clean in frames(self.instruments, start_us):
            if self._ended.wait(max(0.0, time_us / US_PER_S - time.time())):
                return
            frame = self._in_gas(index, time_us / US_PER_S) or clean
            sent_s = time.time()
            try:
                os.write(self._wires[index][0], frame)
            except BlockingIOError:  # nobody reads yet: a real wire would lose it too
                continue
            self.sent[index].append(sent_s)

    def _in_gas(self, index: int, now_s: float) -> bytes | None:
        exposed = self.exposed.get(index)
        return None if exposed is None else gas_frame(_risen(*exposed, now_s))


def _risen(since_s: float, steps: int, now_s: float) -> int:
    return round(steps * -expm1(-max(0.0, now_s - since_s) / TAU_S))


def memory_mb(status: str, name: str) -> float:
    """Return a figure of a /proc/PID/status in MB."""
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"/proc/PID/status has no {name}")
