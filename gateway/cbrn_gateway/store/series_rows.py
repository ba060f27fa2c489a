"""Readings and estimates as rows of the series store, and back, without loss. Pure."""

import sqlite3
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import QUALITY_RANK, Detection, Flag, Purpose, Quality, Reading
from cbrn_core.units import Unit

QUALITIES = tuple(Quality)

_READING_COLUMNS = ("value", "sigma", "raw", "quality", "flags", "lat", "lon", "extra")
_ESTIMATE_COLUMNS = (
    "est_value",
    "est_sigma",
    "nis",
    "trend_per_min",
    "instrument_value",
    "est_quality",
    "est_flags",
    "est_received_us",
    "est_extra",
)
SELECT_SAMPLES = (
    "SELECT row, channel_id, time_us, received_us, value, sigma, raw, quality, flags, lat, lon,"
    " extra, est_value, est_sigma, nis, trend_per_min, instrument_value, est_quality, est_flags,"
    " est_received_us, est_extra FROM head"
)
_RECEIVED, _QUALITY, _EXTRA = 3, 7, 11
_FIRST_OF_ESTIMATE, _EST_QUALITY, _EST_RECEIVED, _EST_EXTRA = 12, 17, 19, 20

_NO_READING = (None,) * len(_READING_COLUMNS)
_NO_ESTIMATE = (None,) * len(_ESTIMATE_COLUMNS)
_NOTHING_EXTRA = b"\x80"
_EMPTY_EXTRA = f"x'{_NOTHING_EXTRA.hex()}'"
_IF_KEPT = {
    "est_received_us": "coalesce(est_received_us, received_us)",
    "est_extra": f"coalesce(est_extra, extra, {_EMPTY_EXTRA})",
}
"""What an estimate shared with its reading, where that reading is overwritten without it."""

_INSERT = (
    "INSERT INTO head (row, channel_id, time_us, received_us, value, sigma, raw, quality, flags,"
    " lat, lon, extra, est_value, est_sigma, nis, trend_per_min, instrument_value, est_quality,"
    " est_flags, est_received_us, est_extra)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (time_us, channel_id) DO UPDATE SET "
)
INSERT_SAMPLE = _INSERT + ", ".join(
    [f"{column} = excluded.{column}" for column in ("row", "received_us", *_READING_COLUMNS)]
    + [
        f"{column} = CASE WHEN excluded.est_quality IS NULL"
        f" THEN {_IF_KEPT.get(column, column)} ELSE excluded.{column} END"
        for column in _ESTIMATE_COLUMNS
    ]
)
"""Stores a `sample_row`; an estimate that is there already stays where none comes with it."""

INSERT_ESTIMATE = _INSERT + ", ".join(f"{c} = excluded.{c}" for c in _ESTIMATE_COLUMNS)
"""Stores an `estimate_row`; where its reading is there already, under that one's number."""

Row = tuple[Any, ...]


class SampleKind(IntEnum):
    """What a row holds: either or both."""

    READING = 0
    ESTIMATE = 1


HAS = {SampleKind.READING: "quality IS NOT NULL", SampleKind.ESTIMATE: "est_quality IS NOT NULL"}


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


def sample_row(row: int, channel: KnownChannel, reading: Reading, estimate: Estimate | None) -> Row:
    """Return the row of a reading and, where there is one, of its estimate.

    Raises:
        OverflowError: numbers beyond 64 bits.
    """
    fix = reading.fix
    lat, lon = (None, None) if fix is None else fix[:2]
    flags = reading.flags
    return (
        row,
        channel.id,
        reading.time_us,
        reading.received_us,
        reading.value,
        reading.sigma,
        reading.raw,
        QUALITY_RANK[reading.quality],
        ",".join(flags) if flags else None,
        lat,
        lon,
        _reading_extra(channel, reading),
        *(_NO_ESTIMATE if estimate is None else _beside(channel, reading, estimate)),
    )


def estimate_row(row: int, channel: KnownChannel, estimate: Estimate) -> Row:
    """Return the row of an estimate by itself; raises OverflowError for numbers beyond 64 bits."""
    own = (estimate.received_us, _estimate_extra(channel, estimate))
    place = (row, channel.id, estimate.time_us, estimate.received_us)
    return (*place, *_NO_READING, *_posterior(estimate), *own)


def has_reading(row: Row) -> bool:
    """Return whether a row holds a reading."""
    return row[_QUALITY] is not None


def has_estimate(row: Row) -> bool:
    """Return whether a row holds an estimate."""
    return row[_EST_QUALITY] is not None


def overlaid(old: Row, new: Row) -> Row:
    """Return what is left of two rows of one time: each half of the newer covers its own.

    What `INSERT_SAMPLE` and `INSERT_ESTIMATE` do within the head table, number included.
    """
    if not has_reading(new):
        return (*old[:_FIRST_OF_ESTIMATE], *new[_FIRST_OF_ESTIMATE:]) if has_estimate(new) else old
    if has_estimate(new) or not has_estimate(old):
        return new
    posterior = old[_FIRST_OF_ESTIMATE:_EST_RECEIVED]
    received_us = old[_RECEIVED] if old[_EST_RECEIVED] is None else old[_EST_RECEIVED]
    extra = next((e for e in (old[_EST_EXTRA], old[_EXTRA]) if e is not None), _NOTHING_EXTRA)
    return (*new[:_FIRST_OF_ESTIMATE], *posterior, received_us, extra)


def overlay(rows: dict[int, Row], newer: Iterable[Row]) -> None:
    """Lay newer rows over those of one channel, by time in µs."""
    for row in newer:
        old = rows.get(row[2])
        rows[row[2]] = row if old is None else overlaid(old, row)


def reading_unit(channel_unit: Unit, row: Row) -> Unit:
    """Return the unit of a row's reading; raises ValueError, DecodeError as `row_reading`."""
    written = row[_EXTRA]
    extra = _NO_EXTRA if written is None else _decode(written)
    return extra.unit or channel_unit


def row_reading(key: ChannelKey, channel: KnownChannel, row: Row) -> Reading:
    """Return the reading of a row; raises ValueError for a row of a newer program."""
    _, _, time_us, received_us, value, sigma, raw, quality, flags, _, _, written = row[:12]
    extra = _NO_EXTRA if written is None else _decode(written)
    return Reading(
        station=key[0],
        channel=key[1],
        time_us=time_us,
        received_us=received_us,
        value=value,
        unit=extra.unit or channel.unit,
        quality=_quality(quality),
        flags=_flags(flags),
        device=channel.device if extra.device is msgspec.UNSET else extra.device,
        sigma=sigma,
        raw=raw,
        fix=extra.fix,
        livetime_s=extra.livetime_s,
        resulted_us=extra.resulted_us,
        seq=extra.seq,
        purpose=extra.purpose,
        detection=extra.detection,
    )


def row_estimate(key: ChannelKey, channel: KnownChannel, row: Row) -> Estimate:
    """Return the estimate of a row; raises ValueError for a row of a newer program."""
    value, sigma, nis, trend_per_min, shown, quality, flags, received_us, own = row[12:]
    written = row[11] if own is None else own
    extra = _NO_EXTRA if written is None else _decode(written)
    return Estimate(
        station=key[0],
        channel=key[1],
        time_us=row[2],
        received_us=row[3] if received_us is None else received_us,
        value=value,
        sigma=sigma,
        unit=extra.unit or channel.unit,
        nis=nis,
        quality=_quality(quality),
        flags=_flags(flags),
        instrument_value=shown,
        trend_per_min=trend_per_min,
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


def _beside(channel: KnownChannel, reading: Reading, estimate: Estimate) -> Row:
    """Return the columns of an estimate; what it shares with its reading is written once."""
    received_us: int | None = estimate.received_us
    if received_us == reading.received_us:
        received_us = None
    extra = None
    if not (
        estimate.unit is reading.unit
        and estimate.purpose is (reading.purpose or Purpose.ACTUAL)
        and estimate.fix == reading.fix
    ):
        extra = _estimate_extra(channel, estimate)
    return (*_posterior(estimate), received_us, extra)


def _posterior(estimate: Estimate) -> Row:
    flags = estimate.flags
    return (
        estimate.value,
        estimate.sigma,
        estimate.nis,
        estimate.trend_per_min,
        estimate.instrument_value,
        QUALITY_RANK[estimate.quality],
        ",".join(flags) if flags else None,
    )


def _estimate_extra(channel: KnownChannel, estimate: Estimate) -> bytes:
    unit = None if estimate.unit is channel.unit else estimate.unit
    return _encode(_Extra(unit=unit, fix=estimate.fix, purpose=estimate.purpose))


def _reading_extra(channel: KnownChannel, reading: Reading) -> bytes | None:
    same_unit = reading.unit is channel.unit
    same_device = reading.device == channel.device
    if (
        same_unit
        and same_device
        and reading.fix is None
        and reading.livetime_s is None
        and reading.resulted_us is None
        and reading.seq is None
        and reading.purpose is None
        and reading.detection is None
    ):
        return None
    return _encode(
        _Extra(
            None if same_unit else reading.unit,
            msgspec.UNSET if same_device else reading.device,
            reading.fix,
            reading.livetime_s,
            reading.resulted_us,
            reading.seq,
            reading.purpose,
            reading.detection,
        )
    )


def _quality(rank: int) -> Quality:
    if not 0 <= rank < len(QUALITIES):
        raise ValueError(f"no quality has rank {rank}")
    return QUALITIES[rank]


def _flags(written: str | None) -> tuple[Flag, ...]:
    return tuple(map(Flag, written.split(","))) if written else ()
