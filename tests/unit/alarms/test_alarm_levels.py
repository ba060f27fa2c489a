import pytest

from cbrn_core.agents import AEGL_DURATIONS_MIN, AGENTS, limit
from cbrn_core.alarm import Priority, Reason
from cbrn_core.times import US_PER_S
from cbrn_gateway.alarms.rules.exposure import ExposureMeter, exponent_for, toxic_load_fraction
from cbrn_gateway.alarms.rules.levels import Level, LevelTest


def level_test(setpoint=10.0, *, samples=2, off_delay_s=2.0, hold_s=0.0, deadband=0.2, sigmas=3.0):
    level = Level(
        rank=20,
        reason=Reason.LEVEL,
        words="level",
        setpoint=setpoint,
        priority=Priority.P1,
        samples=samples,
        off_delay_s=off_delay_s,
        hold_s=hold_s,
    )
    return LevelTest(level, deadband, sigmas)


def phases(test, values, sigma=0.0):
    said = []
    for second, value in enumerate(values):
        test.see(value, sigma, second * US_PER_S)
        if test.holding:
            said.append("alarm" if test.active else "leaving")
        else:
            said.append("pending" if test.pending else "normal")
    return said


def test_the_reference_sequence_pends_alarms_holds_and_clears():
    values = [9, 10, 9, 10, 11, 9, 8.1, 7.9, 7.9, 7.9]
    assert phases(level_test(), values) == [
        "normal", "pending", "normal", "pending", "alarm", "alarm", "alarm",
        "leaving", "leaving", "normal",
    ]  # fmt: skip


def test_a_value_back_in_the_deadband_starts_the_off_delay_anew():
    values = [10, 10, 7.9, 8.1, 7.9, 7.9, 7.9]
    assert phases(level_test(), values)[2:] == ["leaving", "alarm", "leaving", "leaving", "normal"]


def test_the_deadband_is_the_greater_of_ten_percent_and_three_sigma_but_at_most_half():
    test = level_test(deadband=0.1)
    assert test.clear_limit(0.1) == pytest.approx(9.0)
    assert test.clear_limit(0.5) == pytest.approx(8.5)
    assert test.clear_limit(5.0) == pytest.approx(5.0)


def test_a_level_that_must_hold_does_not_rise_one_second_early():
    test = level_test(samples=2, hold_s=60)
    assert not any(test.see(11, 0.0, s * US_PER_S) for s in range(60))
    assert test.see(11, 0.0, 60 * US_PER_S)


def test_a_hold_survives_noise_inside_the_deadband_and_not_below_it():
    tolerant, broken = level_test(hold_s=60), level_test(hold_s=60)
    for second in range(60):
        tolerant.see(9.0 if second == 30 else 11, 0.0, second * US_PER_S)
        broken.see(7.0 if second == 30 else 11, 0.0, second * US_PER_S)
    assert tolerant.see(11, 0.0, 60 * US_PER_S)
    assert not broken.see(11, 0.0, 60 * US_PER_S)


def test_the_toxic_load_vector_of_chlorine():
    anchors = [(t, limit("cl2", "AEGL-3", t).value) for t in AEGL_DURATIONS_MIN]
    load = 20.0**2 * 30
    assert [c**2 * t for t, c in anchors] == pytest.approx([25000, 23520, 24000, 24000, 24196.8])
    assert load / (20.0**2 * 60) == pytest.approx(0.5)
    assert toxic_load_fraction(load, anchors, 2) == pytest.approx(0.5102, abs=5e-5)


def test_the_exponent_changes_with_the_duration_where_the_documents_say_so():
    assert exponent_for(AGENTS["cl2"], 10) == 2
    assert exponent_for(AGENTS["cl2"], 480) == 2
    assert exponent_for(AGENTS["co"], 60) is None
    assert exponent_for(AGENTS["ash3"], 30) == 3
    assert exponent_for(AGENTS["ash3"], 480) == 1


def meter_of(values, period_s=1.0, exponent=2.0):
    meter = ExposureMeter(exponent, hold_last_s=60.0)
    for index, value in enumerate(values):
        meter.add(round(index * period_s * US_PER_S), value)
    return meter


def test_the_running_mean_of_a_constant_is_the_constant():
    meter = meter_of([3.0] * 1201)
    assert meter.mean(600) == pytest.approx(3.0, rel=1e-3)
    assert meter.load(1200) == pytest.approx(9.0 * 1200, rel=0.02)
    assert meter.coverage(600) == 1.0


def test_the_running_mean_slides_and_forgets():
    meter = meter_of([0.0] * 600 + [4.0] * 301)
    assert meter.mean(600) == pytest.approx(2.0, rel=0.01)
    meter = meter_of([4.0] * 301 + [0.0] * 595)
    assert meter.mean(600) == pytest.approx(4.0 * 5 / 600, abs=0.03)
    meter = meter_of([4.0] * 10 + [0.0] * 3700)
    assert not meter.is_open


def test_the_mean_does_not_depend_on_the_sampling_period():
    slow, fast = meter_of([3.0] * 61, period_s=10), meter_of([3.0] * 6001, period_s=0.1)
    assert slow.mean(600) == pytest.approx(fast.mean(600), rel=5e-3)


def test_a_gap_is_held_for_a_minute_and_then_unknown():
    meter = ExposureMeter(1.0, hold_last_s=60.0)
    meter.add(0, 5.0)
    meter.add(1 * US_PER_S, 5.0)
    meter.add(301 * US_PER_S, 0.0)
    assert meter.mean(600) == pytest.approx(5.0 * 61 / 600, rel=1e-6)
    assert meter.coverage(600) == pytest.approx(1 - 240 / 600, abs=0.02)


def test_a_sample_that_is_not_later_adds_nothing():
    meter = meter_of([3.0] * 100)
    before = meter.mean(600)
    meter.add(50 * US_PER_S, 1000.0)
    assert meter.mean(600) == before
