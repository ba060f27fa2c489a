"""Levels of one radiation channel (safety 10): from the first unusual count to TURN BACK."""

from collections import deque
from math import hypot, inf, isfinite, sqrt
from statistics import NormalDist, median_low
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import AlarmKey, AlarmKind, Condition
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Quality, Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.alarms.policy import Policy, RadiationPolicy, priority
from cbrn_gateway.alarms.rules.belated import BelatedMemory, BelatedSamples
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.count_limit import count_limit
from cbrn_gateway.alarms.rules.flight import FlightMemory, FlightWatch
from cbrn_gateway.alarms.rules.levels import (
    ALARM_RANK,
    Level,
    LevelMemory,
    LevelTest,
    recall_equal,
)
from cbrn_gateway.alarms.rules.radiation_levels import radiation_levels
from cbrn_gateway.alarms.rules.watched import GAMMA, Facts, Watched, spoken

SOURCE = "gamma"
_S_PER_DAY = 86_400.0
_LEAST_LIVETIME_S = 0.1
_INTERVALS = 5
_LONGEST_LIVETIME_S = 600.0
_QUIET_SIGMAS = 3.0
_RELATIVE_SIGMAS = 3.0
_COMMISSIONED = "commissioned"
_MOST_COUNTS = 1e15
_NO_LIMIT = ((-1.0, 0.0, 0.0), inf)
"""Of no mean: it is computed anew."""

_MOST_PLACES = 1000
"""Places of about 100 m that one alarm of a mobile station counts."""

RadiationBackground = tuple[float | str, ...]
"""(value, source) or (value, sigma of it, source): the value in the estimate's unit, NaN
while unknown; source: commissioned, learnt or running."""


class RadiationMemory(msgspec.Struct, frozen=True, array_like=True):
    """State of one channel's rule; `tests`: the absolute levels, then elevated."""

    tests: list[LevelMemory]
    investigating: bool
    flight: FlightMemory
    last_us: int | None
    interval_s: float
    places: list[tuple[float, float]]
    belated: BelatedMemory = []


class RadiationRule:
    """Judges every estimate of one gamma or neutron channel.

    `channels` is how many radiation channels share the site's budget of false alarms.
    """

    def __init__(self, watched: Watched, policy: Policy, cases: CaseBook, channels: int) -> None:
        self._watched = watched
        self._rules: RadiationPolicy = policy.radiation
        self._cases = cases
        self.channels = max(1, channels)
        self._usv_h = _dose_factor(watched)
        self.levels = radiation_levels(policy, dosed=self._usv_h is not None)
        self._absolute = [self._test(level) for level in self.levels.absolute]
        self._elevated = self._test(self.levels.elevated)
        self._belated = BelatedSamples()
        self._investigating = False
        self._limit: tuple[tuple[float, float, float], float] = _NO_LIMIT
        self._flight = FlightWatch(self._rules.flight_altitude_m, self._rules.flight_speed_m_s)
        self._last_us: int | None = None
        self._intervals_s: deque[float] = deque(maxlen=_INTERVALS)
        self._places: set[tuple[float, float]] = set()

    def on_radiation(
        self,
        estimate: Estimate,
        reading: Reading,
        background: RadiationBackground | None,
        now_us: int,
    ) -> list[Condition]:
        """Judge one estimate against the background that the pipeline knows."""
        if not isfinite(estimate.value):
            return []
        self._note_interval(estimate.time_us)
        normal = _normal(background)
        flying = self._watched.mobile and self._flight.is_flying(estimate.fix, estimate.time_us)
        self._see(estimate, None if normal is None else normal.value, now_us)
        unusual = normal is not None and self._is_unusual(estimate, reading, normal)
        quiet = not unusual and not self._is_raised()
        if quiet and not self._cases.has_any(self._watched):
            self._places.clear()
            return []
        story = _Story(estimate, normal, now_us)
        return self._specific(story) + self._evolving(story, unusual=unusual, flying=flying)

    def on_belated(self, shown: Estimate, now_us: int) -> list[Condition]:
        """Judge a sample that a newer one has overtaken, by what the instrument showed."""
        if self._usv_h is None:
            return []
        test = self._belated.raised(shown.time_us, shown.value * self._scale, self._absolute)
        if test is None:
            return []
        key = self._watched.key(AlarmKind.SPECIFIC)
        return self._claim(key, test.level, test, _Story(shown, None, now_us), {})

    def interrupt(self) -> None:
        """Forget that levels were being left: nothing fresh is known any more."""
        for test in self._tests():
            test.interrupt()

    def adopt(self, condition: Condition) -> None:
        """Let the levels hold that an open alarm from before a restart speaks of."""
        rank = condition.facts.get("level_rank", 0)
        for test in self._tests():
            if isinstance(rank, int) and test.level.rank <= rank:
                test.raise_now()
        self._cases.adopt(self._watched, SOURCE, condition)

    def memory(self) -> RadiationMemory:
        """Return the whole state, for a restart under the same configuration."""
        return RadiationMemory(
            [test.memory() for test in self._tests()],
            self._investigating,
            self._flight.memory(),
            self._last_us,
            self._interval_s,
            sorted(self._places),
            self._belated.memory(),
        )

    def recall(self, memory: RadiationMemory) -> None:
        """Replace the state."""
        for test, remembered in zip(self._tests(), memory.tests, strict=False):
            test.recall(remembered)
        self._investigating = memory.investigating
        self._flight.recall(memory.flight)
        self._last_us = memory.last_us
        self._intervals_s = deque([memory.interval_s], _INTERVALS)
        self._places = set(memory.places)
        self._belated.recall(memory.belated)

    def inherit(self, before: "RadiationRule") -> None:
        """Go on from the rule of the same channel under another configuration."""
        memory, levels = before.memory(), before.levels
        recall_equal(self._tests(), (*levels.absolute, levels.elevated), memory.tests)
        self._investigating = memory.investigating
        self._flight.recall(memory.flight)
        self._last_us = memory.last_us
        self._intervals_s = deque([memory.interval_s], _INTERVALS)
        self._places = set(memory.places)

    def share_budget(self, channels: int) -> None:
        """Share the site's budget of false alarms with so many radiation channels."""
        if channels != self.channels:
            self.channels = channels
            self._limit = _NO_LIMIT

    def _tests(self) -> tuple[LevelTest, ...]:
        return (*self._absolute, self._elevated)

    def _see(self, estimate: Estimate, normal: float | None, now_us: int) -> None:
        value, sigma = estimate.value * self._scale, estimate.sigma * self._scale
        if self._usv_h is not None:
            for test in self._absolute:
                test.see(value, sigma, now_us)
        self._elevated.setpoint = self._elevated_setpoint(estimate, normal)
        self._elevated.see(value, sigma, now_us)

    def _elevated_setpoint(self, estimate: Estimate, normal: float | None) -> float:
        if normal is None and self._elevated.holding:
            return self._elevated.setpoint
        relative = 0.0 if normal is None else self._rules.elevated_factor * normal * self._scale
        if self._usv_h is not None:
            return max(self._rules.elevated_usv_h, relative)
        if normal is None:
            return inf
        return max(relative, normal + _RELATIVE_SIGMAS * estimate.sigma) or inf

    @property
    def _scale(self) -> float:
        return 1.0 if self._usv_h is None else self._usv_h

    def _is_raised(self) -> bool:
        tests = self._tests()
        return any(test.active or test.holding for test in tests)

    def _is_unusual(self, estimate: Estimate, reading: Reading, normal: "_Normal") -> bool:
        if reading.quality in {Quality.BAD, Quality.STALE}:
            return self._investigating
        shown = estimate.instrument_value
        value = shown if shown is not None and isfinite(shown) else estimate.value
        livetime_s = self._livetime_s(reading)
        per_count = self._value_per_count(livetime_s)
        if per_count is None:
            return self._is_unusual_value(estimate, normal, livetime_s)
        counts = round(min(value / per_count, _MOST_COUNTS))
        mean = min(normal.value / per_count, _MOST_COUNTS)
        calm = mean + _QUIET_SIGMAS * sqrt(mean)
        if counts <= calm:
            self._investigating = False
        elif not self._investigating:
            self._investigating = counts >= self._limit_of(
                mean, normal.sigma / per_count, livetime_s
            )
        return self._investigating

    def _is_unusual_value(self, estimate: Estimate, normal: "_Normal", livetime_s: float) -> bool:
        """Judge a dose rate whose counts are not known, by its own sigma."""
        p = self._look_probability(livetime_s)
        sigma = hypot(estimate.sigma, normal.sigma)
        away = (estimate.value - normal.value) / sigma if sigma > 0 else 0.0
        if away <= _QUIET_SIGMAS:
            self._investigating = False
        elif away >= NormalDist().inv_cdf(1 - p):
            self._investigating = True
        return self._investigating

    def _limit_of(self, mean: float, sigma: float, livetime_s: float) -> float:
        asked, limit = self._limit
        if asked != (mean, sigma, livetime_s):
            limit = count_limit(mean, sigma, self._look_probability(livetime_s))
            self._limit = ((mean, sigma, livetime_s), limit)
        return limit

    def _look_probability(self, livetime_s: float) -> float:
        budget_s = self._rules.investigate_days_per_false * _S_PER_DAY
        return min(0.01, livetime_s / (budget_s * self.channels))

    def _livetime_s(self, reading: Reading) -> float:
        known = reading.livetime_s or self._watched.channel.period_s or self._interval_s
        return min(max(known, _LEAST_LIVETIME_S), _LONGEST_LIVETIME_S)

    def _value_per_count(self, livetime_s: float) -> float | None:
        if self._watched.unit is Unit.CPS:
            return 1 / livetime_s
        if self._watched.channel.counting and self._watched.channel.usv_h_per_cps:
            return self._watched.channel.usv_h_per_cps / livetime_s
        return None

    def _specific(self, story: "_Story") -> list[Condition]:
        standing = [test for test in self._absolute if test.active or test.holding]
        reached = [test for test in self._absolute if test.active]
        if self._is_specific_when_elevated():
            reached += [self._elevated] if self._elevated.active else []
            standing += [self._elevated] if self._elevated.holding else []
        key = self._watched.key(AlarmKind.SPECIFIC)
        if not reached:
            return self._cases.withdraw(self._watched, SOURCE, key, story.now_us)
        test = max(standing, key=lambda t: t.level.rank)
        return self._claim(key, test.level, test, story, {})

    def _evolving(self, story: "_Story", *, unusual: bool, flying: bool) -> list[Condition]:
        key = self._watched.key(AlarmKind.EVOLVING)
        below_boundary = not any(test.active for test in self._absolute)
        elevated = self._elevated.active and not self._is_specific_when_elevated()
        if not (unusual or elevated):
            return self._cases.withdraw(self._watched, SOURCE, key, story.now_us)
        if flying and below_boundary:
            return self._claim(key, self.levels.altitude, None, story, {})
        if elevated:
            level = self.levels.mobile if self._watched.mobile else self.levels.indicative
            return self._claim(key, level, self._elevated, story, self._place(story))
        rank = priority(self._rules.moving_priority)
        facts: Facts = {"may_move": int(rank)} if not self._watched.mobile else self._place(story)
        return self._claim(key, self.levels.investigate, None, story, facts)

    def _claim(
        self, key: AlarmKey, level: Level, test: LevelTest | None, story: "_Story", facts: Facts
    ) -> list[Condition]:
        watched, estimate = self._watched, story.estimate
        unit = watched.unit if self._usv_h is None else Unit.USV_H
        shown = estimate.instrument_value
        fixed_indicative = watched.is_indicative and not watched.mobile
        promotable = fixed_indicative and level.rank == ALARM_RANK
        more: Facts = {"priority_1_if_agreed": True} if promotable else {}
        condition = spoken(
            watched.template(key),
            {"level_rank": level.rank, **level.facts, **story.facts(), **facts, **more},
            at_us=story.now_us,
            observed_us=estimate.time_us,
            reason=level.reason,
            priority=level.priority,
            level=level.words,
            basis=level.basis,
            setpoint=None if test is None else test.setpoint,
            value=estimate.value * self._scale,
            sigma=estimate.sigma * self._scale,
            unit=unit,
            instrument_value=None if shown is None else shown * self._scale,
            trend_per_min=_scaled(estimate.trend_per_min, self._scale),
            latching=key.kind is AlarmKind.SPECIFIC,
            off_delay_s=level.off_delay_s,
            place=watched.measured_at(estimate.fix),
            evidence=(watched.evidence(estimate),),
            clears_when=_clears_when(test, estimate.sigma * self._scale, unit),
        )
        return self._cases.claim(watched, SOURCE, condition, story.now_us)

    def _place(self, story: "_Story") -> Facts:
        fix = story.estimate.fix
        if not self._watched.mobile or fix is None:
            return {}
        if len(self._places) < _MOST_PLACES:
            self._places.add((round(fix.lat, 3), round(fix.lon, 3)))
        facts: Facts = {"places": len(self._places)}
        if fix.accuracy_m is not None:
            facts["accuracy_m"] = fix.accuracy_m
        return facts

    def _is_specific_when_elevated(self) -> bool:
        return not (self._watched.mobile or self._watched.is_indicative or self._usv_h is None)

    def _note_interval(self, time_us: int) -> None:
        if self._last_us is not None and time_us > self._last_us:
            self._intervals_s.append((time_us - self._last_us) / US_PER_S)
        self._last_us = time_us

    @property
    def _interval_s(self) -> float:
        """Return the usual interval: one outage is not what a reading was counted in."""
        if not self._intervals_s:
            return self._watched.channel.period_s or 1.0
        return median_low(self._intervals_s)

    def _test(self, level: Level) -> LevelTest:
        return LevelTest(level, self._rules.deadband_fraction, self._rules.deadband_sigmas)


class _Normal(NamedTuple):
    """What is normal here, one sigma of it, and where it is from."""

    value: float
    sigma: float
    source: str | None


class _Story:
    """One estimate and what is normal here."""

    def __init__(self, estimate: Estimate, normal: _Normal | None, now_us: int) -> None:
        self.estimate = estimate
        self.now_us = now_us
        self._normal = normal

    def facts(self) -> Facts:
        normal = self._normal
        if normal is None:
            return {"background_commissioned": False}
        facts: Facts = {"background": normal.value}
        if normal.source is not None:
            facts["background_source"] = normal.source
        if normal.source != _COMMISSIONED:
            facts["background_commissioned"] = False
        if normal.value > 0:
            facts["normal_ratio"] = self.estimate.value / normal.value
        return facts


def _dose_factor(watched: Watched) -> float | None:
    """Return µSv/h per unit of the estimate; None for counts without a dose factor."""
    if watched.agent != GAMMA:
        return None
    return 1.0 if watched.unit is Unit.USV_H else watched.channel.usv_h_per_cps


def _normal(background: RadiationBackground | None) -> _Normal | None:
    if background is None:
        return None
    value, source = background[0], background[-1]
    if not isinstance(value, int | float) or not isfinite(value) or value < 0:
        return None
    sigma = background[1] if len(background) > 2 else 0.0
    known = isinstance(sigma, int | float) and isfinite(sigma)
    return _Normal(
        float(value), float(sigma) if known else 0.0, source if isinstance(source, str) else None
    )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _clears_when(test: LevelTest | None, sigma: float, unit: Unit) -> str:
    if test is None or not isfinite(test.setpoint):
        return "readings back at what is normal for this station"
    delay_s = test.level.off_delay_s
    lasting = f" for {delay_s:g} s" if delay_s > 0 else ""
    return f"below {test.clear_limit(sigma):.3g} {unit}{lasting}"
