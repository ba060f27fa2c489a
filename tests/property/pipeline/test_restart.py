"""A restart at any moment changes nothing: the same alarms, raised once, with the same lives."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples.examples import examples
from samples.gas_and_gamma import START_US, square

from cbrn_core.errors import InputError
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.pipeline.pipeline import Pipeline

BACKGROUND = '{ value = 0.6, sigma = 0.1, from = "2026-05-01", until = "2026-05-08" }'
CONFIG = square(t90_s=5, background=f"background = {BACKGROUND}")

AFTERWARDS = (0.02, 1.0, 140)
"""Longer than any alarm takes to clear."""

phases = st.lists(
    st.tuples(
        st.sampled_from([0.02, 0.4, 3.5, 9.0, 25.0]),
        st.sampled_from([0.0, 1.0, 6.0, 300.0]),
        st.integers(1, 40),
    ),
    min_size=2,
    max_size=6,
)


def readings_of(drawn) -> list[Reading]:
    readings: list[Reading] = []
    now_us = START_US
    for gas_ppm, counts, seconds in drawn:
        for second in range(seconds):
            now_us += US_PER_S
            wobble = 0.01 * (second % 3)
            for station, channel, value, unit in (
                ("st1", "cl2", gas_ppm + wobble, Unit.PPM),
                ("st2", "gamma", counts, Unit.CPS),
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


def fed(pipeline: Pipeline, readings: list[Reading], start_us: int = START_US) -> list:
    pipeline.start(start_us)
    alarms = []
    for reading in readings:
        alarms += pipeline.step(reading.received_us, [reading]).alarms
    return alarms


def restarted(readings: list[Reading], remembered: int, crashed: int) -> list:
    """Return every version of a run that remembered, went on, died and was started again."""
    before = Pipeline(CONFIG.model, CONFIG.policy)
    alarms = fed(before, readings[:remembered])
    memory = before.memory()
    alarms += fed(before, readings[remembered:crashed])
    after = Pipeline(CONFIG.model, CONFIG.policy)
    after.recall(memory, same_config=True)
    newest = {alarm.id: alarm for alarm in alarms}.values()
    after.machine.rebuild(newest)
    after.rules.adopt(newest)
    after.hear_again(readings[remembered:crashed])
    missed = after.catch_up(newest).alarms
    assert [alarm.id for alarm in missed if alarm.version == 1] == []
    crashed_us = readings[crashed - 1].received_us if crashed else START_US
    return alarms + missed + fed(after, readings[crashed:], crashed_us)


def escalations(alarms: list) -> dict[str, list]:
    """Return what sounded of each alarm and was worse than all before.

    How it clears may differ: off-delays are counted anew after a restart, so that a worse
    level stands for longer and a lesser one behind it need not sound.
    """
    heard: dict[str, list] = {alarm.id: [] for alarm in alarms}
    for alarm in alarms:
        said = alarm.condition
        rank = (-said.priority, said.facts.get("level_rank", 0))
        if alarm.annunciate and all(rank > before for before, *_ in heard[alarm.id]):
            heard[alarm.id].append((rank, said.level, said.certainty))
    return heard


def ends(alarms: list) -> dict[str, tuple]:
    """Return how each alarm stands in the end."""
    return {alarm.id: (alarm.state, alarm.condition.priority) for alarm in alarms}


@given(drawn=phases, remembered=st.floats(0, 1), lost=st.floats(0, 1))
@example(drawn=[(0.02, 0.0, 2), (3.5, 0.0, 1), (0.02, 0.0, 2)], remembered=1.0, lost=0.5)
@example(drawn=[(0.02, 300.0, 1), (0.02, 0.0, 21), (0.02, 0.0, 40)], remembered=1.0, lost=0.5)
@example(drawn=[(25.0, 0.0, 2), (0.02, 0.0, 21), (3.5, 0.0, 40)], remembered=1.0, lost=1.0)
@example(drawn=[(0.02, 300.0, 2), (0.02, 0.0, 2), (0.02, 6.0, 27)], remembered=0.0, lost=1.0)
@example(drawn=[(0.02, 0.0, 33), (9.0, 0.0, 1), (25.0, 0.0, 29)], remembered=0.0, lost=1.0)
@examples(40)
def test_a_restart_at_any_moment_sounds_the_same_alarms_and_ends_the_same(drawn, remembered, lost):
    crashed = int(lost * len(readings_of(drawn)))
    at = int(remembered * crashed)
    readings = readings_of([*drawn, AFTERWARDS])
    whole = fed(Pipeline(CONFIG.model, CONFIG.policy), readings)
    found = restarted(readings, at, crashed)
    assert escalations(found) == escalations(whole)
    assert ends(found) == ends(whole)


@given(drawn=phases, lost=st.floats(0, 1))
@examples(30)
def test_what_the_journal_never_got_is_published_after_the_restart(drawn, lost):
    readings = readings_of(drawn)
    crashed = int(lost * len(readings))
    whole = fed(Pipeline(CONFIG.model, CONFIG.policy), readings[:crashed])
    after = Pipeline(CONFIG.model, CONFIG.policy)
    after.hear_again(readings[:crashed])
    caught_up = after.catch_up([]).alarms
    due = [alarm for alarm in whole if alarm.condition.channel is not None]
    assert {alarm.id for alarm in caught_up} >= {alarm.id for alarm in due}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_memory_or_a_typed_error(memory):
    with pytest.raises(InputError):
        Pipeline(CONFIG.model, CONFIG.policy).recall(memory, same_config=True)
