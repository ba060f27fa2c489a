"""A raw serial client and instruments that have known values, on real wires."""

import asyncio
import os
import tty
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from cbrn_sim.faults import Fault, Faults
from cbrn_sim.instruments.serial_port import SerialInstrument
from cbrn_sim.scenario_clock import ScenarioClock
from cbrn_sim.streams import stream

PATIENCE_S = 10.0
STARTS_AT = datetime(2023, 11, 10, 12, 15, 5, tzinfo=UTC)


class SerialClient:
    """What a driver does with a serial line, without any library."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        self._received = bytearray()
        self._arrival = asyncio.Event()
        self.is_hung_up = False
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self):
        try:
            chunk = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.is_hung_up = True
            asyncio.get_running_loop().remove_reader(self._fd)
        self._received += chunk
        self._arrival.set()

    def write(self, frame):
        assert os.write(self._fd, frame) == len(frame)

    async def _until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._arrival.clear()
                await self._arrival.wait()

    async def read(self, count):
        await self._until(lambda: len(self._received) >= count)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    async def read_line(self):
        await self._until(lambda: b"\n" in self._received)
        return await self.read(self._received.index(b"\n") + 1)

    async def hang_up(self):
        await self._until(lambda: self.is_hung_up)

    async def ask(self, frame, count):
        self.write(frame)
        return await self.read(count)

    @property
    def unread(self):
        return bytes(self._received)

    def close(self):
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


@pytest_asyncio.fixture
async def open_line():
    """Return a function that opens a serial line; every line is closed at the end."""
    clients = []

    def opener(path):
        clients.append(SerialClient(path))
        return clients[-1]

    yield opener
    for client in clients:
        client.close()


@pytest_asyncio.fixture
async def running(tmp_path):
    """Return a function that puts a model on a running line at twenty times real time."""
    instruments = []

    async def run(make_model, name="unit"):
        clock = ScenarioClock(20.0, starts_at=STARTS_AT)
        instrument = SerialInstrument(tmp_path / "serial" / name, clock)
        faults = Faults(name, instrument.wire, stream(1, name), knows=frozenset(Fault))
        instrument.fit(make_model(faults), faults)
        clock.start()
        await instrument.start()
        instruments.append(instrument)
        return instrument, faults

    yield run
    for instrument in instruments:
        await instrument.stop()


class FixedTube:
    def __init__(self, cps, cpm):
        self.counts = lambda _t_s: cps
        self.window_counts = lambda _t_s: cpm
        self.total, self.bins_run = 42, 100


@pytest.fixture
def fixed_tube():
    return FixedTube


@pytest.fixture
def starts_at():
    return lambda _t_s: STARTS_AT


@pytest.fixture
def eventually():
    """Return a function that waits until a condition holds, or fails."""

    async def wait(condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the condition belongs to the kernel
                await asyncio.sleep(0.005)

    return wait
