"""Readings, estimates, alerts and health as points of the time series (contracts §6)."""

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from typing import Annotated
from zlib import crc32

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import Priority
from cbrn_core.channel import Channel
from cbrn_core.errors import InputError
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.quantities import Series, canonical_unit, series_of
from cbrn_core.reading import QUALITY_RANK, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import parse_rfc3339
from cbrn_core.units import UnitError, convert
from cbrn_gateway.sinks.line_protocol import NS_PER_US, FieldValue, encode_line


class _AlertFields(msgspec.Struct, frozen=True):
    state: str
    priority: int | str
    kind: str
    level: str
    certainty: str
    version: int
    changed_at: str
    zone: str | None = None
    station: str | None = None
    channel: str | None = None
    agent: str | None = None
    purpose: str = "actual"
    value: float | None = None
    seq: int | None = None


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: msgspec.Raw


class _Alert(msgspec.Struct, frozen=True):
    id: str
    properties: _AlertFields
    geometry: _Geometry | None = None


_ALERT = msgspec.json.Decoder(_Alert)
_POINT = msgspec.json.Decoder(Annotated[list[float], msgspec.Meta(min_length=2, max_length=3)])


class LineWriter:
    """Turns what the pipeline makes into lines; counts what it cannot write.

    The tag `agent` is the quantity: for a chemical that is its agent id. Body quantities
    are never written. Replace `site` on a new configuration.

    Counters: `influx_private`, `influx_unknown_channel`, `influx_unconvertible`,
    `dropped_nonfinite` (fields that were not a finite number), `influx_bad_alert`.
    """

    def __init__(self, site: SiteModel) -> None:
        self.site = site
        self.counters: Counter[str] = Counter()

    def reading(self, reading: Reading) -> bytes | None:
        """Return the line of a reading, None where it must not or cannot be written."""
        channel = self._writable_channel(reading.station, reading.channel)
        if channel is None:
            return None
        try:
            value, sigma = self._canonical(channel, reading)
        except UnitError:
            self.counters["influx_unconvertible"] += 1
            return None
        lat, lon = self._place(reading.station, reading.fix)
        fields: dict[str, FieldValue] = {
            "value": value,
            "sigma": sigma,
            "raw": float(reading.raw) if isinstance(reading.raw, int | float) else None,
            "quality": QUALITY_RANK[reading.quality],
            "lat": lat,
            "lon": lon,
            "seq": reading.seq,
        }
        purpose = reading.purpose.value if reading.purpose is not None else "actual"
        tags = self._tags(channel, purpose, reading.device or channel.device)
        return self._line(series_of(channel.quantity), tags, fields, reading.time_us * NS_PER_US)

    def estimate(self, estimate: Estimate) -> bytes | None:
        """Return the line of an estimate, None where it must not or cannot be written."""
        channel = self._writable_channel(estimate.station, estimate.channel)
        if channel is None:
            return None
        fields: dict[str, FieldValue] = {
            "value": float(estimate.value),
            "sigma": float(estimate.sigma),
            "nis": float(estimate.nis),
        }
        tags = self._tags(channel, estimate.purpose.value, channel.device)
        return self._line("estimate", tags, fields, estimate.time_us * NS_PER_US)

    def alert(self, body: bytes) -> bytes | None:
        """Return the line of an alert as it was journalled, None where it is not one."""
        try:
            alert = _ALERT.decode(body)
            time_ns = _alert_time_ns(alert)
            priority = Priority.from_wire(alert.properties.priority)
        except (msgspec.DecodeError, InputError, ValueError, OverflowError):
            self.counters["influx_bad_alert"] += 1
            return None
        marks = alert.properties
        lat, lon = _alert_place(alert)
        fields: dict[str, FieldValue] = {
            "alarm_id": alert.id,
            "state": marks.state,
            "priority": int(priority),
            "kind": marks.kind,
            "level": marks.level,
            "certainty": marks.certainty,
            "value": marks.value,
            "version": marks.version,
            "lat": lat,
            "lon": lon,
        }
        tags = (
            ("agent", marks.agent),
            ("channel", marks.channel),
            ("city", self.site.city),
            ("purpose", marks.purpose),
            ("site", self.site.site.id),
            ("station", marks.station),
            ("zone", marks.zone),
        )
        return self._line("alarm", tags, fields, time_ns)

    def health(self, figures: Mapping[str, float], time_us: int) -> bytes | None:
        """Return the line of the daemon's own figures, all as floats."""
        fields: dict[str, FieldValue] = {name: float(value) for name, value in figures.items()}
        tags = (("city", self.site.city), ("site", self.site.site.id))
        return self._line("health", tags, fields, time_us * NS_PER_US)

    def _writable_channel(self, station: str, channel_id: str) -> Channel | None:
        channel = self.site.channels.get((station, channel_id))
        if channel is None:
            self.counters["influx_unknown_channel"] += 1
            return None
        if series_of(channel.quantity) is Series.PHYSIOLOGICAL:
            self.counters["influx_private"] += 1
            return None
        return channel

    def _canonical(self, channel: Channel, reading: Reading) -> tuple[float | None, float | None]:
        """Return value and sigma in the quantity's canonical unit; raises UnitError."""
        unit = canonical_unit(channel.quantity)
        known = AGENTS.get(channel.quantity.value)
        molar_mass_g_mol = None if known is None else known.molar_mass_g_mol
        value, sigma = (
            None
            if number is None
            else float(
                convert(float(number), reading.unit, unit, molar_mass_g_mol=molar_mass_g_mol)
            )
            for number in (reading.value, reading.sigma)
        )
        return value, sigma

    def _place(self, station: str, fix: Fix | None) -> tuple[float | None, float | None]:
        if fix is not None:
            return float(fix.lat), float(fix.lon)
        known = self.site.stations.get(station)
        if known is None or known.position is None:
            return None, None
        return float(known.position.lat), float(known.position.lon)

    def _tags(
        self, channel: Channel, purpose: str, device: str
    ) -> tuple[tuple[str, str | None], ...]:
        station = self.site.stations.get(channel.station)
        return (
            ("agent", channel.quantity.value),
            ("channel", channel.id),
            ("city", self.site.city),
            ("device", device),
            ("purpose", purpose),
            ("site", self.site.site.id),
            ("station", channel.station),
            ("zone", None if station is None else station.zone),
        )

    def _line(
        self,
        measurement: str,
        tags: tuple[tuple[str, str | None], ...],
        fields: Mapping[str, FieldValue],
        time_ns: int,
    ) -> bytes | None:
        self.counters["dropped_nonfinite"] += sum(
            isinstance(value, float) and not isfinite(value) for value in fields.values()
        )
        return encode_line(measurement, tags, fields, time_ns)


def _alert_time_ns(alert: _Alert) -> int:
    """Return when this version came about, with a fingerprint below the microsecond.

    Two alarms of one channel may change in the same millisecond and share all tags; the
    journal's seq (or the id) keeps them apart, and a repeat still overwrites itself.
    """
    seq = alert.properties.seq
    mark = crc32(alert.id.encode()) if seq is None else seq
    changed_us = parse_rfc3339(alert.properties.changed_at)
    return changed_us * NS_PER_US + mark % NS_PER_US


def _alert_place(alert: _Alert) -> tuple[float | None, float | None]:
    """Return the latitude and longitude of a point; other shapes have none."""
    if alert.geometry is None or alert.geometry.type != "Point":
        return None, None
    try:
        position = _POINT.decode(alert.geometry.coordinates)
    except msgspec.DecodeError:
        return None, None
    return float(position[1]), float(position[0])
