"""Readings and estimates as rows of the series store, and back, without loss. Pure."""

import sqlite3
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import QUALITY_RANK, Detection, Flag, Purpose, Quality, Reading
from cbrn_core.units import Unit

QUALITIES = tuple(Quality)

SELECT_SAMPLES = (
    "SELECT row, channel_id, kind, time_us, received_us, value, sigma, raw, nis,"
    " trend_per_min, quality, flags, lat, lon, extra FROM head"
)
INSERT_SAMPLE = (
    "INSERT OR REPLACE INTO head (row, channel_id, kind, time_us, received_us, value, sigma,"
    " raw, nis, trend_per_min, quality, flags, lat, lon, extra)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

Row = tuple[Any, ...]


class SampleKind(IntEnum):
    """What a row holds."""

    READING = 0
    ESTIMATE = 1


class KnownChannel(NamedTuple):
    """A row of the channel table; unit and device are those of its first reading."""

    id: int
    unit: Unit
    device: str | None


class _Extra(msgspec.Struct, frozen=True, omit_defaults=True):
    """What few samples carry; unit and device only where they differ from the channel's."""

    unit: Unit | None = None
    device: str | msgspec.UnsetType | None = msgspec.UNSET
    fix: Fix | None = None
    livetime_s: float | None = None
    resulted_us: int | None = None
    seq: int | None = None
    purpose: Purpose | None = None
    detection: Detection | None = None


_NO_EXTRA = _Extra()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Extra).decode


def reading_row(row: int, channel: KnownChannel, reading: Reading) -> Row:
    """Return the row of a reading; raises OverflowError for numbers beyond 64 bits."""
    fix = reading.fix
    lat, lon = (None, None) if fix is None else fix[:2]
    return (
        row,
        channel.id,
        0,
        reading.time_us,
        reading.received_us,
        reading.value,
        reading.sigma,
        reading.raw,
        None,
        None,
        QUALITY_RANK[reading.quality],
        ",".join(reading.flags) if reading.flags else None,
        lat,
        lon,
        _reading_extra(channel, reading),
    )


def estimate_row(row: int, channel: KnownChannel, estimate: Estimate) -> Row:
    """Return the row of an estimate; raises OverflowError for numbers beyond 64 bits."""
    fix = estimate.fix
    lat, lon = (None, None) if fix is None else fix[:2]
    extra = None
    is_plain = fix is None and estimate.purpose is Purpose.ACTUAL
    if not (is_plain and estimate.unit is channel.unit):
        unit = None if estimate.unit is channel.unit else estimate.unit
        extra = _encode(_Extra(unit=unit, fix=fix, purpose=estimate.purpose))
    return (
        row,
        channel.id,
        1,
        estimate.time_us,
        estimate.received_us,
        estimate.value,
        estimate.sigma,
        estimate.instrument_value,
        estimate.nis,
        estimate.trend_per_min,
        QUALITY_RANK[estimate.quality],
        ",".join(estimate.flags) if estimate.flags else None,
        lat,
        lon,
        extra,
    )


def row_reading(key: ChannelKey, channel: KnownChannel, row: Row) -> Reading:
    """Return the reading of a row; raises ValueError for a row of a newer program."""
    extra = _NO_EXTRA if row[14] is None else _decode(row[14])
    device = channel.device if extra.device is msgspec.UNSET else extra.device
    return Reading(
        station=key[0],
        channel=key[1],
        time_us=row[3],
        received_us=row[4],
        value=row[5],
        unit=extra.unit or channel.unit,
        quality=_quality(row[10]),
        flags=_flags(row[11]),
        device=device,
        sigma=row[6],
        raw=row[7],
        fix=extra.fix,
        livetime_s=extra.livetime_s,
        resulted_us=extra.resulted_us,
        seq=extra.seq,
        purpose=extra.purpose,
        detection=extra.detection,
    )


def row_estimate(key: ChannelKey, channel: KnownChannel, row: Row) -> Estimate:
    """Return the estimate of a row; raises ValueError for a row of a newer program."""
    extra = _NO_EXTRA if row[14] is None else _decode(row[14])
    return Estimate(
        station=key[0],
        channel=key[1],
        time_us=row[3],
        received_us=row[4],
        value=row[5],
        sigma=row[6],
        unit=extra.unit or channel.unit,
        nis=row[8],
        quality=_quality(row[10]),
        flags=_flags(row[11]),
        instrument_value=row[7],
        trend_per_min=row[9],
        fix=extra.fix,
        purpose=extra.purpose or Purpose.ACTUAL,
    )


def load_channels(connection: sqlite3.Connection) -> dict[ChannelKey, KnownChannel]:
    """Return every channel that was ever stored."""
    rows = connection.execute("SELECT station, channel, id, unit, device FROM channels")
    return {
        (station, channel): KnownChannel(channel_id, Unit(unit), device)
        for station, channel, channel_id, unit, device in rows
    }


def _reading_extra(channel: KnownChannel, reading: Reading) -> bytes | None:
    same_unit = reading.unit is channel.unit
    same_device = reading.device == channel.device
    rare = (
        reading.fix,
        reading.livetime_s,
        reading.resulted_us,
        reading.seq,
        reading.purpose,
        reading.detection,
    )
    if same_unit and same_device and rare == _NOTHING_RARE:
        return None
    return _encode(
        _Extra(
            None if same_unit else reading.unit,
            msgspec.UNSET if same_device else reading.device,
            *rare,
        )
    )


_NOTHING_RARE = (None,) * 6


def _quality(rank: int) -> Quality:
    if not 0 <= rank < len(QUALITIES):
        raise ValueError(f"no quality has rank {rank}")
    return QUALITIES[rank]


def _flags(written: str | None) -> tuple[Flag, ...]:
    return tuple(map(Flag, written.split(","))) if written else ()
