"""An independent Modbus peer (libmodbus, C) and a serial bus that joins it to the driver."""

import asyncio
import os
import shutil
import struct
import subprocess
import time
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from cbrn_core.channel import Device, Grade
from cbrn_core.clock import Now
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.chemical.modbus_detector import Options, channel_ids, open_bus

XCD = load_profile("sensepoint-xcd")
SIZE = 60
REQUEST_OCTETS = 8


class RealClock:
    """Both clocks of this machine."""

    def now(self) -> Now:
        return Now(time.monotonic_ns() // 1000, time.time_ns() // 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def float_words(value: float) -> tuple[int, ...]:
    """Return a float32 as two registers, high word first."""
    return struct.unpack(">HH", struct.pack(">f", value))


def text_words(text: str) -> tuple[int, ...]:
    """Return 14 characters as seven registers."""
    return struct.unpack(">7H", text.encode().ljust(14))


class Peer:
    """The C program; sets registers by the numbers that the handbook prints."""

    def __init__(self, program: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [str(program), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.port = int(self._line().split()[1])

    def set(self, unit_id: int, register: int, *words: int) -> None:
        """Set registers; returns when the peer has them."""
        for i, word in enumerate(words):
            self.process.stdin.write(f"{unit_id} {register - 40001 + i} {word}\n".encode())
            assert self._line() == "ok"

    def make_xcd(self, unit_id: int, gas_ppm: float = 0.5, *, last: int = SIZE) -> None:
        """Fill a unit's registers as those of a healthy Sensepoint XCD for chlorine."""
        registers = {
            40001: (0x2500 | unit_id,),
            40003: float_words(gas_ppm),
            40007: (1,),
            40011: (4,),
            40017: (0xFFFB,),
            40046: text_words("Chlorine"),
            40057: float_words(23.75),
        }
        for register, words in registers.items():
            if register - 40001 + len(words) <= last:
                self.set(unit_id, register, *words)

    def kill(self) -> None:
        """End the program; safe when it has ended."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _line(self) -> str:
        line = self.process.stdout.readline().decode().strip()
        assert line, f"the peer has ended with {self.process.wait(timeout=5)}"
        return line


class SerialBus:
    """A multi-drop line: each request goes to the unit it names, replies go back.

    Every unit has a line of its own, since a libmodbus slave that hears another unit's
    request waits for that unit's answer. `mangle` changes a reply, or (None) swallows it.
    """

    def __init__(self, unit_ids: range) -> None:
        self.master, self._master_far = self._pair()
        self.units = {unit_id: self._pair() for unit_id in unit_ids}
        self.cut: set[int] = set()
        self.requests: list[int] = []
        self.mangle: Callable[[bytes], bytes | None] = lambda reply: reply
        self._loop = asyncio.get_running_loop()
        self._heard = b""
        self._replies: dict[int, bytes] = dict.fromkeys(unit_ids, b"")
        self._loop.add_reader(self.master, self._route)
        for unit_id, (near, _) in self.units.items():
            self._loop.add_reader(near, self._answer, unit_id, near)

    @property
    def path(self) -> str:
        """Return the port that the driver opens."""
        return os.ttyname(self._master_far)

    def path_of(self, unit_id: int) -> str:
        """Return the port that a unit opens."""
        return os.ttyname(self.units[unit_id][1])

    def say(self, reply: bytes) -> None:
        """Put bytes on the line, to the driver."""
        os.write(self.master, reply)

    def give(self, unit_id: int, request: bytes) -> None:
        """Put bytes on a unit's own line, past the routing."""
        os.write(self.units[unit_id][0], request)

    def take(self, unit_id: int) -> bytes:
        """Return what a unit has just said, past the routing."""
        return os.read(self.units[unit_id][0], 4096)

    def unplug(self) -> None:
        """Let the driver's port vanish."""
        self._loop.remove_reader(self.master)
        os.close(self._master_far)
        os.close(self.master)
        self.master = -1

    def plug_in(self) -> None:
        """Give the driver a port again, under another path."""
        self._heard = b""
        self.master, self._master_far = self._pair()
        self._loop.add_reader(self.master, self._route)

    def close(self) -> None:
        """Close everything."""
        if self.master >= 0:
            self.unplug()
        for near, far in self.units.values():
            self._loop.remove_reader(near)
            os.close(near)
            os.close(far)

    @staticmethod
    def _pair() -> tuple[int, int]:
        near, far = os.openpty()
        tty.setraw(far)
        os.set_blocking(near, False)
        return near, far

    def _route(self) -> None:
        self._heard += os.read(self.master, 4096)
        while len(self._heard) >= REQUEST_OCTETS:
            request, self._heard = self._heard[:REQUEST_OCTETS], self._heard[REQUEST_OCTETS:]
            self.requests.append(request[0])
            if request[0] in self.units and request[0] not in self.cut:
                self._replies[request[0]] = b""
                os.write(self.units[request[0]][0], request)

    def _answer(self, unit_id: int, near: int) -> None:
        reply = self._replies[unit_id] = self._replies[unit_id] + os.read(near, 4096)
        whole = (
            5 if len(reply) > 1 and reply[1] & 0x80 else 5 + (reply[2] if len(reply) > 2 else 250)
        )
        if len(reply) >= whole:
            changed = self.mangle(reply)
            if changed is not None:
                self.say(changed)


@pytest.fixture(scope="session")
def peer_program(tmp_path_factory) -> Path:
    """Compile the peer."""
    program = tmp_path_factory.mktemp("modbus") / "peer"
    compiler = shutil.which("cc")
    built = compiler and subprocess.run(
        [
            compiler,
            "-O1",
            "-I/usr/include/modbus",
            "-o",
            str(program),
            str(Path(__file__).parent / "peer.c"),
            "-lmodbus",
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    if not built or built.returncode:
        reason = "the libmodbus peer needs cc and libmodbus-dev"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{reason}: {built.stderr if built else 'no compiler'}")
        pytest.skip(reason)
    return program


@pytest.fixture
def start_peer(peer_program):
    """Start peers that end with the test."""
    peers: list[Peer] = []

    def start(*words: str) -> Peer:
        peers.append(Peer(peer_program, *words))
        return peers[-1]

    yield start
    for peer in peers:
        peer.kill()


@pytest_asyncio.fixture
async def start_bus(start_peer):
    """Return a function that gives a serial bus with one XCD for each unit of a range."""
    buses: list[SerialBus] = []

    def start(unit_ids: range) -> tuple[SerialBus, Peer]:
        bus = SerialBus(unit_ids)
        buses.append(bus)
        peer = start_peer("rtu", *(f"{u}:{SIZE}:{bus.path_of(u)}" for u in unit_ids))
        for unit_id in unit_ids:
            peer.make_xcd(unit_id, gas_ppm=unit_id / 10)
        return bus, peer

    yield start
    for bus in buses:
        bus.close()


@pytest.fixture
def detector():
    """Return a function that gives the driver of a wire with XCDs at these units."""

    def make(*unit_ids: int, period_s: float = 0.05, **options: object):
        options = {"timeout_s": 0.2, "quiet_s": 0.05} | options
        devices = [
            Device(
                id=f"x{unit_id}",
                station="st01",
                driver="chemical.modbus_detector",
                profile=XCD.name,
                bus="bus",
                channels=tuple(
                    XCD.channel(c).as_channel(
                        station="st01", device=f"x{unit_id}", grade=Grade.PROFESSIONAL
                    )
                    for c in channel_ids(Options(unit_id=unit_id, **options), XCD)
                ),
                options={"unit_id": unit_id, **options},
                period_s=period_s,
            )
            for unit_id in unit_ids
        ]
        return open_bus(devices, RealClock())

    return make
