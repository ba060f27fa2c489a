"""GQ GMC Geiger counters: replies of fixed length, without checksum or framing.

Documents: GQ-RFC1201 v1.40 (2015-01): GMC-280, 300, 320, SE; GQ-RFC1801 v1.00 (2018-04):
GMC-500, 500+, 600, 600+. GMC-800 follows RFC1801 with its own layout of the
configuration (seen in recordings, no document: confidence B).
"""

import re
import struct
from datetime import datetime
from enum import StrEnum
from math import isfinite

import msgspec

from cbrn_core.errors import FieldError, LengthError, UnexpectedReply
from cbrn_drivers.codec.text import ascii_text

HEARTBEAT_MASK = 0x3FFF
"""RFC1201 command 3: bits 15 and 14 are reserved. Its own example (10 1C = 28) forgets that."""


class Dialect(StrEnum):
    """Which document an instrument follows."""

    RFC1201 = "rfc1201"
    RFC1801 = "rfc1801"
    GMC800 = "gmc800"


class Version(msgspec.Struct, frozen=True):
    """Identity of an instrument as `<GETVER>>` tells it."""

    version: str
    model: str
    firmware: str


class Calibration(msgspec.Struct, frozen=True):
    """Dose rate over count rate: points (counts per minute, µSv/h), rising, (0, 0) implied."""

    points: tuple[tuple[int, float], ...]

    def dose_rate_usv_h(self, cpm: float) -> float:
        """Return the dose rate, linear between the points, last segment continued."""
        low = (0.0, 0.0)
        for high in self.points:
            if cpm <= high[0] or high == self.points[-1]:
                slope = (high[1] - low[1]) / (high[0] - low[0])
                return low[1] + (cpm - low[0]) * slope
            low = high
        raise FieldError("no calibration point")

    @property
    def usv_h_per_cps(self) -> float:
        """Return the slope at low dose rate."""
        cpm, usv_h = self.points[0]
        return 60.0 * usv_h / cpm


_VERSION = re.compile(r"(GMC-?[A-Za-z0-9+]+?)\s*(Re\s*[0-9]+\.[0-9]+.*)")
_BARE_VERSION = re.compile(r"(GMC-?[A-Za-z0-9+]+)\s*(.*)")
_MODEL_NUMBER = re.compile(r"GMC-?([0-9]{3})")
_VOLTS = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}v\x00?")
_CONFIG_BYTES = {Dialect.RFC1201: 256, Dialect.RFC1801: 512, Dialect.GMC800: 512}
_COUNT_BYTES = {Dialect.RFC1201: 2, Dialect.RFC1801: 4, Dialect.GMC800: 4}
_TAIL = 0xAA


def count_bytes(dialect: Dialect) -> int:
    """Return the length of a count reply."""
    return _COUNT_BYTES[dialect]


def config_bytes(dialect: Dialect) -> int:
    """Return the length of the `<GETCFG>>` reply."""
    return _CONFIG_BYTES[dialect]


def decode_version(reply: bytes) -> Version:
    """Return the identity; the reply has 13 to 15 bytes and no end mark.

    Raises:
        LengthError, FieldError: empty, far too long, or not text.
        UnexpectedReply: text, but not of a GMC.
    """
    if not 5 <= len(reply) <= 32:
        raise LengthError(f"{len(reply)} bytes are not a version")
    text = ascii_text(reply)
    match = _VERSION.fullmatch(text) or _BARE_VERSION.fullmatch(text)
    if match is None:
        raise UnexpectedReply(f"{text!r} is not a GMC")
    return Version(text, match[1], match[2])


def dialect_of(model: str) -> Dialect:
    """Return the dialect of a model name.

    Raises:
        UnexpectedReply: a model of which no document speaks.
    """
    if model.startswith("GMC-SE"):
        return Dialect.RFC1201
    number = _MODEL_NUMBER.match(model)
    family = int(number[1]) // 100 if number else 0
    dialect = {2: Dialect.RFC1201, 3: Dialect.RFC1201, 5: Dialect.RFC1801, 6: Dialect.RFC1801}
    if family == 8:
        return Dialect.GMC800
    if family not in dialect:
        raise UnexpectedReply(f"no document for model {model!r}; say which `dialect` it speaks")
    return dialect[family]


def decode_count(reply: bytes, dialect: Dialect) -> int:
    """Return a count (`<GETCPM>>`, `<GETCPS>>` …), big-endian."""
    _check_length(reply, _COUNT_BYTES[dialect])
    return int.from_bytes(reply, "big")


def decode_heartbeat(record: bytes, dialect: Dialect) -> int:
    """Return the counts of the last second as sent each second after `<HEARTBEAT1>>`."""
    count = decode_count(record, dialect)
    return count & HEARTBEAT_MASK if dialect is Dialect.RFC1201 else count


def decode_voltage(reply: bytes) -> float:
    """Return the battery voltage in V: one byte of 0.1 V, or text such as `3.97v`."""
    if len(reply) == 1:
        return reply[0] / 10
    _check_length(reply, 5)
    text = reply.decode("ascii", "replace")
    if not _VOLTS.fullmatch(text):
        raise FieldError(f"voltage: {text!r}")
    return float(text.rstrip("\x00").rstrip("v"))


def decode_calibration(config: bytes, dialect: Dialect) -> Calibration:
    """Return the calibration out of the whole configuration.

    A point whose counts are not above those of the point before is skipped: factory data
    of a GMC-500+ holds 100, 30000, 25.

    Raises:
        LengthError: not a whole configuration.
        FieldError: no usable point.
    """
    _check_length(config, _CONFIG_BYTES[dialect])
    if dialect is Dialect.GMC800:
        raw = [struct.unpack_from(">I", config, 73 + 4 * i) for i in range(6)]
        doses = [struct.unpack_from(">f", config, 97 + 4 * i)[0] for i in range(6)]
        pairs = [(cpm, usv_h) for (cpm,), usv_h in zip(raw, doses, strict=True)]
    else:
        order = "<f" if dialect is Dialect.RFC1201 else ">f"
        pairs = [
            (
                struct.unpack_from(">H", config, offset)[0],
                struct.unpack_from(order, config, offset + 2)[0],
            )
            for offset in (8, 14, 20)
        ]
    return Calibration(_rising(pairs))


def _rising(pairs: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    points: list[tuple[int, float]] = []
    last_cpm, last_usv_h = 0, 0.0
    for cpm, usv_h in pairs:
        if cpm > last_cpm and isfinite(usv_h) and usv_h > last_usv_h:
            points.append((cpm, usv_h))
            last_cpm, last_usv_h = cpm, usv_h
    if not points:
        raise FieldError("no usable calibration point")
    return tuple(points)


def decode_datetime(reply: bytes) -> datetime:
    """Return the instrument's clock, without time zone: it has none."""
    _check_tail(reply, 7)
    year, month, day, hour, minute, second = reply[:6]
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001
    except ValueError as error:
        raise FieldError(f"time: {error}") from None


def decode_gyro(reply: bytes) -> tuple[int, int, int]:
    """Return the position words x, y, z."""
    _check_tail(reply, 7)
    x, y, z = struct.unpack(">3h", reply[:6])
    return x, y, z


def decode_temperature(reply: bytes) -> float:
    """Return the temperature in °C: integer part, decimal digit, sign (RFC1201 only)."""
    _check_tail(reply, 4)
    whole, tenths, sign, _ = reply
    if tenths > 99:
        raise FieldError(f"temperature: decimal part {tenths}")
    magnitude = whole + tenths / (10 if tenths < 10 else 100)
    return -magnitude if sign else magnitude


def decode_serial(reply: bytes) -> str:
    """Return the serial number as hexadecimal text."""
    _check_length(reply, 7)
    return reply.hex()


_DATE_PARTS = {
    b"SETDATEYY": "year",
    b"SETDATEMM": "month",
    b"SETDATEDD": "day",
    b"SETTIMEHH": "hour",
    b"SETTIMEMM": "minute",
    b"SETTIMESS": "second",
}
_ANSWERED_AA = (b"ECFG", b"WCFG", b"CFGUPDATE", b"FACTORYRESET")
_SET_CLOCK = b"SETDATETIME"


def decode_host_command(frame: bytes) -> dict[str, object]:
    """Return what a `<…>>` command of the host asks for, and the reply it expects.

    Raises:
        FieldError: not a command, or an impossible time.
    """
    if not (frame.startswith(b"<") and frame.endswith(b">>") and 4 <= len(frame) <= 64):
        raise FieldError("not a command")
    body = frame[1:-2]
    if body.startswith(_SET_CLOCK):
        moment = decode_datetime(body[len(_SET_CLOCK) :] + bytes((_TAIL,)))
        return {"host_command": f"<SETDATETIME {moment.isoformat()}>>", "reply_hex": "aa"}
    part = _DATE_PARTS.get(body[:-1])
    if part is not None:
        number = body[-1] + (2000 if part == "year" else 0)
        return {"host_command": f"set {part} {number}", "reply_hex": "aa"}
    name = ascii_text(bytes(b for b in body if b < 0x80 and chr(b).isalnum()))
    if not name:
        raise FieldError("a command without a name")
    command: dict[str, object] = {"host_command": f"<{name}>>"}
    return command | {"reply_hex": "aa"} if body.startswith(_ANSWERED_AA) else command


def _check_length(reply: bytes, expected: int) -> None:
    if len(reply) != expected:
        raise LengthError(f"{len(reply)} bytes, not {expected}")


def _check_tail(reply: bytes, expected: int) -> None:
    _check_length(reply, expected)
    if reply[-1] != _TAIL:
        raise FieldError(f"ends with {reply[-1]:02X}, not AA")
