"""Which background a station is judged by, and that absolute levels never wait for one."""

from pathlib import Path

import numpy as np
import pytest

from cbrn_core.alarm import AlarmKind, Priority
from cbrn_core.place import Fix
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.pipeline.pipeline import Pipeline

START_US = 1_780_000_000_000_000
FACTOR = 0.39
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
in_service = true
[[station]]
id = "g1"
{where}
[[device]]
id = "d1"
station = "g1"
driver = "external"
grade = "{grade}"
[[device.channel]]
id = "gamma"
quantity = "{quantity}"
unit = "{unit}"
{more}
"""
FIXED = "position = { lat = 60.0, lon = 10.0, height_m = 3 }"
COUNTS = f"counting = true\nusv_h_per_cps = {FACTOR}\nperiod_s = 1"


class Counter:
    """One station and its Poisson counts at a true dose rate in µSv/h."""

    def __init__(
        self, *, where=FIXED, grade="professional", more=COUNTS, quantity="gamma_count_rate"
    ) -> None:
        unit = "cps" if quantity == "gamma_count_rate" else "uSv/h"
        text = SITE.format(where=where, grade=grade, more=more, quantity=quantity, unit=unit)
        config = parse_site(text, Path("site.toml"))
        self.pipeline = Pipeline(config.model, config.policy)
        self.rng = np.random.Generator(np.random.Philox(5))
        self.now_s = 0
        self.said = []

    def run(self, usv_h: float, seconds: int, *, cps: float | None = None) -> list:
        """Return what is said of so many seconds at a dose rate."""
        said = []
        for _ in range(seconds):
            self.now_s += 1
            drawn = self.rng.poisson(usv_h / FACTOR) if cps is None else cps
            said += self.step(float(drawn), Unit.CPS)
        return said

    def step(self, value: float, unit: Unit, fix: Fix | None = None) -> list:
        now_us = START_US + self.now_s * 1_000_000
        reading = Reading(
            station="g1", channel="gamma", time_us=now_us, received_us=now_us,
            value=value, unit=unit, fix=fix,
        )  # fmt: skip
        said = self.pipeline.step(now_us, [reading]).alarms
        self.said += said
        return said


def kinds(said) -> set:
    return {(a.condition.key.kind, a.condition.priority) for a in said}


def test_the_background_of_a_slow_counter_is_its_mean_rate_and_not_the_median_second():
    counter = Counter()
    counter.run(0.12, 700)
    counter.run(4.0, 3)
    (facts,) = [a.condition.facts for a in counter.said[:1]]
    assert facts["background"] * FACTOR == pytest.approx(0.12, rel=0.25)
    assert facts["background_commissioned"] is False


def test_nothing_relative_is_said_before_the_background_has_settled():
    counter = Counter()
    assert counter.run(0.12, 200) == []
    assert counter.run(0.0, 1, cps=9.0) == [], "nine counts stand out, but from what?"
    counter.run(0.12, 700)
    assert kinds(counter.run(0.0, 1, cps=9.0)) == {(AlarmKind.EVOLVING, Priority.P3)}


def test_a_commissioned_background_speaks_from_the_first_second():
    background = 'value = 0.31, sigma = 0.02, from = "2026-05-01", until = "2026-05-08"'
    counter = Counter(more=f"{COUNTS}\nbackground = {{ {background} }}")
    assert kinds(counter.run(0.0, 1, cps=9.0)) == {(AlarmKind.EVOLVING, Priority.P3)}
    assert "background_commissioned" not in counter.said[0].condition.facts


@pytest.mark.parametrize("grade", ["professional", "indicative"])
def test_the_danger_boundary_alarms_in_the_first_two_seconds_without_any_background(grade):
    counter = Counter(grade=grade)
    said = counter.run(0.0, 2, cps=30.0 / FACTOR)
    assert (AlarmKind.SPECIFIC, Priority.P1) in kinds(said)
    assert "normal_ratio" not in said[0].condition.facts


def test_a_source_that_is_there_from_the_start_alarms_and_never_becomes_normal():
    counter = Counter()
    first = counter.run(2.0, 75)
    assert kinds(first) == {(AlarmKind.SPECIFIC, Priority.P1)}
    later = counter.run(2.0, 1800)
    (alarm,) = counter.pipeline.machine.open_alarms()
    assert alarm.state == "unack"
    assert alarm.condition.setpoint == 0.5
    assert all(a.condition.active for a in later)


def test_a_source_that_comes_while_the_background_is_learnt_is_not_learnt():
    counter = Counter()
    counter.run(0.12, 400)
    assert (AlarmKind.SPECIFIC, Priority.P1) in kinds(counter.run(0.9, 400))
    counter.run(0.12, 600)
    counter.said.clear()
    counter.run(3.0, 3)
    known = counter.said[-1].condition.facts["background"] * FACTOR
    assert known == pytest.approx(0.12, rel=0.25)


def test_a_mobile_station_knows_its_surroundings_after_five_minutes():
    counter = Counter(where="mobile = true", grade="indicative")
    counter.run(0.12, 200)
    assert counter.run(0.0, 1, cps=9.0) == []
    counter.run(0.12, 240)
    assert kinds(counter.run(0.0, 1, cps=9.0)) == {(AlarmKind.EVOLVING, Priority.P3)}
    assert counter.said[-1].condition.facts["background_source"] == "running"


def test_a_dose_rate_without_counts_waits_for_its_background_too():
    counter = Counter(quantity="gamma_dose_rate", more="sigma = 0.01\nperiod_s = 1")

    def run(usv_h: float, seconds: int) -> list:
        said = []
        for _ in range(seconds):
            counter.now_s += 1
            noisy = usv_h + 0.01 * counter.rng.standard_normal()
            said += counter.step(noisy, Unit.USV_H)
        return said

    assert run(0.12, 60) == []
    assert run(0.3, 20) == []
    assert run(0.12, 700) == []
    assert kinds(run(0.3, 20)) == {(AlarmKind.EVOLVING, Priority.P3)}


def test_what_was_learnt_survives_a_restart():
    counter, again = Counter(), Counter()
    counter.run(0.12, 700)
    again.pipeline.fusion.backgrounds.restore(counter.pipeline.fusion.backgrounds.snapshot())
    again.now_s = counter.now_s
    assert kinds(again.run(0.0, 1, cps=9.0)) == {(AlarmKind.EVOLVING, Priority.P3)}


def test_a_learnt_period_is_the_same_however_the_readings_are_cut():
    def estimates(cut: int) -> list:
        counter = Counter(more="counting = true\nusv_h_per_cps = 0.39")
        now_us, readings = START_US, []
        for index in range(60):
            now_us += (1 + index % 7) * 500_000
            readings.append(
                Reading(
                    station="g1",
                    channel="gamma",
                    time_us=now_us,
                    received_us=now_us,
                    value=float(index % 3),
                    unit=Unit.CPS,
                )
            )
        out = []
        for start in range(0, len(readings), cut):
            batch = readings[start : start + cut]
            out += counter.pipeline.step(batch[-1].received_us, batch).estimates
        return out

    assert estimates(1) == estimates(60) == estimates(7)
