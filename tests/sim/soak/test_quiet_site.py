"""A quiet site in virtual time (two hours, a day at night): nothing is raised or grows."""

import tracemalloc
from math import pi, sin
from pathlib import Path

import numpy as np
import pytest

from cbrn_core.alarm import Alarm, AlarmKind, Priority
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.pipeline.pipeline import Pipeline

START_US = 1_780_000_000_000_000
STATIONS = 3
DAY_S = 86_400
BATCH_S = 5
MOST_NOTES_PER_STATION_HOUR = 1
"""Noise learnt from coarse readings may be half of the true one: a rare jump is then noted."""

ROOM_BYTES, LEAK_BYTES = 20_000, 2
"""Exposures of an hour open and close with the day; one object kept per reading is 28 bytes."""

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
id = "st{i}"
position = {{ lat = 60.00{i}, lon = 10.0, height_m = 3 }}
[[device]]
id = "gas{i}"
station = "st{i}"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
t90_s = 30
resolution = 0.01
range = [0, 20]
period_s = 1
[[device]]
id = "geiger{i}"
station = "st{i}"
driver = "external"
[[device.channel]]
id = "gamma"
quantity = "gamma_count_rate"
unit = "cps"
counting = true
usv_h_per_cps = 0.018
period_s = 1
"""


def is_note(alarm: Alarm) -> bool:
    """Return whether it is for the technician's log only."""
    condition = alarm.condition
    return condition.key.kind is AlarmKind.TECHNICAL and condition.priority is Priority.D


def second_of(rng, second: int) -> list[Reading]:
    """Return what a quiet square says: an offset that follows the day, counts of background."""
    daily = sin(2 * pi * second / DAY_S)
    gas = np.abs(0.03 + 0.01 * daily + 0.02 * rng.standard_normal(STATIONS))
    counts = rng.poisson(6.0 + 0.3 * daily, STATIONS)
    readings = []
    for i in range(STATIONS):
        for k, (channel, value, unit) in enumerate(
            (("cl2", round(float(gas[i]), 2), Unit.PPM), ("gamma", float(counts[i]), Unit.CPS))
        ):
            at_us = START_US + second * US_PER_S + (2 * i + k) * 100_000
            readings.append(
                Reading(
                    station=f"st{i}",
                    channel=channel,
                    time_us=at_us,
                    received_us=at_us,
                    value=value,
                    unit=unit,
                )
            )
    return readings


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param(2, id="two-hours"),
        pytest.param(24, id="day", marks=[pytest.mark.night, pytest.mark.timeout(0)]),
    ],
)
def test_a_quiet_site_raises_nothing_and_does_not_grow(hours):
    text = SITE + "".join(STATION.format(i=i) for i in range(STATIONS))
    config = parse_site(text, Path("site.toml"))
    pipeline = Pipeline(config.model, config.policy)
    pipeline.start(START_US)
    rng = np.random.default_rng(20)
    alarms, estimates, held = [], 0, []
    last_s = hours * 3600
    tracemalloc.start()
    try:
        for second in range(0, last_s, BATCH_S):
            batch = [r for s in range(BATCH_S) for r in second_of(rng, second + s)]
            out = pipeline.step(batch[-1].received_us, batch)
            alarms += out.alarms
            estimates += len(out.estimates)
            if second in {last_s * 3 // 4, last_s - BATCH_S}:
                del out, batch
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    loud = [a for a in alarms if not is_note(a)]
    assert [(a.condition.reason, a.condition.station, a.changed_us) for a in loud] == []
    assert len({a.id for a in alarms}) <= MOST_NOTES_PER_STATION_HOUR * STATIONS * hours
    assert estimates == 2 * STATIONS * last_s
    readings_between = 2 * STATIONS * last_s // 4
    assert held[1] - held[0] < ROOM_BYTES + LEAK_BYTES * readings_between
