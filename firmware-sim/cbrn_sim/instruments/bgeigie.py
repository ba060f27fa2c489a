"""Safecast bGeigie Nano: one `$BNRDD` line every five seconds, or a log played back.

Source: Safecast bGeigieNano firmware (sentence and checksum), README of the kit. The
factor of the LND-7317 tube, 334 CPM per µSv/h, is Safecast's and not verified here.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from cbrn_sim.faults import Faults

CPM_PER_USV_H = 334.0
DEAD_TIME_S = 1.8833e-6 * 60
"""The firmware corrects CPM by n / (1 - n · 1.8833e-6): per count per minute."""

LINE_PERIOD_S = 5.0
_BINS_BEFORE_VALID = 12
_MINUTE_PARTS = 10_000


class Whereabouts(NamedTuple):
    """What the receiver says: WGS 84 degrees and altitude in metres."""

    lat: float
    lon: float
    alt_m: float


class Pancake(Protocol):
    """The tube; one bin is five seconds, the window is twelve bins."""

    bins_run: int
    total: int

    def counts(self, t_s: float) -> int:
        """Return the counts of the last full bin."""
        ...

    def window_counts(self, t_s: float) -> int:
        """Return the counts of the last twelve bins."""
        ...


class BgeigieNano:
    """A bGeigie that is carried about; `spike` and `step` faults are in CPM."""

    period_s = LINE_PERIOD_S

    def __init__(
        self,
        device_id: int,
        tube: Pancake,
        whereabouts: Callable[[float], Whereabouts | None],
        date: Callable[[float], datetime],
        faults: Faults,
        *,
        satellites: int = 9,
        hdop: float = 1.1,
    ) -> None:
        self._device_id = device_id
        self._tube = tube
        self._whereabouts = whereabouts
        self._date = date
        self._faults = faults
        self._satellites = satellites
        self._hdop = hdop

    def receive(self, chunk: bytes, t_s: float) -> bytes:  # noqa: ARG002 - it never listens
        """Return nothing: the line is one-way."""
        return b""

    def emit(self, t_s: float) -> bytes:
        """Return the line of the last five seconds."""
        counts = round(self._faults.report("counts", self._tube.counts(t_s), scale=0.0))
        cpm = max(0, round(self._faults.report("cpm", self._tube.window_counts(t_s))))
        is_valid = self._tube.bins_run >= _BINS_BEFORE_VALID and cpm > 0
        fields = (
            f"BNRDD,{self._device_id:04d}",
            *self._time_field(t_s),
            f"{cpm},{counts},{self._tube.total},{'A' if is_valid else 'V'}",
            *self._position_fields(t_s),
        )
        return sentence(",".join(fields))

    def _time_field(self, t_s: float) -> tuple[str]:
        if self._whereabouts(t_s) is None:
            return ("2012-00-00T00:00:00Z",)
        return (f"{self._date(t_s):%Y-%m-%dT%H:%M:%SZ}",)

    def _position_fields(self, t_s: float) -> tuple[str, ...]:
        place = self._whereabouts(t_s)
        if place is None:
            return ("0000.0000,N,00000.0000,E,0.00,V,0,9999",)
        return (
            degrees_minutes(place.lat, 2) + (",N" if place.lat >= 0 else ",S"),
            degrees_minutes(place.lon, 3) + (",E" if place.lon >= 0 else ",W"),
            f"{place.alt_m:.2f},A,{self._satellites},{round(self._hdop * 100)}",
        )


class LogPlayer:
    """Plays a bGeigie log line by line as the instrument would have sent it.

    Comment lines go out together with the measurement that follows them; damaged lines
    go out as they are. After the last line it is silent.
    """

    def __init__(self, log: Path, *, period_s: float = LINE_PERIOD_S) -> None:
        self.period_s = period_s
        self.is_over = False
        self._lines: Iterator[bytes] = iter(log.read_bytes().splitlines())

    def receive(self, chunk: bytes, t_s: float) -> bytes:  # noqa: ARG002 - it never listens
        """Return nothing: the line is one-way."""
        return b""

    def emit(self, t_s: float) -> bytes:  # noqa: ARG002 - the log has its own times
        """Return the next measurement line, with the comments before it."""
        sent = b""
        for line in self._lines:
            sent += line + b"\r\n"
            if line and not line.startswith(b"#"):
                return sent
        self.is_over = True
        return sent


def sentence(body: str) -> bytes:
    """Return `$body*CK` and CR LF; CK is the XOR of the body in two hex digits."""
    checksum = 0
    for byte in body.encode("ascii"):
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode("ascii")


def degrees_minutes(degrees: float, degree_digits: int) -> str:
    """Return ddmm.mmmm (or dddmm.mmmm) of an absolute angle."""
    parts = round(abs(degrees) * 60 * _MINUTE_PARTS)
    whole, rest = divmod(parts, 60 * _MINUTE_PARTS)
    minutes, fraction = divmod(rest, _MINUTE_PARTS)
    return f"{whole:0{degree_digits}d}{minutes:02d}.{fraction:04d}"
