"""Frames typed in or captured, decoded one by one: the engine of the `decode` command. Pure."""

import re
from collections.abc import Mapping

from cbrn_core.errors import FrameError
from cbrn_core.place import Fix
from cbrn_core.times import format_rfc3339
from cbrn_drivers.catalogue import load_driver, load_profile
from cbrn_drivers.decoded import DecodedReading
from cbrn_drivers.profile import Profile

_HEX = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_BETWEEN_HEX = re.compile(r"[\s:,]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.|\Z)", re.DOTALL)
_PLAIN_ESCAPES = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    '"': '"',
    "\\": "\\",
    "/": "/",
}
_SURROGATES = range(0xDC80, 0xDD00)
"""How Python reads bytes above 7F that are not UTF-8 (PEP 383)."""


class _FormatError(FrameError):
    """The line is no frame at all: neither hex nor escaped text."""

    kind = "format"


def decode_line(
    profile: Profile | str, line: str, mode: str, options: Mapping[str, str], *, fields: bool
) -> dict[str, object]:
    r"""Return what one frame says, as one JSON-ready object.

    With `fields` the codec's own fields, `{"records": [[…], …]}` where the frame holds
    records; else `{"readings": […]}`. A bad frame gives `{"error": kind, "detail": …}`.

    Args:
        profile: a profile, or the name or an alias of a built-in one.
        line: one frame; the line's own end may be left on it.
        mode: `hex`, or else text with JSON escapes (`\u0002`), one character a byte.
        options: what the wire carries elsewhere (`request`, `gas`, `register` …).
        fields: the codec's own fields instead of readings.

    Raises:
        ConfigError: no such profile, or an option is missing or wrong.
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    driver = load_driver(profile.driver)
    told = {"profile": profile.name, **options}
    try:
        frame = frame_of_line(line, mode)
        if fields:
            found = driver.fields(frame, told, profile)
            return {"records": found} if isinstance(found, list) else found
        decoded = driver.decode_readings(frame, told, profile)
    except FrameError as error:
        return {"error": error.kind, "detail": str(error)}
    return {"readings": [reading_object(reading) for reading in decoded]}


def decode_lines(
    profile: Profile | str, line: str, mode: str, options: Mapping[str, str], *, fields: bool
) -> list[dict[str, object]]:
    """Return the output lines of one frame: as `decode_line`, but one object per reading."""
    decoded = decode_line(profile, line, mode, options, fields=fields)
    readings = None if fields else decoded.get("readings")
    return readings if isinstance(readings, list) else [decoded]


def frame_of_line(line: str, mode: str) -> bytes:
    """Return the bytes that a line of input stands for.

    Raises:
        FrameError: of kind `format`: not hex, a broken escape, a character above FF.
    """
    if mode == "hex":
        groups = [_HEX.fullmatch(group) for group in _BETWEEN_HEX.split(line) if group]
        if None in groups:
            raise _FormatError("not pairs of hexadecimal digits")
        return b"".join(bytes.fromhex(group[1]) for group in groups if group)
    text = _ESCAPE.sub(_unescaped, line.rstrip("\r\n"))
    return bytes(_byte(character) for character in text)


def reading_object(reading: DecodedReading) -> dict[str, object]:
    """Return a reading with the keys of a recording, without the station it has not."""
    optional = {
        "flags": [flag.value for flag in reading.flags] or None,
        "sigma": reading.sigma,
        "raw": reading.raw,
        "livetime_s": reading.livetime_s,
        "detection": reading.detection,
    }
    shown: dict[str, object] = {}
    if reading.time_us is not None:
        shown["time"] = format_rfc3339(reading.time_us)
    shown |= {
        "channel": reading.channel,
        "value": reading.value,
        "unit": reading.unit.value,
        "quality": reading.quality.value,
    }
    shown |= {key: value for key, value in optional.items() if value is not None}
    return shown | _place(reading.fix)


def _place(fix: Fix | None) -> dict[str, object]:
    if fix is None:
        return {}
    place = {
        "lat": fix.lat,
        "lon": fix.lon,
        "alt_m": fix.alt_m,
        "accuracy_m": fix.accuracy_m,
        "speed_m_s": fix.speed_m_s,
        "gnss_fix": fix.gnss_fix,
    }
    return {key: value for key, value in place.items() if value is not None}


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    if escape not in _PLAIN_ESCAPES:
        raise _FormatError(f"no such escape: \\{escape}")
    return _PLAIN_ESCAPES[escape]


def _byte(character: str) -> int:
    code = ord(character)
    if code in _SURROGATES:
        return code - 0xDC00
    if code > 0xFF:
        raise _FormatError(f"character U+{code:04X} is not a byte")
    return code
