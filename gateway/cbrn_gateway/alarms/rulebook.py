"""All rules of one site: readings and estimates in event order go in, conditions come out.

Pure and without a clock. What one channel says depends on that channel alone; what
stations say to one another changes on full seconds only (`on_tick`).
"""

import heapq
from collections.abc import Iterable, Mapping

import msgspec

from cbrn_core.alarm import (
    Alarm,
    AlarmKey,
    AlarmKind,
    AlarmState,
    Basis,
    Condition,
    Reason,
    Scope,
)
from cbrn_core.channel import Channel, ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.quantities import Hazard, Quantity
from cbrn_core.reading import Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.alarms.corroboration import Corroborator, WindBook
from cbrn_gateway.alarms.coverage import ZoneCoverage, coverage, fitted_channels
from cbrn_gateway.alarms.policy import Policy, priority
from cbrn_gateway.alarms.rules.belated import as_shown
from cbrn_gateway.alarms.rules.blind_zones import BlindZones
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.channel_rules import RADIATION, ChannelRules, channel_rules
from cbrn_gateway.alarms.rules.chemical import ChemicalMemory
from cbrn_gateway.alarms.rules.chemical_levels import InactiveLevel
from cbrn_gateway.alarms.rules.instrument import InstrumentMemory
from cbrn_gateway.alarms.rules.radiation import RadiationBackground, RadiationMemory
from cbrn_gateway.alarms.rules.technical import TechnicalMemory
from cbrn_gateway.alarms.rules.watched import Watched
from cbrn_gateway.privacy import without_body

_COVERED = frozenset({Hazard.CHEMICAL, Hazard.RADIOLOGICAL, Hazard.BIOLOGICAL})
_PURPOSE_MARK_IGNORED = "purpose_mark_ignored"


class RulesMemory(msgspec.Struct, frozen=True):
    """What rules know of their channels, by "station/channel"."""

    chemical: dict[str, ChemicalMemory]
    radiation: dict[str, RadiationMemory]
    technical: dict[str, TechnicalMemory]
    instrument: dict[str, InstrumentMemory] = {}


class RuleBook:
    """The rules of one site under one policy; state survives by `adopt`, not by itself."""

    def __init__(self, model: SiteModel, policy: Policy) -> None:
        self._model = model
        self._policy = policy
        self._cases = CaseBook(Corroborator(policy.corroboration, _stations_watching(model)))
        self._wind = WindBook()
        self._rules = self._rules_of(model, policy)
        self._deadlines: list[tuple[int, ChannelKey]] = []
        self._lone: list[ChannelKey] = []
        self._fitted = fitted_channels((r.watched for r in self._rules.values()), _COVERED)
        self._blind_zones = BlindZones(model, policy, self._fitted)
        self._ignored_marks = 0
        self._service_said = model.site.in_service

    @property
    def needs_tick(self) -> bool:
        """Return whether the next full second may change anything."""
        idle = self._service_said and self._cases.is_empty
        return not idle or self._blind_zones.has_told

    def on_reading(self, reading: Reading, channel: Channel, now_us: int) -> list[Condition]:
        """Judge what the instrument itself says: alarms at once and un-fused, faults, marks.

        To be called for every reading of a channel of this site, whatever its quality.
        """
        rules = self._rules.get((reading.station, reading.channel))
        if rules is None:
            return []
        watched = rules.watched
        watched.last_seen_us = now_us
        if reading.purpose is not None and not watched.judge_purpose(reading):
            self._ignored_marks += 1
        if rules.wind:
            self._note_wind(channel, reading.value, reading.unit, reading.quality, now_us)
        if reading.detection is None and not reading.flags and not self._cases.has_any(watched):
            return []
        if watched.hazard is Hazard.PHYSIOLOGICAL:
            reading = without_body(reading)
        answer = rules.technical.on_reading(reading, now_us)
        return answer + rules.instrument.on_reading(reading, now_us)

    def on_overtaken(self, reading: Reading, now_us: int, *, belated: bool) -> list[Condition]:
        """Judge what was measured before a reading that is known: it ends nothing.

        An output of the instrument counts where it was not heard before, a level only where
        the reading is `belated` by little.
        """
        rules = self._rules.get((reading.station, reading.channel))
        if rules is None:
            return []
        if rules.watched.hazard is Hazard.PHYSIOLOGICAL:
            reading = without_body(reading)
        answer = rules.instrument.on_overtaken(reading, now_us)
        if belated and reading.value is not None:
            shown = as_shown(reading, reading.value)
            for rule in (rules.chemical, rules.radiation):
                answer += [] if rule is None else rule.on_belated(shown, now_us)
        return answer

    def on_estimate(self, estimate: Estimate, now_us: int) -> list[Condition]:
        """Judge the levels of a chemical channel, and the flags of any."""
        rules = self._rules.get((estimate.station, estimate.channel))
        if rules is None:
            return []
        watched = rules.watched
        watched.last_seen_us = now_us
        if rules.simulated:
            watched.note_purpose(estimate.purpose)
        answer = rules.technical.on_estimate(estimate, now_us)
        chemical = rules.chemical
        if chemical is None:
            if rules.wind:
                value, unit = estimate.value, estimate.unit
                self._note_wind(watched.channel, value, unit, estimate.quality, now_us)
            return answer
        before_us = chemical.deadline_us
        spoken = chemical.on_estimate(estimate, now_us)
        if chemical.deadline_us is not None and chemical.deadline_us != before_us:
            heapq.heappush(self._deadlines, (chemical.deadline_us, watched.channel.key))
            self._lone.append(watched.channel.key)
        return answer + spoken if answer else spoken

    def on_radiation(
        self,
        estimate: Estimate,
        reading: Reading,
        background: RadiationBackground | None,
        now_us: int,
    ) -> list[Condition]:
        """Judge a radiation channel against its background, a tuple (value, …, source).

        `value` is in the estimate's unit; None or NaN while no background is known.
        """
        rules = self._rules.get((estimate.station, estimate.channel))
        if rules is None:
            return []
        rules.watched.last_seen_us = now_us
        if rules.simulated:
            rules.watched.note_purpose(estimate.purpose)
        answer = rules.technical.on_estimate(estimate, now_us)
        if rules.radiation is None:
            return answer
        spoken = rules.radiation.on_radiation(estimate, reading, background, now_us)
        return answer + spoken if answer else spoken

    def on_stale(self, key: ChannelKey, now_us: int) -> list[Condition]:
        """Say that a channel fell silent; its alarms stay as they are."""
        rules = self._rules.get(key)
        if rules is None:
            return []
        last_us = rules.watched.last_seen_us
        silent_s = 0.0 if last_us is None else (now_us - last_us) / US_PER_S
        held: list[Condition] = []
        if self._cases.has_any(rules.watched):
            since = f" for {silent_s:.0f} s" if silent_s >= 1 else ""
            missing = f"{rules.watched.place_name}: no reading{since}"
            for rule in (rules.chemical, rules.radiation):
                if rule is not None:
                    rule.interrupt()
            held = self._cases.hold(rules.watched, missing, now_us)
        return rules.technical.on_stale(now_us) + held

    def on_fresh(self, key: ChannelKey, now_us: int) -> list[Condition]:
        """Say that a channel reports again."""
        rules = self._rules.get(key)
        return [] if rules is None else rules.technical.on_fresh(now_us)

    def on_tick(self, now_us: int) -> list[Condition]:
        """Let the stations speak to one another; to be called on every full second needed."""
        answer = self._cases.tick(self._wind.mean(now_us), now_us)
        answer += self._blind_zones.look(self._cases.blind(), now_us)
        if not self._service_said:
            self._service_said = True
            answer.append(self._not_in_service(now_us))
        return answer

    def advance(self, now_us: int) -> list[Condition]:
        """Meet every deadline up to and including `now_us`."""
        answer: list[Condition] = []
        while self._deadlines and self._deadlines[0][0] <= now_us:
            due_us, key = heapq.heappop(self._deadlines)
            chemical = self._rules[key].chemical
            if chemical is not None and chemical.deadline_us == due_us:
                answer += chemical.on_deadline(due_us)
        return answer

    def next_deadline(self) -> int | None:
        """Return when `advance` has something to say even if nothing arrives."""
        while self._deadlines:
            due_us, key = self._deadlines[0]
            chemical = self._rules[key].chemical
            if chemical is not None and chemical.deadline_us == due_us:
                return due_us
            heapq.heappop(self._deadlines)
        return None

    def lone_samples(self) -> list[ChannelKey]:
        """Return, once, the channels where a first extreme sample waits for its second."""
        lone, self._lone = self._lone, []
        return lone

    def memory(self) -> RulesMemory:
        """Return what the rules have learnt and added up; open alarms come by `adopt`."""
        rules = self._rules.values()
        return RulesMemory(
            {r.watched.place_name: r.chemical.memory() for r in rules if r.chemical},
            {r.watched.place_name: r.radiation.memory() for r in rules if r.radiation},
            {r.watched.place_name: seen for r in rules if (seen := r.technical.memory())},
            {r.watched.place_name: heard for r in rules if (heard := r.instrument.memory())},
        )

    def recall(self, memory: RulesMemory) -> None:
        """Go on from a memory made under the same configuration."""
        for rules in self._rules.values():
            chemical = memory.chemical.get(rules.watched.place_name)
            if rules.chemical is not None and chemical is not None:
                rules.chemical.recall(chemical)
            radiation = memory.radiation.get(rules.watched.place_name)
            if rules.radiation is not None and radiation is not None:
                rules.radiation.recall(radiation)
            rules.technical.recall(memory.technical.get(rules.watched.place_name, []))
            rules.instrument.recall(memory.instrument.get(rules.watched.place_name, []))
        self._watch_deadlines()

    def reconfigure(self, model: SiteModel, policy: Policy) -> frozenset[ChannelKey]:
        """Go on for another site; return the channels whose rules are gone or others now.

        The rules of a channel go on untouched where nothing that concerns them has changed.
        Of the others only what was learnt and added up goes on: their open alarms come by
        `adopt` and `farewell`.
        """
        before, after = self._rules, self._rules_of(model, policy)
        kept = {
            key for key in before.keys() & after.keys() if before[key].setup == after[key].setup
        }
        changed = frozenset(before.keys() - kept)
        for key in changed & after.keys():
            after[key].inherit(before[key])
        for key in kept:
            after[key] = before[key].moved(after[key])
        self._cases.forget(before[key].watched for key in changed)
        self._cases.corroborator.reconfigure(policy.corroboration, _stations_watching(model))
        self._wind.keep({channel.station for channel in model.channels.values()})
        if model.site != self._model.site:
            self._service_said = model.site.in_service
        self._model, self._policy, self._rules = model, policy, after
        self._lone = [key for key in self._lone if key in after]
        self._fitted = fitted_channels((r.watched for r in after.values()), _COVERED)
        self._blind_zones.reconfigure(model, policy, self._fitted)
        self._deadlines = []
        self._watch_deadlines()
        return changed

    def adopt(self, alarms: Iterable[Alarm]) -> None:
        """Take up open alarms after a restart or a new configuration.

        Without it an alarm from before could never clear: no rule would know of it.
        """
        for alarm in alarms:
            condition = alarm.condition
            if condition.reason is Reason.COVERAGE_LOST and condition.active:
                self._blind_zones.adopt(condition)
                continue
            rules = self._rules.get((condition.station or "", condition.channel or ""))
            if rules is None or not condition.active or alarm.state is AlarmState.NORMAL:
                continue
            if rules.speaks_for(condition):
                rules.adopt(condition)

    def adopt_forgotten(self, alarms: Iterable[Alarm]) -> None:
        """Take up what is open but would no longer be cleared after hearing the past again.

        The machine counts an off-delay from the first fresh sample after a restart, so a
        case that was closing before it begins to close anew.
        """
        self._cases.close_anew()
        self.adopt(a for a in alarms if not self._cases.has(a.condition))

    def farewell(self, alarm: Alarm, now_us: int) -> Condition | None:
        """Return what to say of an open alarm that no rule of this configuration speaks for.

        A hazard alarm stays until a person resolves it; a technical one has ended.
        """
        condition = alarm.condition
        if not condition.active:
            return None
        if condition.reason is Reason.NOT_IN_SERVICE:
            ended = self._model.site.in_service
            return msgspec.structs.replace(condition, active=False, at_us=now_us) if ended else None
        if condition.station is None or condition.channel is None:
            return None
        rules = self._rules.get((condition.station, condition.channel))
        if rules is not None and rules.speaks_for(condition):
            return None
        if condition.key.kind is AlarmKind.TECHNICAL:
            return msgspec.structs.replace(condition, active=False, at_us=now_us)
        missing = (f"{condition.station}/{condition.channel}: not watched any more as configured",)
        return msgspec.structs.replace(condition, at_us=now_us, missing=missing)

    def on_defect(self, key: ChannelKey, detail: str, now_us: int) -> list[Condition]:
        """Say that a channel's readings cannot be judged, through no fault of its own."""
        rules = self._rules.get(key)
        return [] if rules is None else rules.technical.on_defect(detail, now_us)

    def on_mended(self, key: ChannelKey, now_us: int) -> list[Condition]:
        """Say that a channel's readings can be judged again."""
        rules = self._rules.get(key)
        return [] if rules is None else rules.technical.on_mended(now_us)

    def coverage(self) -> list[ZoneCoverage]:
        """Return what each zone can detect now, of all that the site is fitted for."""
        unseen = {
            rules.watched.channel.key: "no reading yet"
            for rules in self._rules.values()
            if rules.watched.last_seen_us is None
        }
        return coverage(self._model, self._fitted, unseen | self._cases.blind())

    def inactive_levels(self) -> list[InactiveLevel]:
        """Return every level that a channel is too coarse to judge, in order of channels."""
        chemical = (rules.chemical for rules in self._rules.values())
        return [level for rule in chemical if rule is not None for level in rule.inactive_levels()]

    def counters(self) -> Mapping[str, int]:
        """Return what was ignored, by name."""
        return {_PURPOSE_MARK_IGNORED: self._ignored_marks}

    def _rules_of(self, model: SiteModel, policy: Policy) -> dict[ChannelKey, ChannelRules]:
        channels = model.channels.values()
        number = sum(channel.quantity in RADIATION for channel in channels)
        return {
            channel.key: channel_rules(channel, model, policy, self._cases, number)
            for channel in channels
        }

    def _watch_deadlines(self) -> None:
        for key, rules in self._rules.items():
            if rules.chemical is not None and rules.chemical.deadline_us is not None:
                heapq.heappush(self._deadlines, (rules.chemical.deadline_us, key))

    def _note_wind(
        self, channel: Channel, value: float | None, unit: Unit, quality: Quality, now_us: int
    ) -> None:
        if value is None or quality in {Quality.BAD, Quality.STALE}:
            return
        if channel.quantity is Quantity.WIND_DIRECTION:
            self._wind.note_direction(channel.station, value, now_us)
            return
        try:
            speed_m_s = convert(value, unit, Unit.M_S)
        except UnitError:
            return
        self._wind.note_speed(channel.station, speed_m_s, now_us)

    def _not_in_service(self, now_us: int) -> Condition:
        site = self._model.site
        return Condition(
            key=AlarmKey(site.id, AlarmKind.TECHNICAL, Reason.NOT_IN_SERVICE.value),
            active=True,
            at_us=now_us,
            observed_us=now_us,
            reason=Reason.NOT_IN_SERVICE,
            priority=priority(self._policy.technical.not_in_service),
            hazard=Hazard.TECHNICAL,
            level="not in service",
            basis=Basis.MOMENTARY,
            scope=Scope.SITE,
            clears_when="in_service = true in the site file",
            facts={"not_in_service": site.not_in_service_reason or True},
        )


def _stations_watching(model: SiteModel) -> dict[str, int]:
    stations: dict[str, set[str]] = {}
    for channel in model.channels.values():
        name = Watched(channel, model).agent
        stations.setdefault(name, set()).add(channel.station)
    return {name: len(found) for name, found in stations.items()}
