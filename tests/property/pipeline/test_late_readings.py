"""What comes late: told once where it is news, never again where it is history."""

from itertools import groupby

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.gas_and_gamma import START_US, square
from samples.lagged import lagged

from cbrn_core.alarm import Alarm, AlarmKind, AlarmState
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.pipeline.pipeline import Pipeline

BACKGROUND = '{ value = 0.6, sigma = 0.1, from = "2026-05-01", until = "2026-05-08" }'
T90_S = 5
CONFIG = square(t90_s=T90_S, background=f"background = {BACKGROUND}")
QUIET_PPM, GAS_PPM = 0.02, 9.0

phases = st.lists(
    st.tuples(
        st.sampled_from([QUIET_PPM, 3.5, GAS_PPM]),
        st.sampled_from([0.0, 1.0, 300.0]),
        st.sampled_from([InstrumentAlarm.NONE, InstrumentAlarm.NONE, InstrumentAlarm.A2]),
        st.integers(5, 60),
    ),
    min_size=1,
    max_size=4,
)


def gas(second: float, ppm: float, output: InstrumentAlarm = InstrumentAlarm.NONE, *, at=None):
    time_us = START_US + round(second * US_PER_S)
    return Reading(
        station="st1",
        channel="cl2",
        time_us=time_us,
        received_us=time_us if at is None else START_US + round(at * US_PER_S),
        value=ppm,
        unit=Unit.PPM,
        detection=Detection(instrument_alarm=output),
    )


def gamma(second: float, counts: float) -> Reading:
    time_us = START_US + round(second * US_PER_S)
    return Reading(
        station="st2",
        channel="gamma",
        time_us=time_us,
        received_us=time_us,
        value=counts,
        unit=Unit.CPS,
    )


def stream(drawn) -> list[Reading]:
    each = [
        told
        for *told, seconds in [(QUIET_PPM, 1.0, InstrumentAlarm.NONE, 30), *drawn]
        for _ in range(seconds)
    ]
    shown = lagged((ppm for ppm, *_ in each), T90_S)
    return [
        reading
        for second, (ppm, (_, counts, output)) in enumerate(zip(shown, each, strict=True), 1)
        for reading in (gas(second, ppm, output), gamma(second, counts))
    ]


def run(readings: list[Reading], pipeline: Pipeline | None = None) -> list[Alarm]:
    pipeline = pipeline or Pipeline(CONFIG.model, CONFIG.policy)
    pipeline.start(START_US)
    return [a for r in readings for a in pipeline.step(r.received_us, [r]).alarms]


def hazards(alarms: list[Alarm]) -> dict[str, list]:
    """Return what an operator sees of each hazard alarm, without refreshed values."""
    seen: dict[str, list] = {}
    for alarm in alarms:
        condition = alarm.condition
        if condition.key.kind in {AlarmKind.SPECIFIC, AlarmKind.EVOLVING}:
            face = (alarm.state, condition.level, condition.priority, condition.observed_us)
            seen.setdefault(alarm.id, []).append((alarm.changed_us, face))
    return {
        alarm_id: [next(same) for _, same in groupby(faces, lambda timed: timed[1])]
        for alarm_id, faces in seen.items()
    }


def again(reading: Reading, after: Reading) -> Reading:
    """Return a reading that is delivered once more right after another one."""
    return msgspec.structs.replace(reading, received_us=after.received_us)


def test_the_gas_and_the_source_that_are_drawn_do_alarm():
    told = hazards(run(stream([(GAS_PPM, 300.0, InstrumentAlarm.NONE, 30)])))
    assert len(told) == 3


@given(drawn=phases, moments=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40))
@examples(40)
def test_readings_that_are_delivered_once_more_change_no_hazard_alarm(drawn, moments):
    readings = stream(drawn)
    repeats: dict[int, list[Reading]] = {}
    for share, back in moments:
        place = int(share * (len(readings) - 1))
        repeats.setdefault(place, []).append(readings[int(back * place)])
    doubled = [
        one
        for place, reading in enumerate(readings)
        for one in (reading, *(again(old, reading) for old in repeats.get(place, ())))
    ]
    assert hazards(run(doubled)) == hazards(run(readings))


@given(drawn=phases, share=st.floats(0, 1))
@examples(25)
def test_a_whole_history_that_is_delivered_once_more_changes_no_hazard_alarm(drawn, share):
    readings = stream(drawn)
    place = int(share * (len(readings) - 1))
    history = [again(old, readings[place]) for old in readings[: place + 1]]
    doubled = [*readings[: place + 1], *history, *readings[place + 1 :]]
    assert hazards(run(doubled)) == hazards(run(readings))


def quiet(first: int, last: int) -> list[Reading]:
    return [gas(second, QUIET_PPM + 0.01 * (second % 3)) for second in range(first, last)]


def test_gas_that_was_overtaken_on_its_way_is_told_with_the_time_at_which_it_was_measured():
    late = [gas(second, GAS_PPM, at=60) for second in (45, 46, 47)]
    alarms = run([*quiet(1, 40), *quiet(60, 61), *late, *quiet(61, 200)])
    told = [a for a in alarms if a.condition.key.kind is AlarmKind.SPECIFIC]
    assert (told[0].version, told[0].changed_us) == (1, START_US + 60 * US_PER_S)
    assert told[0].condition.observed_us == START_US + 46 * US_PER_S
    assert told[0].condition.priority == 1
    assert told[-1].state is AlarmState.RTN_UNACK


@pytest.mark.parametrize(
    ("seconds", "why"),
    [((45,), "one alone may be a spike"), ((20.5, 21.5, 22.5), "older than half a minute")],
)
def test_other_late_gas_is_kept_and_not_told(seconds, why):
    late = [gas(second, GAS_PPM, at=60) for second in seconds]
    alarms = run([*quiet(1, 40), *quiet(60, 61), *late, *quiet(61, 200)])
    assert [a for a in alarms if a.condition.key.kind is AlarmKind.SPECIFIC] == [], why


def test_a_late_good_reading_ends_nothing():
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    run(stream([(GAS_PPM, 1.0, InstrumentAlarm.NONE, 30)]), pipeline)
    run([gas(30.5 + n / 10, QUIET_PPM, at=60) for n in range(200)], pipeline)
    (alarm,) = [a for a in pipeline.machine.open_alarms() if a.condition.key.agent == "cl2"]
    assert alarm.condition.active


def test_a_late_fault_or_its_end_says_nothing_of_now():
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    run(quiet(1, 40), pipeline)
    faulty = msgspec.structs.replace(gas(10.5, QUIET_PPM, at=41), flags=(Flag.INSTRUMENT_FAULT,))
    assert [a.condition.reason for a in run([faulty], pipeline)] == []


def test_an_output_that_was_never_heard_is_told_however_late_it_comes_and_once_only():
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    run(quiet(1, 600), pipeline)
    late = [gas(second, QUIET_PPM, InstrumentAlarm.A2, at=601) for second in (50.5, 51.5)]
    told = [a for a in run(late, pipeline) if a.condition.key.kind is AlarmKind.SPECIFIC]
    assert [a.version for a in told][:1] == [1]
    assert told[0].condition.observed_us == START_US + round(50.5 * US_PER_S)
    run(quiet(602, 800), pipeline)
    repeated = [msgspec.structs.replace(r, received_us=START_US + 801 * US_PER_S) for r in late]
    assert run(repeated, pipeline) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_an_output_that_has_ended_is_not_told_again(restarted):
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    sounding = [gas(second, 0.3, InstrumentAlarm.A2) for second in range(40, 60)]
    assert run([*quiet(1, 40), *sounding], pipeline) != []
    run(quiet(60, 300), pipeline)
    (alarm,) = [a for a in pipeline.machine.open_alarms() if a.condition.key.agent == "cl2"]
    assert alarm.state is AlarmState.RTN_UNACK
    if restarted:
        after = Pipeline(CONFIG.model, CONFIG.policy)
        after.recall(pipeline.memory(), same_config=True)
        after.machine.rebuild(pipeline.machine.open_alarms())
        after.catch_up(pipeline.machine.open_alarms())
        pipeline = after
    history = [msgspec.structs.replace(r, received_us=START_US + 300 * US_PER_S) for r in sounding]
    told = [a for a in run(history, pipeline) if a.condition.key.agent == "cl2"]
    assert told == []
