"""Operators' commands: what each may do to an alarm, and why it is refused."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from cbrn_core.alarm import (
    AlarmKind,
    AlarmState,
    Certainty,
    Command,
    Condition,
    Corroboration,
    Priority,
)
from cbrn_core.errors import CommandRefused
from cbrn_core.times import format_rfc3339
from cbrn_gateway.alarms.held import RETURNED, SET_ASIDE, STANDING, Held
from cbrn_gateway.alarms.policy import LifePolicy

_NOTE_LENGTH = 1000
_REMEMBERED_ORDERS = 1024


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a command changes.

    Attributes:
        changes: fields of the new version.
        acked_by: who takes it now.
        duration_s: how long it is set aside.
        back: it returns from being set aside.
        confirmation: facts of a named person's confirmation.
    """

    changes: dict[str, object] = {}
    acked_by: str | None = None
    duration_s: float | None = None
    back: bool = False
    confirmation: dict[str, str | int | float | bool] | None = None

    def confirmed(self, condition: Condition) -> Condition:
        """Return a condition that a person has confirmed."""
        return msgspec.structs.replace(
            condition, certainty=Certainty.CONFIRMED, corroboration=Corroboration.PERSON
        )


class OrderMemory:
    """Idempotency keys of the last commands, per actor, with the refusal each got."""

    def __init__(self, orders: Iterable[tuple[str, str | None]] = ()) -> None:
        self._orders: OrderedDict[str, str | None] = OrderedDict(orders)

    def was_carried_out(self, command: Command) -> bool:
        """Return whether this very command was carried out before.

        Raises:
            CommandRefused: it was refused before; the first reason stands.
        """
        key = _key(command)
        if key is None or key not in self._orders:
            return False
        refusal = self._orders[key]
        if refusal is not None:
            raise CommandRefused(refusal)
        return True

    @contextmanager
    def remembering(self, command: Command) -> Iterator[None]:
        """Note how the judgement inside ends."""
        refusal = None
        try:
            yield
        except CommandRefused as refused:
            refusal = str(refused)
            raise
        finally:
            key = _key(command)
            if key is not None:
                self._orders[key] = refusal
            while len(self._orders) > _REMEMBERED_ORDERS:
                self._orders.popitem(last=False)

    def snapshot(self) -> list[tuple[str, str | None]]:
        """Return all keys with their answers, oldest first."""
        return list(self._orders.items())


def judge(command: Command, held: Held, life: LifePolicy) -> Outcome:
    """Return what a command does to an open alarm.

    Raises:
        CommandRefused: with the reason to show.
    """
    rule = _VERBS.get(command.verb)
    if rule is None:
        raise CommandRefused(f"unknown verb {command.verb!r}: one of {', '.join(sorted(_VERBS))}")
    if not command.actor:
        raise CommandRefused("a command needs the name of the person who gives it")
    return rule(command, held, life)


def _acknowledge(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    alarm = held.alarm
    if alarm.state in {AlarmState.ACK, AlarmState.LATCHED}:
        at = "" if alarm.ack_us is None else f" {format_rfc3339(alarm.ack_us)[11:19]}Z"
        raise CommandRefused(f"already acknowledged by {alarm.acked_by}{at}")
    _refuse_set_aside(held)
    _refuse_unknown_version(command, held)
    if command.version is not None and command.version < held.sounded_version:
        raise CommandRefused(_out_of_date(command, held))
    changes: dict[str, object] = {"state": AlarmState.ACK}
    if alarm.state is AlarmState.RTN_UNACK:
        changes["state"] = AlarmState.LATCHED if held.is_latching else AlarmState.NORMAL
    if command.text:
        changes["note"] = command.text[:_NOTE_LENGTH]
    return Outcome(changes=changes, acked_by=command.actor)


def _shelve(command: Command, held: Held, life: LifePolicy) -> Outcome:
    _require_current(command, held)
    _refuse_set_aside(held)
    if Priority.P1 in {held.alarm.condition.priority, held.newest.priority}:
        raise CommandRefused("priority 1 is never shelved")
    if held.alarm.state not in STANDING:
        raise CommandRefused("the condition has cleared: nothing to shelve")
    if held.newest.key.kind is AlarmKind.SPECIFIC:
        _require_second(command)
    wanted_s = life.shelve_default_s if command.duration_s is None else command.duration_s
    _require_duration(wanted_s, life.shelve_longest_s)
    return _set_aside(AlarmState.SHELVED, command, wanted_s)


def _out_of_service(command: Command, held: Held, life: LifePolicy) -> Outcome:
    _require_current(command, held)
    _refuse_set_aside(held)
    _require_second(command)
    _require_text(command, "a reason")
    longest_s = life.out_of_service_longest_s
    wanted_s = longest_s if command.duration_s is None else command.duration_s
    _require_duration(wanted_s, longest_s)
    return _set_aside(AlarmState.OUT_OF_SERVICE, command, wanted_s)


def _unshelve(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    return _return_from(AlarmState.SHELVED, "shelved", command, held)


def _in_service(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    return _return_from(AlarmState.OUT_OF_SERVICE, "out of service", command, held)


def _resolve(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    _require_current(command, held)
    reason = _require_text(command, "a reason")
    returned = held.alarm.state in RETURNED or not held.active
    if not returned and not held.newest.missing:
        raise CommandRefused("the condition still holds: it can be resolved once it has cleared")
    changes: dict[str, object] = {"state": AlarmState.NORMAL, "note": reason, "until_us": None}
    unseen = held.alarm.acked_by is None
    return Outcome(changes=changes, acked_by=command.actor if unseen else None)


def _comment(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    _refuse_unknown_version(command, held)
    return Outcome(changes={"note": _require_text(command, "a text")})


def _confirm(command: Command, held: Held, _life: LifePolicy) -> Outcome:
    _require_current(command, held)
    _refuse_set_aside(held)
    method = _require_text(command, "the method")
    return Outcome(
        changes={"annunciate": True},
        confirmation={"confirmed_by": command.actor, "method": method},
    )


_VERBS: Mapping[str, Callable[[Command, Held, LifePolicy], Outcome]] = {
    "ack": _acknowledge,
    "shelve": _shelve,
    "unshelve": _unshelve,
    "out_of_service": _out_of_service,
    "in_service": _in_service,
    "resolve": _resolve,
    "comment": _comment,
    "confirm": _confirm,
}


def _set_aside(state: AlarmState, command: Command, duration_s: float) -> Outcome:
    changes: dict[str, object] = {"state": state}
    if command.text:
        changes["note"] = command.text[:_NOTE_LENGTH]
    return Outcome(changes=changes, duration_s=duration_s)


def _return_from(state: AlarmState, words: str, command: Command, held: Held) -> Outcome:
    _require_current(command, held)
    if held.alarm.state is not state:
        raise CommandRefused(f"the alarm is not {words}")
    return Outcome(back=True)


def _require_current(command: Command, held: Held) -> None:
    if command.version is not None and command.version != held.alarm.version:
        raise CommandRefused(_out_of_date(command, held))


def _refuse_unknown_version(command: Command, held: Held) -> None:
    if command.version is not None and command.version > held.alarm.version:
        raise CommandRefused(_out_of_date(command, held))


def _out_of_date(command: Command, held: Held) -> str:
    return f"version {command.version} is out of date: the alarm is at version {held.alarm.version}"


def _refuse_set_aside(held: Held) -> None:
    if held.alarm.state in SET_ASIDE:
        raise CommandRefused(f"the alarm is {held.alarm.state.value.replace('_', ' ')}")


def _require_text(command: Command, what: str) -> str:
    if not command.text or not command.text.strip():
        raise CommandRefused(f"{command.verb} needs {what}")
    return command.text[:_NOTE_LENGTH]


def _require_second(command: Command) -> None:
    if not command.second_actor or command.second_actor == command.actor:
        raise CommandRefused(f"{command.verb} needs a second person")


def _require_duration(wanted_s: float, longest_s: float) -> None:
    if not 0 < wanted_s <= longest_s:
        raise CommandRefused(f"for more than 0 and at most {longest_s / 3600:g} h")


def _key(command: Command) -> str | None:
    if command.idempotency_key is None:
        return None
    return f"{command.actor}\x1f{command.idempotency_key}"
