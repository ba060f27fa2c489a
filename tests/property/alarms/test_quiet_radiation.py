"""Quiet counts of a whole site: nothing may be said of them, from the first second on.

Counts are Poisson about a steady background that nobody commissioned, as Geiger counters
give them: 0.3 counts a second at 0.12 µSv/h, where the median of single seconds is nothing.
"""

from pathlib import Path

import numpy as np
import pytest

from cbrn_core.alarm import Alarm, AlarmKind
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.pipeline.pipeline import Pipeline

START_US = 1_780_000_000_000_000
USV_H_PER_CPS = 0.39
STATIONS = 12
BATCH_S = 600
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
in_service = true
"""
STATION = """
[[station]]
id = "g{n}"
position = {{ lat = {lat}, lon = 10.0, height_m = 3 }}
[[device]]
id = "d{n}"
station = "g{n}"
driver = "external"
grade = "indicative"
[[device.channel]]
id = "gamma"
quantity = "gamma_count_rate"
unit = "cps"
counting = true
usv_h_per_cps = 0.39
period_s = {period_s}
"""


def square(period_s: float) -> Pipeline:
    stations = [
        STATION.format(n=n, lat=round(60.0 + 0.0003 * n, 6), period_s=period_s)
        for n in range(STATIONS)
    ]
    config = parse_site(SITE + "".join(stations), Path("site.toml"))
    return Pipeline(config.model, config.policy)


def quiet(seed: int, hours: float, *, usv_h: float = 0.12, period_s: int = 1) -> list[Alarm]:
    """Return all that is said in so many quiet hours."""
    rng = np.random.Generator(np.random.Philox(seed))
    pipeline, said = square(period_s), []
    for start_s in range(0, round(hours * 3600), BATCH_S):
        looks = BATCH_S // period_s
        counts = rng.poisson(usv_h / USV_H_PER_CPS * period_s, (looks, STATIONS))
        readings = [
            Reading(
                station=f"g{n}",
                channel="gamma",
                time_us=START_US + (start_s + look * period_s) * 1_000_000 + n,
                received_us=START_US + (start_s + look * period_s) * 1_000_000 + n,
                value=float(counts[look, n]) / period_s,
                unit=Unit.CPS,
                livetime_s=float(period_s),
            )
            for look in range(looks)
            for n in range(STATIONS)
        ]
        said += pipeline.step(readings[-1].received_us, readings).alarms
    return said


def radiological(said: list[Alarm]) -> list[str]:
    return [
        f"{a.condition.key.place} {a.condition.level} {a.condition.value}"
        for a in said
        if a.condition.key.kind is not AlarmKind.TECHNICAL
    ]


@pytest.mark.parametrize("seed", range(12))
def test_the_first_minutes_of_a_quiet_site_raise_nothing(seed):
    assert radiological(quiet(seed, 0.34)) == []


@pytest.mark.parametrize(("usv_h", "period_s"), [(0.05, 1), (0.31, 1), (0.12, 60)])
def test_neither_does_another_background_or_another_rhythm(usv_h, period_s):
    hours = 0.5 if period_s == 1 else 24.0
    assert radiological(quiet(7, hours, usv_h=usv_h, period_s=period_s)) == []


@pytest.mark.night
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_day_of_twelve_stations_raises_nothing(seed):
    """The budget is one in 30 days and site, so five days hold one by chance in six or less."""
    assert radiological(quiet(seed, 24.0)) == []
