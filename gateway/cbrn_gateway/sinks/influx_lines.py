"""Readings, estimates, alerts and health as points of the time series (contracts §6)."""

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, NamedTuple
from zlib import crc32

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import Priority
from cbrn_core.channel import Channel
from cbrn_core.errors import InputError
from cbrn_core.estimate import Estimate
from cbrn_core.quantities import Series, canonical_unit, series_of
from cbrn_core.reading import QUALITY_RANK, Purpose, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import parse_rfc3339
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.sinks.line_protocol import (
    NS_PER_US,
    FieldValue,
    encode_fields,
    encode_head,
)


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


class _Known(NamedTuple):
    """What all lines of one channel and purpose share; heads name the channel's own device."""

    channel: Channel
    unit: Unit
    molar_mass_g_mol: float | None
    place: str
    reading_head: str
    estimate_head: str


_NUMBERS = (int, float)
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
        self.counters: Counter[str] = Counter()
        self.site = site

    @property
    def site(self) -> SiteModel:
        """Return the site whose channels are written."""
        return self._site

    @site.setter
    def site(self, site: SiteModel) -> None:
        self._site = site
        self._known: dict[tuple[str, str, Purpose], _Known] = {}

    def reading(self, reading: Reading) -> bytes | None:
        """Return the line of a reading, None where it must not or cannot be written."""
        purpose = reading.purpose or Purpose.ACTUAL
        known = self._writable(reading.station, reading.channel, purpose)
        if known is None:
            return None
        value, sigma = reading.value, reading.sigma
        if reading.unit is not known.unit:
            try:
                value = _canonical(known, value, reading.unit)
                sigma = _canonical(known, sigma, reading.unit)
            except UnitError:
                self.counters["influx_unconvertible"] += 1
                return None
        fix, raw, seq = reading.fix, reading.raw, reading.seq
        text = (
            f"{self._float('value', value)}{'' if sigma is None else self._float('sigma', sigma)}"
            f"{self._float('raw', raw) if isinstance(raw, _NUMBERS) else ''}"
            f"quality={QUALITY_RANK[reading.quality]}i"
            f"{known.place if fix is None else self._point(fix.lat, fix.lon)}"
            f"{'' if seq is None else self._fields({'seq': seq}, ',')}"
        )
        head = known.reading_head
        channel, device = known.channel, reading.device
        if device and device != channel.device:
            tags = self._tags(channel, purpose, device)
            head = encode_head(series_of(channel.quantity), tags)
        return f"{head} {text} {reading.time_us * NS_PER_US}".encode()

    def estimate(self, estimate: Estimate) -> bytes | None:
        """Return the line of an estimate, None where it must not or cannot be written."""
        known = self._writable(estimate.station, estimate.channel, estimate.purpose)
        if known is None:
            return None
        value, sigma, nis = float(estimate.value), float(estimate.sigma), float(estimate.nis)
        if isfinite(value + sigma + nis):
            text = f"value={value!r},sigma={sigma!r},nis={nis!r}"
        else:
            text = self._fields({"value": value, "sigma": sigma, "nis": nis})
        if not text:
            return None
        return f"{known.estimate_head} {text} {estimate.time_us * NS_PER_US}".encode()

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
        return self._line(encode_head("alarm", tags), fields, time_ns)

    def health(self, figures: Mapping[str, float], time_us: int) -> bytes | None:
        """Return the line of the daemon's own figures, all as floats."""
        fields: dict[str, FieldValue] = {name: float(value) for name, value in figures.items()}
        tags = (("city", self.site.city), ("site", self.site.site.id))
        return self._line(encode_head("health", tags), fields, time_us * NS_PER_US)

    def _writable(self, station: str, channel_id: str, purpose: Purpose) -> _Known | None:
        known = self._known.get((station, channel_id, purpose))
        if known is not None:
            return known
        channel = self.site.channels.get((station, channel_id))
        if channel is None:
            self.counters["influx_unknown_channel"] += 1
            return None
        if series_of(channel.quantity) is Series.PHYSIOLOGICAL:
            self.counters["influx_private"] += 1
            return None
        known = self._known[station, channel_id, purpose] = self._describe(channel, purpose)
        return known

    def _describe(self, channel: Channel, purpose: Purpose) -> _Known:
        agent = AGENTS.get(channel.quantity.value)
        tags = self._tags(channel, purpose, channel.device)
        return _Known(
            channel=channel,
            unit=canonical_unit(channel.quantity),
            molar_mass_g_mol=None if agent is None else agent.molar_mass_g_mol,
            place=self._place(channel.station),
            reading_head=encode_head(series_of(channel.quantity), tags),
            estimate_head=encode_head("estimate", tags),
        )

    def _place(self, station: str) -> str:
        known = self.site.stations.get(station)
        if known is None or known.position is None:
            return ""
        return self._point(known.position.lat, known.position.lon)

    def _tags(
        self, channel: Channel, purpose: Purpose, device: str
    ) -> tuple[tuple[str, str | None], ...]:
        station = self.site.stations.get(channel.station)
        return (
            ("agent", channel.quantity.value),
            ("channel", channel.id),
            ("city", self.site.city),
            ("device", device),
            ("purpose", purpose.value),
            ("site", self.site.site.id),
            ("station", channel.station),
            ("zone", None if station is None else station.zone),
        )

    def _point(self, lat: float, lon: float) -> str:
        if isfinite(lat) and isfinite(lon):
            return f",lat={float(lat)!r},lon={float(lon)!r}"
        return self._fields({"lat": float(lat), "lon": float(lon)}, ",")

    def _float(self, name: str, number: float | None) -> str:
        """Return one field with a comma behind it, "" where it is no finite number."""
        if number is None:
            return ""
        if isfinite(number):
            return f"{name}={float(number)!r},"
        self.counters["dropped_nonfinite"] += 1
        return ""

    def _fields(self, fields: Mapping[str, FieldValue], before: str = "") -> str:
        """Return the fields with `before` in front, "" where none is left."""
        text, not_finite = encode_fields(fields)
        if not_finite:
            self.counters["dropped_nonfinite"] += not_finite
        return before + text if text else ""

    def _line(self, head: str, fields: Mapping[str, FieldValue], time_ns: int) -> bytes | None:
        text = self._fields(fields)
        return f"{head} {text} {time_ns}".encode() if text else None


def _canonical(known: _Known, number: float | None, unit: Unit) -> float | None:
    """Return a number of a reading in the canonical unit; raises UnitError."""
    if number is None:
        return None
    return convert(float(number), unit, known.unit, molar_mass_g_mol=known.molar_mass_g_mol)


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
