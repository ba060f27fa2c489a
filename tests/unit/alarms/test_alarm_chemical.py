import pytest
from unit.alarms.square import INDICATIVE, Square, at, channel, site_model, station

from cbrn_core.alarm import (
    AlarmKind,
    AlarmState,
    Basis,
    Certainty,
    Corroboration,
    Priority,
    Reason,
    Scope,
    mint_alarm_id,
)
from cbrn_core.channel import Technology
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Purpose
from cbrn_gateway.alarms.policy import load_policy


def quiet(square, name, until, value=0.0, start=0):
    for second in range(start, until):
        assert square.estimate(name, second, value) == []


def square_of(*channels, **fields):
    return Square(site_model(list(channels), **fields))


def test_a_single_station_over_aegl_2_alarms_with_the_second_sample():
    square = square_of(channel("st05/cl2", also_answers_to={"no2": 1.0, "o3": 1.0}))
    quiet(square, "st05/cl2", 60)
    square.estimate("st05/cl2", 60, 3.0)
    assert all(a.condition.priority is not Priority.P1 for a in square.published)
    (alarm,) = square.estimate("st05/cl2", 61, 3.1, sigma=0.6, shown=1.4)
    said = alarm.condition
    assert (said.key.kind, said.priority, said.reason) == (
        AlarmKind.SPECIFIC, Priority.P1, Reason.LEVEL,
    )  # fmt: skip
    assert (said.scope, said.certainty, said.corroboration) == (
        Scope.STATION, Certainty.POSSIBLE, Corroboration.SINGLE,
    )  # fmt: skip
    assert said.level == "AEGL-2 10-min concentration (momentary)"
    assert (said.value, said.sigma, said.unit, said.setpoint) == (3.1, 0.6, "ppm", 2.8)
    assert (said.instrument_value, said.basis) == (1.4, Basis.MOMENTARY)
    assert said.candidates == (("cl2", 1.0), ("no2", 1.0), ("o3", 1.0))
    assert said.latching
    assert said.facts["limit_audience"] == "public"
    assert said.facts["limit_unsigned"] is False, "a verified figure needs no signature"
    assert "NRC" in said.facts["limit_source"]
    assert alarm.state is AlarmState.UNACK


def test_one_sample_over_the_level_is_not_an_alarm():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second, value in enumerate([0.0, 3.0, 0.1, 3.0, 0.1, 3.0, 0.1]):
        assert square.estimate("st05/cl2", second, value) == []


def test_the_id_is_of_the_first_evidence_and_lasts():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second, value in enumerate([0.0, 3.0, 3.0, 3.0, 60.0, 60.0]):
        square.estimate("st05/cl2", second, value)
    first = square.published[0]
    assert {a.id for a in square.published} == {mint_alarm_id("gw1", first.condition.key, at(2))}
    assert first.observed_us == at(2)


def test_the_extreme_level_is_the_lower_of_aegl_3_and_idlh_and_sounds_again():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second, value in enumerate([3.0, 3.0, 10.5, 10.5]):
        square.estimate("st05/cl2", second, value)
    raised, escalated = square.published
    assert raised.condition.reason is Reason.LEVEL
    assert escalated.condition.reason is Reason.EXTREME_LEVEL
    assert escalated.condition.level == "IDLH concentration (momentary)"
    assert escalated.condition.setpoint == 10.0
    assert (escalated.version, escalated.annunciate) == (2, True)


def test_an_idlh_below_aegl_2_raises_priority_1_by_itself():
    square = square_of(channel("st05/hf", "hf", lod=0.4))
    square.estimate("st05/hf", 0, 40.0)
    square.estimate("st05/hf", 1, 40.0)
    said = square.only().condition
    assert (said.priority, said.reason, said.setpoint) == (Priority.P1, Reason.EXTREME_LEVEL, 30.0)


@pytest.mark.parametrize(("period_s", "wait_s"), [(1.0, 5.0), (10.0, 20.0)])
def test_a_single_extreme_sample_alarms_after_two_periods_or_five_seconds(period_s, wait_s):
    square = square_of(channel("st05/cl2", period_s=period_s, lod=0.5))
    square.estimate("st05/cl2", 0, 0.0)
    square.estimate("st05/cl2", 10, 60.0)
    assert square.rules.next_deadline() == at(10 + wait_s)
    assert square.advance(10 + wait_s - 0.001) == []
    (alarm,) = square.advance(10 + wait_s)
    assert alarm.condition.priority is Priority.P1
    assert alarm.condition.reason is Reason.EXTREME_LEVEL
    assert alarm.raised_us == at(10 + wait_s)
    assert alarm.condition.facts["single_sample"] is True
    assert square.rules.next_deadline() is None


def test_a_second_sample_takes_the_single_samples_deadline_away():
    square = square_of(channel("st05/cl2", lod=0.5))
    square.estimate("st05/cl2", 0, 60.0)
    assert square.estimate("st05/cl2", 1, 0.0) == []
    assert square.rules.next_deadline() is None
    assert square.advance(60) == []


def test_aegl_1_is_a_notice_of_priority_3():
    square = square_of(channel("st11/nh3", "nh3", lod=1.0))
    square.estimate("st11/nh3", 0, 35.0)
    square.estimate("st11/nh3", 1, 35.0)
    said = square.only().condition
    assert (said.priority, said.reason) == (Priority.P3, Reason.NOTICE_LEVEL)
    assert said.level == "AEGL-1 10-min concentration (momentary)"


def test_aegl_1_below_three_detection_limits_is_inactive_and_listed():
    square = square_of(channel("st01/so2", "so2", lod=0.1))
    square.estimate("st01/so2", 0, 0.3)
    assert square.estimate("st01/so2", 1, 0.3) == []
    (inactive,) = square.rules.inactive_levels()
    assert (inactive.station, inactive.agent, inactive.setpoint) == ("st01", "so2", 0.2)
    assert inactive.level.startswith("AEGL-1")
    assert inactive.reason == "not detectable"


def test_a_noisier_channel_than_declared_loses_its_notice():
    square = square_of(channel("st01/cl2", lod=0.05))
    assert square.rules.inactive_levels() == []
    for second in range(200):
        square.estimate("st01/cl2", second, 0.0, shown=0.3 * (-1) ** second)
    assert [level.reason for level in square.rules.inactive_levels()] == ["not detectable"]


def test_the_first_sample_of_a_rise_is_no_noise_of_the_channel():
    square = square_of(channel("st01/cl2", lod=0.05))
    quiet(square, "st01/cl2", 40)
    square.estimate("st01/cl2", 40, 0.02, shown=9.0)
    quiet(square, "st01/cl2", 140, start=42)
    assert square.rules.inactive_levels() == []


def test_a_channel_of_unknown_noise_learns_what_it_can_judge():
    square = square_of(channel("st01/cl2", lod=None, sigma=None))
    assert square.rules.inactive_levels()[0].reason == "detection limit not known yet"
    for second in range(130):
        square.estimate("st01/cl2", second, 0.0, shown=0.01 * (-1) ** second)
    assert square.rules.inactive_levels() == []


def test_where_aegl_1_is_not_recommended_a_tenth_of_aegl_2_gives_notice():
    square = square_of(channel("st01/ph3", "ph3", lod=0.05))
    square.estimate("st01/ph3", 0, 0.45)
    square.estimate("st01/ph3", 1, 0.45)
    said = square.only().condition
    assert (said.priority, said.setpoint) == (Priority.P3, pytest.approx(0.4))
    assert said.level.startswith("10 % of the AEGL-2")


def test_carbon_monoxide_gives_notice_after_fifteen_minutes_at_sixty():
    square = square_of(channel("st01/co", "co", lod=1.0))
    for second in range(0, 900, 10):
        assert square.estimate("st01/co", second, 65.0) == []
    (alarm,) = square.estimate("st01/co", 900, 65.0)
    assert alarm.condition.priority is Priority.P3
    assert alarm.condition.level == "60 ppm for 15 min"


def test_only_a_running_mean_over_ten_minutes_says_exceeded():
    square = square_of(channel("st06/cl2", lod=0.1))
    quiet(square, "st06/cl2", 700)
    for second in range(700, 700 + 640):
        square.estimate("st06/cl2", second, 3.0)
    momentary, exceeded = square.published
    assert momentary.condition.level == "AEGL-2 10-min concentration (momentary)"
    assert exceeded.condition.level == "AEGL-2 (10 min) exceeded"
    assert exceeded.condition.basis is Basis.RUNNING_MEAN
    assert exceeded.condition.reason is Reason.EXPOSURE_EXCEEDED
    assert exceeded.condition.key == momentary.condition.key
    assert exceeded.condition.value == pytest.approx(2.8, rel=0.01)
    assert exceeded.condition.facts["momentary"] == 3.0
    assert (exceeded.changed_us - at(700)) / 1e6 == pytest.approx(600 * 2.8 / 3.0, abs=12)


def test_a_constant_offset_does_not_add_up_to_an_exposure():
    square = square_of(channel("st06/cl2", lod=0.5))
    quiet(square, "st06/cl2", 3000, value=0.3)
    for second in range(3000, 3605):
        square.estimate("st06/cl2", second, 2.85)
    assert [a.condition.reason for a in square.published] == [Reason.LEVEL]


def test_an_hour_below_the_momentary_level_is_found_by_its_toxic_load():
    square = square_of(channel("st06/cl2", lod=0.1))
    for second in range(0, 3600, 5):
        square.estimate("st06/cl2", second, 2.4)
    exceeded = square.published[-1].condition
    assert exceeded.level == "AEGL-2 (60 min) exceeded"
    assert exceeded.basis is Basis.TOXIC_LOAD
    assert exceeded.priority is Priority.P1


def test_over_range_keeps_the_alarm_and_never_writes_a_number_beyond_the_range():
    square = square_of(channel("st11/nh3", "nh3", lod=1.0, range=(0.0, 300.0)))
    for second in range(3):
        square.estimate("st11/nh3", second, 300.0, flags=(Flag.OVER_RANGE,), shown=300.0)
    for second in range(3, 200):
        square.estimate("st11/nh3", second, 20.0, flags=(Flag.OVER_RANGE,), shown=300.0)
    alarm = square.only()
    assert alarm.state is AlarmState.UNACK
    assert alarm.condition.facts["over_range"] is True
    assert alarm.condition.instrument_value == 300.0


def test_a_sensor_saturated_below_the_level_does_not_exclude_it():
    square = square_of(channel("st11/nh3", "nh3", lod=1.0, range=(0.0, 100.0)))
    for second in range(2):
        square.estimate("st11/nh3", second, 100.0, flags=(Flag.OVER_RANGE,), shown=100.0)
    said = square.only().condition
    assert said.priority is Priority.P1
    assert said.level.endswith("not excluded")


def test_an_indicative_device_says_evolving_priority_2_at_once():
    square = square_of(channel("st05/cl2", grade=INDICATIVE, lod=0.5))
    square.estimate("st05/cl2", 0, 3.0)
    square.estimate("st05/cl2", 1, 3.0)
    said = square.only().condition
    assert (said.key.kind, said.priority, said.reason) == (
        AlarmKind.EVOLVING, Priority.P2, Reason.INDICATIVE_LEVEL,
    )  # fmt: skip
    square.tick(2)
    assert square.only().condition.priority is Priority.P2


def test_an_indicative_device_is_priority_1_when_a_second_station_agrees():
    square = square_of(channel("st05/cl2", grade=INDICATIVE, lod=0.5), channel("st06/cl2", lod=0.5))
    for second in range(2):
        square.estimate("st05/cl2", second, 3.0)
        square.estimate("st06/cl2", second, 3.0)
    (promoted, probable) = square.tick(2)
    assert promoted.condition.station == "st05"
    assert (promoted.condition.priority, promoted.annunciate) == (Priority.P1, True)
    assert probable.condition.certainty is Certainty.PROBABLE


def step(square, name, second, change, height=12.0):
    """One estimate while a step stands: fusion gives the change from the new baseline."""
    return square.estimate(name, second, change, shown=height + change, flags=(Flag.STEP,))


def test_a_step_is_judged_on_its_change_and_named_as_technical():
    square = square_of(channel("st05/cl2", lod=0.5))
    quiet(square, "st05/cl2", 10)
    for second in range(10, 40):
        step(square, "st05/cl2", second, 0.0)
    said = square.only().condition
    assert (said.key.kind, said.reason, said.priority) == (
        AlarmKind.TECHNICAL, Reason.STEP, Priority.P2,
    )  # fmt: skip
    assert (said.facts["jump"], said.facts["jump_s"]) == (pytest.approx(12.0), 1.0)
    step(square, "st05/cl2", 40, 3.5)
    (alarm,) = step(square, "st05/cl2", 41, 3.6)
    said = alarm.condition
    assert (said.priority, said.value, said.instrument_value) == (Priority.P1, 3.6, 15.6)
    assert said.facts["step_stands"] is True


def test_a_step_that_fusion_gives_up_is_gas():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(10):
        step(square, "st05/cl2", second, 0.0)
    for second in range(10, 12):
        square.estimate("st05/cl2", second, 12.0)
    assert Priority.P1 in {a.condition.priority for a in square.published}


def test_a_neighbour_overrides_a_step():
    square = square_of(channel("st05/cl2", lod=0.5), channel("st06/cl2", lod=0.5))
    for second in range(5):
        step(square, "st05/cl2", second, 0.0)
        square.estimate("st06/cl2", second, 4.0)
    levels = [a.condition.station for a in square.published if a.condition.reason is Reason.LEVEL]
    assert levels == ["st06"]
    square.tick(5)
    for second in (6, 7):
        step(square, "st05/cl2", second, 0.0)
    raised = {a.condition.station for a in square.published if a.condition.priority is Priority.P1}
    assert raised == {"st05", "st06"}


def test_the_instruments_own_alarm_overrides_a_step():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(5):
        step(square, "st05/cl2", second, 0.0)
    square.reading("st05/cl2", 5, 12.0, detection=Detection(instrument_alarm=InstrumentAlarm.A1))
    for second in (5, 6):
        step(square, "st05/cl2", second, 0.0)
    assert Priority.P1 in {a.condition.priority for a in square.published}


def test_a_step_never_takes_back_an_alarm_that_was_raised():
    square = square_of(channel("st05/cl2", lod=0.5))
    square.estimate("st05/cl2", 0, 5.0)
    square.estimate("st05/cl2", 1, 5.0)
    for second in range(2, 200):
        step(square, "st05/cl2", second, 0.0, height=5.0)
    assert [a.state for a in square.machine.open_alarms() if a.condition.priority == 1] == [
        AlarmState.UNACK
    ]


def test_the_alarm_returns_after_the_off_delay_and_stays_until_resolved():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(5):
        square.estimate("st05/cl2", second, 4.0)
    for second in range(5, 70):
        square.estimate("st05/cl2", second, 0.1)
    last = square.published[-1]
    assert last.state is AlarmState.RTN_UNACK
    assert (last.changed_us - at(5)) / 1e6 == pytest.approx(60)
    assert not last.condition.active
    assert last.condition.value == 4.0


def test_silence_never_clears_an_alarm():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(5):
        square.estimate("st05/cl2", second, 4.0)
    square.estimate("st05/cl2", 5, 0.1)
    square.apply(square.rules.on_stale(("st05", "cl2"), at(10)), 10)
    square.advance(3600)
    states = {a.condition.key.kind: a.state for a in square.machine.open_alarms()}
    assert states[AlarmKind.SPECIFIC] is AlarmState.UNACK
    square.apply(square.rules.on_fresh(("st05", "cl2"), at(3600)), 3600)
    square.estimate("st05/cl2", 3600, 0.1)
    square.estimate("st05/cl2", 3601, 0.1)
    assert square.machine.open_alarms()[0].state is AlarmState.UNACK
    for second in range(3602, 3665):
        square.estimate("st05/cl2", second, 0.1)
    assert square.machine.open_alarms()[0].state is AlarmState.RTN_UNACK


def test_a_stale_alarm_says_what_is_missing():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(5):
        square.estimate("st05/cl2", second, 4.0)
    square.apply(square.rules.on_stale(("st05", "cl2"), at(20)), 20)
    (alarm,) = [a for a in square.machine.open_alarms() if a.condition.priority == 1]
    assert alarm.condition.missing == ("st05/cl2: no reading for 16 s",)


def test_a_photoionisation_detector_that_cannot_see_chlorine_is_named():
    square = square_of(
        channel("st05/cl2", lod=0.5),
        channel("st05/voc", "voc", technology=Technology.PHOTOIONISATION),
    )
    for second in range(2):
        square.estimate("st05/cl2", second, 4.0)
    (line,) = square.only().condition.cannot_see
    assert line.startswith("st05/voc: photoionisation")


def test_a_cross_sensitive_notice_at_a_station_with_another_gas_is_explained():
    square = square_of(
        channel("st11/nh3", "nh3", lod=1.0),
        channel("st11/h2s", "h2s", lod=0.1, also_answers_to={"nh3": 0.15}),
    )
    for second in range(3):
        square.estimate("st11/nh3", second, 290.0)
    square.tick(3)
    for second in range(3, 8):
        square.estimate("st11/h2s", second, 40.0)
    assert {a.condition.agent for a in square.machine.open_alarms()} == {"nh3"}
    for second in range(8, 10):
        square.estimate("st11/h2s", second, 45.0)
    assert {a.condition.agent for a in square.machine.open_alarms()} == {"nh3", "h2s"}


def test_a_value_that_is_no_number_raises_nothing():
    square = square_of(channel("st05/cl2"))
    for second in range(5):
        assert square.estimate("st05/cl2", second, float("nan")) == []


def test_evidence_of_a_simulated_channel_is_an_exercise_and_a_mark_on_a_real_one_is_counted():
    square = square_of(channel("st05/cl2", lod=0.5), channel("st06/cl2", lod=0.5, simulated=True))
    square.reading("st05/cl2", 0, 4.0, purpose=Purpose.EXERCISE)
    for second in range(2):
        square.estimate("st05/cl2", second, 4.0, purpose=Purpose.EXERCISE)
        square.estimate("st06/cl2", second, 4.0)
    square.tick(2)
    purposes = {a.condition.station: a.condition.purpose for a in square.machine.open_alarms()}
    assert purposes == {"st05": "actual", "st06": "exercise"}
    assert square.rules.counters() == {"purpose_mark_ignored": 1}
    certainties = {a.condition.certainty for a in square.machine.open_alarms()}
    assert certainties == {Certainty.POSSIBLE}
    stations = [{e.station for e in a.condition.evidence} for a in square.machine.open_alarms()]
    assert stations in ([{"st05"}, {"st06"}], [{"st06"}, {"st05"}])


def test_an_alarm_on_a_recalled_figure_says_that_nobody_signed_it():
    square = Square(site_model([channel("st05/so2", "so2")]))
    for second in range(2):
        square.estimate("st05/so2", second, 1.0)
    assert square.only().condition.facts["limit_unsigned"] is True


def test_a_signed_stricter_level_is_used_and_said():
    policy = load_policy(overrides={"cl2": {"level": 1.0, "signed_by": "Head of service"}})
    square = Square(site_model([channel("st05/cl2", lod=0.2)]), policy)
    for second in range(2):
        square.estimate("st05/cl2", second, 1.1)
    said = square.only().condition
    assert (said.setpoint, said.priority) == (1.0, Priority.P1)
    assert said.level.startswith("city's own level")
    assert said.facts["limit_unsigned"] is False


def test_after_a_restart_the_rules_can_clear_an_alarm_from_before():
    before = square_of(channel("st05/cl2", lod=0.5))
    for second in range(5):
        before.estimate("st05/cl2", second, 4.0)
    after = Square(before.model)
    after.machine.rebuild(before.published)
    after.rules.adopt(after.machine.open_alarms())
    for second in range(100, 165):
        after.estimate("st05/cl2", second, 0.1)
    assert after.only().state is AlarmState.RTN_UNACK
    assert after.only().id == before.only().id


def test_a_site_that_is_not_in_service_stands_as_a_technical_alarm_and_still_alarms():
    square = square_of(channel("st05/cl2", lod=0.5), in_service=False)
    assert square.rules.needs_tick
    (standing,) = square.tick(1)
    assert standing.condition.reason is Reason.NOT_IN_SERVICE
    assert standing.condition.scope is Scope.SITE
    assert not square.rules.needs_tick
    for second in range(2):
        square.estimate("st05/cl2", second, 4.0)
    alarm = square.published[-1]
    assert (alarm.condition.priority, alarm.condition.purpose) == (Priority.P1, "actual")
    assert alarm.condition.facts["not_in_service"] is True


def test_a_mass_concentration_agent_is_judged_in_its_own_unit():
    square = square_of(channel("st01/gb", "gb", lod=0.01))
    for second in range(2):
        square.estimate("st01/gb", second, 0.09)
    said = square.only().condition
    assert (said.unit, said.setpoint) == ("mg/m3", 0.087)


def test_a_level_below_the_detection_limit_alarms_from_the_detection_limit():
    square = square_of(channel("st01/gb", "gb", lod=0.095))
    for second in range(3):
        square.estimate("st01/gb", second, 0.09)
    assert square.published == []
    for second in range(3, 5):
        square.estimate("st01/gb", second, 0.096)
    assert square.only().condition.priority is Priority.P1
    assert any("alarms from" in level.reason for level in square.rules.inactive_levels())


def test_stations_of_a_mobile_patrol_carry_their_place():
    patrol = station("p1", mobile=True)
    square = square_of(channel("p1/cl2", lod=0.5), stations=[patrol])
    from cbrn_core.place import Fix

    for second in range(2):
        square.estimate("p1/cl2", second, 4.0, fix=Fix(59.9, 10.7, 12.0))
    assert square.only().condition.place == (59.9, 10.7, 12.0)
