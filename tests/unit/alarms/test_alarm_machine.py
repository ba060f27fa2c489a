import pytest
from msgspec.structs import replace
from unit.alarms.conditions import POLICY, Desk, condition
from unit.alarms.square import at

from cbrn_core.alarm import (
    AlarmKind,
    AlarmState,
    Certainty,
    Corroboration,
    Priority,
    Scope,
    mint_alarm_id,
)
from cbrn_core.errors import CommandRefused, InputError
from cbrn_gateway.alarms.machine import AlarmMachine

EVOLVING = {"kind": AlarmKind.EVOLVING, "priority": Priority.P2}
TECHNICAL = {"kind": AlarmKind.TECHNICAL, "priority": Priority.P3, "agent": "stale"}
HOUR_S = 3600.0


@pytest.fixture
def desk():
    return Desk()


def states(desk):
    return [a.state.value for a in desk.published]


def return_it(desk, start, **fields):
    """Say that it is cleared, again and again, through the off-delay."""
    for second in (0, 30, 60):
        desk.clear(start + second, **fields)


def test_a_new_condition_raises_version_one_and_sounds(desk):
    (alarm,) = desk.say(0)
    assert (alarm.state, alarm.version, alarm.annunciate) == (AlarmState.UNACK, 1, True)
    assert alarm.id == mint_alarm_id("gw1", alarm.condition.key, at(0))
    assert (alarm.raised_us, alarm.changed_us, alarm.observed_us) == (at(0), at(0), at(0))
    assert alarm.incident.startswith("inc-")


def test_a_condition_that_is_not_active_raises_nothing(desk):
    assert desk.clear(0) == []


def test_an_escalation_is_a_new_version_that_sounds_at_once(desk):
    desk.say(0, priority=Priority.P3, rank=10)
    (up,) = desk.say(0.5, priority=Priority.P1, rank=20)
    (level,) = desk.say(1.0, rank=30)
    (certain,) = desk.say(1.5, rank=30, certainty=Certainty.PROBABLE)
    assert [a.version for a in (up, level, certain)] == [2, 3, 4]
    assert all(a.annunciate and a.state is AlarmState.UNACK for a in (up, level, certain))


def test_a_wider_scope_is_told_without_a_sound_for_the_station_that_widened_it_sounds(desk):
    desk.say(0, scope=Scope.ZONE)
    (wide,) = desk.say(6, scope=Scope.SITE)
    assert (wide.version, wide.annunciate, wide.condition.scope) == (2, False, Scope.SITE)


def test_an_escalation_must_be_acknowledged_anew(desk):
    desk.say(0)
    desk.order(1, "ack", version=1)
    (up,) = desk.say(2, rank=40)
    assert (up.state, up.acked_by, up.annunciate) == (AlarmState.UNACK, None, True)


def test_a_value_within_twenty_percent_is_no_message(desk):
    desk.say(0, 10.0)
    assert desk.say(10, 11.9) == []
    (moved,) = desk.say(20, 12.1)
    assert (moved.version, moved.annunciate, moved.condition.value) == (2, False, 12.1)


def test_value_moves_wait_for_five_seconds_and_the_newest_wins(desk):
    desk.say(0, 10.0)
    assert desk.say(1, 15.0) == []
    assert desk.say(2, 20.0) == []
    assert desk.machine.next_deadline() == at(5)
    (moved,) = desk.advance(7)
    assert (moved.condition.value, moved.changed_us) == (20.0, at(5))
    assert desk.say(8, 40.0) == []
    assert desk.machine.next_deadline() == at(10)


def test_a_value_that_comes_back_before_its_turn_is_not_published(desk):
    desk.say(0, 10.0)
    desk.say(1, 15.0)
    desk.say(2, 10.5)
    assert desk.advance(60) == []


def test_a_move_of_half_its_error_is_a_message(desk):
    patrol = {"place": "p1/cl2"}
    facts = {"level_rank": 20, "accuracy_m": 20.0}
    place = (59.91, 10.73, 0.0)
    first = replace(condition(0, **patrol), place=place, facts=facts)
    desk.keep(desk.machine.apply(first, at(0)))
    near = replace(first, place=(59.91 + 9 / 111_132, 10.73, 0.0))
    assert desk.machine.apply(near, at(10)) == []
    far = replace(first, place=(59.91 + 11 / 111_132, 10.73, 0.0))
    assert len(desk.machine.apply(far, at(20))) == 1


def on_the_move(seconds, value, metres, priority=Priority.P2):
    """Return what an evolving alarm of a mobile station says, so far north of its start."""
    said = condition(
        seconds,
        value,
        kind=AlarmKind.EVOLVING,
        place="car/gamma",
        agent="gamma",
        priority=priority,
        hazard="radiological",
    )
    return replace(said, place=(59.91 + metres / 111_132, 10.73, 0.0))


def drive(desk, *looks, priority=Priority.P2):
    """Return what each look (seconds, value, metres) published."""
    return [
        desk.machine.apply(on_the_move(*look, priority=priority), at(look[0])) for look in looks
    ]


def test_a_carrier_that_moves_on_is_told_once_a_minute(desk):
    looks = [(s, 1.0, 30 * s) for s in range(0, 601, 5)]
    assert sum(map(len, drive(desk, *looks))) == 11


def test_a_new_highest_value_of_a_mobile_station_is_told_at_once_and_kept(desk):
    _, higher, lower, later = drive(desk, (0, 1.0, 0), (5, 1.3, 50), (10, 0.9, 100), (66, 0.8, 700))
    assert [len(published) for published in (higher, lower, later)] == [1, 0, 1]
    facts = later[0].condition.facts
    assert later[0].condition.value < facts["peak"] == 1.3
    assert facts["peak_lat"] == pytest.approx(59.91 + 50 / 111_132)


def test_a_diagnostic_alarm_tells_of_higher_values_only(desk):
    looks = [(0, 1.0, 0), (100, 0.5, 9000), (200, 1.1, 20_000), (300, 1.3, 30_000)]
    told = drive(desk, *looks, priority=Priority.D)
    assert [len(published) for published in told] == [1, 0, 0, 1]


def test_priority_1_is_held_until_somebody_has_seen_it(desk):
    desk.say(0)
    (lower,) = desk.say(10, priority=Priority.P3, rank=10)
    assert lower.condition.priority is Priority.P1
    assert lower.condition.level == "level 10"
    assert not lower.annunciate
    desk.order(11, "ack", version=1)
    (seen,) = desk.say(20, priority=Priority.P3, rank=10)
    assert seen.condition.priority is Priority.P3
    assert seen.state is AlarmState.ACK


def test_the_whole_life_of_a_latching_alarm(desk):
    desk.say(0)
    desk.order(5, "ack", version=1)
    return_it(desk, 10)
    desk.order(100, "resolve", version=3, text="source removed, checked by K. N.")
    assert states(desk) == ["unack", "ack", "latched", "normal"]
    assert desk.machine.open_alarms() == []
    assert desk.published[-1].note == "source removed, checked by K. N."


def test_a_specific_alarm_returned_unseen_waits_for_a_person(desk):
    desk.say(0)
    return_it(desk, 10)
    assert desk.alarm.state is AlarmState.RTN_UNACK
    desk.advance(365 * 24 * HOUR_S)
    assert desk.alarm.state is AlarmState.RTN_UNACK
    (acked,) = desk.order(365 * 24 * HOUR_S + 1, "ack")
    assert acked.state is AlarmState.LATCHED


def test_one_cleared_sample_and_then_silence_clears_nothing(desk):
    desk.say(0, **EVOLVING)
    desk.clear(1, **EVOLVING)
    desk.advance(HOUR_S)
    assert desk.alarm.state is AlarmState.UNACK


def test_the_off_delay_starts_anew_when_the_condition_is_back(desk):
    desk.say(0)
    desk.clear(10)
    desk.say(40)
    desk.clear(50)
    desk.clear(100)
    assert desk.alarm.state is AlarmState.UNACK
    desk.clear(110)
    assert desk.alarm.state is AlarmState.RTN_UNACK


def test_a_returned_alarm_that_comes_back_is_the_same_alarm_and_sounds(desk):
    desk.say(0)
    desk.order(1, "ack")
    return_it(desk, 10)
    (back,) = desk.say(200, 3.5)
    assert (back.state, back.version, back.annunciate) == (AlarmState.UNACK, 4, True)
    assert back.id == desk.published[0].id
    assert back.raised_us == at(0)
    assert back.acked_by is None


def test_after_normal_a_new_activation_is_a_new_alarm(desk):
    desk.say(0, **EVOLVING)
    desk.order(1, "ack")
    return_it(desk, 10, **EVOLVING)
    assert desk.published[-1].state is AlarmState.NORMAL
    (new,) = desk.say(200, **EVOLVING)
    assert (new.version, new.observed_us) == (1, at(200))
    assert new.id != desk.published[0].id


def test_an_id_is_never_used_twice(desk):
    late = condition(0, **EVOLVING)
    for start in (0, 1000):
        desk.keep(desk.machine.apply(late, at(start)))
        desk.order(start + 1, "ack")
        return_it(desk, start + 10, **EVOLVING)
    ids = [a.id for a in desk.published if a.version == 1]
    assert len(set(ids)) == 2


def test_an_evolving_alarm_returns_by_itself_and_expires_unreviewed(desk):
    desk.say(0, **EVOLVING)
    return_it(desk, 10, **EVOLVING)
    assert desk.alarm.state is AlarmState.RTN_UNACK
    assert desk.machine.next_deadline() == at(24 * HOUR_S)
    (gone,) = desk.advance(25 * HOUR_S)
    assert (gone.state, gone.note) == (AlarmState.NORMAL, "expired – not reviewed")
    assert gone.changed_us == at(24 * HOUR_S)


def test_an_evolving_alarm_that_stands_for_a_day_unseen_says_so_and_stays(desk):
    desk.say(0, **EVOLVING)
    (noted,) = desk.advance(24 * HOUR_S)
    assert (noted.state, noted.note) == (AlarmState.UNACK, "expired – not reviewed")
    return_it(desk, 24 * HOUR_S + 10, **EVOLVING)
    assert desk.published[-1].state is AlarmState.NORMAL


def test_a_technical_alarm_returns_by_the_clock(desk):
    desk.say(0, **TECHNICAL)
    desk.clear(10, **TECHNICAL)
    (back,) = desk.advance(100)
    assert (back.state, back.changed_us) == (AlarmState.RTN_UNACK, at(70))


def test_a_diagnostic_alarm_never_sounds_and_needs_nobody(desk):
    quiet = {**TECHNICAL, "priority": Priority.D, "off_delay_s": 0.0}
    (raised,) = desk.say(0, **quiet)
    (gone,) = desk.clear(1, **quiet)
    assert not raised.annunciate
    assert gone.state is AlarmState.NORMAL


def test_the_second_acknowledgement_hears_who_was_first(desk):
    desk.say(0)
    desk.order(7, "ack", actor="B", version=1)
    with pytest.raises(CommandRefused, match="already acknowledged by B 18:00:07Z"):
        desk.order(7.3, "ack", actor="A", version=1)


def test_an_acknowledgement_must_have_seen_the_last_escalation(desk):
    desk.say(0, priority=Priority.P3, rank=10)
    desk.say(1)
    with pytest.raises(CommandRefused, match="version 1 is out of date"):
        desk.order(2, "ack", version=1)
    with pytest.raises(CommandRefused, match="version 9 is out of date"):
        desk.order(2, "ack", version=9)
    assert desk.order(2, "ack", version=2)[0].state is AlarmState.ACK


def test_an_acknowledgement_may_miss_a_mere_change_of_value(desk):
    desk.say(0, 10.0)
    desk.say(10, 20.0)
    assert desk.order(11, "ack", version=1)[0].version == 3


def test_priority_1_is_never_shelved(desk):
    desk.say(0)
    with pytest.raises(CommandRefused, match="priority 1 is never shelved"):
        desk.order(1, "shelve", version=1, second_actor="C", duration_s=600)


def test_a_shelved_alarm_comes_back_by_itself_and_sounds(desk):
    desk.say(0, **EVOLVING)
    (shelved,) = desk.order(1, "shelve", version=1, duration_s=600.0)
    assert (shelved.state, shelved.until_us) == (AlarmState.SHELVED, at(601))
    assert desk.say(100, 30.0, **EVOLVING) == []
    assert desk.machine.next_deadline() == at(601)
    (back,) = desk.advance(700)
    assert (back.state, back.annunciate, back.until_us) == (AlarmState.UNACK, True, None)
    assert back.condition.value == 30.0
    assert back.changed_us == at(601)


def test_a_shelved_alarm_that_becomes_priority_1_is_not_shelved_any_more(desk):
    desk.say(0, **EVOLVING)
    desk.order(1, "shelve")
    (up,) = desk.say(2, kind=AlarmKind.EVOLVING, priority=Priority.P1)
    assert (up.state, up.annunciate) == (AlarmState.UNACK, True)


def test_a_shelved_alarm_that_cleared_comes_back_cleared(desk):
    desk.say(0, **EVOLVING)
    desk.order(1, "shelve", duration_s=600.0)
    return_it(desk, 10, **EVOLVING)
    assert desk.advance(601)[0].state is AlarmState.RTN_UNACK


def test_shelving_is_limited_to_four_hours(desk):
    desk.say(0, **EVOLVING)
    for wrong in (0.0, -1.0, 4 * HOUR_S + 1, float("nan")):
        with pytest.raises(CommandRefused, match="at most 4 h"):
            desk.order(1, "shelve", duration_s=wrong)


def test_a_specific_alarm_is_shelved_by_two_persons_only(desk):
    desk.say(0, priority=Priority.P3, rank=10)
    for second in (None, "B"):
        with pytest.raises(CommandRefused, match="second person"):
            desk.order(1, "shelve", actor="B", second_actor=second)
    assert desk.order(1, "shelve", actor="B", second_actor="C")[0].state is AlarmState.SHELVED


def test_a_broken_channel_goes_out_of_service_by_two_persons_with_a_reason(desk):
    desk.say(0)
    with pytest.raises(CommandRefused, match="second person"):
        desk.order(1, "out_of_service", text="cell broken")
    with pytest.raises(CommandRefused, match="needs a reason"):
        desk.order(1, "out_of_service", second_actor="C")
    with pytest.raises(CommandRefused, match="at most 4 h"):
        desk.order(1, "out_of_service", second_actor="C", text="x", duration_s=5 * HOUR_S)
    (out,) = desk.order(1, "out_of_service", second_actor="C", text="cell broken")
    assert (out.state, out.until_us) == (AlarmState.OUT_OF_SERVICE, at(1 + 4 * HOUR_S))
    assert desk.advance(5 * HOUR_S)[0].state is AlarmState.UNACK


def test_an_alarm_is_put_back_before_its_time(desk):
    desk.say(0)
    desk.order(1, "out_of_service", second_actor="C", text="cell broken")
    assert desk.order(2, "in_service")[0].state is AlarmState.UNACK
    with pytest.raises(CommandRefused, match="not out of service"):
        desk.order(3, "in_service")


def test_what_is_set_aside_cannot_be_acknowledged(desk):
    desk.say(0, **EVOLVING)
    desk.order(1, "shelve")
    with pytest.raises(CommandRefused, match="the alarm is shelved"):
        desk.order(2, "ack")
    assert desk.order(3, "unshelve")[0].state is AlarmState.UNACK


def test_what_still_holds_cannot_be_resolved(desk):
    desk.say(0)
    with pytest.raises(CommandRefused, match="still holds"):
        desk.order(1, "resolve", text="false")
    return_it(desk, 10)
    with pytest.raises(CommandRefused, match="needs a reason"):
        desk.order(100, "resolve")
    (gone,) = desk.order(100, "resolve", text="checked", actor="supervisor")
    assert (gone.state, gone.acked_by) == (AlarmState.NORMAL, "supervisor")


def test_an_alarm_of_a_dead_channel_is_resolved_by_a_person(desk):
    desk.say(0)
    desk.say(10, missing=("st05/cl2: no reading for 60 s",))
    assert desk.order(20, "resolve", text="instrument removed")[0].state is AlarmState.NORMAL


def test_only_a_person_with_a_method_confirms(desk):
    desk.say(0)
    with pytest.raises(CommandRefused, match="needs the method"):
        desk.order(1, "confirm", actor="K. N., officer")
    (sure,) = desk.order(1, "confirm", actor="K. N., officer", text="detector tube")
    said = sure.condition
    assert (said.certainty, said.corroboration) == (Certainty.CONFIRMED, Corroboration.PERSON)
    assert (said.facts["confirmed_by"], said.facts["method"]) == ("K. N., officer", "detector tube")
    desk.say(20, 30.0)
    assert desk.alarm.condition.certainty is Certainty.CONFIRMED
    assert desk.alarm.condition.facts["method"] == "detector tube"


def test_a_comment_is_a_version_without_sound(desk):
    desk.say(0)
    (noted,) = desk.order(1, "comment", version=1, text="crew on its way")
    assert (noted.note, noted.annunciate, noted.state) == (
        "crew on its way",
        False,
        AlarmState.UNACK,
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"verb": "delete"}, "unknown verb 'delete'"),
        ({"verb": "ack", "alarm_id": "nobody"}, "no open alarm nobody"),
        ({"verb": "ack", "actor": ""}, "needs the name"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(desk, fields, reason):
    desk.say(0)
    with pytest.raises(CommandRefused, match=reason):
        desk.order(1, **fields)
    assert desk.alarm.version == 1


def test_a_repeated_command_does_nothing_again(desk):
    desk.say(0)
    assert len(desk.order(1, "comment", text="x", idempotency_key="k1")) == 1
    assert desk.order(2, "comment", text="x", idempotency_key="k1") == []
    assert len(desk.order(2, "comment", actor="C", text="x", idempotency_key="k1")) == 1


def test_a_repeated_refusal_stays_the_same_refusal(desk):
    desk.say(0)
    for _ in range(2):
        with pytest.raises(CommandRefused, match="still holds"):
            desk.order(1, "resolve", text="x", idempotency_key="k1")
    return_it(desk, 10)
    with pytest.raises(CommandRefused, match="still holds"):
        desk.order(100, "resolve", text="x", idempotency_key="k1")


def test_what_was_due_before_a_refused_command_is_not_lost(desk):
    desk.say(0, 10.0)
    desk.say(1, 20.0)
    with pytest.raises(CommandRefused):
        desk.order(9, "resolve", text="x")
    assert desk.machine.next_deadline() is not None
    (moved,) = desk.advance(9)
    assert (moved.condition.value, moved.changed_us) == (20.0, at(5))


def test_evidence_of_an_exercise_is_another_alarm(desk):
    desk.say(0)
    desk.say(1, purpose="exercise")
    assert len(desk.machine.open_alarms()) == 2
    incidents = {a.incident for a in desk.machine.open_alarms()}
    assert len(incidents) == 2


def lived() -> Desk:
    desk = Desk()
    desk.say(0)
    desk.order(1, "ack", idempotency_key="k")
    desk.say(2, **EVOLVING, place="g9/gamma", agent="gamma", hazard="radiological")
    desk.order(3, "shelve", alarm_id=desk.published[-1].id, duration_s=600.0)
    desk.say(4, 10.0, place="st06/cl2")
    desk.say(5, 20.0, place="st06/cl2")
    desk.clear(6)
    return desk


def continuation(machine: AlarmMachine) -> list:
    out = machine.advance(at(100))
    out += machine.apply(condition(101, active=False), at(101))
    out += machine.apply(condition(102, 80.0, place="st06/cl2", rank=40), at(102))
    return out + machine.advance(at(1000))


def test_a_snapshot_goes_on_exactly_where_it_was():
    desk = lived()
    copy = AlarmMachine("gw1", POLICY)
    assert copy.restore(desk.machine.snapshot()) == 3
    assert copy.open_alarms() == desk.machine.open_alarms()
    assert copy.next_deadline() == desk.machine.next_deadline()
    assert continuation(copy) == continuation(desk.machine)


def test_a_foreign_or_damaged_snapshot_is_refused():
    desk = lived()
    with pytest.raises(InputError, match="of 'gw1'"):
        AlarmMachine("gw2", POLICY).restore(desk.machine.snapshot())
    for damaged in (b"", b"{}", b"\xff", desk.machine.snapshot()[:-9]):
        with pytest.raises(InputError):
            AlarmMachine("gw1", POLICY).restore(damaged)


def test_the_machine_is_rebuilt_from_its_published_versions():
    desk = lived()
    copy = AlarmMachine("gw1", POLICY)
    assert copy.rebuild(desk.published) == 3
    assert copy.open_alarms() == desk.machine.open_alarms()
    (back,) = copy.advance(at(603))
    assert (back.state, back.annunciate) == (AlarmState.UNACK, True)
    (up,) = copy.apply(condition(700, rank=40), at(700))
    assert (up.version, up.state) == (3, AlarmState.UNACK)


def test_a_rebuilt_machine_remembers_which_versions_sounded_and_which_ids_are_used():
    desk = Desk()
    desk.say(0, priority=Priority.P3, rank=10)
    desk.say(1)
    copy = AlarmMachine("gw1", POLICY)
    copy.rebuild(desk.published)
    desk.machine = copy
    with pytest.raises(CommandRefused, match="out of date"):
        desk.order(2, "ack", version=1)
    return_it(desk, 10)
    desk.order(100, "resolve", text="x")
    fresh = AlarmMachine("gw1", POLICY)
    assert fresh.rebuild(desk.published) == 0
    (again,) = fresh.apply(condition(0), at(200))
    assert again.id != desk.published[0].id


def test_what_was_told_from_memory_is_published_once_more_without_a_sound(desk):
    (told,) = desk.say(0)
    (again,) = desk.keep(desk.machine.restate(told, at(3)))
    assert (again.id, again.version, again.annunciate) == (told.id, 2, False)
    assert (again.state, again.condition, again.changed_us) == (told.state, told.condition, at(3))
    (newer,) = desk.say(10, priority=Priority.P1, rank=30)
    assert newer.version == 3


def test_what_is_out_in_a_newer_version_is_not_published_again(desk):
    (told,) = desk.say(0, rank=20)
    desk.say(1, rank=30)
    assert desk.machine.restate(told, at(2)) == []
    assert desk.alarm.version == 2


def test_the_end_of_an_alarm_that_was_told_from_memory_is_published_once_more(desk):
    desk.say(0)
    desk.order(1, "ack")
    return_it(desk, 10)
    (ended,) = desk.order(200, "resolve", text="aired")
    assert ended.state is AlarmState.NORMAL
    (again,) = desk.machine.restate(ended, at(201))
    assert (again.state, again.version) == (AlarmState.NORMAL, ended.version + 1)
    assert desk.machine.open_alarms() == []


def test_an_alarm_that_is_not_open_any_more_is_not_opened_by_its_copy(desk):
    (told,) = desk.say(0)
    desk.order(1, "ack")
    return_it(desk, 10)
    desk.order(200, "resolve", text="aired")
    assert desk.machine.restate(told, at(201)) == []


def test_behind_a_lost_part_of_the_journal_versions_go_on_far_beyond_it(desk):
    (told,) = desk.say(0)
    desk.machine.rebuild([told])
    (restated,) = desk.machine.skip_versions(1000, at(50))
    assert (restated.id, restated.version) == (told.id, 1002)
    (lost_before,) = desk.machine.apply(condition(40, place="st06/cl2"), at(60))
    (new,) = desk.machine.apply(condition(60, place="st07/cl2"), at(60))
    assert (lost_before.version, new.version) == (1001, 1)
    # its first version sounded, an acknowledgement of it counts
    (acknowledged,) = desk.order(61, "ack", alarm_id=lost_before.id, version=1001)
    assert acknowledged.state is AlarmState.ACK
