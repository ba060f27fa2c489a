"""Gas that comes anew while the exposure to an earlier release still stands."""

from unit.pipeline.hostile_site import START_US, fed, reading, square

from cbrn_core.alarm import Alarm, AlarmState, Reason
from cbrn_gateway.alarms.texts import describe
from cbrn_gateway.pipeline.pipeline import Pipeline

SITE = square("st1", more="range = [0, 20]\nt90_s = 1\nsigma = 0.05")
FIRST_S, QUIET_S = 200, 650
AGAIN_AT_S = FIRST_S + QUIET_S
WITHIN_S = 15.0
LEVEL = "AEGL-2 10-min concentration (momentary)"


def told_of_gas(*again: tuple[float, int]) -> list[Alarm]:
    """Return what is told once there has been gas, none for a while, and `again` (ppm, s)."""
    phases = [(12.0, FIRST_S), (0.02, QUIET_S), *again]
    values = [ppm for ppm, lasts_s in phases for _ in range(lasts_s)]
    alarms = fed(Pipeline(SITE.model, SITE.policy), [reading(s, v) for s, v in enumerate(values)])
    return [alarm for alarm in alarms if alarm.condition.agent == "cl2"]


def after_s(alarm: Alarm) -> float:
    return (alarm.changed_us - START_US) / 1e6 - AGAIN_AT_S


def test_the_mean_over_half_an_hour_stands_alone_when_it_comes():
    before = [alarm for alarm in told_of_gas((6.0, 60)) if after_s(alarm) < 0][-1].condition
    assert before.reason is Reason.EXPOSURE_EXCEEDED
    assert LEVEL not in before.facts["also_above"]


def test_it_sounds_again_at_its_second_sample():
    sounds = [alarm for alarm in told_of_gas((6.0, 60)) if after_s(alarm) >= 0 and alarm.annunciate]
    again = sounds[0]
    assert len(sounds) == 1
    assert after_s(again) <= 2.0
    assert again.state is AlarmState.UNACK
    assert LEVEL in again.condition.facts["also_above"]
    assert again.condition.instrument_value == 6.0


def test_its_text_gives_what_is_there_now_beside_the_mean():
    again = [alarm for alarm in told_of_gas((6.0, 60)) if alarm.annunciate][-1]
    words = describe(again, SITE.model)
    assert f"Now 6.1 ppm and rising, above {LEVEL}; instrument shows 6.0 ppm." in words.text
    assert "now 6.1 ppm" in words.read_aloud
    assert "expected final value" not in words.text


def test_nothing_is_told_where_no_level_is_reached_again():
    assert [alarm for alarm in told_of_gas((0.02, 60)) if 0 <= after_s(alarm) < WITHIN_S] == []


def test_a_rise_below_the_next_level_is_told_without_a_sound():
    told = [alarm for alarm in told_of_gas((4.0, 60), (8.0, 60)) if 60 <= after_s(alarm) < 70]
    assert told
    assert not any(alarm.annunciate for alarm in told)
    assert max(alarm.condition.facts["momentary"] for alarm in told) > 7.0


def test_a_level_that_was_left_for_less_than_its_off_delay_does_not_sound_again():
    alarms = told_of_gas((6.0, 60), (0.02, 30), (6.0, 60))
    assert len([a for a in alarms if a.annunciate and after_s(a) >= 0]) == 1


def test_a_level_that_was_left_for_longer_sounds_again():
    alarms = told_of_gas((6.0, 60), (0.02, 90), (6.0, 60))
    assert len([a for a in alarms if a.annunciate and after_s(a) >= 0]) == 2
