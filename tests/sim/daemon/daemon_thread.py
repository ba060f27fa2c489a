"""A whole daemon on a thread of its own, so that the test can watch its loop from outside."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock

PATIENCE_S = 60.0
_SITE = """
[gateway]
id = "gw1"
city = "varde"
data_dir = "kept"
[site]
id = "torg"
in_service = true
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
"""


class ServiceManager:
    """What systemd does: binds a datagram socket and notes when each line came."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self.heard: list[tuple[float, str]] = []

    def close(self) -> None:
        self._socket.close()

    def listen(self, seconds: float) -> list[str]:
        """Return the lines that come within so many seconds."""
        before = len(self.heard)
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self._receive(left_s)
        return [line for _, line in self.heard[before:]]

    def wait_for(self, line: str, times: int = 1) -> None:
        """Wait until a line that begins so has come so often from now on."""
        before = len(self.heard)
        deadline_s = time.monotonic() + PATIENCE_S
        while sum(heard.startswith(line) for _, heard in self.heard[before:]) < times:
            assert time.monotonic() < deadline_s, f"{line!r} did not come: {self.heard}"
            self._receive(deadline_s - time.monotonic())

    def wait_for_silence(self, line: str, seconds: float) -> None:
        """Wait until a line has not come for so many seconds; fail when it always comes."""
        deadline_s = time.monotonic() + PATIENCE_S
        while line in self.listen(seconds):
            assert time.monotonic() < deadline_s, f"{line!r} still comes"

    def _receive(self, at_most_s: float) -> None:
        self._socket.settimeout(max(at_most_s, 0.001))
        try:
            octets = self._socket.recv(65_536)
        except TimeoutError:
            return
        self.heard += [(time.monotonic(), line) for line in octets.decode().splitlines()]


class DaemonThread:
    """`with` it: a daemon of a square without instruments runs in its own loop."""

    def __init__(self, folder: Path) -> None:
        self.alerts: list[dict] = []
        self._site = folder / "site.toml"
        self._site.write_text(_SITE)
        self._runs = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._runs.wait(PATIENCE_S)
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def wait_until(self, holds: Callable[[], object], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, f"{what} did not come; said: {self.alerts}"
            assert self._thread.is_alive(), "the daemon has ended"
            time.sleep(0.05)

    def told(self, level: str) -> list[dict]:
        """Return what was journalled of this level so far, in order."""
        told = [alert["properties"] for alert in list(self.alerts)]
        return [properties for properties in told if properties["level"] == level]

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.daemon = Daemon(load_site(self._site), SystemClock())
        self.daemon.outlets.listeners.append(self.alerts.append)
        self._task = asyncio.create_task(self.daemon.run())
        self._runs.set()
        await asyncio.gather(self._task, return_exceptions=True)
