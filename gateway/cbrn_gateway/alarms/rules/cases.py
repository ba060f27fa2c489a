"""Cases: what the rules currently claim about each alarm, combined into one condition.

Several rules may speak for one alarm (a level and the instrument's own output); the most
urgent speaks, and only when none is left has the alarm cleared. A cleared case goes on
saying so with each fresh sample until its off-delay has passed: silence clears nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import AlarmKey, AlarmKind, Condition, Evidence, Priority, Reason
from cbrn_core.channel import ChannelKey
from cbrn_core.quantities import Hazard
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.corroboration import (
    Agreement,
    Corroborator,
    Sighting,
    Wind,
    widened,
)
from cbrn_gateway.alarms.rules.levels import ALARM_RANK
from cbrn_gateway.alarms.rules.watched import Watched

_ORDER = ("level", "gamma", "instrument")
_HAZARDS = frozenset({Hazard.CHEMICAL, Hazard.BIOLOGICAL, Hazard.RADIOLOGICAL})
_LISTED_EVIDENCE = 12
_BLIND = {
    Reason.STALE.value: "silent",
    Reason.INSTRUMENT_FAULT.value: "instrument fault",
    Reason.INSTRUMENT_INHIBITED.value: "inhibited",
    Reason.STUCK.value: "value does not move",
}
"""Technical alarms of a channel that does not watch while they stand."""


class _Place(NamedTuple):
    key: AlarmKey
    purpose: str


class Case:
    """One alarm's claims since it rose."""

    def __init__(self, watched: Watched, place: _Place, observed_us: int) -> None:
        self.watched = watched
        self.place = place
        self.observed_us = observed_us
        self.claims: dict[str, Condition] = {}
        self.agreement: Agreement | None = None
        self.closing_since_us: int | None = None
        self._first: Evidence | None = None
        self._newest: Condition | None = None

    @property
    def is_active(self) -> bool:
        """Return whether any rule claims it."""
        return bool(self.claims)

    @property
    def is_hazard(self) -> bool:
        """Return whether it is about people in danger rather than about equipment."""
        return self._strongest().hazard in _HAZARDS

    def claim(self, source: str, condition: Condition) -> None:
        """Let one rule speak."""
        if self._first is None and condition.evidence:
            self._first = condition.evidence[0]
        self.claims[source] = condition
        self.closing_since_us = None

    def drop(self, source: str) -> None:
        """Let one rule fall silent because it saw that its level is left."""
        claim = self.claims.pop(source, None)
        if claim is not None:
            self._newest = claim

    def sighting(self, now_us: int) -> Sighting:
        """Return the case as other stations see it."""
        strongest = self._strongest()
        channel, station = self.watched.channel, self.watched.station
        place = strongest.place
        if place is None and station is not None and station.position is not None:
            place = (station.position.lat, station.position.lon, 0.0)
        chemical = strongest.hazard == Hazard.CHEMICAL
        return Sighting(
            key=self.place.key,
            purpose=self.place.purpose,
            hazard=strongest.hazard,
            agent=self.place.key.agent,
            station=channel.station,
            device=channel.device,
            zone=self.watched.zone,
            mobile=self.watched.mobile,
            technology=channel.technology,
            interferents=frozenset(channel.also_answers_to),
            position=None if place is None else place[:2],
            observed_us=self.observed_us,
            last_us=now_us,
            counts=chemical or _rank(strongest) >= ALARM_RANK,
            value=strongest.value,
            unit=strongest.unit,
            evidence=strongest.evidence[-1] if strongest.evidence else None,
        )

    def condition(self, now_us: int) -> Condition:
        """Return the one condition of all claims, with what the rest of the site adds."""
        strongest = self._strongest()
        agreement = self.agreement or Agreement()
        facts = dict(strongest.facts)
        others = [c.level for c in self.claims.values() if c.level != strongest.level]
        if others:
            facts["also"] = "; ".join(others)
        if agreement.stations:
            facts |= {
                "stations_agreeing": len(agreement.stations),
                "stations_watching": agreement.watching,
                "technologies": agreement.technologies,
            }
        priority, latching = self._urgency(strongest, agreement)
        if agreement.moving and strongest.facts.get("may_move"):
            facts["moving"] = True
        return msgspec.structs.replace(
            strongest,
            active=self.is_active,
            at_us=now_us,
            observed_us=self.observed_us,
            priority=priority,
            latching=latching,
            scope=agreement.scope,
            corroboration=agreement.corroboration,
            certainty=agreement.certainty,
            purpose=self.place.purpose,
            evidence=self._evidence(strongest, agreement),
            facts=facts,
        )

    def _urgency(self, strongest: Condition, agreement: Agreement) -> tuple[Priority, bool]:
        priority, latching = strongest.priority, strongest.latching
        agreed = agreement.stations != ()
        if agreed and strongest.facts.get("priority_1_if_agreed"):
            return Priority.P1, True
        if agreement.moving and strongest.facts.get("may_move"):
            return min(priority, Priority(int(strongest.facts["may_move"]))), latching
        return priority, latching

    def _strongest(self) -> Condition:
        if not self.claims:
            if self._newest is None:
                raise AssertionError("a case begins with a claim")
            return self._newest
        return min(self.claims.items(), key=_precedence)[1]

    def _evidence(self, strongest: Condition, agreement: Agreement) -> tuple[Evidence, ...]:
        first = () if self._first is None else (self._first,)
        own = strongest.evidence if self._first in strongest.evidence else ()
        listed = (own or (*first, *strongest.evidence)) + agreement.evidence
        return listed[:_LISTED_EVIDENCE]


class CaseBook:
    """All cases of a site, and what they say to one another on full seconds."""

    def __init__(self, corroborator: Corroborator) -> None:
        self.corroborator = corroborator
        self._cases: dict[_Place, Case] = {}
        self._by_channel: dict[str, dict[_Place, Case]] = {}

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is claimed and nothing is remembered."""
        return not self._cases and not self.corroborator.remembers

    def has_any(self, watched: Watched) -> bool:
        """Return whether a channel has a case, open or closing."""
        return watched.place_name in self._by_channel

    def blind(self) -> dict[ChannelKey, str]:
        """Return the channels that do not watch, by their open technical cases, and why."""
        return {
            case.watched.channel.key: _BLIND[case.place.key.agent]
            for case in self._cases.values()
            if case.place.key.kind is AlarmKind.TECHNICAL
            and case.is_active
            and case.place.key.agent in _BLIND
        }

    def has(self, condition: Condition) -> bool:
        """Return whether there is a case of a condition's alarm, open or closing."""
        return _Place(condition.key, condition.purpose) in self._cases

    def close_anew(self) -> None:
        """Let every closing case begin to close with its next fresh sample."""
        for case in self._cases.values():
            case.closing_since_us = None

    def forget(self, gone: Iterable[Watched]) -> None:
        """Forget all cases of some channels."""
        for watched in gone:
            for place in self._by_channel.pop(watched.place_name, {}):
                del self._cases[place]

    def find(self, watched: Watched, key: AlarmKey) -> Case | None:
        """Return the case of one alarm of a channel."""
        return self._cases.get(_Place(key, watched.purpose))

    def claims(self, watched: Watched, source: str) -> list[AlarmKey]:
        """Return the alarms of a channel for which a rule speaks, or that are closing."""
        cases = self._by_channel.get(watched.place_name, {}).values()
        return [c.place.key for c in cases if source in c.claims or not c.is_active]

    def seen_at(self, station: str, purpose: str) -> list[Sighting]:
        """Return what was seen at a station at the last full second."""
        return self.corroborator.at_station(station, purpose)

    def others_see(self, watched: Watched) -> bool:
        """Return whether another channel saw the same substance at the last full second."""
        return self.corroborator.sees(watched.agent, watched.purpose, watched.place_name)

    def claim(
        self, watched: Watched, source: str, condition: Condition, now_us: int
    ) -> list[Condition]:
        """Let a rule speak for an alarm; return the combined condition."""
        place = _Place(condition.key, watched.purpose)
        case = self._cases.get(place)
        if case is None:
            case = self._cases[place] = Case(watched, place, condition.observed_us)
            self._by_channel.setdefault(watched.place_name, {})[place] = case
            case.claim(source, condition)
            if case.is_hazard:
                case.agreement = self.corroborator.agreement(case.sighting(now_us))
        else:
            case.claim(source, condition)
        return [case.condition(now_us)]

    def withdraw(
        self, watched: Watched, source: str, key: AlarmKey, now_us: int
    ) -> list[Condition]:
        """Say that a rule sees its level left; return what the alarm is now."""
        place = _Place(key, watched.purpose)
        case = self._cases.get(place)
        if case is None or (case.is_active and source not in case.claims):
            return []
        case.drop(source)
        condition = case.condition(now_us)
        if case.is_active:
            return [condition]
        if case.closing_since_us is None:
            case.closing_since_us = now_us
        if now_us - case.closing_since_us >= seconds_to_us(condition.off_delay_s):
            self._close(case)
        return [condition]

    def hold(self, watched: Watched, missing: str, now_us: int) -> list[Condition]:
        """Keep a channel's hazard alarms as they are: no fresh data, nothing clears."""
        spoken = []
        for case in list(self._by_channel.get(watched.place_name, {}).values()):
            if case.place.key.kind is AlarmKind.TECHNICAL:
                continue
            case.closing_since_us = None
            condition = case.condition(now_us)
            spoken.append(msgspec.structs.replace(condition, active=True, missing=(missing,)))
        return spoken

    def tick(self, wind: Wind | None, now_us: int) -> list[Condition]:
        """Compare all active cases once; return those that changed by it."""
        active = [case for case in self._cases.values() if case.is_active and case.is_hazard]
        sightings = [case.sighting(now_us) for case in active]
        self.corroborator.refresh(sightings, wind, now_us)
        spoken = []
        for case, own in zip(active, sightings, strict=True):
            agreement = widened(case.agreement, self.corroborator.agreement(own))
            if _differs(agreement, case.agreement):
                case.agreement = agreement
                spoken.append(case.condition(now_us))
        return spoken

    def adopt(self, watched: Watched, source: str, condition: Condition) -> None:
        """Take up an open alarm after a restart, so that it can be cleared by fresh data."""
        place = _Place(condition.key, condition.purpose)
        case = Case(watched, place, condition.observed_us)
        case.claim(source, condition)
        self._cases[place] = case
        self._by_channel.setdefault(watched.place_name, {})[place] = case

    def _close(self, case: Case) -> None:
        del self._cases[case.place]
        of_channel = self._by_channel[case.watched.place_name]
        del of_channel[case.place]
        if not of_channel:
            del self._by_channel[case.watched.place_name]


def _rank(condition: Condition) -> int:
    rank = condition.facts.get("level_rank", 0)
    return rank if isinstance(rank, int) else 0


def _precedence(item: tuple[str, Condition]) -> tuple[int, int, int]:
    source, condition = item
    order = _ORDER.index(source) if source in _ORDER else len(_ORDER)
    return (condition.priority, -_rank(condition), order)


def _differs(new: Agreement | None, old: Agreement | None) -> bool:
    if new is None or old is None:
        return new is not old
    return (new.scope, new.corroboration, new.stations, new.technologies, new.moving) != (
        old.scope,
        old.corroboration,
        old.stations,
        old.technologies,
        old.moving,
    )
