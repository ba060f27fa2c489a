"""All rules of one site: readings and estimates in event order go in, conditions come out.

Pure and without a clock. What one channel says depends on that channel alone; what
stations say to one another changes on full seconds only (`on_tick`).
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
from cbrn_core.reading import Purpose, Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.alarms.corroboration import Corroborator, WindBook
from cbrn_gateway.alarms.coverage import ZoneCoverage, coverage, fitted_channels
from cbrn_gateway.alarms.policy import Policy, priority
from cbrn_gateway.alarms.rules.blind_zones import BlindZones
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.chemical import ChemicalMemory, ChemicalRule
from cbrn_gateway.alarms.rules.chemical_levels import InactiveLevel
from cbrn_gateway.alarms.rules.instrument import InstrumentRule
from cbrn_gateway.alarms.rules.radiation import (
    RadiationBackground,
    RadiationMemory,
    RadiationRule,
)
from cbrn_gateway.alarms.rules.technical import TechnicalMemory, TechnicalRule
from cbrn_gateway.alarms.rules.watched import Watched
from cbrn_gateway.privacy import without_body

_WIND = frozenset({Quantity.WIND_SPEED, Quantity.WIND_DIRECTION})
_RADIATION = frozenset(
    {Quantity.GAMMA_COUNT_RATE, Quantity.GAMMA_DOSE_RATE, Quantity.NEUTRON_COUNT_RATE}
)
_COVERED = frozenset({Hazard.CHEMICAL, Hazard.RADIOLOGICAL, Hazard.BIOLOGICAL})
_INSTRUMENT_REASONS = frozenset({Reason.INSTRUMENT_ALARM, Reason.CLASS_DETECTION})
_PURPOSE_MARK_IGNORED = "purpose_mark_ignored"


class _Rules(NamedTuple):
    watched: Watched
    technical: TechnicalRule
    instrument: InstrumentRule
    chemical: ChemicalRule | None
    radiation: RadiationRule | None
    simulated: bool
    wind: bool


class RulesMemory(msgspec.Struct, frozen=True):
    """What rules know of their channels, by "station/channel"."""

    chemical: dict[str, ChemicalMemory]
    radiation: dict[str, RadiationMemory]
    technical: dict[str, TechnicalMemory]


class RuleBook:
    """The rules of one site under one policy; state survives by `adopt`, not by itself."""

    def __init__(self, model: SiteModel, policy: Policy) -> None:
        self._model = model
        self._policy = policy
        corroborator = Corroborator(policy.corroboration, _stations_watching(model))
        self._cases = CaseBook(corroborator)
        self._wind = WindBook()
        radiation_channels = sum(c.quantity in _RADIATION for c in model.channels.values())
        self._rules: dict[ChannelKey, _Rules] = {
            channel.key: self._rules_of(channel, radiation_channels)
            for channel in model.channels.values()
        }
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
        )

    def recall(self, memory: RulesMemory) -> None:
        """Go on from a memory made under the same configuration."""
        for key, rules in self._rules.items():
            chemical = memory.chemical.get(rules.watched.place_name)
            if rules.chemical is not None and chemical is not None:
                rules.chemical.recall(chemical)
                if rules.chemical.deadline_us is not None:
                    heapq.heappush(self._deadlines, (rules.chemical.deadline_us, key))
            radiation = memory.radiation.get(rules.watched.place_name)
            if rules.radiation is not None and radiation is not None:
                rules.radiation.recall(radiation)
            rules.technical.recall(memory.technical.get(rules.watched.place_name, []))

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
            if _speaks_for(rules, condition):
                self._adopt(rules, condition)

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
        if rules is not None and _speaks_for(rules, condition):
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

    def _adopt(self, rules: _Rules, condition: Condition) -> None:
        if condition.key.kind is AlarmKind.TECHNICAL:
            rules.technical.adopt(condition)
        elif condition.reason in _INSTRUMENT_REASONS:
            rules.instrument.adopt(condition)
        elif rules.chemical is not None:
            rules.chemical.adopt(condition)
        elif rules.radiation is not None:
            rules.radiation.adopt(condition)

    def _rules_of(self, channel: Channel, radiation_channels: int) -> _Rules:
        watched = Watched(channel, self._model)
        chemical = radiation = None
        if watched.hazard is Hazard.CHEMICAL:
            rule = ChemicalRule(watched, self._policy, self._cases)
            chemical = rule if rule.has_levels else None
        elif channel.quantity in _RADIATION:
            radiation = RadiationRule(watched, self._policy, self._cases, radiation_channels)
        return _Rules(
            watched=watched,
            technical=TechnicalRule(watched, self._policy, self._cases),
            instrument=InstrumentRule(watched, self._policy, self._cases),
            chemical=chemical,
            radiation=radiation,
            simulated=channel.simulated,
            wind=channel.quantity in _WIND,
        )

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


def _speaks_for(rules: _Rules, condition: Condition) -> bool:
    """Return whether a channel's rules, as configured now, can end an alarm of theirs."""
    if (condition.purpose == Purpose.ACTUAL) is rules.simulated:
        return False
    if condition.key.kind is AlarmKind.TECHNICAL or condition.reason in _INSTRUMENT_REASONS:
        return True
    if rules.chemical is not None:
        return condition.key == rules.chemical.key
    return rules.radiation is not None and condition.key.agent == rules.watched.agent


def _stations_watching(model: SiteModel) -> dict[str, int]:
    stations: dict[str, set[str]] = {}
    for channel in model.channels.values():
        name = Watched(channel, model).agent
        stations.setdefault(name, set()).add(channel.station)
    return {name: len(found) for name, found in stations.items()}
