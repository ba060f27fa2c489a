"""What instruments and networks should never send neither mutes an alarm nor stops the daemon."""

import msgspec
import pytest
from unit.pipeline.hostile_site import (
    RANGED,
    START_US,
    fed,
    first,
    quiet,
    reading,
    run,
    square,
)

from cbrn_core.reading import Detection, DetectionClass, Flag, InstrumentAlarm, Quality
from cbrn_core.times import seconds_to_us
from cbrn_core.units import Unit
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.pipeline.pipeline import Pipeline
from cbrn_gateway.store.chain import canonical

SITE = square("st1")
HOUR_S = 3600


def rising(start_s: float, seconds: int, most: float = 50.0) -> list:
    """Return a rise as a lag gives it."""
    return [reading(start_s + s, most * (1 - 2.718 ** (-(s + 1) / 13))) for s in range(seconds)]


def set_back(readings: list, by_s: float) -> list:
    by_us = seconds_to_us(by_s)
    return [msgspec.structs.replace(r, time_us=r.time_us - by_us) for r in readings]


def test_one_extreme_sample_after_quiet_ones_alarms_if_nothing_follows():
    alarms = run(SITE, [*quiet(60), reading(60, 50.0)], until_s=80)
    assert first(alarms, "extreme_level") == 65


def test_one_extreme_sample_that_was_a_spike_does_not_alarm():
    after = [reading(61 + s, 0.02) for s in range(10)]
    alarms = run(SITE, [*quiet(60), reading(60, 50.0), *after], until_s=72)
    assert first(alarms, "extreme_level") is None


def test_one_sample_at_the_end_of_a_short_range_alarms_if_nothing_follows():
    site = square("st1", more="range = [0, 5]\nsigma = 0.05")
    assert first(run(site, [*quiet(60), reading(60, 6.0)], until_s=80), "level") == 65


def test_another_instrument_at_the_port_is_a_fault_that_says_its_id():
    fault = Detection(instrument_alarm=InstrumentAlarm.FAULT, text="another instrument")
    flags = (Flag.INSTRUMENT_FAULT, Flag.OTHER_INSTRUMENT)
    other = [
        reading(60 + s, None, flags=flags, quality=Quality.BAD, raw="2108", detection=fault)
        for s in range(3)
    ]
    alarms = run(SITE, [*quiet(60), *other], until_s=70)
    (fault_alarm, *_) = (a for a in alarms if a.condition.reason == "instrument_fault")
    told = render_alert(fault_alarm, SITE.model, SITE.presentation)["properties"]
    assert "another instrument (id 2108) at this port" in told["text"]
    assert told["kind"] == "technical"


def test_over_range_without_a_value_is_the_end_of_the_range():
    over = [reading(60 + s, None, flags=(Flag.OVER_RANGE,), quality=Quality.BAD) for s in range(5)]
    assert first(run(SITE, quiet(60) + over), "extreme_level") is not None


def test_over_range_beside_a_fault_is_a_fault():
    flags = (Flag.OVER_RANGE, Flag.INSTRUMENT_FAULT)
    over = [reading(60 + s, None, flags=flags, quality=Quality.BAD) for s in range(20)]
    alarms = run(SITE, quiet(60) + over)
    assert first(alarms, "extreme_level") is None
    assert first(alarms, "instrument_fault") == 60


def test_over_range_of_a_channel_without_a_range_says_what_the_instrument_shows():
    over = [reading(60 + s, 25.0, flags=(Flag.OVER_RANGE,)) for s in range(8)]
    alarms = run(square("st1", more=""), quiet(60) + over)
    assert first(alarms, "exposure_exceeded") is None
    assert {a.condition.value for a in alarms if a.condition.agent == "cl2"} == {25.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"value": None},
        {"value": 0.02, "quality": Quality.BAD},
        {"value": 0.02, "unit": Unit.M_S},
        {"value": float("nan")},
        {"value": None, "quality": Quality.BAD, "detection": Detection()},
    ],
)
def test_a_channel_that_reports_nothing_of_use_is_as_stale_as_a_silent_one(fields):
    useless = [reading(60 + s, **fields) for s in range(30)]
    alarms = run(SITE, quiet(60) + useless)
    assert first(alarms, "stale") == 64
    back = [reading(90 + s, 0.02) for s in range(3)]
    stale = [a for a in run(SITE, quiet(60) + useless + back) if a.condition.reason == "stale"]
    assert not stale[-1].condition.active


def test_a_channel_that_falls_silent_soon_after_the_start_is_stale_as_soon_as_any():
    site = square("st1", more=RANGED + "\nstale_after_s = 4")
    assert first(run(site, quiet(10), until_s=70), "stale") == 13


def test_an_instrument_may_warm_up_but_not_for_ever():
    warming = [
        reading(s * 10, 0.02, flags=(Flag.WARMING_UP,), quality=Quality.UNCERTAIN)
        for s in range(200)
    ]
    site = square("st1", more=RANGED + "\nstale_after_s = 30")
    assert first(run(site, warming), "stale") == pytest.approx(1830, abs=10)


def test_gas_alarms_at_a_channel_whose_clock_was_set_back_an_hour():
    readings = quiet(60) + set_back([reading(60 + s, 0.02) for s in range(10)], HOUR_S)
    readings += set_back(rising(70, 40), HOUR_S)
    pipeline = Pipeline(SITE.model, SITE.policy)
    alarmed_s = first(fed(pipeline, readings), "extreme_level")
    assert alarmed_s is not None
    assert alarmed_s < 80
    assert pipeline.drops.counts()["clock_set_back"] == 1


def test_a_clock_that_is_set_back_while_gas_stands_neither_clears_nor_doubles_the_alarm():
    gas = rising(60, 60)
    whole = run(SITE, quiet(60) + gas)
    stepped = run(SITE, quiet(60) + gas[:30] + set_back(gas[30:], HOUR_S))
    assert {a.id for a in stepped} == {a.id for a in whole}
    assert all(a.condition.active for a in stepped)


def test_a_repeated_or_an_old_backlog_that_arrives_at_once_or_fast_is_never_judged():
    at_once = [
        reading(60, 50.0, time_us=START_US + seconds_to_us(s), received_us=START_US + 60_000_000)
        for s in range(50)
    ]
    fast = [reading(61 + s / 10, 50.0, time_us=START_US + seconds_to_us(s) + 1) for s in range(29)]
    alarms = run(SITE, quiet(60) + at_once + fast)
    assert {a.condition.reason for a in alarms} <= {"stale"}


@pytest.mark.parametrize(
    "fields",
    [
        {"value": None, "unit": Unit.M_S, "sigma": 0.1},
        {"value": float("inf"), "unit": Unit.DEG_C, "sigma": 0.1},
        {"value": 1.0, "livetime_s": 1e300, "seq": 2**70},
        {"value": 1.0, "livetime_s": -1e300, "seq": -1},
        {"value": 1.0, "time_us": -(2**60)},
        {"value": 1.0, "time_us": 2**60},
        {"value": 1e300, "sigma": 1e300},
    ],
)
def test_no_field_of_a_reading_stops_the_others(fields):
    alarms = run(SITE, [*quiet(10), reading(10, **fields), *rising(12, 30)])
    assert first(alarms, "extreme_level") is not None


@pytest.mark.parametrize(
    "detection",
    [
        Detection(instrument_alarm=InstrumentAlarm.A2, bars=2**70, code=-(2**70)),
        Detection(class_=DetectionClass.NERVE, bars=2**60, agent="not/a name", text="x" * 9999),
        Detection(instrument_alarm=InstrumentAlarm.FAULT, code=2**60, text="\x00"),
    ],
)
def test_every_detection_alarms_and_can_be_journalled(detection):
    alarms = run(SITE, [reading(1, None, detection=detection)])
    assert alarms
    for alarm in alarms:
        assert canonical(render_alert(alarm, SITE.model, SITE.presentation))


def test_names_that_an_instrument_makes_up_do_not_fill_the_list():
    named = (Detection(class_=DetectionClass.NERVE, bars=3, agent=f"agent-{n}") for n in range(200))
    alarms = run(SITE, [reading(n, None, detection=d) for n, d in enumerate(named)])
    assert len({a.id for a in alarms}) <= 17
    assert all(a.condition.priority == 1 for a in alarms)


@pytest.mark.parametrize(
    "fields",
    [
        {"time_us": START_US, "detection": Detection()},
        {"quality": Quality.STALE, "detection": Detection()},
        {"quality": Quality.BAD, "detection": Detection()},
        {"flags": (Flag.INHIBITED,)},
        {"flags": (Flag.WARMING_UP,), "detection": Detection()},
    ],
)
def test_only_fresh_evidence_shows_that_an_instruments_alarm_is_gone(fields):
    output = Detection(instrument_alarm=InstrumentAlarm.A2)
    told = [reading(s, 0.02, detection=output) for s in range(3)]
    after = [reading(3 + s, **({"value": 0.02} | fields)) for s in range(120)]
    alarms = [a for a in run(SITE, told + after) if a.condition.reason == "instrument_alarm"]
    assert all(a.condition.active for a in alarms)
    gone = [reading(3 + s, 0.02) for s in range(120)]
    alarms = [a for a in run(SITE, told + gone) if a.condition.reason == "instrument_alarm"]
    assert not alarms[-1].condition.active


def broken_rule(*_: object) -> list:
    raise ZeroDivisionError


def test_a_defect_in_one_channels_rules_is_told_and_costs_no_other_channel(monkeypatch):
    site = square()
    pipeline = Pipeline(site.model, site.policy)
    rule = pipeline.rules._rules["st2", "cl2"].chemical
    both = [r for s in quiet(20) for r in (s, msgspec.structs.replace(s, station="st2"))]
    with monkeypatch.context() as defect:
        defect.setattr(rule, "on_estimate", broken_rule)
        alarms = fed(pipeline, both)
        assert [a.condition.station for a in alarms] == ["st2"]
        assert "cannot judge" in alarms[0].condition.facts["detail"]
        gas = rising(20, 20)
        assert first(fed(pipeline, gas), "extreme_level") is not None
    again = [reading(40 + s, 0.02, station="st2") for s in range(15)]
    told = [a for a in fed(pipeline, again) if a.condition.reason == "instrument_fault"]
    assert not told[-1].condition.active


def test_a_defect_in_the_filters_costs_the_channel_that_meets_it(monkeypatch):
    site = square()
    pipeline = Pipeline(site.model, site.policy)
    take = pipeline.fusion.bank.take

    def taken(samples):
        if any(sample.slot == 1 for sample in samples):
            raise OverflowError
        return take(samples)

    monkeypatch.setattr(pipeline.fusion.bank, "take", taken)
    pipeline.start(START_US)
    alarms = []
    for r in quiet(20) + rising(20, 20):
        pair = [r, msgspec.structs.replace(r, station="st2")]
        alarms += pipeline.step(r.received_us, pair).alarms
    assert {a.condition.station for a in alarms if a.condition.agent == "cl2"} == {"st1"}
    assert {a.condition.station for a in alarms if a.condition.agent is None} == {"st2"}
