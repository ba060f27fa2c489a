"""The instrument's own alarm and class detections: raised at once and un-fused (safety 8)."""

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import AlarmKey, AlarmKind, Basis, Condition, Priority, Reason
from cbrn_core.quantities import Hazard
from cbrn_core.reading import (
    Detection,
    DetectionClass,
    Flag,
    InstrumentAlarm,
    Quality,
    Reading,
)
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.policy import Policy, priority
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.levels import ALARM_RANK, LOW_RANK
from cbrn_gateway.alarms.rules.watched import GAMMA, Facts, Watched, spoken

SOURCE = "instrument"
_GRAVE = frozenset(
    {
        DetectionClass.NERVE,
        DetectionClass.BLISTER,
        DetectionClass.BLOOD,
        DetectionClass.CHOKING,
    }
)
_HAZARD_OF_CLASS = {
    DetectionClass.BIO_TRIGGER: Hazard.BIOLOGICAL,
    DetectionClass.RADIATION: Hazard.RADIOLOGICAL,
}
_OUTPUTS = frozenset({InstrumentAlarm.A1, InstrumentAlarm.A2})
_NOT_WATCHING = frozenset({InstrumentAlarm.FAULT, InstrumentAlarm.INHIBIT})
_NOT_EVIDENCE = frozenset(
    {Flag.LATE, Flag.WARMING_UP, Flag.INHIBITED, Flag.CALIBRATING, Flag.INSTRUMENT_FAULT}
)
_MOST_NAMES = 16
"""Agents outside of the table that one instrument may name; beyond it its class speaks."""

_MOST_HEARD = 64
"""Spans of time in which an output was heard; beyond it the oldest is forgotten."""

_SAME_SPAN_US = seconds_to_us(60.0)

InstrumentMemory = list[tuple[int, int]]
"""From when until when an output was heard, by measurement time [µs]; the newest last."""

_LEVEL_WORDS = {InstrumentAlarm.A1: "A1 (low)", InstrumentAlarm.A2: "A2 (high)"}


class InstrumentRule:
    """Speaks for the outputs of one channel's instrument."""

    def __init__(self, watched: Watched, policy: Policy, cases: CaseBook) -> None:
        self._watched = watched
        self._policy = policy
        self._cases = cases
        self._names: set[str] = set()
        self._heard: InstrumentMemory = []
        self._sounds = False

    def on_reading(self, reading: Reading, now_us: int) -> list[Condition]:
        """Raise, or withdraw where a fresh reading shows the output gone."""
        detection = reading.detection
        if detection is None:
            self._sounds = False
            gone = reading.value is not None and _is_fresh(reading)
            return self._withdraw(now_us, keep=None) if gone else []
        if _is_silent(detection):
            self._sounds = False
            gone = detection.instrument_alarm not in _NOT_WATCHING and _is_fresh(reading)
            return self._withdraw(now_us, keep=None) if gone else []
        self._hear(reading.time_us)
        key = self._key(detection)
        answer = self._withdraw(now_us, keep=key) if _is_fresh(reading) else []
        return answer + self._raise(key, detection, reading, now_us)

    def on_overtaken(self, reading: Reading, now_us: int) -> list[Condition]:
        """Raise what comes after newer readings, unless it was heard before: then it is history."""
        detection = reading.detection
        if detection is None or _is_silent(detection) or self._was_heard(reading.time_us):
            return []
        self._hear_of(reading.time_us)
        return self._raise(self._key(detection), detection, reading, now_us)

    def memory(self) -> InstrumentMemory:
        """Return when outputs were heard."""
        return self._heard

    def recall(self, memory: InstrumentMemory) -> None:
        """Replace what `memory` returned."""
        self._heard = list(memory)

    def adopt(self, condition: Condition) -> None:
        """Take up an open alarm of the instrument after a restart."""
        self._cases.adopt(self._watched, SOURCE, condition)

    def _hear(self, time_us: int) -> None:
        """Note an output, in order."""
        if self._sounds and self._heard:
            self._heard[-1] = _with(self._heard[-1], time_us)
            return
        self._sounds = True
        self._heard = [*self._heard, (time_us, time_us)][-_MOST_HEARD:]

    def _hear_of(self, time_us: int) -> None:
        """Note an output out of order."""
        for place, (since_us, until_us) in enumerate(self._heard):
            if since_us - _SAME_SPAN_US <= time_us <= until_us + _SAME_SPAN_US:
                self._heard[place] = _with((since_us, until_us), time_us)
                return
        self._heard = [(time_us, time_us), *self._heard[1 - _MOST_HEARD :]]

    def _was_heard(self, time_us: int) -> bool:
        return any(since_us <= time_us <= until_us for since_us, until_us in self._heard)

    def _withdraw(self, now_us: int, keep: AlarmKey | None) -> list[Condition]:
        if not self._cases.has_any(self._watched):
            return []
        answer: list[Condition] = []
        for key in self._cases.claims(self._watched, SOURCE):
            if key != keep and key.kind is not AlarmKind.TECHNICAL:
                answer += self._cases.withdraw(self._watched, SOURCE, key, now_us)
        return answer

    def _raise(
        self, key: AlarmKey, detection: Detection, reading: Reading, now_us: int
    ) -> list[Condition]:
        watched = self._watched
        grave = _is_grave(detection)
        hazard = _HAZARD_OF_CLASS.get(detection.class_, watched.hazard)  # type: ignore[arg-type]
        if detection.class_ is not None and detection.class_ not in _HAZARD_OF_CLASS:
            hazard = Hazard.CHEMICAL
        condition = spoken(
            watched.template(key, hazard),
            self._facts(detection, grave=grave),
            at_us=now_us,
            observed_us=reading.time_us,
            reason=Reason.INSTRUMENT_ALARM if _has_output(detection) else Reason.CLASS_DETECTION,
            priority=self._priority(grave=grave),
            level=_words(detection),
            basis=Basis.INSTRUMENT_ALARM,
            value=reading.value,
            sigma=reading.sigma,
            unit=reading.unit,
            instrument_value=reading.value,
            latching=not watched.is_indicative and key.kind is AlarmKind.SPECIFIC,
            off_delay_s=self._policy.instrument.off_delay_s,
            place=watched.measured_at(reading.fix),
            evidence=(watched.reading_evidence(reading),),
            clears_when="the instrument's own alarm is gone",
        )
        return self._cases.claim(watched, SOURCE, condition, now_us)

    def _facts(self, detection: Detection, *, grave: bool) -> Facts:
        facts: Facts = {"level_rank": ALARM_RANK if grave else LOW_RANK}
        if detection.class_ is not None:
            facts["detection_class"] = detection.class_.value
        if detection.bars > 0:
            facts["bars"] = detection.bars
        if self._watched.is_indicative:
            facts["priority_1_if_agreed"] = True
        return facts

    def _priority(self, *, grave: bool) -> Priority:
        rules = self._policy.instrument
        own = priority(rules.high_priority if grave else rules.low_priority)
        if not self._watched.is_indicative:
            return own
        return max(own, priority(self._policy.indicative.priority))

    def _key(self, detection: Detection) -> AlarmKey:
        evolving = self._watched.is_indicative or detection.class_ is DetectionClass.BIO_TRIGGER
        kind = AlarmKind.EVOLVING if evolving else AlarmKind.SPECIFIC
        return self._watched.key(kind, self._name(detection))

    def _name(self, detection: Detection) -> str:
        if detection.class_ is DetectionClass.BIO_TRIGGER:
            return DetectionClass.BIO_TRIGGER.value
        if detection.agent and self._may_name(detection.agent):
            return detection.agent
        if detection.class_ is DetectionClass.RADIATION:
            return GAMMA
        return self._watched.agent if detection.class_ is None else detection.class_.value

    def _may_name(self, agent: str) -> bool:
        """Return whether an alarm may bear this name: each name is an alarm of its own."""
        if agent not in self._names and len(self._names) < _MOST_NAMES:
            self._names.add(agent)
        return agent in self._names or agent in AGENTS


def _with(span: tuple[int, int], time_us: int) -> tuple[int, int]:
    return (min(span[0], time_us), max(span[1], time_us))


def _is_fresh(reading: Reading) -> bool:
    """Return whether a reading may show that an output is gone."""
    healthy = reading.quality in {Quality.GOOD, Quality.UNCERTAIN}
    return healthy and _NOT_EVIDENCE.isdisjoint(reading.flags)


def _has_output(detection: Detection) -> bool:
    return detection.instrument_alarm in _OUTPUTS


def _is_silent(detection: Detection) -> bool:
    return not _has_output(detection) and (detection.class_ is None or detection.bars < 1)


def _is_grave(detection: Detection) -> bool:
    """Return whether priority 1 is due; a biological trigger never names an agent or sounds so."""
    if detection.class_ is DetectionClass.BIO_TRIGGER:
        return False
    high = detection.instrument_alarm is InstrumentAlarm.A2
    return high or (detection.bars >= 1 and detection.class_ in _GRAVE)


def _words(detection: Detection) -> str:
    if _has_output(detection):
        return _LEVEL_WORDS[detection.instrument_alarm]
    kind = "" if detection.class_ is None else detection.class_.value.replace("_", " ")
    return f"{kind}, {detection.bars} bars"
