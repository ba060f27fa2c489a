"""Winsen ZE03 electrochemical module: nine-byte frames, active upload or on request.

Sources: the Winsen nine-byte family (frame, checksum) and two public descriptions of
the ZE03's mode commands. Full scales are recalled from data sheets, not verified.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from cbrn_sim.faults import Faults


class Ze03Range(NamedTuple):
    """Resolution on the wire and end of range, in ppm (O2: %vol)."""

    resolution: float
    full_scale: float


RANGES = {
    "co": Ze03Range(1.0, 1000.0),
    "nh3": Ze03Range(1.0, 100.0),
    "h2s": Ze03Range(1.0, 100.0),
    "hf": Ze03Range(1.0, 10.0),
    "o2": Ze03Range(0.1, 25.0),
    "so2": Ze03Range(0.1, 20.0),
    "no2": Ze03Range(0.1, 20.0),
    "cl2": Ze03Range(0.1, 20.0),
    "o3": Ze03Range(0.1, 20.0),
}

_START = 0xFF
_MODULE = 0x01
_READ = 0x86
_MODE = 0x78
_ACTIVE = 0x03
_ON_REQUEST = 0x04
_FRAME_BYTES = 9


class Mode(StrEnum):
    """Who speaks first."""

    ACTIVE = "active"
    ON_REQUEST = "on_request"


class Ze03:
    """One module; starts in active upload, one frame a second."""

    period_s = 1.0

    def __init__(
        self,
        gas: str,
        reading: Callable[[float], float],
        faults: Faults,
        *,
        mode: Mode = Mode.ACTIVE,
    ) -> None:
        self.gas = gas
        self.mode = mode
        self._range = RANGES[gas]
        self._reading = reading
        self._faults = faults
        self._buffer = b""

    def receive(self, chunk: bytes, t_s: float) -> bytes:
        """Answer every well-formed command; a bad checksum costs one byte."""
        self._buffer += chunk
        reply = b""
        while (start := self._buffer.find(_START)) >= 0:
            self._buffer = self._buffer[start:]
            frame = self._buffer[:_FRAME_BYTES]
            if len(frame) < _FRAME_BYTES:
                return reply
            if frame[-1] != checksum(frame):
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[_FRAME_BYTES:]
            reply += self._obey(frame, t_s)
        self._buffer = b""
        return reply

    def emit(self, t_s: float) -> bytes:
        """Return a measurement in active mode; the cell goes on in either."""
        self._reading(t_s)
        return self._measurement(t_s) if self.mode is Mode.ACTIVE else b""

    def _obey(self, frame: bytes, t_s: float) -> bytes:
        if frame[1] != _MODULE:
            return b""
        if frame[2] == _READ:
            return self._measurement(t_s)
        if frame[2] == _MODE and frame[3] in (_ACTIVE, _ON_REQUEST):
            self.mode = Mode.ACTIVE if frame[3] == _ACTIVE else Mode.ON_REQUEST
            return framed(_MODE, 1)
        return b""

    def _measurement(self, t_s: float) -> bytes:
        """Return a frame with the value of now; while warming up the module shows zero."""
        shown = self._reading(t_s)
        sent = 0.0 if self._faults.is_warming_up else self._faults.report("gas", shown)
        steps = round(min(max(0.0, sent), self._range.full_scale) / self._range.resolution)
        return framed(_READ, steps >> 8, steps & 0xFF)


def checksum(frame: bytes) -> int:
    """Return the two's complement of the 8-bit sum of bytes 1 to 7."""
    return -sum(frame[1:8]) & 0xFF


def framed(*body: int) -> bytes:
    """Return a complete frame around up to seven bytes."""
    frame = bytes((_START, *body)).ljust(_FRAME_BYTES - 1, b"\0")
    return frame + bytes((checksum(frame),))
