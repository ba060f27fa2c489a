"""Incidents: the alarms of one event, grouped the same way live and in replay."""

import base64
import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from cbrn_core.alarm import Alarm, AlarmKind, AlarmState, Condition
from cbrn_core.place import Station, distance_m
from cbrn_core.times import format_rfc3339, seconds_to_us
from cbrn_gateway.alarms.corroboration import family
from cbrn_gateway.alarms.policy import LifePolicy

_HAZARD_KINDS = frozenset({AlarmKind.SPECIFIC, AlarmKind.EVOLVING})
Point = tuple[float, float]


class Incident(msgspec.Struct, kw_only=True):
    """One event: what it is about, where it was seen, and until when."""

    id: str
    family: tuple[str, ...]
    purpose: str
    last_us: int
    stations: list[str]
    points: list[Point]
    zones: list[str]


class IncidentBook:
    """Gives every new alarm its incident.

    A specific alarm joins an incident of its hazard and agent family that was active
    within the window, anywhere on the site. An evolving one joins only where its own
    station or a near neighbour already belongs (without positions: its own zone), so
    that a passer-by is not merged with a source across the square. Technical, security
    and personal alarms are grouped by station.
    """

    def __init__(
        self, gateway: str, policy: LifePolicy, stations: Mapping[str, Station] | None = None
    ) -> None:
        self._gateway = gateway
        self._window_us = seconds_to_us(policy.incident_window_s)
        self._distance_m = policy.incident_distance_m
        self._stations = stations or {}
        self._incidents: dict[str, Incident] = {}

    def under(self, policy: LifePolicy, stations: Mapping[str, Station]) -> "IncidentBook":
        """Return the same incidents under another policy and with other stations."""
        book = IncidentBook(self._gateway, policy, stations)
        book.restore(self.snapshot())
        return book

    def assign(self, condition: Condition, now_us: int) -> str:
        """Return the incident of a new alarm; opens one where none fits."""
        self._forget(now_us)
        about = _family(condition)
        point = self._point(condition)
        candidates = [
            incident
            for incident in self._incidents.values()
            if incident.family == about
            and incident.purpose == condition.purpose
            and self._belongs(condition, point, incident)
        ]
        if candidates:
            incident = min(candidates, key=lambda found: _remoteness(found, condition, point))
        else:
            incident = self._open(condition, about, now_us)
        self._join(incident, condition, point, now_us)
        return incident.id

    def touch(self, incident_id: str, now_us: int) -> None:
        """Note that one of its alarms is active now."""
        incident = self._incidents.get(incident_id)
        if incident is not None:
            incident.last_us = max(incident.last_us, now_us)

    def remember(self, alarm: Alarm) -> None:
        """Take up the incident of an alarm from before a restart."""
        condition = alarm.condition
        incident = self._incidents.get(alarm.incident)
        last_us = alarm.changed_us if alarm.state is AlarmState.NORMAL else condition.at_us
        if incident is None:
            incident = self._incidents[alarm.incident] = Incident(
                id=alarm.incident,
                family=_family(condition),
                purpose=condition.purpose,
                last_us=last_us,
                stations=[],
                points=[],
                zones=[],
            )
        self._join(incident, condition, self._point(condition), last_us)

    def snapshot(self) -> list[Incident]:
        """Return all incidents that may still be joined."""
        return list(self._incidents.values())

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Replace all incidents."""
        self._incidents = {incident.id: incident for incident in incidents}

    def _belongs(self, condition: Condition, point: Point | None, incident: Incident) -> bool:
        if condition.key.kind is not AlarmKind.EVOLVING:
            return True
        if condition.station in incident.stations:
            return True
        if point is not None and incident.points:
            return _nearest_m(incident, point) <= self._distance_m
        return condition.zone is not None and condition.zone in incident.zones

    def _open(self, condition: Condition, about: tuple[str, ...], now_us: int) -> Incident:
        parts = (
            self._gateway,
            condition.purpose,
            *about,
            condition.key.place,
            format_rfc3339(condition.observed_us),
        )
        digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
        incident = Incident(
            id="inc-" + base64.b32encode(digest[:10]).decode().lower(),
            family=about,
            purpose=condition.purpose,
            last_us=now_us,
            stations=[],
            points=[],
            zones=[],
        )
        self._incidents[incident.id] = incident
        return incident

    def _join(
        self, incident: Incident, condition: Condition, point: Point | None, now_us: int
    ) -> None:
        incident.last_us = max(incident.last_us, now_us)
        if condition.station is not None and condition.station not in incident.stations:
            incident.stations.append(condition.station)
        if point is not None and point not in incident.points:
            incident.points.append(point)
        if condition.zone is not None and condition.zone not in incident.zones:
            incident.zones.append(condition.zone)

    def _point(self, condition: Condition) -> Point | None:
        if condition.place is not None:
            return condition.place[:2]
        station = self._stations.get(condition.station or "")
        if station is None or station.position is None:
            return None
        return (station.position.lat, station.position.lon)

    def _forget(self, now_us: int) -> None:
        oldest_us = now_us - self._window_us
        gone = [name for name, found in self._incidents.items() if found.last_us < oldest_us]
        for name in gone:
            del self._incidents[name]


def _family(condition: Condition) -> tuple[str, ...]:
    if condition.key.kind in _HAZARD_KINDS:
        return (condition.hazard, family(condition.key.agent))
    return (condition.key.kind.value, condition.station or condition.key.place)


def _nearest_m(incident: Incident, point: Point) -> float:
    return min(distance_m(point, known) for known in incident.points)


def _remoteness(
    incident: Incident, condition: Condition, point: Point | None
) -> tuple[bool, float, int, str]:
    known = point is not None and incident.points
    away_m = _nearest_m(incident, point) if known and point is not None else 0.0
    elsewhere = condition.station not in incident.stations
    return (elsewhere, away_m, -incident.last_us, incident.id)
