"""A new configuration between any two readings costs nothing that it does not concern."""

from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.gas_and_gamma import (
    GAMMA_STATION,
    GAS_STATION,
    HEAD,
    START_US,
    gamma,
    gas,
    square,
)

from cbrn_core.alarm import AlarmState, Command, Reason
from cbrn_core.reading import Flag, Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.pipeline.pipeline import Ordered, Pipeline, StepOutput

BACKGROUND = 'background = { value = 0.6, sigma = 0.1, from = "2026-05-01", until = "2026-05-08" }'
CONFIG = square(t90_s=5, background=BACKGROUND)
LEARNING = square(t90_s=5)
OTHERWISE = HEAD + GAMMA_STATION + GAS_STATION
GUEST = """
[[device]]
id = "guest{n}"
station = "st2"
driver = "external"
[[device.channel]]
id = "guest{n}"
quantity = "{quantity}"
unit = "{unit}"
period_s = 30
"""
KINDS = {"nh3": "ppm", "wind_speed": "m/s", "pm10": "ug/m3", "air_temperature": "degC"}


def site(*, gas_name: str, guests: list[str], turned: bool):
    """Return the square with guests, its instruments before or behind them."""
    shown = [GUEST.format(n=n, quantity=kind, unit=KINDS[kind]) for n, kind in enumerate(guests)]
    own = [gas(5, gas_name), gamma(BACKGROUND)]
    parts = [*own[::-1], *shown] if turned else [*shown, *own]
    return parse_site(OTHERWISE + "".join(parts), Path("site.toml"))


phases = st.lists(
    st.tuples(
        st.sampled_from([None, 0.02, 0.4, 1.2, 3.5, 9.0, 25.0]),
        st.sampled_from([None, 0.0, 1.0, 6.0, 300.0]),
        st.integers(1, 40),
        st.sampled_from([(), (), (), (Flag.INSTRUMENT_FAULT,), (Flag.WARMING_UP,)]),
        st.sampled_from([None, None, "ack", "shelve"]),
    ),
    min_size=2,
    max_size=6,
)
others = st.lists(
    st.fixed_dictionaries(
        {
            "gas_name": st.sampled_from(["d1", "renamed"]),
            "guests": st.lists(st.sampled_from(sorted(KINDS)), max_size=3),
            "turned": st.booleans(),
        }
    ),
    min_size=1,
    max_size=4,
)


def seconds_of(drawn) -> list[tuple[int, list[Reading], str | None]]:
    """Return (time, readings, order) of each second; None is silence."""
    told = []
    now_us = START_US
    for gas_ppm, counts, seconds, flags, order in drawn:
        for second in range(seconds):
            now_us += US_PER_S
            wobble = 0.01 * (second % 3)
            readings = []
            if gas_ppm is not None:
                value = gas_ppm + wobble
                readings.append(reading("st1", "cl2", value, Unit.PPM, now_us, flags))
            if counts is not None:
                readings.append(reading("st2", "gamma", counts, Unit.CPS, now_us, ()))
            told.append((now_us, readings, order if second == 0 else None))
    return told


def reading(station, channel, value, unit, now_us, flags) -> Reading:
    return Reading(
        station=station,
        channel=channel,
        time_us=now_us,
        received_us=now_us,
        value=value,
        unit=unit,
        flags=flags,
    )


def run(seconds, first, changes) -> StepOutput:
    """Return all that a pipeline says that is changed at each of `changes` (second → config)."""
    pipeline = Pipeline(first.model, first.policy)
    pipeline.start(START_US)
    said = StepOutput()
    for number, (now_us, readings, order) in enumerate(seconds):
        if number in changes:
            config = changes[number]
            add(said, pipeline.reconfigure(config.model, config.policy))
        add(said, pipeline.step(now_us, [*readings, *ordered(pipeline, order, now_us)]))
    end_us = seconds[-1][0] + 400 * US_PER_S
    add(said, pipeline.step(end_us, []))
    return said


def ordered(pipeline, verb, now_us) -> list[Ordered]:
    """Return an order to the oldest open alarm, where there is one."""
    alarms = pipeline.machine.open_alarms()
    if verb is None or not alarms:
        return []
    command = Command(verb=verb, actor="anna", alarm_id=alarms[0].id, text="test", duration_s=60.0)
    return [Ordered(now_us, command)]


def add(said: StepOutput, out: StepOutput) -> None:
    said.readings += out.readings
    said.estimates += out.estimates
    said.alarms += out.alarms
    said.rereads += out.rereads
    said.answers += out.answers


def moments(seconds, shares) -> list[int]:
    return [int(share * (len(seconds) - 1)) for share in shares]


def lives(alarms: list) -> dict[str, list]:
    """Return what an operator sees of each alarm, without refreshed values."""
    seen: dict[str, list] = {}
    for alarm in alarms:
        condition = alarm.condition
        face = (alarm.state, condition.level, condition.priority, condition.missing)
        seen.setdefault(alarm.id, []).append((alarm.changed_us, face))
    return {
        alarm_id: [next(same) for _, same in groupby(faces, lambda timed: timed[1])]
        for alarm_id, faces in seen.items()
    }


@given(
    drawn=phases,
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    learning=st.booleans(),
)
@examples(60)
def test_an_equal_configuration_at_any_moment_changes_no_alarm_and_no_estimate(
    drawn, shares, learning
):
    seconds = seconds_of(drawn)
    config = LEARNING if learning else CONFIG
    changes = dict.fromkeys(moments(seconds, shares), config)
    changed, whole = run(seconds, config, changes), run(seconds, config, {})
    assert changed.alarms == whole.alarms
    assert changed.estimates == whole.estimates
    assert changed == whole


@given(drawn=phases, chosen=others, shares=st.lists(st.floats(0, 1), min_size=4, max_size=4))
@examples(60)
def test_guests_new_names_and_another_order_change_no_alarm_and_no_estimate_of_the_others(
    drawn, chosen, shares
):
    first = site(gas_name="d1", guests=[], turned=False)
    seconds = seconds_of(drawn)
    configs = [site(**one) for one in chosen]
    changes = dict(zip(moments(seconds, shares), configs, strict=False))
    whole, changed = run(seconds, first, {}), run(seconds, first, changes)
    assert changed.estimates == whole.estimates
    of_guests = ("guest0", "guest1", "guest2")
    own = [
        alarm
        for alarm in changed.alarms
        if alarm.condition.channel not in of_guests
        and alarm.condition.reason is not Reason.COVERAGE_LOST  # a guest makes a second sensor
    ]
    assert lives(own) == lives(whole.alarms)


@given(drawn=phases, share=st.floats(0, 1))
@examples(40)
def test_no_open_hazard_alarm_ends_because_its_channel_is_taken_out(drawn, share):
    without = parse_site(OTHERWISE + gamma(BACKGROUND), Path("site.toml"))
    seconds = seconds_of(drawn)
    (moment,) = moments(seconds, [share])
    before = run_until(seconds[:moment], CONFIG)
    stood = {a.id for a in before.machine.open_alarms() if a.condition.key.agent == "cl2"}
    said = before.reconfigure(without.model, without.policy)
    for now_us, readings, _ in seconds[moment:]:
        add(said, before.step(now_us, readings))
    assert stood <= {a.id for a in before.machine.open_alarms()}
    assert AlarmState.NORMAL not in {a.state for a in said.alarms if a.id in stood}


def run_until(seconds, config) -> Pipeline:
    pipeline = Pipeline(config.model, config.policy)
    pipeline.start(START_US)
    for now_us, readings, _ in seconds:
        pipeline.step(now_us, readings)
    return pipeline


QUIET = (0.02, 1.0, 30, (), None)
TOLD = {
    "a single extreme sample, then silence": ([QUIET, (15.0, 1.0, 1, (), None)], None),
    "a single sample that stands out": ([QUIET, (9.0, 1.0, 1, (), None), QUIET], None),
    "a background that is being learnt": (
        [(0.02, 1.0, 650, (), None), (0.02, 6.0, 90, (), None)],
        7,
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_pending_is_said_just_the_same(name):
    drawn, moments_kept = TOLD[name]
    seconds = seconds_of(drawn)
    whole = run(seconds, LEARNING, {})
    assert [a for a in whole.alarms if a.condition.station is not None] != []
    step = max(1, len(seconds) // moments_kept) if moments_kept else 1
    for moment in range(0, len(seconds), step):
        assert run(seconds, LEARNING, {moment: LEARNING}) == whole


def test_a_single_extreme_sample_alarms_also_under_new_limits():
    seconds = seconds_of([QUIET, (15.0, 1.0, 1, (), None), (None, 1.0, 20, (), None)])
    stricter = parse_site(
        OTHERWISE + gas(5) + gamma(BACKGROUND) + "[alarms.overrides.cl2]\nlevel = 1.0\n",
        Path("site.toml"),
    )
    for config in (CONFIG, stricter):
        said = run(seconds, CONFIG, {31: config})
        (raised,) = [a for a in said.alarms if a.condition.agent == "cl2" and a.version == 1]
        assert raised.condition.facts["single_sample"] is True


def test_of_a_channel_taken_out_the_hazard_stays_and_the_fault_ends():
    faulty = (25.0, 1.0, 5, (Flag.INSTRUMENT_FAULT,), None)
    pipeline = run_until(seconds_of([QUIET, (25.0, 1.0, 5, (), None), faulty]), CONFIG)
    without = parse_site(OTHERWISE + gamma(BACKGROUND), Path("site.toml"))
    said = pipeline.reconfigure(without.model, without.policy)
    later = pipeline.step(pipeline.now_us + 60 * US_PER_S, [])
    told = {a.condition.key.agent: a for a in (*said.alarms, *later.alarms)}
    assert told["cl2"].state is AlarmState.UNACK
    assert told["cl2"].condition.missing == ("st1/cl2: not watched any more as configured",)
    assert told["instrument_fault"].state is AlarmState.RTN_UNACK
