"""Safecast bGeigie sentences: Nano, Cast, NX, Mini, classic bGeigie and CzechRad.

Sources: Safecast bGeigieNanoKit, `bGeigieNano.ino` and README (sentences, checksum, dead
time); bGeigieMini README (NX); CzechRad DATA/readme.md. No revision numbers are printed.

Sentence: `$HDR,f1,…*CK`, CK = XOR of the bytes between `$` and `*`, two hex digits.
Fields: 1 device id, 2 UTC, 3 counts of the last minute, 4 counts of the last 5 s,
5 total counts, 6 A|V radiation, 7/8 ddmm.mmmm N|S, 9/10 dddmm.mmmm E|W, 11 altitude in m,
12 A|V position, then by firmware:

========================  =====================================================
Nano, Cast, CzechRad      satellites, HDOP × 100 (older: the two exchanged)
Mini, classic bGeigie     HDOP, fix quality
NX                        satellites, HDOP, fix quality
========================  =====================================================
"""

import re
from datetime import datetime

import msgspec

from cbrn_core.errors import FieldError, LengthError, UnexpectedReply
from cbrn_core.times import datetime_to_us
from cbrn_drivers.codec.framing import after_last_start
from cbrn_drivers.codec.text import ascii_text, decimal, integer, verify_xor

COUNT_INTERVAL_S = 5.0
DEAD_TIME_S = 1.8833e-6 * 60
"""The firmware corrects counts per minute n by n / (1 - n · 1.8833e-6)."""

_FIELDS = {"BNRDD": 14, "BMRDD": 14, "BGRDD": 14, "CZRDD": 14, "CZRA1": 14, "BNXRDD": 15}
_STATUS = "BNXSTS"
_MOST_SATELLITES = 40
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_EARLIEST_YEAR = 2011


class Sentence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measurement.

    Attributes:
        time_us: the instrument's UTC, None before its receiver has told it the date.
        cpm: counts of the last 60 s, corrected for dead time where that is switched on.
        counts_5s: counts of the last 5 s, as counted.
        rad_valid: the counter has run for 60 s and counts.
        lat, lon: degrees; None where the sentence has none.
        hdop: horizontal dilution of precision.
    """

    header: str
    device_id: int
    time_us: int | None
    time_text: str
    cpm: int
    counts_5s: int
    total_counts: int
    rad_valid: bool
    lat: float | None
    lon: float | None
    alt_m: float | None
    gps_valid: bool
    satellites: int | None
    hdop: float | None
    fix_quality: int | None

    def fields(self) -> dict[str, object]:
        """Return the fields by their names in the protocol document."""
        fields: dict[str, object] = {
            "header": self.header,
            "device_id": self.device_id,
            "time": None if self.time_us is None else self.time_text,
            "cpm": self.cpm,
            "counts_5s": self.counts_5s,
            "total_counts": self.total_counts,
            "rad_valid": self.rad_valid,
            "lat": None if self.lat is None else round(self.lat, 6),
            "lon": None if self.lon is None else round(self.lon, 6),
            "alt_m": self.alt_m,
            "gps_valid": self.gps_valid,
            "satellites": self.satellites,
            "hdop": self.hdop,
            "fix_quality": self.fix_quality,
        }
        optional = ("satellites", "hdop", "fix_quality")
        return {k: v for k, v in fields.items() if v is not None or k not in optional}


class Status(msgspec.Struct, frozen=True):
    """A sentence about the instrument itself; not a measurement."""

    header: str
    values: tuple[str, ...]

    def fields(self) -> dict[str, object]:
        """Return the header and the values as text; their meaning differs by firmware."""
        return {"header": self.header, "status": list(self.values)}


def decode_sentence(line: bytes) -> Sentence | Status:
    """Return what one line says; the line begins with `$` and has no line end.

    Raises:
        LengthError: too few or too many fields, or cut off.
        ChecksumError: the checksum does not match.
        UnexpectedReply: a good sentence of another kind.
        FieldError: a field with an impossible value.
    """
    if not line.startswith(b"$"):
        raise FieldError("does not begin with $")
    body, star, printed = line[1:].rpartition(b"*")
    if not star:
        commas = line.count(b",")
        raise LengthError(f"cut off: {commas} fields and no checksum")
    verify_xor(body, printed)
    header, *values = ascii_text(body).split(",")
    if header == _STATUS:
        return Status(header, tuple(values))
    expected = _FIELDS.get(header)
    if expected is None:
        raise UnexpectedReply(f"header {header[:16]!r} is not a bGeigie sentence")
    if len(values) != expected:
        raise LengthError(f"{header} has {len(values)} fields, not {expected}")
    return _measurement(header, values)


def frame_of_line(line: bytes) -> bytes:
    """Return the sentence on a line of a log: from its last `$` on, the whole line without one."""
    return after_last_start(line, b"$") or line


def dead_time_livetime_s(counts_5s: int) -> float | None:
    """Return the live time of a 5 s bin for a tube that is blind for DEAD_TIME_S per count.

    None where the counts exceed what such a tube can count.
    """
    livetime_s = COUNT_INTERVAL_S - counts_5s * DEAD_TIME_S
    return livetime_s if livetime_s > 0 else None


def _measurement(header: str, values: list[str]) -> Sentence:
    gps_valid = _validity(values[11], "position validity")
    satellites, hdop, fix_quality = _satellites(header, values[12:])
    return Sentence(
        header=header,
        device_id=_count(values[0], "device id"),
        time_us=_time_us(values[1]),
        time_text=values[1],
        cpm=_count(values[2], "cpm"),
        counts_5s=_count(values[3], "counts in 5 s"),
        total_counts=_count(values[4], "total counts"),
        rad_valid=_validity(values[5], "radiation validity"),
        lat=_angle(values[6], values[7], "NS", 90, empty_allowed=not gps_valid),
        lon=_angle(values[8], values[9], "EW", 180, empty_allowed=not gps_valid),
        alt_m=decimal(values[10], "altitude") if values[10] or gps_valid else None,
        gps_valid=gps_valid,
        satellites=satellites,
        hdop=hdop,
        fix_quality=fix_quality,
    )


def _count(text: str, name: str) -> int:
    count = integer(text, name)
    if count < 0:
        raise FieldError(f"{name}: {count} is negative")
    return count


def _validity(text: str, name: str) -> bool:
    if text not in {"A", "V"}:
        raise FieldError(f"{name}: {text[:8]!r} is neither A nor V")
    return text == "A"


def _time_us(text: str) -> int | None:
    """Return UTC, None for a time that no calendar has: before the receiver knows the date."""
    if not _TIME.fullmatch(text):
        raise FieldError(f"time: {text[:24]!r}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return datetime_to_us(moment) if moment.year >= _EARLIEST_YEAR else None


def _angle(
    text: str, hemisphere: str, letters: str, most_deg: int, *, empty_allowed: bool
) -> float | None:
    """Return degrees; some firmware writes the sign and the letter, both saying the same."""
    if not text and empty_allowed:
        return None
    if len(hemisphere) != 1 or hemisphere not in letters:
        raise FieldError(f"hemisphere: {hemisphere[:8]!r} is not one of {letters}")
    number = decimal(text, "angle")
    negative = hemisphere == letters[1]
    if number < 0 and not negative:
        raise FieldError(f"angle: {text} {hemisphere} contradicts itself")
    whole_deg, minutes = divmod(abs(number), 100.0)
    degrees = whole_deg + minutes / 60.0
    if minutes >= 60.0 or degrees > most_deg:
        raise FieldError(f"angle: {text} is not degrees and minutes")
    return -degrees if negative else degrees


def _satellites(header: str, values: list[str]) -> tuple[int | None, float | None, int | None]:
    """Return satellites, HDOP and fix quality from the fields that differ by firmware."""
    if header == "BNXRDD":
        satellites = _count(values[0], "satellites")
        return satellites, decimal(values[1], "hdop"), _count(values[2], "fix quality")
    first, second = values
    if "." in first:
        return None, decimal(first, "hdop"), _count(second, "fix quality")
    if "." in second:
        return _count(first, "satellites"), decimal(second, "hdop"), None
    satellites, hdop_hundredths = _count(first, "satellites"), _count(second, "hdop")
    if satellites > _MOST_SATELLITES:
        satellites, hdop_hundredths = hdop_hundredths, satellites
    return satellites, hdop_hundredths / 100, None
