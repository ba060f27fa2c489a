"""A machine whose clocks run faster than ours, and whose wall clock may be set from outside."""

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path

import msgspec

from cbrn_gateway.live.restart import stored_until_us
from cbrn_gateway.live.system_clock import SystemClock

_NS_PER_S = 1_000_000_000
_STEP = struct.Struct("<q")
_ENVIRONMENT = "CBRN_SOAK_TIME"


class Terms(msgspec.Struct, frozen=True):
    """What all processes of one soak agree on; `step_file` holds how far the wall was set."""

    speed: float
    began_ns: int
    began_wall_ns: int
    step_file: str


class SoakTime:
    """Time that began at one moment for all processes and passes `speed` times as fast."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        with Path(terms.step_file).open("r+b") as file:
            self._step = mmap.mmap(file.fileno(), _STEP.size)

    @classmethod
    def begin(cls, folder: Path, speed: float) -> "SoakTime":
        """Let it begin now."""
        step_file = folder / "wall-step"
        step_file.write_bytes(_STEP.pack(0))
        return cls(Terms(speed, time.monotonic_ns(), time.time_ns(), str(step_file)))

    @classmethod
    def of_environment(cls) -> "SoakTime":
        return cls(msgspec.json.decode(os.environ[_ENVIRONMENT], type=Terms))

    def environment(self) -> str:
        """Return the setting that gives another process the same time."""
        return f"{_ENVIRONMENT}={msgspec.json.encode(self.terms).decode()}"

    def passed_ns(self) -> int:
        return int((time.monotonic_ns() - self.terms.began_ns) * self.terms.speed)

    def passed_s(self) -> float:
        return self.passed_ns() / _NS_PER_S

    def wall_ns(self) -> int:
        """Return what the machine's wall clock shows."""
        return self.terms.began_wall_ns + self.passed_ns() + _STEP.unpack(self._step[:])[0]

    def set_wall(self, ahead_s: float) -> None:
        """Set the wall clock of every process so far ahead of the right time."""
        self._step[:] = _STEP.pack(int(ahead_s * _NS_PER_S))


class FastClock(SystemClock):
    """The gateway's own clock on that time.

    What waits for disks and networks by the event loop's own time-outs stays in real time.
    """

    def __init__(self, soak_time: SoakTime, floor_us: int) -> None:
        super().__init__(floor_us, monotonic_ns=soak_time.passed_ns, wall_ns=soak_time.wall_ns)
        self._speed = soak_time.terms.speed

    @classmethod
    def going_on(cls, data_dir: Path, *, kept_by_host: bool) -> "FastClock":
        assert kept_by_host, "the soak sets its clocks itself"
        return cls(SoakTime.of_environment(), stored_until_us(data_dir))

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        await asyncio.sleep(seconds / self._speed)
