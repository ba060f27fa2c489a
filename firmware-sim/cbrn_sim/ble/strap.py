"""A heart-rate strap: what it advertises, which services it has, what it notifies.

Sources: Bluetooth SIG Heart Rate Service (measurement, body sensor location), Battery
Service; Core Specification, Generic Attribute Profile (handles, properties).
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

_BASE = "-0000-1000-8000-00805f9b34fb"
HEART_RATE_SERVICE = f"0000180d{_BASE}"
MEASUREMENT = f"00002a37{_BASE}"
LOCATION = f"00002a38{_BASE}"
BATTERY_SERVICE = f"0000180f{_BASE}"
BATTERY_LEVEL = f"00002a19{_BASE}"

_WIDE, _TOUCHES, _CAN_TELL = 0x01, 0x02, 0x04
_CHEST = 1


class Characteristic(NamedTuple):
    """One attribute with its handle."""

    handle: int
    uuid: str
    properties: tuple[str, ...]


class Service(NamedTuple):
    """One service with its characteristics."""

    handle: int
    uuid: str
    characteristics: tuple[Characteristic, ...]


class Cure(StrEnum):
    """What lets services be found again that BlueZ does not find for ever."""

    NONE = ""
    REMOVAL = "removal"
    POWER = "power"


class Strap(msgspec.Struct, kw_only=True):
    """One strap and what ails it.

    Attributes:
        contact: skin contact, None where the strap cannot tell.
        battery_pct: None where it has no battery service.
        period_s: between two notifications; 0: only what `send` says.
        in_range: it is heard and answers.
        silent: it stays linked and says nothing.
        resolve_s: how long its services take to be found; None: for ever, or until the `cure`.
        deaf: adapters over which its services are never found.
        refuse: the D-Bus error text with which connecting to it fails, "" where it does not.
    """

    address: str
    name: str = "HR strap"
    bpm: int = 60
    contact: bool | None = None
    battery_pct: int | None = 80
    rssi_dbm: int = -60
    period_s: float = 1.0
    in_range: bool = True
    silent: bool = False
    resolve_s: float | None = 0.0
    cure: Cure = Cure.NONE
    deaf: tuple[str, ...] = ()
    refuse: str = ""
    paired: bool = False
    measures: bool = True

    def treat(self, cure: Cure) -> None:
        """Let services be found again where this is what helps."""
        if self.cure is cure:
            self.resolve_s, self.cure = 0.0, Cure.NONE

    def services(self) -> tuple[Service, ...]:
        """Return what a client finds."""
        found = []
        if self.measures:
            measurement = Characteristic(0x0B, MEASUREMENT, ("notify",))
            location = Characteristic(0x0E, LOCATION, ("read",))
            found.append(Service(0x0A, HEART_RATE_SERVICE, (measurement, location)))
        if self.battery_pct is not None:
            level = Characteristic(0x15, BATTERY_LEVEL, ("read",))
            found.append(Service(0x14, BATTERY_SERVICE, (level,)))
        return tuple(found)

    def value(self, uuid: str) -> bytes:
        """Return what reading a characteristic gives."""
        if uuid == BATTERY_LEVEL:
            return bytes((self.battery_pct or 0,))
        return bytes((_CHEST,)) if uuid == LOCATION else b""

    def measurement(self) -> bytes:
        """Return the notification of the rate as it is now."""
        flags = 0
        if self.contact is not None:
            flags |= _CAN_TELL | (_TOUCHES if self.contact else 0)
        if self.bpm > 0xFF:
            return bytes((flags | _WIDE,)) + self.bpm.to_bytes(2, "little")
        return bytes((flags, self.bpm))
