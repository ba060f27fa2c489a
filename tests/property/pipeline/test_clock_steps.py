"""A machine whose clock is set by an hour goes on alarming, and raises nothing for it."""

from itertools import accumulate, groupby, pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.gas_and_gamma import START_US, square
from samples.lagged import lagged

from cbrn_core.alarm import AlarmKind
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.pipeline.pipeline import Pipeline

BACKGROUND = '{ value = 0.6, sigma = 0.1, from = "2026-05-01", until = "2026-05-08" }'
T90_S = 5
CONFIG = square(t90_s=T90_S, background=f"background = {BACKGROUND}")
HOUR_US = 3600 * US_PER_S

phases = st.lists(
    st.tuples(st.sampled_from([0.02, 3.5, 9.0]), st.sampled_from([0, 1, 300]), st.integers(20, 40)),
    min_size=1,
    max_size=4,
)


def readings_of(drawn) -> list[Reading]:
    readings: list[Reading] = []
    now_us = START_US
    each = [told for *told, seconds in [(0.02, 1, 30), *drawn] for _ in range(seconds)]
    shown = lagged((gas_ppm for gas_ppm, _ in each), T90_S)
    for gas_ppm, (_, counts) in zip(shown, each, strict=True):
        now_us += US_PER_S
        for station, channel, value, unit in (
            ("st1", "cl2", gas_ppm, Unit.PPM),
            ("st2", "gamma", float(counts), Unit.CPS),
        ):
            readings.append(
                Reading(
                    station=station,
                    channel=channel,
                    time_us=now_us,
                    received_us=now_us,
                    value=value,
                    unit=unit,
                )
            )
    return readings


def test_the_gas_and_the_source_that_are_drawn_do_alarm():
    told = lives(readings_of([(9.0, 300, 30)]))
    assert {key.agent for key in told} == {"cl2", "gamma"}


def with_clock_set(readings: list[Reading], at: int, by_us: int) -> list[Reading]:
    moved = [msgspec.structs.replace(r, time_us=r.time_us + by_us) for r in readings[at:]]
    return [*readings[:at], *moved]


def lives(readings: list[Reading]) -> dict[tuple, list]:
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    pipeline.start(START_US)
    seen: dict[tuple, list] = {}
    for reading in readings:
        for alarm in pipeline.step(reading.received_us, [reading]).alarms:
            condition = alarm.condition
            if condition.key.kind in {AlarmKind.SPECIFIC, AlarmKind.EVOLVING}:
                face = (alarm.state, condition.level, condition.priority)
                seen.setdefault(condition.key, []).append(face)
    return {key: [face for face, _ in groupby(faces)] for key, faces in seen.items()}


def moments(drawn) -> list[int]:
    """Return the seconds at which nothing else happens: 5 s after a change or 10 s before one."""
    starts = [0, *accumulate([30, *(seconds for *_, seconds in drawn)])]
    return [s for start, end in pairwise(starts) for s in range(start + 5, end - 10)]


@given(drawn=phases, share=st.floats(0, 0.999), by_us=st.sampled_from([HOUR_US, -HOUR_US]))
@examples(25)
def test_a_clock_that_is_set_by_an_hour_changes_no_alarm(drawn, share, by_us):
    readings = readings_of(drawn)
    quiet = moments(drawn)
    at = 2 * quiet[int(share * len(quiet))]
    assert lives(with_clock_set(readings, at, by_us)) == lives(readings)


@given(drawn=phases, share=st.floats(0, 1), by_us=st.sampled_from([HOUR_US, -HOUR_US]))
@examples(25)
def test_a_clock_that_is_set_at_any_moment_mutes_no_alarm(drawn, share, by_us):
    readings = readings_of(drawn)
    at = 2 * int(share * len(readings) / 2)
    plain, stepped = lives(readings), lives(with_clock_set(readings, at, by_us))
    for key, faces in plain.items():
        assert min(f[2] for f in stepped[key]) <= min(f[2] for f in faces), key
