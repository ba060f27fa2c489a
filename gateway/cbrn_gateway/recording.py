"""Recordings: JSON Lines of readings in arrival order (contracts §3).

A first line with `schema: cbrn-recording/1` may say when the capture began; replay then
begins to watch at that moment, as the daemon did. A line with `schema: cbrn-recording-gap/1`
says that readings are missing there, and how many.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec

from cbrn_core.errors import InputError
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, Flag, Purpose, Quality, Reading
from cbrn_core.times import format_rfc3339, parse_rfc3339
from cbrn_core.units import Unit
from cbrn_gateway.sinks.payloads import reading_to_row

SCHEMA = "cbrn-recording/1"
GAP_NAME = "lost_while_recording"
LONGEST_LINE_BYTES = 65_536
_LATEST_US = 2**53 - 1
"""In 2255: whole numbers beyond it do not survive JSON."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a capture made by `record`."""

    schema: str
    started_at: str
    gateway: str | None = None
    config_hash: str | None = None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a capture where lines are missing, because writing or reading it was slow."""

    schema: Literal["cbrn-recording-gap/1"] = "cbrn-recording-gap/1"
    lost: Annotated[int, msgspec.Meta(ge=1)]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One reading as others may write it: unknown keys are ignored, known ones are strict."""

    time: str
    station: str
    channel: str
    value: float | None
    unit: Unit
    quality: Quality = Quality.GOOD
    flags: tuple[str, ...] = ()
    received_at: str | None = None
    device: str | None = None
    sigma: float | None = None
    raw: float | str | None = None
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    accuracy_m: float | None = None
    speed_m_s: float | None = None
    gnss_fix: bool | None = None
    livetime_s: float | None = None
    resulted_at: str | None = None
    seq: int | None = None
    purpose: Purpose | None = None
    detection: Detection | None = None


_DECODER = msgspec.json.Decoder(_Line)
_HEADER_DECODER = msgspec.json.Decoder(Header)
_GAP_DECODER = msgspec.json.Decoder(Gap)
_FLAGS = {flag.value: flag for flag in Flag}


def encode_header(started_us: int, gateway: str, config_hash: str) -> bytes:
    """Return the first line of a capture."""
    header = Header(
        schema=SCHEMA,
        started_at=format_rfc3339(started_us),
        gateway=gateway,
        config_hash=config_hash,
    )
    return msgspec.json.encode(header)


def encode_reading(reading: Reading) -> bytes:
    """Return one line of a recording, without its line end."""
    return msgspec.json.encode(reading_to_row(reading))


def started_us_of(line: bytes) -> int | None:
    """Return when a capture began, as its header says; None where the line is no header."""
    try:
        header = _HEADER_DECODER.decode(line)
        return parse_rfc3339(header.started_at) if header.schema == SCHEMA else None
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None


def encode_gap(lost: int) -> bytes:
    """Return the line that says how many lines are missing at its place."""
    return msgspec.json.encode(Gap(lost=lost))


def lost_lines(line: bytes) -> int:
    """Return how many lines a gap says are missing, 0 for any other line."""
    try:
        return _GAP_DECODER.decode(line).lost
    except msgspec.DecodeError:
        return 0


def decode_reading(line: bytes | str) -> Reading:
    """Return the reading of one line.

    Raises:
        InputError: not JSON, a field missing or of the wrong kind, an impossible time.
    """
    try:
        row = _DECODER.decode(line)
        time_us = parse_rfc3339(row.time)
        received_us = time_us if row.received_at is None else parse_rfc3339(row.received_at)
        resulted_us = None if row.resulted_at is None else parse_rfc3339(row.resulted_at)
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise InputError(f"not a reading: {error}") from None
    if not 0 <= min(time_us, received_us) <= max(time_us, received_us) <= _LATEST_US:
        raise InputError("not a reading: an impossible time")
    return Reading(
        station=row.station,
        channel=row.channel,
        time_us=time_us,
        received_us=received_us,
        value=row.value,
        unit=row.unit,
        quality=row.quality,
        flags=tuple(_FLAGS[name] for name in row.flags if name in _FLAGS),
        device=row.device,
        sigma=row.sigma,
        raw=row.raw,
        fix=_fix(row),
        livetime_s=row.livetime_s,
        resulted_us=resulted_us,
        seq=row.seq,
        purpose=row.purpose,
        detection=row.detection,
    )


class RecordingReader:
    """Reads a recording line by line; bad lines are counted by name and passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started_us: int | None = None
        self.lines = 0
        self.rejected: dict[str, int] = {}

    def readings(self) -> Iterator[Reading]:
        """Yield the readings in order of arrival.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as lines:
                yield from self._read(lines)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error}") from None

    def _read(self, lines: IO[bytes]) -> Iterator[Reading]:
        while line := lines.readline(LONGEST_LINE_BYTES):
            if not line.strip():
                continue
            self.lines += 1
            if self.lines == 1 and self._take_header(line):
                continue
            try:
                yield decode_reading(line)
            except InputError:
                lost = lost_lines(line)
                self._reject(GAP_NAME if lost else "bad_line", lost or 1)

    def _reject(self, name: str, count: int) -> None:
        self.rejected[name] = self.rejected.get(name, 0) + count

    def _take_header(self, line: bytes) -> bool:
        self.started_us = started_us_of(line)
        return self.started_us is not None


def _fix(row: _Line) -> Fix | None:
    if row.lat is None or row.lon is None:
        return None
    return Fix(row.lat, row.lon, row.alt_m, row.accuracy_m, row.speed_m_s, row.gnss_fix)


def to_json_line(fields: dict[str, Any]) -> bytes:
    """Return one JSON object as a line; the one way every `*.jsonl` output is written."""
    return msgspec.json.encode(fields) + b"\n"
