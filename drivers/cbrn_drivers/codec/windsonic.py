"""Gill WindSonic lines: Gill polar, Gill UV, and NMEA 0183 MWV.

Document: Gill Instruments WindSonic user manual 1405-PS-0019, issue 30.

Gill: `<STX>N,ddd,sss.ss,U,ss,<ETX>cc`, cc = XOR of the bytes between STX and ETX (§6.1);
direction is empty below 0.05 m/s in CSV format, the last one in fixed-field format
(appendix E). NMEA: `$ttMWV,angle,R|T,speed,unit,status*hh` (§6.3).
"""

import re

import msgspec

from cbrn_core.errors import FieldError, LengthError, UnexpectedReply
from cbrn_core.units import Unit, convert
from cbrn_drivers.codec.text import ascii_text, decimal, verify_xor

CALM_M_S = 0.05
"""Below this speed there is no direction (appendix E)."""

STATUS_TEXT = {
    "00": "ok",
    "01": "axis 1 failed",
    "02": "axis 2 failed",
    "04": "both axes failed",
    "08": "non-volatile memory error",
    "09": "ROM error",
}
"""§6.1; the two axes are told apart by the manual's numbering, unverified."""

_UNITS = {"M": Unit.M_S, "N": Unit.KNOT, "P": Unit.MPH, "K": Unit.KM_H, "F": Unit.FT_MIN}
_NMEA_UNITS = {"M": Unit.M_S, "N": Unit.KNOT, "K": Unit.KM_H, "S": Unit.MPH, "P": Unit.MPH}
_STATUS = re.compile(r"[0-9A-F]{2}")
_NODE = re.compile(r"[A-Z]")
_HEADER = re.compile(r"[A-Z]{2}MWV")
_SIGNED = re.compile(r"[+-][0-9]{1,4}\.[0-9]{1,3}")
_STX, _ETX = b"\x02", b"\x03"


class WindLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        sender: node letter or NMEA talker.
        direction_deg: 0 to 360 from the unit's north mark, None where the line has none.
        speed: in `unit`; None where the line has none.
        uv: components along the unit's axes in `unit`, of the UV format only.
        status: two Gill digits; "A" or "V" in NMEA.
        reference: R or T, NMEA only.
    """

    sender: str
    direction_deg: float | None
    speed: float | None
    unit_letter: str
    unit: Unit
    status: str
    uv: tuple[float, float] | None = None
    reference: str | None = None

    @property
    def is_valid(self) -> bool:
        """Return whether the instrument says that it is well."""
        return self.status in {"00", "A"}

    @property
    def speed_m_s(self) -> float | None:
        """Return the speed in m/s."""
        return None if self.speed is None else convert(self.speed, self.unit, Unit.M_S)

    def fields(self) -> dict[str, object]:
        """Return the fields by their names in the protocol document."""
        speed_m_s = None if self.speed_m_s is None else round(self.speed_m_s, 3)
        if self.reference is not None:
            return {
                "talker": self.sender,
                "angle_deg": self.direction_deg,
                "reference": self.reference,
                "speed": self.speed,
                "unit": self.unit_letter,
                "valid": self.is_valid,
                "speed_m_s": speed_m_s,
            }
        node: dict[str, object] = {"node": self.sender}
        if self.uv is None:
            wind: dict[str, object] = {"dir_deg": self.direction_deg, "speed": self.speed}
        else:
            wind = {"u": self.uv[0], "v": self.uv[1]}
        tail = {"unit": self.unit_letter, "status": self.status, "speed_m_s": speed_m_s}
        return node | wind | tail


def decode_line(line: bytes) -> WindLine:
    """Return what one line says; it begins with STX or `$` and has no line end.

    Raises:
        LengthError: wrong number of fields, or cut off.
        ChecksumError: the checksum does not match.
        UnexpectedReply: a good sentence of another kind.
        FieldError: a field with an impossible value.
    """
    if line.startswith(b"$"):
        body, end, printed = line[1:].rpartition(b"*")
    elif line.startswith(_STX):
        body, end, printed = line[1:].rpartition(_ETX)
    else:
        raise FieldError("begins neither with STX nor with $")
    if not end:
        raise LengthError("cut off before the checksum")
    verify_xor(body, printed)
    values = ascii_text(body).split(",")
    return _nmea(values) if line.startswith(b"$") else _gill(values)


def _gill(values: list[str]) -> WindLine:
    if len(values) != 6 or values[5]:
        raise LengthError(f"{len(values)} parts, not node, two values, unit, status and an end")
    node, first, second, unit_letter, status, _ = values
    if not _NODE.fullmatch(node):
        raise FieldError(f"node: {node[:8]!r}")
    if not _STATUS.fullmatch(status):
        raise FieldError(f"status: {status[:8]!r}")
    unit = _unit(unit_letter, _UNITS)
    direction_deg: float | None = None
    uv: tuple[float, float] | None = None
    if _SIGNED.fullmatch(first) and _SIGNED.fullmatch(second):
        uv = (decimal(first, "u"), decimal(second, "v"))
        speed: float | None = (uv[0] ** 2 + uv[1] ** 2) ** 0.5
    else:
        direction_deg = _direction(first)
        speed = _speed(second)
    return WindLine(
        sender=node,
        direction_deg=direction_deg,
        speed=speed,
        unit_letter=unit_letter,
        unit=unit,
        status=status,
        uv=uv,
    )


def _nmea(values: list[str]) -> WindLine:
    if not _HEADER.fullmatch(values[0]):
        raise UnexpectedReply(f"sentence {values[0][:16]!r} is not MWV")
    if len(values) != 6:
        raise LengthError(f"MWV has {len(values) - 1} fields, not 5")
    header, angle, reference, speed, unit_letter, status = values
    if reference not in {"R", "T"}:
        raise FieldError(f"reference: {reference[:8]!r} is neither R nor T")
    if status not in {"A", "V"} and not _STATUS.fullmatch(status):
        raise FieldError(f"status: {status[:8]!r}")
    return WindLine(
        sender=header[:2],
        direction_deg=_direction(angle),
        speed=_speed(speed),
        unit_letter=unit_letter,
        unit=_unit(unit_letter, _NMEA_UNITS),
        status=status,
        reference=reference,
    )


def _unit(letter: str, units: dict[str, Unit]) -> Unit:
    unit = units.get(letter)
    if unit is None:
        raise FieldError(f"unit: {letter[:8]!r}")
    return unit


def _direction(text: str) -> float | None:
    if not text:
        return None
    direction_deg = decimal(text, "direction")
    if not 0.0 <= direction_deg <= 360.0:
        raise FieldError(f"direction: {text} is not within 0 to 360")
    return direction_deg


def _speed(text: str) -> float | None:
    if not text:
        return None
    speed = decimal(text, "speed")
    if speed < 0:
        raise FieldError(f"speed: {text} is negative")
    return speed
