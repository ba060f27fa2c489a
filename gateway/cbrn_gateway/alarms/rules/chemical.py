"""Levels of one chemical channel (safety 6, 7, 9). Quiet samples take the short way."""

from collections.abc import Mapping
from math import inf, isfinite

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import AlarmKey, AlarmKind, Condition, Evidence, Priority, Reason
from cbrn_core.estimate import Estimate
from cbrn_core.numbers import significant
from cbrn_core.reading import Flag
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_core.units import UnitError, convert
from cbrn_gateway.alarms.policy import ChemicalPolicy, Policy, priority
from cbrn_gateway.alarms.rules.belated import BelatedMemory, BelatedSamples
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.chemical_levels import (
    ChemicalLevels,
    ExposureLevel,
    InactiveLevel,
    chemical_levels,
)
from cbrn_gateway.alarms.rules.exposure import ExposureMemory, ExposureMeter
from cbrn_gateway.alarms.rules.levels import (
    ALARM_RANK,
    Level,
    LevelMemory,
    LevelTest,
    recall_equal,
)
from cbrn_gateway.alarms.rules.noise import NoiseMemory, QuietNoise
from cbrn_gateway.alarms.rules.watched import Facts, Watched, spoken

SOURCE = "level"
_LOOK_AT_NOISE = 64
_EXPOSURE_FLOOR = 0.05
"""Below 5 % of the AEGL-2 10-min figure a sample adds nothing to an exposure that matters."""

_GREATEST = 1e9
"""Pure gas is 1e6 ppm; a greater figure must not overflow Cⁿ."""

_DECISIVE = frozenset({Flag.OVER_RANGE, Flag.STEP})


class ChemicalMemory(msgspec.Struct, frozen=True, array_like=True):
    """State of one channel's rule; `tests` in the order of its levels."""

    tests: list[LevelMemory]
    noise: NoiseMemory
    meter: ExposureMemory
    last_us: int | None
    period_us: int
    alone: Estimate | None
    deadline_us: int | None
    belated: BelatedMemory = []


class ChemicalRule:
    """Judges every estimate of one channel. All values in the canonical unit."""

    def __init__(self, watched: Watched, policy: Policy, cases: CaseBook) -> None:
        self._watched = watched
        self._policy = policy
        self._rules: ChemicalPolicy = policy.chemical
        self._cases = cases
        levels = chemical_levels(watched.agent, watched.unit, policy)
        self.levels: ChemicalLevels = levels
        self._notice = self._test(levels.notice)
        self._level = self._test(levels.level)
        self._extreme = self._test(levels.extreme)
        self._exposures = [(e, self._test(e.level)) for e in levels.exposures]
        self._belated = BelatedSamples()
        self._noise = QuietNoise(*_declared_noise(watched))
        self._top = _canonical(watched, watched.channel.range[1]) if watched.channel.range else inf
        self._meter = ExposureMeter(levels.exponent, policy.chemical.hold_last_s)
        self._busy = False
        self._samples = 0
        self._notice_on = False
        self._attention = inf
        self._alone_from = inf
        self._floor = inf
        self._last_us: int | None = None
        self._period_us = seconds_to_us(watched.channel.period_s or 1.0)
        self._alone: Estimate | None = None
        self.deadline_us: int | None = None
        self._kind = AlarmKind.EVOLVING if watched.is_indicative else AlarmKind.SPECIFIC
        self._look_at_noise()

    @property
    def key(self) -> AlarmKey:
        """Return the alarm that this rule speaks for."""
        return self._watched.key(self._kind)

    @property
    def has_levels(self) -> bool:
        """Return whether there is anything to judge."""
        return not self.levels.is_empty

    def on_estimate(self, estimate: Estimate, now_us: int) -> list[Condition]:
        """Judge one estimate."""
        value = estimate.value
        shown = estimate.instrument_value
        quiet = value < self._attention and (shown is None or shown < self._alone_from)
        if quiet and not self._busy and _DECISIVE.isdisjoint(estimate.flags):
            self._noise.learn(value, value if shown is None else shown, estimate.time_us)
            self._note_time(estimate.time_us)
            return []
        return self._judge(estimate, now_us)

    def on_belated(self, shown: Estimate, now_us: int) -> list[Condition]:
        """Judge a sample that a newer one has overtaken, by what the instrument showed."""
        tests = (self._level, self._extreme)
        test = self._belated.raised(shown.time_us, shown.value, tests)
        if test is None:
            return []
        self._busy = True
        return self._claim(test, shown, shown.value, {}, now_us)

    def on_deadline(self, now_us: int) -> list[Condition]:
        """Raise on a single extreme sample after which nothing came (safety 9)."""
        estimate = self._alone
        self.deadline_us = self._alone = None
        if estimate is None or estimate.instrument_value is None:
            return []
        value = max(estimate.value, estimate.instrument_value)
        test = self._alone_test(estimate, value)
        if test is None or test.holding:
            return []
        test.raise_now()
        self._busy = True
        facts: Facts = {"single_sample": True}
        if Flag.OVER_RANGE in estimate.flags:
            facts["over_range"] = True
        return self._claim(test, estimate, value, facts, now_us)

    def interrupt(self) -> None:
        """Forget that levels were being left: nothing fresh is known any more."""
        for test in self._tests():
            test.interrupt()

    def adopt(self, condition: Condition) -> None:
        """Let the levels hold that an open alarm from before a restart speaks of."""
        rank = condition.facts.get("momentary_rank", condition.facts.get("level_rank", 0))
        for test in (self._notice, self._level, self._extreme):
            if test is not None and isinstance(rank, int) and test.level.rank <= rank:
                test.raise_now()
        self._cases.adopt(self._watched, SOURCE, condition)
        self._busy = True

    def memory(self) -> ChemicalMemory:
        """Return the whole state, for a restart under the same configuration."""
        return ChemicalMemory(
            [test.memory() for test in self._tests()],
            self._noise.memory(),
            self._meter.memory(),
            self._last_us,
            self._period_us,
            self._alone,
            self.deadline_us,
            self._belated.memory(),
        )

    def recall(self, memory: ChemicalMemory) -> None:
        """Replace the state."""
        for test, remembered in zip(self._tests(), memory.tests, strict=False):
            test.recall(remembered)
        self._noise.recall(memory.noise)
        self._meter.recall(memory.meter)
        self._last_us, self._period_us = memory.last_us, memory.period_us
        self._alone, self.deadline_us = memory.alone, memory.deadline_us
        self._belated.recall(memory.belated)
        self._look_at_noise()
        self._busy = self._is_busy()

    def inherit(self, before: "ChemicalRule", *, same_instrument: bool) -> None:
        """Go on from the rule of the same channel under another configuration.

        An exposure is that of the place whatever measures it, and a single extreme sample
        goes on waiting; a level goes on where it is the same, the noise where the
        instrument is.
        """
        memory = before.memory()
        recall_equal(self._tests(), before.levels.every(), memory.tests)
        if before.levels.exponent == self.levels.exponent:
            self._meter.recall(memory.meter)
        if same_instrument:
            self._noise.recall(memory.noise)
        self._last_us, self._period_us = memory.last_us, memory.period_us
        self._alone, self.deadline_us = memory.alone, memory.deadline_us
        self._look_at_noise()
        self._busy = True

    def inactive_levels(self) -> list[InactiveLevel]:
        """Return the levels that this channel is too coarse to judge."""
        lod = self._noise.lod
        found = []
        if self._notice is not None and not self._notice_on:
            reason = "detection limit not known yet" if lod is None else "not detectable"
            found.append(self._inactive(self._notice.level, reason))
        for test in (self._level, self._extreme):
            if test is not None and lod is not None and test.level.setpoint < lod:
                reason = f"not detectable: alarms from the detection limit {lod:g}"
                found.append(self._inactive(test.level, reason))
        return found

    def _judge(self, estimate: Estimate, now_us: int) -> list[Condition]:
        if not isfinite(estimate.value):
            return []
        self._noise.pause()
        self._note_time(estimate.time_us)
        over_range = Flag.OVER_RANGE in estimate.flags
        value = max(estimate.value, self._end_of_range(estimate)) if over_range else estimate.value
        tested = self._on_its_change(estimate, value)
        sigma = estimate.sigma
        momentary = self._see_levels(tested, sigma, now_us, over_range=over_range)
        exposures = self._see_exposures(estimate.time_us, tested, now_us)
        self._watch_single(estimate, now_us)
        answer = self._speak(
            estimate, tested, [*momentary, *exposures], now_us, over_range=over_range
        )
        self._busy = self._is_busy()
        return answer

    def _on_its_change(self, estimate: Estimate, value: float) -> float:
        """Return what to judge while a step stands.

        The estimate is the change from the new baseline. Where anything else speaks for
        gas, or an alarm was raised before the step was called, it is what the instrument
        shows: a step never takes an alarm back.
        """
        shown = estimate.instrument_value
        if Flag.STEP not in estimate.flags or shown is None or shown <= value:
            return value
        case = self._cases.find(self._watched, self.key)
        raised = case is not None and case.is_active
        return shown if raised or self._cases.others_see(self._watched) else value

    def _see_levels(
        self, value: float, sigma: float, now_us: int, *, over_range: bool
    ) -> list[LevelTest]:
        lod = self._noise.lod or 0.0
        reached = []
        for test in (self._notice, self._level, self._extreme):
            if test is None or (test is self._notice and not self._notice_on):
                continue
            test.setpoint = test.level.setpoint
            if test is not self._notice and test.setpoint < lod:
                test.setpoint = lod
            beyond_range = over_range and (test.holding or test is self._level)
            seen = max(value, test.setpoint) if beyond_range else value
            if test.see(seen, sigma, now_us):
                reached.append(test)
        return reached

    def _see_exposures(self, time_us: int, value: float, now_us: int) -> list[LevelTest]:
        if not self._exposures:
            return []
        concentration = 0.0
        if value >= self._floor:
            concentration = min(max(0.0, value - self._noise.offset), _GREATEST)
        if concentration == 0.0 and not self._meter.is_open:
            self._meter.idle()
        else:
            self._meter.add(time_us, concentration)
        reached = []
        for exposure, test in self._exposures:
            if test is not None and self._detectable(test.level):
                equivalent = self._equivalent(exposure)
                if test.see(equivalent, 0.0, now_us):
                    reached.append(test)
        return reached

    def _equivalent(self, exposure: ExposureLevel) -> float:
        """Return the steady concentration that would give the window's mean or load."""
        if exposure.exponent is None:
            return self._meter.mean(exposure.window_s)
        load = self._meter.load(exposure.window_s) / exposure.window_s
        return float(load ** (1 / exposure.exponent))

    def _speak(
        self,
        estimate: Estimate,
        value: float,
        reached: list[LevelTest],
        now_us: int,
        *,
        over_range: bool,
    ) -> list[Condition]:
        if reached and all(test is self._notice for test in reached):
            reached = [] if self._is_explained(estimate) else reached
        if not reached:
            return self._cases.withdraw(self._watched, SOURCE, self.key, now_us)
        standing = [test for test in self._tests() if test.active or test.holding]
        test = max(standing, key=lambda t: t.level.rank)
        facts: Facts = {}
        if over_range:
            facts["over_range"] = True
        also = [t.level.words for t in reached if t is not test]
        if also:
            facts["also_above"] = "; ".join(also)
        if Flag.STEP in estimate.flags:
            facts["step_stands"] = True
        return self._claim(test, estimate, value, facts, now_us)

    def _claim(
        self, test: LevelTest, estimate: Estimate, value: float, facts: Facts, now_us: int
    ) -> list[Condition]:
        level, watched = test.level, self._watched
        shown = self._beside_exposure(value) if level.reason is Reason.EXPOSURE_EXCEEDED else {}
        exposure = next((e for e, t in self._exposures if t is test), None)
        if exposure is not None:
            value = self._equivalent(exposure)
            facts = {**facts, "coverage_pct": 100 * self._meter.coverage(exposure.window_s)}
        urgency, reason, latching = self._urgency(level)
        lod = self._noise.lod
        all_facts: Facts = {
            "level_rank": level.rank,
            "momentary_rank": self._momentary_rank(),
            **level.facts,
            **shown,
            **facts,
        }
        if lod is not None:
            all_facts["lod"] = lod
        if watched.is_indicative and level.rank >= ALARM_RANK:
            all_facts["priority_1_if_agreed"] = True
        words = level.words
        if facts.get("over_range") and self._end_of_range(estimate) < level.setpoint:
            words = f"end of the range; {words} not excluded"
        evidence: tuple[Evidence, ...] = (watched.evidence(estimate),)
        condition = spoken(
            watched.template(self.key),
            all_facts,
            at_us=now_us,
            observed_us=estimate.time_us,
            reason=reason,
            priority=urgency,
            level=words,
            basis=level.basis,
            setpoint=level.setpoint,
            value=value,
            sigma=estimate.sigma,
            instrument_value=estimate.instrument_value,
            trend_per_min=estimate.trend_per_min,
            latching=latching,
            off_delay_s=level.off_delay_s,
            place=watched.measured_at(estimate.fix),
            evidence=evidence,
            clears_when=_clears_when(test, estimate, watched.unit),
        )
        return self._cases.claim(watched, SOURCE, condition, now_us)

    def _beside_exposure(self, value: float) -> Facts:
        """Return what is there now, of which the mean of the window says nothing."""
        facts: Facts = {"momentary": value}
        reached = [t.level for t in (self._level, self._extreme) if t is not None and t.active]
        if reached:
            facts["momentary_level"] = reached[-1].words
        return facts

    def _momentary_rank(self) -> int:
        """Return the severest alarm level that holds of what is there now, 0 for none."""
        tests = (self._level, self._extreme)
        return max((t.level.rank for t in tests if t is not None and t.holding), default=0)

    def _urgency(self, level: Level) -> tuple[Priority, Reason, bool]:
        if not self._watched.is_indicative:
            return level.priority, level.reason, True
        urgency = max(level.priority, priority(self._policy.indicative.priority))
        above_alarm = level.rank >= ALARM_RANK
        return urgency, Reason.INDICATIVE_LEVEL if above_alarm else level.reason, False

    def _is_explained(self, estimate: Estimate) -> bool:
        """Return whether another gas seen at the station explains a notice (never an alarm)."""
        answers: Mapping[str, float] = self._watched.channel.also_answers_to
        notice = self._notice
        if not answers or notice is None:
            return False
        expected = 0.0
        for seen in self._cases.seen_at(self._watched.channel.station, self._watched.purpose):
            same_unit = seen.unit == self._watched.unit
            if seen.value is not None and same_unit and seen.agent != self._watched.agent:
                expected += max(0.0, answers.get(seen.agent, 0.0)) * seen.value
        return expected > 0 and estimate.value - expected < notice.level.setpoint

    def _watch_single(self, estimate: Estimate, now_us: int) -> None:
        """Let the last sample alarm alone unless another one follows.

        The filters doubt a sample that stands out until others have followed it; if none
        does, what the instrument shows stands (unclear is gas). A called step does not.
        """
        self.deadline_us = self._alone = None
        shown = estimate.instrument_value
        if shown is None or Flag.STEP in estimate.flags:
            return
        test = self._alone_test(estimate, max(estimate.value, shown))
        if test is None or test.holding:
            return
        wait_us = max(
            round(self._rules.single_sample_periods * self._period_us),
            seconds_to_us(self._rules.single_sample_s),
        )
        self._alone = estimate
        self.deadline_us = now_us + wait_us

    def _alone_test(self, estimate: Estimate, value: float) -> LevelTest | None:
        """Return the level that one sample may raise: extreme, or any at the end of the range."""
        extreme = self._extreme
        if extreme is not None and value >= extreme.setpoint:
            return extreme
        return self._level if Flag.OVER_RANGE in estimate.flags else None

    def _end_of_range(self, estimate: Estimate) -> float:
        """Return the greatest value that the instrument can show, as far as that is known."""
        if isfinite(self._top):
            return self._top
        shown = estimate.instrument_value
        return estimate.value if shown is None else shown

    def _is_busy(self) -> bool:
        pending = any(test.count > 0 or test.holding for test in self._tests())
        pending = pending or self.deadline_us is not None
        return pending or self._meter.is_open or self._cases.has_any(self._watched)

    def _note_time(self, time_us: int) -> None:
        if self._last_us is not None and self._watched.channel.period_s is None:
            interval_us = time_us - self._last_us
            if interval_us > 0:
                self._period_us = min(max(interval_us, US_PER_S // 10), 600 * US_PER_S)
        self._last_us = time_us
        self._samples += 1
        if self._samples % _LOOK_AT_NOISE == 0:
            self._look_at_noise()

    def _look_at_noise(self) -> None:
        """Decide anew what this channel can judge, and from where it needs attention."""
        notice = self._notice
        if notice is not None and not (self._notice_on and notice.holding):
            self._notice_on = self._detectable(notice.level) and self._noise.lod is not None
        setpoints = [t.level.setpoint for t in (self._level, self._extreme) if t is not None]
        if notice is not None and self._notice_on:
            setpoints.append(notice.level.setpoint)
        if self._exposures:
            lowest = min(exposure.level.setpoint for exposure, _ in self._exposures)
            self._floor = max(self._noise.lod or 0.0, _EXPOSURE_FLOOR * lowest)
            setpoints.append(self._floor)
        self._attention = min(setpoints, default=inf)
        if self._extreme is not None:
            self._alone_from = max(self._extreme.level.setpoint, self._noise.lod or 0.0)

    def _detectable(self, level: Level) -> bool:
        """Return whether a level is at least 3 × detection limit and noise."""
        floor = max(self._noise.lod or 0.0, self._noise.sd or 0.0)
        return level.setpoint >= self._rules.detectable_factor * floor

    def _test(self, level: Level | None) -> LevelTest | None:
        if level is None:
            return None
        return LevelTest(level, self._rules.deadband_fraction, self._rules.deadband_sigmas)

    def _tests(self) -> list[LevelTest]:
        tests = [self._notice, self._level, self._extreme, *(t for _, t in self._exposures)]
        return [test for test in tests if test is not None]

    def _inactive(self, level: Level, reason: str) -> InactiveLevel:
        channel = self._watched.channel
        return InactiveLevel(
            channel.station,
            channel.id,
            self._watched.agent,
            level.words,
            level.setpoint,
            self._watched.unit,
            reason,
        )


def _clears_when(test: LevelTest, estimate: Estimate, unit: str) -> str:
    limit = test.clear_limit(estimate.sigma)
    delay_s = test.level.off_delay_s
    lasting = f" for {delay_s:g} s of fresh readings" if delay_s > 0 else ""
    return f"below {significant(limit)} {unit}{lasting}"


def _declared_noise(watched: Watched) -> tuple[float | None, float | None, float]:
    channel = watched.channel
    lod = None if channel.lod is None else _canonical(watched, channel.lod)
    sigma = None if channel.sigma is None else _canonical(watched, channel.sigma)
    return lod, sigma, _canonical(watched, channel.resolution)


def _canonical(watched: Watched, value: float) -> float:
    agent = AGENTS.get(watched.agent)
    mass = None if agent is None else agent.molar_mass_g_mol
    try:
        return convert(value, watched.channel.unit, watched.unit, molar_mass_g_mol=mass)
    except UnitError:
        return value
