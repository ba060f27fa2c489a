"""Whatever rules say and people order, in whatever order: what must always hold."""

from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import given, settings
from unit.alarms.conditions import LEGAL, POLICY, condition
from unit.alarms.square import at

from cbrn_core.alarm import Alarm, AlarmKind, AlarmState, Certainty, Command, Priority, Scope
from cbrn_core.errors import CommandRefused
from cbrn_core.times import US_PER_S
from cbrn_gateway.alarms.held import EXPIRED, is_escalation
from cbrn_gateway.alarms.machine import AlarmMachine

KINDS = (AlarmKind.SPECIFIC, AlarmKind.EVOLVING, AlarmKind.TECHNICAL)
VERBS = (
    "ack",
    "shelve",
    "unshelve",
    "resolve",
    "comment",
    "confirm",
    "out_of_service",
    "in_service",
)

gaps_s = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 5.0, 60.0]), st.floats(0, 100_000))
statements = st.fixed_dictionaries(
    {
        "place": st.sampled_from(["st05/cl2", "st06/cl2"]),
        "kind": st.sampled_from(KINDS),
        "active": st.booleans(),
        "value": st.floats(0, 100),
        "priority": st.sampled_from(list(Priority)),
        "rank": st.sampled_from([10, 20, 30, 40]),
        "certainty": st.sampled_from([Certainty.POSSIBLE, Certainty.PROBABLE]),
        "scope": st.sampled_from(list(Scope)),
        "off_delay_s": st.sampled_from([0.0, 10.0]),
    }
)
orders = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(VERBS),
        "which": st.integers(0, 5),
        "lag": st.integers(-1, 2),
        "text": st.sampled_from([None, "said"]),
        "second_actor": st.sampled_from([None, "C"]),
        "duration_s": st.sampled_from([None, 10.0, 1e9]),
        "idempotency_key": st.sampled_from([None, "k"]),
    }
)
steps = st.lists(st.tuples(gaps_s, st.one_of(statements, statements, orders)), max_size=40)


class Log:
    """What was published, and by what each version came."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Alarm]] = defaultdict(list)
        self.causes: dict[str, list[str]] = defaultdict(list)
        self.all: list[Alarm] = []

    def note(self, alarms: list[Alarm], cause: str, now_us: int) -> None:
        for alarm in alarms:
            assert alarm.changed_us <= now_us
            self.versions[alarm.id].append(alarm)
            self.causes[alarm.id].append(cause if alarm.changed_us == now_us else "clock")
            self.all.append(alarm)


def play(machine: AlarmMachine, script, *, interrupt=None) -> Log:
    log, seconds = Log(), 0.0
    for index, (gap_s, step) in enumerate(script):
        seconds += gap_s
        if interrupt is not None:
            machine = interrupt(machine, index, at(seconds), log)
        if "verb" in step:
            cause, alarms = order(machine, step, at(seconds))
        else:
            said = condition(seconds, **step)
            cause = "active" if step["active"] else "cleared"
            alarms = machine.apply(said, at(seconds))
        log.note(alarms, cause, at(seconds))
    log.note(machine.advance(at(seconds)), "clock", at(seconds))
    return log


def order(machine: AlarmMachine, step, now_us: int) -> tuple[str, list[Alarm]]:
    """Let a person who sees the present state give an order."""
    fields = dict(step)
    due = machine.advance(now_us)
    open_alarms = machine.open_alarms()
    which, lag = fields.pop("which"), fields.pop("lag")
    if not open_alarms:
        return "none", due
    alarm = open_alarms[which % len(open_alarms)]
    command = Command(actor="B", alarm_id=alarm.id, version=max(1, alarm.version - lag), **fields)
    try:
        return step["verb"], due + machine.command(command, now_us)
    except CommandRefused:
        return "refused", due


@settings(deadline=None)
@given(steps)
def test_every_published_sequence_is_a_legal_path_and_versions_rise_by_one(script):
    log = play(AlarmMachine("gw1", POLICY), script)
    for versions in log.versions.values():
        assert [a.version for a in versions] == list(range(1, len(versions) + 1))
        before = None
        for alarm in versions:
            assert alarm.state in LEGAL[before]
            before = alarm.state
        assert len({(a.incident, a.raised_us, a.observed_us) for a in versions}) == 1


@settings(deadline=None)
@given(steps)
def test_nothing_clears_without_evidence_and_nothing_specific_ends_without_a_person(script):
    log = play(AlarmMachine("gw1", POLICY), script)
    for alarm_id, versions in log.versions.items():
        for before, alarm, cause in zip(
            versions, versions[1:], log.causes[alarm_id][1:], strict=False
        ):
            technical = alarm.condition.key.kind is AlarmKind.TECHNICAL
            went = before.condition.active and not alarm.condition.active
            if went and before.state in {AlarmState.UNACK, AlarmState.ACK}:
                assert cause == "cleared" or technical
            if alarm.state is AlarmState.NORMAL and alarm.condition.key.kind is AlarmKind.SPECIFIC:
                assert cause == "resolve"
            if alarm.state is AlarmState.NORMAL and cause == "clock":
                assert alarm.note == EXPIRED or before.acked_by or technical


@settings(deadline=None)
@given(steps)
def test_priority_1_is_never_shelved_and_escalations_sound(script):
    log = play(AlarmMachine("gw1", POLICY), script)
    for alarm_id, versions in log.versions.items():
        for before, alarm, cause in zip(
            versions, versions[1:], log.causes[alarm_id][1:], strict=False
        ):
            if alarm.state is AlarmState.SHELVED:
                assert alarm.condition.priority is not Priority.P1
            if cause == "active" and is_escalation(before.condition, alarm.condition):
                sounds = alarm.condition.priority is not Priority.D
                assert alarm.annunciate is sounds
                assert alarm.state is AlarmState.UNACK


@settings(deadline=None)
@given(steps)
def test_value_moves_are_at_least_five_seconds_apart(script):
    log = play(AlarmMachine("gw1", POLICY), script)
    for alarm_id, versions in log.versions.items():
        for before, alarm, cause in zip(
            versions, versions[1:], log.causes[alarm_id][1:], strict=False
        ):
            moved = (alarm.state, alarm.note) == (before.state, before.note)
            moved = moved and not is_escalation(before.condition, alarm.condition)
            if moved and cause in {"active", "clock"}:
                assert alarm.changed_us - before.changed_us >= 5 * US_PER_S


@settings(deadline=None)
@given(steps, st.integers(1, 7))
def test_extra_looks_at_the_clock_change_nothing(script, every):
    def look(machine, index, now_us, log):
        if index % every == 0:
            while (due_us := machine.next_deadline()) is not None and due_us <= now_us:
                log.note(machine.advance(due_us), "clock", due_us)
        return machine

    plain = play(AlarmMachine("gw1", POLICY), script)
    watched = play(AlarmMachine("gw1", POLICY), script, interrupt=look)
    assert watched.all == plain.all


@settings(deadline=None)
@given(steps, st.integers(1, 9))
def test_a_snapshot_at_any_moment_changes_nothing(script, every):
    def swap(machine, index, _now_us, _log):
        if index % every:
            return machine
        copy = AlarmMachine("gw1", POLICY)
        copy.restore(machine.snapshot())
        return copy

    plain = play(AlarmMachine("gw1", POLICY), script)
    swapped = play(AlarmMachine("gw1", POLICY), script, interrupt=swap)
    assert swapped.all == plain.all


@settings(deadline=None)
@given(steps)
def test_the_journal_alone_gives_back_every_open_alarm(script):
    machine = AlarmMachine("gw1", POLICY)
    log = play(machine, script)
    rebuilt = AlarmMachine("gw1", POLICY)
    rebuilt.rebuild(log.all)
    assert rebuilt.open_alarms() == machine.open_alarms()
