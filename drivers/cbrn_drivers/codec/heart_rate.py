"""Bluetooth GATT values of heart-rate wearables: 0x2A37, 0x2A38 and the battery's 0x2A19.

Documents: Bluetooth SIG, Heart Rate Service (flags, rate, sensor contact, energy expended,
RR intervals; Body Sensor Location) and Battery Service (Battery Level). Little-endian. Bits
and octets that the documents reserve are ignored, as they ask of a client.
"""

from enum import IntEnum, StrEnum

import msgspec

from cbrn_core.errors import FieldError, LengthError

MEASUREMENT_UUID = "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY_UUID = "00002a19-0000-1000-8000-00805f9b34fb"

LONGEST_VALUE_BYTES = 512
"""Core Specification, Attribute Protocol: no attribute value is longer."""

RR_UNITS_PER_S = 1024

_WIDE_RATE = 0x01
_CONTACT_DETECTED = 0x02
_CONTACT_SUPPORTED = 0x04
_ENERGY = 0x08
_RR_INTERVALS = 0x10
_MOST_BATTERY_PCT = 100


class Contact(StrEnum):
    """Whether the sensor touches the skin, as far as it can tell."""

    NOT_SUPPORTED = "not_supported"
    NOT_DETECTED = "not_detected"
    DETECTED = "detected"


class BodyLocation(IntEnum):
    """Where the sensor is worn (0x2A38)."""

    OTHER = 0
    CHEST = 1
    WRIST = 2
    FINGER = 3
    HAND = 4
    EAR = 5
    FOOT = 6


class HeartRate(msgspec.Struct, frozen=True, gc=False):
    """One Heart Rate Measurement.

    `energy_kj` is kJ since the last reset; `rr_1024` are intervals between beats in 1/1024 s,
    oldest first.
    """

    rate_bpm: int
    contact: Contact
    energy_kj: int | None
    rr_1024: tuple[int, ...]

    def fields(self) -> dict[str, object]:
        """Return the fields by their names in the protocol document."""
        return {
            "hr_bpm": self.rate_bpm,
            "contact": self.contact.value,
            "energy_kJ": self.energy_kj,
            "rr_1024": list(self.rr_1024),
        }


def decode_measurement(octets: bytes) -> HeartRate:
    """Return what one notification of 0x2A37 says; an odd octet after the intervals is ignored.

    Raises:
        LengthError: it ends before the fields that its flags announce, or is longer than any
            attribute may be.
    """
    if len(octets) > LONGEST_VALUE_BYTES:
        raise LengthError(f"{len(octets)} octets are more than an attribute holds")
    if not octets:
        raise LengthError("empty")
    flags = octets[0]
    rate_size = 2 if flags & _WIDE_RATE else 1
    rate_bpm = _unsigned(octets, 1, rate_size, "rate")
    place = 1 + rate_size
    energy_kj = None
    if flags & _ENERGY:
        energy_kj = _unsigned(octets, place, 2, "energy expended")
        place += 2
    intervals: tuple[int, ...] = ()
    if flags & _RR_INTERVALS:
        last = len(octets) - 1
        intervals = tuple(
            int.from_bytes(octets[i : i + 2], "little") for i in range(place, last, 2)
        )
    return HeartRate(rate_bpm, _contact(flags), energy_kj, intervals)


def decode_location(octets: bytes) -> BodyLocation:
    """Return where the sensor is worn.

    Raises:
        LengthError: not one octet.
        FieldError: a place that the document reserves.
    """
    code = _octet(octets, "body location")
    try:
        return BodyLocation(code)
    except ValueError:
        raise FieldError(f"body location {code} is reserved") from None


def decode_battery(octets: bytes) -> int:
    """Return the battery level in percent.

    Raises:
        LengthError: not one octet.
        FieldError: more than 100 %.
    """
    level_pct = _octet(octets, "battery level")
    if level_pct > _MOST_BATTERY_PCT:
        raise FieldError(f"battery level {level_pct} % is reserved")
    return level_pct


def _contact(flags: int) -> Contact:
    if not flags & _CONTACT_SUPPORTED:
        return Contact.NOT_SUPPORTED
    return Contact.DETECTED if flags & _CONTACT_DETECTED else Contact.NOT_DETECTED


def _unsigned(octets: bytes, place: int, size: int, name: str) -> int:
    field = octets[place : place + size]
    if len(field) < size:
        raise LengthError(f"{len(octets)} octets end before the {name}")
    return int.from_bytes(field, "little")


def _octet(octets: bytes, name: str) -> int:
    if len(octets) != 1:
        raise LengthError(f"{name}: {len(octets)} octets, not 1")
    return octets[0]
