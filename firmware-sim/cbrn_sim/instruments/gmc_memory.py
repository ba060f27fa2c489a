"""What a GQ GMC keeps in its memory: configuration block and history.

Sources: GQ-RFC1201 v1.40 and GQ-RFC1801 v1.00; calibration points of the 300S as
published from a device. The third point of the 500+ (25 CPM = 4.85 µSv/h) and its
second (30000 CPM = 195 µSv/h) are recalled, not read from a document.
"""

import struct
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Dialect(StrEnum):
    """The two command sets."""

    RFC1201 = "rfc1201"
    RFC1801 = "rfc1801"


class CalibrationPoint(NamedTuple):
    """A count rate and the dose rate it stands for."""

    cpm: int
    usv_h: float


CALIBRATION: dict[Dialect, tuple[CalibrationPoint, ...]] = {
    Dialect.RFC1201: (
        CalibrationPoint(1615, 10.0),
        CalibrationPoint(16150, 100.0),
        CalibrationPoint(32300, 200.0),
    ),
    Dialect.RFC1801: (
        CalibrationPoint(100, 0.65),
        CalibrationPoint(30000, 195.0),
        CalibrationPoint(25, 4.85),
    ),
}
_CONFIGURATION_BYTES = {Dialect.RFC1201: 256, Dialect.RFC1801: 512}
_CALIBRATION_OFFSETS = (8, 14, 20)
_HISTORY_BYTES = 65_536
_SAVE_CPS_EACH_SECOND = 1
_ONE_BYTE = 256


def cpm_per_usv_h(dialect: Dialect) -> float:
    """Return the tube's sensitivity that agrees with its own calibration."""
    first = CALIBRATION[dialect][0]
    return first.cpm / first.usv_h


def configuration(dialect: Dialect) -> bytes:
    """Return the block that `<GETCFG>>` answers: power on, alarm off, calibration."""
    block = bytearray(b"\xff" * _CONFIGURATION_BYTES[dialect])
    block[0] = 0
    block[1] = 0
    float_format = "<f" if dialect is Dialect.RFC1201 else ">f"
    for offset, point in zip(_CALIBRATION_OFFSETS, CALIBRATION[dialect], strict=True):
        struct.pack_into(">H", block, offset, point.cpm)
        struct.pack_into(float_format, block, offset + 2, point.usv_h)
    block[32] = _SAVE_CPS_EACH_SECOND
    struct.pack_into(">H", block, 49, 0)
    block[57] = 0
    struct.pack_into(">H", block, 62, 100)
    return bytes(block)


def date_bytes(moment: datetime) -> bytes:
    """Return YY MM DD hh mm ss, one byte each."""
    return bytes(
        (
            moment.year % 100,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
        )
    )


class History:
    """The flash: a dated header, then one record a second; erased bytes are FF."""

    def __init__(self, began: datetime) -> None:
        header = b"\x55\xaa\x00" + date_bytes(began) + b"\x55\xaa"
        self._flash = bytearray(header + bytes((_SAVE_CPS_EACH_SECOND,)))

    def save(self, counts: int) -> None:
        """Append the counts of one second; when the flash is full nothing is kept."""
        if counts < _ONE_BYTE:
            record = bytes((counts,))
        else:
            record = b"\x55\xaa\x01" + struct.pack(">H", min(counts, 0xFFFF))
        if len(self._flash) + len(record) <= _HISTORY_BYTES:
            self._flash += record

    def read(self, address: int, length: int) -> bytes:
        """Return a part of the flash, erased where nothing was written."""
        return bytes(self._flash[address : address + length]).ljust(length, b"\xff")
