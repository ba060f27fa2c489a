"""What is wrong with a channel: stale, fault, inhibit, stuck, spike, step. Never a hazard."""

from collections import deque
from itertools import pairwise
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import AlarmKind, Condition, Evidence, Reason
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Reading
from cbrn_core.times import US_PER_S, format_rfc3339
from cbrn_gateway.alarms.policy import Policy, Rank, priority
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.watched import Facts, Watched, spoken

READING = "reading"
ESTIMATE = "estimate"
CLOCK = "clock"
STALE = "stale"
GATEWAY = "gateway"
_FLAGS = {
    Flag.INSTRUMENT_FAULT: Reason.INSTRUMENT_FAULT,
    Flag.INHIBITED: Reason.INSTRUMENT_INHIBITED,
    Flag.CALIBRATING: Reason.INSTRUMENT_INHIBITED,
    Flag.STUCK: Reason.STUCK,
    Flag.SPIKE: Reason.SPIKE,
    Flag.STEP: Reason.STEP,
}
_SPEAKING = frozenset(_FLAGS)
_OUTPUTS = {
    InstrumentAlarm.FAULT: Reason.INSTRUMENT_FAULT,
    InstrumentAlarm.INHIBIT: Reason.INSTRUMENT_INHIBITED,
}
_WORDS = {
    Reason.STALE: "no reading",
    Reason.INSTRUMENT_FAULT: "instrument fault",
    Reason.INSTRUMENT_INHIBITED: "inhibited",
    Reason.STUCK: "stuck",
    Reason.SPIKE: "single sample stood out",
    Reason.STEP: "step",
}
_OFF_DELAY_S = {
    Reason.STEP: 10.0,
    Reason.STUCK: 10.0,
    Reason.INSTRUMENT_FAULT: 10.0,
    Reason.SPIKE: 60.0,
}
"""A fault that flickers is one fault."""

_CLEARS = {
    Reason.STALE: "a fresh reading arrives",
    Reason.STEP: "the value is back, or something else speaks for gas",
}
_RECENT_SAMPLES = 5
_LONGEST_ID = 32

TechnicalMemory = list[tuple[int, float]]
"""The last samples of a channel, oldest first: time [µs] and what was shown."""


class _Seen(NamedTuple):
    """What a rule looked at: where from, what, measured and judged when."""

    source: str
    evidence: Evidence | None
    observed_us: int
    shown: float | None
    now_us: int


class TechnicalRule:
    """Speaks for the health of one channel."""

    def __init__(self, watched: Watched, policy: Policy, cases: CaseBook) -> None:
        self._watched = watched
        self._policy = policy
        self._cases = cases
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT_SAMPLES)

    def on_reading(self, reading: Reading, now_us: int) -> list[Condition]:
        """Judge the flags and outputs that a reading carries."""
        detection = reading.detection
        reasons = _reasons(reading.flags)
        if detection is not None and detection.instrument_alarm in _OUTPUTS:
            reasons.add(_OUTPUTS[detection.instrument_alarm])
        if not reasons and not self._cases.has_any(self._watched):
            return []
        facts = {} if detection is None else _fault_facts(detection)
        if Flag.OTHER_INSTRUMENT in reading.flags and reading.raw is not None:
            facts = {"other_instrument": str(reading.raw)[:_LONGEST_ID]}
        seen = _Seen(
            READING, self._watched.reading_evidence(reading), reading.time_us, reading.value, now_us
        )
        return self._say(dict.fromkeys(reasons, facts), seen)

    def on_estimate(self, estimate: Estimate, now_us: int) -> list[Condition]:
        """Judge the flags that the filters found."""
        shown = estimate.instrument_value
        self._remember(estimate.time_us, estimate.value if shown is None else shown)
        if not estimate.flags and not self._cases.has_any(self._watched):
            return []
        reasons = _reasons(estimate.flags)
        said: dict[Reason, Facts] = {reason: {} for reason in reasons}
        if Reason.STEP in said:
            said[Reason.STEP] = self._jump()
        evidence = self._watched.evidence(estimate)
        return self._say(said, _Seen(ESTIMATE, evidence, estimate.time_us, shown, now_us))

    def on_stale(self, now_us: int) -> list[Condition]:
        """Say that the channel has fallen silent."""
        last_us = self._watched.last_seen_us
        facts: Facts = {}
        if last_us is not None:
            facts["silent_s"] = (now_us - last_us) / US_PER_S
        return self._raise(Reason.STALE, facts, _Seen(CLOCK, None, now_us, None, now_us))

    def on_fresh(self, now_us: int) -> list[Condition]:
        """Say that the channel reports again."""
        key = self._watched.key(AlarmKind.TECHNICAL, STALE)
        return self._cases.withdraw(self._watched, CLOCK, key, now_us)

    def on_defect(self, detail: str, now_us: int) -> list[Condition]:
        """Say that the gateway itself fails to judge what the channel reports."""
        seen = _Seen(GATEWAY, None, now_us, None, now_us)
        return self._raise(Reason.INSTRUMENT_FAULT, {"detail": detail}, seen)

    def on_mended(self, now_us: int) -> list[Condition]:
        """Say that the gateway judges the channel again."""
        key = self._watched.key(AlarmKind.TECHNICAL, Reason.INSTRUMENT_FAULT.value)
        return self._cases.withdraw(self._watched, GATEWAY, key, now_us)

    def adopt(self, condition: Condition) -> None:
        """Take up an open technical alarm after a restart."""
        from_estimates = {Reason.STUCK, Reason.SPIKE, Reason.STEP}
        source = CLOCK if condition.reason is Reason.STALE else READING
        if condition.reason in from_estimates:
            source = ESTIMATE
        self._cases.adopt(self._watched, source, condition)

    def memory(self) -> TechnicalMemory:
        """Return the last samples, for a restart under the same configuration."""
        return list(self._recent)

    def recall(self, memory: TechnicalMemory) -> None:
        """Replace the last samples."""
        self._recent.clear()
        self._recent.extend(memory)

    def _say(self, said: dict[Reason, Facts], seen: _Seen) -> list[Condition]:
        answer: list[Condition] = []
        for key in self._cases.claims(self._watched, seen.source):
            of_ours = key.kind is AlarmKind.TECHNICAL and key.agent != STALE
            if of_ours and Reason(key.agent) not in said:
                answer += self._cases.withdraw(self._watched, seen.source, key, seen.now_us)
        for reason in sorted(said):
            answer += self._raise(reason, said[reason], seen)
        return answer

    def _raise(self, reason: Reason, facts: Facts, seen: _Seen) -> list[Condition]:
        watched = self._watched
        key = watched.key(AlarmKind.TECHNICAL, reason.value)
        case = self._cases.find(watched, key)
        if case is not None and seen.source in case.claims:
            return []
        if reason is Reason.SPIKE and seen.source == ESTIMATE:
            seen = self._spike(seen)
        rank: Rank = getattr(self._policy.technical, reason.value)
        condition = spoken(
            watched.template(key),
            facts,
            at_us=seen.now_us,
            observed_us=seen.observed_us,
            reason=reason,
            priority=priority(rank),
            level=_WORDS[reason],
            value=seen.shown,
            instrument_value=seen.shown,
            off_delay_s=_OFF_DELAY_S.get(reason, 0.0),
            evidence=() if seen.evidence is None else (seen.evidence,),
            clears_when=_CLEARS.get(reason, "the instrument no longer says so"),
        )
        return self._cases.claim(watched, seen.source, condition, seen.now_us)

    def _spike(self, seen: _Seen) -> _Seen:
        """Return the sample that stood out: the one before that which shows it."""
        if len(self._recent) < 2 or seen.evidence is None:
            return seen
        spike_us, shown = self._recent[-2]
        evidence = msgspec.structs.replace(
            seen.evidence, value=shown, sigma=None, observed_at=format_rfc3339(spike_us)
        )
        return seen._replace(evidence=evidence, observed_us=spike_us, shown=shown)

    def _remember(self, time_us: int, shown: float) -> None:
        self._recent.append((time_us, shown))

    def _jump(self) -> Facts:
        """Return the greatest rise between two of the last samples, and its time."""
        best: Facts = {}
        most = 0.0
        for (before_us, before), (after_us, after) in pairwise(self._recent):
            if after - before > most:
                most = after - before
                best = {"jump": most, "jump_s": (after_us - before_us) / US_PER_S}
        return best


def speaks(flags: tuple[Flag, ...]) -> bool:
    """Return whether any flag is one that a technical alarm is about."""
    return not _SPEAKING.isdisjoint(flags)


def _reasons(flags: tuple[Flag, ...]) -> set[Reason]:
    return {_FLAGS[flag] for flag in flags if flag in _FLAGS}


def _fault_facts(detection: Detection) -> Facts:
    facts: Facts = {}
    if detection.code is not None:
        facts["fault_code"] = detection.code
    if detection.text:
        facts["detail"] = detection.text[:120]
    return facts
