"""Levels of one radiation channel (safety 10): from the first unusual count to TURN BACK."""

from math import inf, isfinite, sqrt
from statistics import NormalDist

from cbrn_core.alarm import AlarmKey, AlarmKind, Condition
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Quality, Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_fusion.counting import poisson_limit
from cbrn_gateway.alarms.policy import Policy, RadiationPolicy, priority
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.flight import FlightWatch
from cbrn_gateway.alarms.rules.levels import ALARM_RANK, Level, LevelTest
from cbrn_gateway.alarms.rules.radiation_levels import radiation_levels
from cbrn_gateway.alarms.rules.watched import GAMMA, Facts, Watched, spoken

SOURCE = "gamma"
_S_PER_DAY = 86_400.0
_LEAST_LIVETIME_S = 0.1
_LONGEST_LIVETIME_S = 600.0
_QUIET_SIGMAS = 3.0
_RELATIVE_SIGMAS = 3.0
_COMMISSIONED = "commissioned"
_MOST_COUNTS = 1e15
_NORMAL_FROM_COUNTS = 1e6
_MOST_PLACES = 1000
"""Places of about 100 m that one alarm of a mobile station counts."""

RadiationBackground = tuple[float | str, ...]
"""(value, …, source): first the value in the estimate's unit, NaN while unknown; last the
source: commissioned, learnt or running."""


class RadiationRule:
    """Judges every estimate of one gamma or neutron channel.

    `channels` is how many radiation channels share the site's budget of false alarms.
    """

    def __init__(self, watched: Watched, policy: Policy, cases: CaseBook, channels: int) -> None:
        self._watched = watched
        self._rules: RadiationPolicy = policy.radiation
        self._cases = cases
        self._channels = max(1, channels)
        self._usv_h = _dose_factor(watched)
        self._levels = radiation_levels(policy, dosed=self._usv_h is not None)
        self._absolute = [self._test(level) for level in self._levels.absolute]
        self._elevated = self._test(self._levels.elevated)
        self._investigating = False
        self._limit: tuple[float, float, float] = (-1.0, 0.0, inf)
        self._flight = FlightWatch(self._rules.flight_altitude_m, self._rules.flight_speed_m_s)
        self._last_us: int | None = None
        self._interval_s = watched.channel.period_s or 1.0
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
        normal, source = _normal(background)
        flying = self._watched.mobile and self._flight.is_flying(estimate.fix, estimate.time_us)
        self._see(estimate, normal, now_us)
        unusual = normal is not None and self._is_unusual(estimate, reading, normal)
        quiet = not unusual and not self._is_raised()
        if quiet and not self._cases.has_any(self._watched):
            self._places.clear()
            return []
        story = _Story(estimate, normal, source, now_us)
        return self._specific(story) + self._evolving(story, unusual=unusual, flying=flying)

    def interrupt(self) -> None:
        """Forget that levels were being left: nothing fresh is known any more."""
        for test in (*self._absolute, self._elevated):
            test.interrupt()

    def adopt(self, condition: Condition) -> None:
        """Let the levels hold that an open alarm from before a restart speaks of."""
        rank = condition.facts.get("level_rank", 0)
        for test in (*self._absolute, self._elevated):
            if isinstance(rank, int) and test.level.rank <= rank:
                test.raise_now()
        self._cases.adopt(self._watched, SOURCE, condition)

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
        tests = (*self._absolute, self._elevated)
        return any(test.active or test.holding for test in tests)

    def _is_unusual(self, estimate: Estimate, reading: Reading, normal: float) -> bool:
        if reading.quality in {Quality.BAD, Quality.STALE}:
            return self._investigating
        shown = estimate.instrument_value
        value = shown if shown is not None and isfinite(shown) else estimate.value
        livetime_s = self._livetime_s(reading)
        per_count = self._value_per_count(livetime_s)
        if per_count is None:
            return self._is_unusual_value(estimate, normal, livetime_s)
        counts = round(min(value / per_count, _MOST_COUNTS))
        mean = min(normal / per_count, _MOST_COUNTS)
        calm = mean + _QUIET_SIGMAS * sqrt(mean)
        if counts <= calm:
            self._investigating = False
        elif not self._investigating:
            self._investigating = counts >= self._poisson_limit(mean, livetime_s)
        return self._investigating

    def _is_unusual_value(self, estimate: Estimate, normal: float, livetime_s: float) -> bool:
        """Judge a dose rate whose counts are not known, by its own sigma."""
        p = self._look_probability(livetime_s)
        away = (estimate.value - normal) / estimate.sigma if estimate.sigma > 0 else 0.0
        if away <= _QUIET_SIGMAS:
            self._investigating = False
        elif away >= NormalDist().inv_cdf(1 - p):
            self._investigating = True
        return self._investigating

    def _poisson_limit(self, mean: float, livetime_s: float) -> float:
        known_mean, known_s, limit = self._limit
        if (known_mean, known_s) != (mean, livetime_s):
            p = self._look_probability(livetime_s)
            if mean < _NORMAL_FROM_COUNTS:
                limit = float(poisson_limit(mean, p))
            else:
                limit = mean + NormalDist().inv_cdf(1 - p) * sqrt(mean)
            self._limit = (mean, livetime_s, limit)
        return limit

    def _look_probability(self, livetime_s: float) -> float:
        budget_s = self._rules.investigate_days_per_false * _S_PER_DAY
        return min(0.01, livetime_s / (budget_s * self._channels))

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
            return self._claim(key, self._levels.altitude, None, story, {})
        if elevated:
            level = self._levels.mobile if self._watched.mobile else self._levels.indicative
            return self._claim(key, level, self._elevated, story, self._place(story))
        rank = priority(self._rules.moving_priority)
        facts: Facts = {"may_move": int(rank)} if not self._watched.mobile else self._place(story)
        return self._claim(key, self._levels.investigate, None, story, facts)

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
            self._interval_s = (time_us - self._last_us) / US_PER_S
        self._last_us = time_us

    def _test(self, level: Level) -> LevelTest:
        return LevelTest(level, self._rules.deadband_fraction, self._rules.deadband_sigmas)


class _Story:
    """One estimate and what is normal here."""

    def __init__(
        self, estimate: Estimate, normal: float | None, source: str | None, now_us: int
    ) -> None:
        self.estimate = estimate
        self.now_us = now_us
        self._normal = normal
        self._source = source

    def facts(self) -> Facts:
        if self._normal is None:
            return {"background_commissioned": False}
        facts: Facts = {"background": self._normal}
        if self._source is not None:
            facts["background_source"] = self._source
        if self._source != _COMMISSIONED:
            facts["background_commissioned"] = False
        if self._normal > 0:
            facts["normal_ratio"] = self.estimate.value / self._normal
        return facts


def _dose_factor(watched: Watched) -> float | None:
    """Return µSv/h per unit of the estimate; None for counts without a dose factor."""
    if watched.agent != GAMMA:
        return None
    return 1.0 if watched.unit is Unit.USV_H else watched.channel.usv_h_per_cps


def _normal(background: RadiationBackground | None) -> tuple[float | None, str | None]:
    if background is None:
        return None, None
    value, source = background[0], background[-1]
    if not isinstance(value, int | float) or not isfinite(value) or value < 0:
        return None, None
    return float(value), source if isinstance(source, str) else None


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _clears_when(test: LevelTest | None, sigma: float, unit: Unit) -> str:
    if test is None or not isfinite(test.setpoint):
        return "readings back at what is normal for this station"
    return f"below {test.clear_limit(sigma):.3g} {unit} for {test.level.off_delay_s:g} s"
