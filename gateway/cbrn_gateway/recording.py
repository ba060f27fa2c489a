"""Recordings: JSON Lines of readings in arrival order (contracts §3).

A first line with `schema: cbrn-recording/1` may say when the capture began; replay then
begins to watch at that moment, as the daemon did.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from cbrn_core.errors import InputError
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, Flag, Purpose, Quality, Reading
from cbrn_core.times import format_rfc3339, parse_rfc3339
from cbrn_core.units import Unit
from cbrn_gateway.sinks.payloads import reading_to_row

SCHEMA = "cbrn-recording/1"
LONGEST_LINE_BYTES = 65_536


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a capture made by `record`."""

    schema: str
    started_at: str
    gateway: str | None = None
    config_hash: str | None = None


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
                self.rejected["bad_line"] = self.rejected.get("bad_line", 0) + 1

    def _take_header(self, line: bytes) -> bool:
        try:
            header = _HEADER_DECODER.decode(line)
            if header.schema != SCHEMA:
                return False
            self.started_us = parse_rfc3339(header.started_at)
        except (msgspec.DecodeError, ValueError):
            return False
        return True


def _fix(row: _Line) -> Fix | None:
    if row.lat is None or row.lon is None:
        return None
    return Fix(row.lat, row.lon, row.alt_m, row.accuracy_m, row.speed_m_s, row.gnss_fix)


def to_json_line(fields: dict[str, Any]) -> bytes:
    """Return one JSON object as a line; the one way every `*.jsonl` output is written."""
    return msgspec.json.encode(fields) + b"\n"
