"""Who else sees it: other stations in the same wind, other technologies at the same place.

Corroboration raises certainty, scope and area, never the permission to alarm (safety 7).
It is looked at on full seconds only, so that no cut of the events changes it.
"""

from collections.abc import Collection, Iterable, Mapping
from math import atan2, cos, degrees, isfinite, radians, sin, tan
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import AlarmKey, AlarmKind, Certainty, Corroboration, Evidence, Scope
from cbrn_core.channel import Technology
from cbrn_core.place import distance_m
from cbrn_core.quantities import Hazard
from cbrn_core.reading import DetectionClass
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.alarms.policy import CorroborationPolicy

_CLASS_OF = {
    "ga": DetectionClass.NERVE,
    "gb": DetectionClass.NERVE,
    "gd": DetectionClass.NERVE,
    "vx": DetectionClass.NERVE,
    "hd": DetectionClass.BLISTER,
    "l": DetectionClass.BLISTER,
    "hcn": DetectionClass.BLOOD,
    "cncl": DetectionClass.BLOOD,
    "ash3": DetectionClass.BLOOD,
    "cl2": DetectionClass.CHOKING,
    "cocl2": DetectionClass.CHOKING,
    "pic": DetectionClass.CHOKING,
}
_WARFARE = {DetectionClass.NERVE, DetectionClass.BLISTER}
_COMPARED = 50
"""Beyond so many stations the pairs need no further look."""

_MOVING_S = 180.0
_MOVING_LEAST_M_S = 0.3
_MOVING_MOST_M_S = 15.0
_M_PER_DEG = 111_320.0


def family(agent: str) -> str:
    """Return the detection class an agent belongs to, else the agent itself."""
    return _CLASS_OF.get(agent, agent)


def same_substance(a: str, b: str) -> bool:
    """Return whether two names (agent or class) may speak of one substance."""
    if a == b:
        return True
    for known, other in ((a, b), (b, a)):
        if known == family(other):
            return True
        if known == DetectionClass.TIC and family(other) not in _WARFARE:
            return True
    return False


class Wind(NamedTuple):
    """Mean wind of the site; direction from which it blows, degrees from true north."""

    speed_m_s: float
    from_deg: float


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One active alarm condition as the others see it.

    Attributes:
        counts: whether it may raise another's certainty (a mere statistical rise may not).
        observed_us: measurement time of its first evidence.
        last_us: when it was last active.
    """

    key: AlarmKey
    purpose: str
    hazard: str
    agent: str
    station: str
    device: str
    zone: str | None
    mobile: bool
    technology: Technology
    interferents: frozenset[str]
    position: tuple[float, float] | None
    observed_us: int
    last_us: int
    counts: bool
    value: float | None = None
    unit: str | None = None
    evidence: Evidence | None = None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the site adds to one alarm."""

    scope: Scope = Scope.STATION
    corroboration: Corroboration = Corroboration.SINGLE
    stations: tuple[str, ...] = ()
    watching: int = 0
    technologies: int = 1
    moving: bool = False
    evidence: tuple[Evidence, ...] = ()

    @property
    def certainty(self) -> Certainty:
        """Return possible, or probable (the machine's maximum) where something agrees."""
        alone = self.corroboration is Corroboration.SINGLE
        return Certainty.POSSIBLE if alone else Certainty.PROBABLE


_SCOPES = tuple(Scope)
_NETWORK_FIRST = (Corroboration.SINGLE, Corroboration.INSTRUMENT, Corroboration.NETWORK)


def widened(old: Agreement | None, new: Agreement | None) -> Agreement | None:
    """Return the newer agreement, which never takes back what the older one said."""
    if old is None or new is None:
        return new or old
    listed = {(item.station, item.channel): item for item in (*old.evidence, *new.evidence)}
    return Agreement(
        scope=max(old.scope, new.scope, key=_SCOPES.index),
        corroboration=max(old.corroboration, new.corroboration, key=_NETWORK_FIRST.index),
        stations=tuple(dict.fromkeys((*old.stations, *new.stations))),
        watching=max(old.watching, new.watching),
        technologies=max(old.technologies, new.technologies),
        moving=old.moving or new.moving,
        evidence=tuple(listed.values()),
    )


class Corroborator:
    """The sightings of a site as they stood at the last full second.

    `watching` is the number of stations that could see each agent.
    """

    def __init__(self, policy: CorroborationPolicy, watching: Mapping[str, int]) -> None:
        self._policy = policy
        self._watching = watching
        self._window_us = seconds_to_us(policy.window_s)
        self._sightings: dict[tuple[AlarmKey, str], Sighting] = {}
        self._wind: Wind | None = None

    @property
    def remembers(self) -> bool:
        """Return whether any sighting still counts."""
        return bool(self._sightings)

    def refresh(self, active: Iterable[Sighting], wind: Wind | None, now_us: int) -> None:
        """Take the picture of this second; what ended counts for the policy's window."""
        self._wind = wind
        self._sightings.update({(seen.key, seen.purpose): seen for seen in active})
        oldest_us = now_us - self._window_us
        gone = [key for key, seen in self._sightings.items() if seen.last_us < oldest_us]
        for key in gone:
            del self._sightings[key]

    def reconfigure(self, policy: CorroborationPolicy, watching: Mapping[str, int]) -> None:
        """Go on under another policy, with other stations; what was seen stays seen."""
        self._policy, self._watching = policy, watching
        self._window_us = seconds_to_us(policy.window_s)

    def at_station(self, station: str, purpose: str) -> list[Sighting]:
        """Return what is seen at one station."""
        return [
            seen
            for seen in self._sightings.values()
            if seen.station == station and seen.purpose == purpose
        ]

    def sees(self, agent: str, purpose: str, besides: str) -> bool:
        """Return whether a channel other than `besides` sees the substance."""
        return any(
            seen.purpose == purpose
            and seen.key.place != besides
            and same_substance(agent, seen.agent)
            for seen in self._sightings.values()
        )

    def agreement(self, own: Sighting) -> Agreement | None:
        """Return what agrees with a sighting; None where nothing does."""
        others = [
            seen
            for seen in self._sightings.values()
            if seen.purpose == own.purpose and seen.hazard == own.hazard and seen.key != own.key
        ]
        moving = any(self._moves(own, seen) for seen in others)
        agreeing = [seen for seen in others if self._agrees(own, seen)][:_COMPARED]
        stations = [seen for seen in agreeing if seen.station != own.station]
        orthogonal = [seen for seen in agreeing if _orthogonal(own, seen)]
        if not own.counts or not (stations or orthogonal):
            return Agreement(moving=True) if moving else None
        return self._agreement(own, stations, orthogonal, moving=moving)

    def _agreement(
        self, own: Sighting, stations: list[Sighting], orthogonal: list[Sighting], *, moving: bool
    ) -> Agreement:
        names = tuple(dict.fromkeys([own.station, *(seen.station for seen in stations)]))
        technologies = {seen.technology for seen in (own, *stations, *orthogonal)}
        scope = Scope.STATION
        if stations:
            one_zone = {own.zone} == {seen.zone for seen in stations} and own.zone is not None
            scope = Scope.ZONE if one_zone else Scope.SITE
        return Agreement(
            scope=scope,
            corroboration=Corroboration.NETWORK if stations else Corroboration.INSTRUMENT,
            stations=names,
            watching=max(self._watching.get(own.agent, 0), len(names)),
            technologies=len(technologies),
            moving=moving,
            evidence=tuple(
                seen.evidence for seen in (*stations, *orthogonal) if seen.evidence is not None
            ),
        )

    def _agrees(self, own: Sighting, seen: Sighting) -> bool:
        if not seen.counts or not same_substance(own.agent, seen.agent):
            return False
        if seen.station == own.station:
            return _orthogonal(own, seen)
        if own.hazard != Hazard.CHEMICAL:
            return True
        return self._wind_consistent(own, seen)

    def _wind_consistent(self, own: Sighting, seen: Sighting) -> bool:
        """Return whether one plume may have met both; without a position nothing speaks against."""
        if own.position is None or seen.position is None:
            return True
        policy, wind = self._policy, self._wind
        if wind is None or wind.speed_m_s < policy.least_wind_m_s:
            return distance_m(own.position, seen.position) <= policy.calm_distance_m
        along_m, across_m = _along_and_across(own.position, seen.position, wind)
        if along_m < 0:
            own, seen, along_m = seen, own, -along_m
        reach_m = along_m + policy.plume_source_distance_m
        half_m = policy.plume_half_width_m + tan(radians(policy.plume_half_angle_deg)) * reach_m
        lead_s = (own.observed_us - seen.observed_us) / US_PER_S
        return abs(across_m) <= half_m and lead_s <= policy.early_s

    @staticmethod
    def _moves(own: Sighting, seen: Sighting) -> bool:
        radiation = own.hazard == Hazard.RADIOLOGICAL and own.agent == seen.agent
        apart = own.station != seen.station and not own.mobile and not seen.mobile
        if not (radiation and apart) or own.key.kind is not AlarmKind.EVOLVING:
            return False
        if own.position is None or seen.position is None:
            return False
        between_s = abs(own.observed_us - seen.observed_us) / US_PER_S
        if not 0 < between_s <= _MOVING_S:
            return False
        speed_m_s = distance_m(own.position, seen.position) / between_s
        return _MOVING_LEAST_M_S <= speed_m_s <= _MOVING_MOST_M_S


class WindBook:
    """Newest wind of each station of the site, and their vector mean."""

    def __init__(self, stale_after_s: float = 120.0) -> None:
        self._stale_us = seconds_to_us(stale_after_s)
        self._speeds: dict[str, tuple[int, float]] = {}
        self._directions: dict[str, tuple[int, float]] = {}

    def note_speed(self, station: str, speed_m_s: float, now_us: int) -> None:
        """Take a wind speed."""
        if isfinite(speed_m_s):
            self._speeds[station] = (now_us, speed_m_s)

    def note_direction(self, station: str, from_deg: float, now_us: int) -> None:
        """Take a direction from which the wind blows."""
        if isfinite(from_deg):
            self._directions[station] = (now_us, from_deg)

    def keep(self, stations: Collection[str]) -> None:
        """Forget the wind of all other stations."""
        for book in (self._speeds, self._directions):
            for station in book.keys() - set(stations):
                del book[station]

    def mean(self, now_us: int) -> Wind | None:
        """Return the mean over stations with fresh speed and direction; None where none is."""
        north = east = speed = 0.0
        count = 0
        for station, (speed_us, speed_m_s) in self._speeds.items():
            direction_us, from_deg = self._directions.get(station, (-self._stale_us - 1, 0.0))
            if now_us - min(speed_us, direction_us) > self._stale_us:
                continue
            north += cos(radians(from_deg)) * speed_m_s
            east += sin(radians(from_deg)) * speed_m_s
            speed += speed_m_s
            count += 1
        if count == 0:
            return None
        return Wind(speed / count, _bearing_deg(north, east))


def _orthogonal(own: Sighting, seen: Sighting) -> bool:
    """Return whether two instruments differ in principle and share no interferent."""
    unlike = own.technology is not seen.technology and Technology.OTHER not in {
        own.technology,
        seen.technology,
    }
    apart = own.device != seen.device
    together = own.station == seen.station
    return unlike and apart and together and not (own.interferents & seen.interferents)


def _along_and_across(
    origin: tuple[float, float], other: tuple[float, float], wind: Wind
) -> tuple[float, float]:
    """Return how far `other` lies downwind and across the wind from `origin`, in metres."""
    north_m = (other[0] - origin[0]) * _M_PER_DEG
    east_m = (other[1] - origin[1]) * _M_PER_DEG * cos(radians(origin[0]))
    toward = radians(wind.from_deg + 180.0)
    along_m = north_m * cos(toward) + east_m * sin(toward)
    across_m = -north_m * sin(toward) + east_m * cos(toward)
    return along_m, across_m


def _bearing_deg(north: float, east: float) -> float:
    return degrees(atan2(east, north)) % 360.0
