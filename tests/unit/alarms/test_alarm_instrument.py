import pytest
from unit.alarms.square import INDICATIVE, Square, at, channel, site_model

from cbrn_core.alarm import AlarmKind, AlarmState, Basis, Certainty, Corroboration, Priority, Reason
from cbrn_core.channel import Technology
from cbrn_core.reading import Detection, DetectionClass, Flag, InstrumentAlarm, Quality

A1 = Detection(instrument_alarm=InstrumentAlarm.A1)
A2 = Detection(instrument_alarm=InstrumentAlarm.A2)
FAULT = Detection(instrument_alarm=InstrumentAlarm.FAULT, code=17, text="cell end of life")
NONE = Detection()


def square_of(*channels):
    return Square(site_model(list(channels)))


def seen(class_, bars=1, agent=None):
    return Detection(class_=class_, bars=bars, agent=agent)


def test_a_high_alarm_of_the_instrument_is_priority_1_with_its_first_reading():
    square = square_of(channel("st05/cl2"))
    (alarm,) = square.reading("st05/cl2", 0, 0.1, detection=A2)
    said = alarm.condition
    assert (said.priority, said.reason, said.basis) == (
        Priority.P1, Reason.INSTRUMENT_ALARM, Basis.INSTRUMENT_ALARM,
    )  # fmt: skip
    assert (said.key.kind, said.agent, said.latching) == (AlarmKind.SPECIFIC, "cl2", True)


def test_a_low_alarm_is_priority_2():
    square = square_of(channel("st05/cl2"))
    (alarm,) = square.reading("st05/cl2", 0, 0.1, detection=A1)
    assert alarm.condition.priority is Priority.P2


def test_even_a_reading_of_bad_quality_raises_the_instruments_alarm():
    square = square_of(channel("st05/cl2"))
    (alarm,) = square.reading("st05/cl2", 0, None, detection=A2, quality=Quality.BAD)
    assert alarm.condition.priority is Priority.P1


def test_fusion_never_vetoes_the_instruments_alarm():
    square = square_of(channel("st05/cl2"))
    square.reading("st05/cl2", 0, 0.0, detection=A2)
    for second in range(1, 200):
        square.reading("st05/cl2", second, 0.0, detection=A2)
        square.estimate("st05/cl2", second, 0.0)
    assert square.only().state is AlarmState.UNACK


@pytest.mark.parametrize("class_", ["nerve", "blister", "blood", "choking"])
def test_one_bar_of_a_warfare_class_is_priority_1(class_):
    square = square_of(channel("st01/ims", "voc", technology=Technology.ION_MOBILITY))
    (alarm,) = square.reading("st01/ims", 0, None, detection=seen(DetectionClass(class_)))
    assert alarm.condition.priority is Priority.P1
    assert (alarm.condition.reason, alarm.condition.agent) == (Reason.CLASS_DETECTION, class_)
    assert alarm.condition.facts["detection_class"] == class_


@pytest.mark.parametrize("class_", ["tic", "explosive", "other"])
def test_other_classes_are_priority_2(class_):
    square = square_of(channel("st01/ims", "voc"))
    (alarm,) = square.reading("st01/ims", 0, None, detection=seen(DetectionClass(class_), 8))
    assert alarm.condition.priority is Priority.P2


def test_a_biological_trigger_is_evolving_and_never_priority_1():
    square = square_of(channel("st09/bio", "bio_fluorescent_count"))
    both = Detection(
        class_=DetectionClass.BIO_TRIGGER,
        bars=8,
        agent="anthrax",
        instrument_alarm=A2.instrument_alarm,
    )
    (alarm,) = square.reading("st09/bio", 0, 900.0, detection=both)
    said = alarm.condition
    assert (said.key.kind, said.priority, said.hazard) == (
        AlarmKind.EVOLVING, Priority.P2, "biological",
    )  # fmt: skip
    assert "anthrax" not in repr(said)


def test_no_bars_and_no_output_is_no_alarm():
    square = square_of(channel("st01/ims", "voc"))
    assert square.reading("st01/ims", 0, None, detection=seen(DetectionClass.NERVE, 0)) == []


def test_a_named_agent_is_the_alarms_agent():
    square = square_of(channel("st01/ims", "voc"))
    (alarm,) = square.reading("st01/ims", 0, None, detection=seen(DetectionClass.NERVE, 3, "gb"))
    assert alarm.condition.key.agent == "gb"
    assert alarm.condition.facts["bars"] == 3


def test_the_output_gone_for_the_off_delay_returns_the_alarm_and_latches_it():
    square = square_of(channel("st05/cl2"))
    square.reading("st05/cl2", 0, 0.1, detection=A2)
    for second in range(1, 62):
        square.reading("st05/cl2", second, 0.0, detection=NONE)
    assert square.only().state is AlarmState.RTN_UNACK


def test_readings_without_any_output_also_show_that_it_is_gone():
    square = square_of(channel("st05/cl2"))
    square.reading("st05/cl2", 0, 0.1, detection=A2)
    for second in range(1, 62):
        square.reading("st05/cl2", second, 0.0)
    assert square.only().state is AlarmState.RTN_UNACK


@pytest.mark.parametrize("blind", [{"quality": Quality.BAD}, {"detection": FAULT}])
def test_a_blind_instrument_never_clears_its_alarm(blind):
    square = square_of(channel("st05/cl2"))
    square.reading("st05/cl2", 0, 0.1, detection=A2)
    for second in range(1, 300):
        square.reading("st05/cl2", second, 0.0, **blind)
    (alarm,) = [a for a in square.machine.open_alarms() if a.condition.priority is Priority.P1]
    assert alarm.state is AlarmState.UNACK


def test_a_level_that_clears_leaves_the_alarm_to_the_instruments_output():
    square = square_of(channel("st05/cl2", lod=0.5))
    for second in range(3):
        square.estimate("st05/cl2", second, 4.0)
    square.reading("st05/cl2", 3, 4.0, detection=A2)
    for second in range(4, 100):
        square.reading("st05/cl2", second, 0.0, detection=A2)
        square.estimate("st05/cl2", second, 0.0)
    alarm = square.only()
    assert (alarm.state, alarm.condition.reason) == (AlarmState.UNACK, Reason.INSTRUMENT_ALARM)


def test_an_indicative_devices_own_alarm_is_evolving_priority_2():
    square = square_of(channel("st05/cl2", grade=INDICATIVE))
    (alarm,) = square.reading("st05/cl2", 0, 0.1, detection=A2)
    assert alarm.condition.key.kind is AlarmKind.EVOLVING
    assert alarm.condition.priority is Priority.P2


def test_two_technologies_without_a_shared_interferent_make_it_probable():
    square = square_of(
        channel("st05/hcn", "hcn", lod=0.2),
        channel("st05/ims", "voc", technology=Technology.ION_MOBILITY),
    )
    square.reading("st05/ims", 0, None, detection=seen(DetectionClass.BLOOD, 2))
    for second in range(2):
        square.estimate("st05/hcn", second, 20.0)
    square.tick(2)
    for alarm in square.machine.open_alarms():
        assert alarm.condition.certainty is Certainty.PROBABLE
        assert alarm.condition.corroboration is Corroboration.INSTRUMENT
        assert alarm.condition.facts["technologies"] == 2


def test_two_cells_with_a_shared_interferent_stay_possible():
    interferent = {"o3": 1.0}
    square = square_of(
        channel("st05/a", "cl2", lod=0.5, also_answers_to=interferent),
        channel("st05/b", "cl2", lod=0.5, also_answers_to=interferent,
                technology=Technology.SEMICONDUCTOR),
    )  # fmt: skip
    for second in range(2):
        square.estimate("st05/a", second, 4.0)
        square.estimate("st05/b", second, 4.0)
    square.tick(2)
    assert {a.condition.certainty for a in square.machine.open_alarms()} == {Certainty.POSSIBLE}


def test_a_fault_is_technical_with_the_instruments_own_words():
    square = square_of(channel("st05/cl2"))
    (alarm,) = square.reading("st05/cl2", 0, None, detection=FAULT, quality=Quality.BAD)
    said = alarm.condition
    assert (said.key.kind, said.reason, said.hazard) == (
        AlarmKind.TECHNICAL, Reason.INSTRUMENT_FAULT, "technical",
    )  # fmt: skip
    assert (said.facts["fault_code"], said.facts["detail"]) == (17, "cell end of life")


@pytest.mark.parametrize(
    ("flag", "reason", "priority"),
    [
        (Flag.INSTRUMENT_FAULT, Reason.INSTRUMENT_FAULT, Priority.P3),
        (Flag.INHIBITED, Reason.INSTRUMENT_INHIBITED, Priority.P3),
        (Flag.STUCK, Reason.STUCK, Priority.P3),
        (Flag.SPIKE, Reason.SPIKE, Priority.D),
    ],
)
def test_flags_become_technical_alarms(flag, reason, priority):
    square = square_of(channel("st05/cl2"))
    (alarm,) = square.reading("st05/cl2", 0, 0.0, flags=(flag,))
    assert (alarm.condition.reason, alarm.condition.priority) == (reason, priority)
    assert alarm.annunciate is (priority is not Priority.D)


def test_a_fault_that_stands_is_said_once():
    square = square_of(channel("st05/cl2"))
    for second in range(100):
        square.reading("st05/cl2", second, 0.0, flags=(Flag.INSTRUMENT_FAULT,))
    assert len(square.published) == 1


def test_a_diagnostic_spike_comes_and_goes_without_a_person():
    square = square_of(channel("st05/cl2"))
    square.estimate("st05/cl2", 0, 0.0, flags=(Flag.SPIKE,))
    square.estimate("st05/cl2", 1, 0.0)
    square.advance(62)
    assert [a.state for a in square.published] == [AlarmState.UNACK, AlarmState.NORMAL]


def test_spikes_that_follow_one_another_are_one_alarm():
    square = square_of(channel("st05/cl2"))
    for second in range(0, 120, 10):
        square.estimate("st05/cl2", second, 0.0, flags=(Flag.SPIKE,))
        square.estimate("st05/cl2", second + 1, 0.0)
    square.advance(119)
    assert [a.state for a in square.published] == [AlarmState.UNACK]


def test_a_spike_is_shown_as_it_was_and_not_as_the_sample_after_it():
    square = square_of(channel("st05/cl2"))
    square.estimate("st05/cl2", 0, 0.0)
    square.estimate("st05/cl2", 1, 0.01, shown=9.0)
    square.estimate("st05/cl2", 2, 0.0, flags=(Flag.SPIKE,))
    (alarm,) = square.published
    said = alarm.condition
    assert (said.value, said.instrument_value) == (9.0, 9.0)
    assert alarm.observed_us == at(1)
    assert [item.value for item in said.evidence] == [9.0]


def test_a_silent_channel_is_stale_and_a_fresh_reading_ends_that():
    square = square_of(channel("st05/cl2"), channel("st05/nh3", "nh3"))
    square.estimate("st05/cl2", 0, 0.0)
    (alarm,) = square.apply(square.rules.on_stale(("st05", "cl2"), at(5)), 5)
    assert (alarm.condition.priority, alarm.condition.facts["silent_s"]) == (Priority.P3, 5)
    (other,) = square.apply(square.rules.on_stale(("st05", "nh3"), at(6)), 6)
    assert other.incident == alarm.incident
    (back,) = square.apply(square.rules.on_fresh(("st05", "cl2"), at(9)), 9)
    assert back.state is AlarmState.RTN_UNACK


def test_rules_ignore_channels_they_do_not_know():
    square = square_of(channel("st05/cl2"))
    stranger = channel("st09/xx")
    assert square.rules.on_stale(("a", "b"), 0) == []
    assert square.rules.on_fresh(("a", "b"), 0) == []
    estimate = square.make_estimate("st05/cl2", 0, 9.0)
    import msgspec

    lost = msgspec.structs.replace(estimate, station="st09", channel="xx")
    assert square.rules.on_estimate(lost, 0) == []
    assert stranger.key not in square.model.channels
