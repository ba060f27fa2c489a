"""Alarms from before a restart end: by fresh data, by a person, or with the configuration."""

from msgspec.structs import replace
from unit.pipeline.hostile_site import START_US, fed, quiet, reading, square

from cbrn_core.alarm import AlarmState, Command
from cbrn_core.reading import Flag
from cbrn_core.times import seconds_to_us
from cbrn_gateway.pipeline.pipeline import Ordered, Pipeline


def taken_up(config, alarms, heard=(), memory=None) -> tuple[Pipeline, list]:
    after = Pipeline(config.model, config.policy)
    if memory is not None:
        after.recall(memory, same_config=True)
    newest = {alarm.id: alarm for alarm in alarms}.values()
    after.machine.rebuild(newest)
    after.rules.adopt(newest)
    after.hear_again(list(heard))
    return after, after.catch_up(newest).alarms


def gas(start_s: int, seconds: int) -> list:
    return [reading(start_s + s, 25.0 + s % 2) for s in range(seconds)]


def ordered(alarm, verb: str, at_s: float, **fields) -> Ordered:
    wish = Command(verb=verb, actor="anna", alarm_id=alarm.id, **fields)
    return Ordered(START_US + seconds_to_us(at_s), wish)


def test_an_alarm_of_a_channel_that_is_gone_stays_until_a_person_resolves_it():
    alarms = fed(Pipeline(square().model, square().policy), gas(0, 10))
    assert alarms[-1].condition.active
    after, said = taken_up(square("st2"), alarms)
    said += after.step(START_US + seconds_to_us(18), []).alarms
    assert [a.state for a in said] == [AlarmState.UNACK]
    assert "not watched any more" in said[0].condition.missing[0]
    order = ordered(said[0], "resolve", 20, text="the channel was taken down")
    out = after.step(order.at_us, [order])
    assert out.answers[0].refusal is None
    assert out.alarms[0].state is AlarmState.NORMAL


def test_a_technical_alarm_of_a_channel_that_is_gone_ends():
    fault = [reading(s, 0.02, flags=(Flag.INSTRUMENT_FAULT,)) for s in range(3)]
    alarms = fed(Pipeline(square().model, square().policy), fault)
    after, said = taken_up(square("st2"), alarms)
    said += after.step(START_US + seconds_to_us(120), []).alarms
    ended = [a for a in said if a.condition.reason == "instrument_fault"]
    assert ended[-1].state is AlarmState.RTN_UNACK


def test_not_in_service_ends_when_the_site_is_put_into_service():
    site = square(in_service=False)
    alarms = fed(Pipeline(site.model, site.policy), quiet(3))
    assert [a.condition.reason for a in alarms] == ["not_in_service"]
    _, said = taken_up(square(), alarms)
    assert [a.state for a in said] == [AlarmState.RTN_UNACK]
    _, said = taken_up(site, alarms)
    assert said == []


def test_an_alarm_acknowledged_while_it_was_closing_still_returns_after_a_restart():
    site = square("st1")
    before = Pipeline(site.model, site.policy)
    alarms = fed(before, gas(0, 10))
    memory = before.memory()
    low = [reading(10 + s, 0.02 + 0.01 * (s % 3)) for s in range(200)]
    alarms += fed(before, low[:40])
    order = ordered(alarms[-1], "ack", 49.5)
    alarms += before.step(order.at_us, [order]).alarms
    alarms += fed(before, low[40:50])
    assert alarms[-1].state is AlarmState.ACK
    after, said = taken_up(site, alarms, [*gas(0, 10), *low[:50]][10:], memory)
    said += fed(after, low[50:])
    assert [a.state for a in said if a.condition.agent][-1] is AlarmState.LATCHED


def test_an_exercises_alarm_does_not_enter_a_channel_that_has_become_real():
    site = square("st1")
    channels = {k: replace(c, simulated=True) for k, c in site.model.channels.items()}
    exercise = replace(site.model, channels=channels)
    alarms = fed(Pipeline(exercise, site.policy), gas(0, 10))
    assert alarms[-1].condition.purpose == "exercise"
    after, said = taken_up(site, alarms)
    said += after.step(START_US + seconds_to_us(18), []).alarms
    assert said[0].condition.missing
    real = fed(after, gas(20, 10))
    assert {a.condition.purpose for a in real} == {"actual"}
