"""What a frame says once decoded: readings that do not yet know their station and clock."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Now
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality, Reading
from cbrn_core.units import Unit


class DecodedReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value of one channel of a model, as the wire carried it.

    Attributes:
        channel: id in the profile.
        value: in `unit`, None where the instrument gave none.
        time_us: the instrument's own time, None where it has no clock or an invalid time.
        raw: before conversion, or the instrument's own text.
    """

    channel: str
    value: float | None
    unit: Unit
    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()
    time_us: int | None = None
    fix: Fix | None = None
    livetime_s: float | None = None
    sigma: float | None = None
    raw: float | str | None = None
    detection: Detection | None = None


def as_readings(decoded: Sequence[DecodedReading], device: Device, now: Now) -> list[Reading]:
    """Return the readings of the channels that `device` has.

    `time_us` of a decoded reading is taken as it is: a driver that does not trust the
    instrument's clock removes it first, and the time of arrival takes its place.
    """
    configured = {c.id for c in device.channels}
    return [
        Reading(
            station=device.station,
            channel=d.channel,
            time_us=now.wall_us if d.time_us is None else d.time_us,
            received_us=now.steady_us,
            value=d.value,
            unit=d.unit,
            quality=d.quality,
            flags=d.flags,
            device=device.id,
            sigma=d.sigma,
            raw=d.raw,
            fix=d.fix,
            livetime_s=d.livetime_s,
            detection=d.detection,
        )
        for d in decoded
        if d.channel in configured
    ]


def other_instrument(
    channels: Iterable[tuple[str, Unit]], told: str, expected: str
) -> list[DecodedReading]:
    """Return a reading without value for each channel of an instrument that is not ours.

    `told` and `expected` are what it calls itself and what it should.
    """
    fault = Detection(
        instrument_alarm=InstrumentAlarm.FAULT,
        text=f"another instrument (id {told}) at this port, expected {expected}",
    )
    return [
        DecodedReading(
            channel=channel,
            value=None,
            unit=unit,
            quality=Quality.BAD,
            flags=(Flag.INSTRUMENT_FAULT, Flag.OTHER_INSTRUMENT),
            raw=told,
            detection=fault,
        )
        for channel, unit in channels
    ]


def told_apart(readings: Sequence[Reading], now: Now) -> list[Reading]:
    """Return what arrived at once so that each channel's readings differ in time, in order.

    A sample is known by station, channel and time: of two lines in one piece the second
    would take the place of the first. Times of the instrument's own stay as they are.
    """
    if len(readings) < 2:
        return list(readings)
    arrived: Counter[str] = Counter()
    apart = []
    for reading in readings:
        time_us = reading.time_us
        if time_us == now.wall_us:
            time_us += arrived[reading.channel]
            arrived[reading.channel] += 1
        apart.append(msgspec.structs.replace(reading, time_us=time_us))
    return apart
