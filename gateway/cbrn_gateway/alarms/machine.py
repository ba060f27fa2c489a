"""The alarm machine: the one writer of alarm state (ISA-18.2 / IEC 62682), pure.

Only published versions leave it. An alarm returns on fresh evidence alone: a condition
that says "cleared" must have been said again after the off-delay, except for technical
alarms, which the clock may return. The result depends on the order of calls and their
times only: whatever is due at or before a call happens first, at its own time.

`pending` never leaves the rules: they speak only once a level has held long enough.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from cbrn_core.alarm import (
    Alarm,
    AlarmKey,
    AlarmKind,
    AlarmState,
    Command,
    Condition,
    Priority,
    mint_alarm_id,
)
from cbrn_core.errors import CommandRefused, InputError
from cbrn_core.place import Station
from cbrn_core.times import seconds_to_us
from cbrn_gateway.alarms.held import (
    EXPIRED,
    RETURNED,
    SET_ASIDE,
    STANDING,
    Held,
    is_escalation,
    is_worth_publishing,
    merged,
    publish_interval_s,
)
from cbrn_gateway.alarms.incidents import Incident, IncidentBook
from cbrn_gateway.alarms.orders import OrderMemory, Outcome, judge
from cbrn_gateway.alarms.policy import Policy

_REMEMBERED_CLOSED = 4096
_EXPIRING = frozenset({AlarmKind.EVOLVING, AlarmKind.TECHNICAL})

_Place = tuple[AlarmKey, str]
"""(key, purpose): evidence of an exercise never enters a real alarm."""


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    gateway: str
    now_us: int
    held: list[Held]
    incidents: list[Incident]
    orders: list[tuple[str, str | None]]
    closed: list[str]


_SCHEMA = "cbrn-machine/1"


class AlarmMachine:
    """All open alarms of one gateway."""

    def __init__(
        self, gateway: str, policy: Policy, stations: Mapping[str, Station] | None = None
    ) -> None:
        self._gateway = gateway
        self._policy = policy
        self._incidents = IncidentBook(gateway, policy.life, stations)
        self._held: dict[_Place, Held] = {}
        self._by_id: dict[str, Held] = {}
        self._due: list[tuple[int, str]] = []
        self._now_us = 0
        self._unsent: list[Alarm] = []
        self._orders = OrderMemory()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._skipped = 0
        self._skipped_until_us = 0

    def apply(self, condition: Condition, now_us: int) -> list[Alarm]:
        """Take what a rule says; return the versions to publish, in order."""
        published = self.advance(now_us)
        now_us = self._now_us
        held = self._held.get((condition.key, condition.purpose))
        if held is None:
            if condition.active:
                published.append(self._raise(condition, now_us))
        elif condition.active:
            published += self._take(held, condition, now_us)
        else:
            published += self._clear(held, condition, now_us)
        return published

    def advance(self, now_us: int) -> list[Alarm]:
        """Let everything happen that is due up to and including `now_us`, each at its time."""
        published, self._unsent = self._unsent, []
        while self._due and self._due[0][0] <= now_us:
            due_us, alarm_id = heapq.heappop(self._due)
            held = self._by_id.get(alarm_id)
            if held is not None:
                published += self._meet(held, due_us)
        self._now_us = max(self._now_us, now_us)
        return published

    def next_deadline(self) -> int | None:
        """Return when `advance` may have something to publish even if nothing is applied."""
        if self._unsent:
            return self._now_us
        while self._due:
            due_us, alarm_id = self._due[0]
            held = self._by_id.get(alarm_id)
            if held is not None and due_us in self._deadlines_of(held):
                return due_us
            heapq.heappop(self._due)
        return None

    def command(self, command: Command, now_us: int) -> list[Alarm]:
        """Carry out an operator's wish; return the versions to publish.

        A repeated idempotency key does nothing again and gets the first answer.

        Raises:
            CommandRefused: with the reason to show.
        """
        published = self.advance(now_us)
        self._unsent = published
        if self._orders.was_carried_out(command):
            return self.advance(now_us)
        with self._orders.remembering(command):
            outcome, held = self._judge(command)
        return [*self.advance(now_us), self._carry_out(held, outcome, self._now_us)]

    def open_alarms(self) -> list[Alarm]:
        """Return the last published version of every open alarm, oldest first."""
        alarms = (held.alarm for held in self._held.values())
        return sorted(alarms, key=lambda alarm: (alarm.raised_us, alarm.id))

    def reconfigure(self, policy: Policy, stations: Mapping[str, Station]) -> None:
        """Go on under another policy and site of the same gateway; open alarms stay."""
        self._policy = policy
        self._incidents = self._incidents.under(policy.life, stations)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return msgspec.json.encode(
            _Snapshot(
                schema=_SCHEMA,
                gateway=self._gateway,
                now_us=self._now_us,
                held=list(self._held.values()),
                incidents=self._incidents.snapshot(),
                orders=self._orders.snapshot(),
                closed=list(self._closed),
            )
        )

    def restore(self, state: bytes) -> int:
        """Replace the state by a snapshot of the same gateway; return how many alarms are open.

        Raises:
            InputError: not a snapshot of this gateway's machine.
        """
        try:
            taken = msgspec.json.decode(state, type=_Snapshot)
        except msgspec.DecodeError as error:
            raise InputError(f"not a snapshot of an alarm machine: {error}") from None
        if (taken.schema, taken.gateway) != (_SCHEMA, self._gateway):
            raise InputError(
                f"a snapshot of {taken.gateway!r} ({taken.schema}), not of this machine"
            )
        self._forget_all()
        self._now_us = taken.now_us
        self._incidents.restore(taken.incidents)
        self._orders = OrderMemory(taken.orders)
        self._closed = OrderedDict.fromkeys(taken.closed)
        for held in taken.held:
            self._hold(held)
        return len(self._held)

    def rebuild(self, alarms: Iterable[Alarm]) -> int:
        """Replace the state by the published versions of a journal; return how many are open.

        Versions of one alarm come in their order; only the last one counts.
        """
        self._forget_all()
        newest: dict[str, Alarm] = {}
        sounded: dict[str, int] = {}
        for alarm in alarms:
            known = newest.get(alarm.id)
            if known is None or alarm.version >= known.version:
                newest[alarm.id] = alarm
            if alarm.annunciate:
                sounded[alarm.id] = max(alarm.version, sounded.get(alarm.id, 0))
        for alarm in newest.values():
            self._now_us = max(self._now_us, alarm.changed_us)
            self._incidents.remember(alarm)
            if alarm.state is AlarmState.NORMAL:
                self._note_closed(alarm.id)
            else:
                self._hold(self._revived(alarm, sounded.get(alarm.id, 0)))
        return len(self._held)

    def restate(self, told: Alarm, now_us: int, until_us: int | None = None) -> list[Alarm]:
        """Publish a version once more, as the next one; nothing where a newer one is out.

        For what was told from memory, while the journal could not take it (safety 18), and
        for what shows a time to come after the clock was set; `until_us` is that time where
        it is another one now.
        """
        published = self.advance(now_us)
        held = self._by_id.get(told.id)
        if held is not None and held.alarm.version == told.version:
            if until_us is None:
                return [*published, self._publish(held, self._now_us)]
            until_us = max(until_us, self._now_us)
            self._schedule(until_us, held)
            return [*published, self._publish(held, self._now_us, until_us=until_us)]
        if held is None and told.state is AlarmState.NORMAL:
            again = {"version": told.version + 1, "changed_us": self._now_us, "annunciate": False}
            published.append(msgspec.structs.replace(told, **again))
        return published

    def skip_versions(self, count: int, before_us: int) -> list[Alarm]:
        """Publish every open alarm `count` versions on: a lost part of the journal told some.

        So do the first versions of alarms raised later on evidence from before `before_us`:
        their earlier versions may be lost too.
        """
        self._skipped, self._skipped_until_us = count, before_us
        for held in self._held.values():
            held.alarm = msgspec.structs.replace(held.alarm, version=held.alarm.version + count)
        return [self._publish(held, self._now_us) for held in list(self._held.values())]

    def _raise(self, condition: Condition, now_us: int) -> Alarm:
        observed_us = condition.observed_us
        alarm_id = mint_alarm_id(self._gateway, condition.key, observed_us)
        if alarm_id in self._by_id or alarm_id in self._closed:
            observed_us = now_us
            alarm_id = mint_alarm_id(self._gateway, condition.key, observed_us)
        alarm = Alarm(
            id=alarm_id,
            condition=condition,
            state=AlarmState.UNACK,
            version=1 + (self._skipped if observed_us < self._skipped_until_us else 0),
            raised_us=now_us,
            changed_us=now_us,
            observed_us=observed_us,
            incident=self._incidents.assign(condition, now_us),
            annunciate=condition.priority is not Priority.D,
        )
        sounded_version = alarm.version if alarm.annunciate else 0
        held = Held(alarm=alarm, newest=condition, sounded_version=sounded_version)
        if condition.key.kind in _EXPIRING:
            held.review_us = now_us + seconds_to_us(self._policy.life.unreviewed_s)
        self._hold(held)
        return alarm

    def _take(self, held: Held, condition: Condition, now_us: int) -> list[Alarm]:
        held.newest = merged(held, condition)
        held.active = True
        held.returning_us = None
        self._incidents.touch(held.alarm.incident, now_us)
        state = held.alarm.state
        if state in RETURNED:
            self._renew_review(held, now_us)
            return [self._sound(held, now_us)]
        if state in SET_ASIDE:
            more_urgent = held.newest.priority < held.alarm.condition.priority
            if state is AlarmState.SHELVED and more_urgent:
                return [self._sound(held, now_us)]
            return []
        if is_escalation(held.alarm.condition, held.newest):
            return [self._sound(held, now_us)]
        return self._update(held, now_us)

    def _update(self, held: Held, now_us: int) -> list[Alarm]:
        """Publish a change of value, place or a lower level, at most every few seconds."""
        published, rules = held.alarm.condition, self._policy.publish
        if not is_worth_publishing(published, held.newest, rules):
            held.deferred_us = None
            return []
        interval_s = publish_interval_s(published, held.newest, rules)
        due_us = held.alarm.changed_us + seconds_to_us(interval_s)
        if now_us >= due_us:
            return [self._publish(held, now_us)]
        if held.deferred_us != due_us:
            held.deferred_us = due_us
            self._schedule(due_us, held)
        return []

    def _clear(self, held: Held, condition: Condition, now_us: int) -> list[Alarm]:
        if not held.active:
            return []
        if held.returning_us is None:
            held.returning_us = now_us
            if held.newest.key.kind is AlarmKind.TECHNICAL:
                self._schedule(now_us + _off_delay_us(held), held)
        if now_us - held.returning_us < max(
            _off_delay_us(held), seconds_to_us(condition.off_delay_s)
        ):
            return []
        return self._return(held, now_us)

    def _return(self, held: Held, now_us: int) -> list[Alarm]:
        held.active = False
        held.returning_us = held.deferred_us = None
        held.newest = msgspec.structs.replace(held.newest, active=False)
        if held.alarm.state in SET_ASIDE:
            return []
        state = held.state_when_returned()
        if state is AlarmState.RTN_UNACK and held.overdue and not held.is_latching:
            return [self._publish(held, now_us, state=AlarmState.NORMAL, note=EXPIRED)]
        return [self._publish(held, now_us, state=state)]

    def _meet(self, held: Held, due_us: int) -> list[Alarm]:
        if held.deferred_us == due_us:
            held.deferred_us = None
            return self._update(held, due_us)
        if held.alarm.state in SET_ASIDE and held.alarm.until_us == due_us:
            return [self._back(held, due_us)]
        if held.returning_us is not None and due_us == held.returning_us + _off_delay_us(held):
            is_technical = held.newest.key.kind is AlarmKind.TECHNICAL
            return self._return(held, due_us) if is_technical else []
        if held.review_us == due_us:
            return self._expire(held, due_us)
        return []

    def _expire(self, held: Held, due_us: int) -> list[Alarm]:
        held.review_us = None
        held.overdue = True
        state = held.alarm.state
        if state is AlarmState.RTN_UNACK and not held.is_latching:
            return [self._publish(held, due_us, state=AlarmState.NORMAL, note=EXPIRED)]
        evolving = held.newest.key.kind is AlarmKind.EVOLVING
        if state is AlarmState.UNACK and evolving:
            return [self._publish(held, due_us, note=EXPIRED)]
        return []

    def _back(self, held: Held, now_us: int) -> Alarm:
        """Return from being set aside: it sounds where the condition still holds."""
        if held.active:
            return self._sound(held, now_us)
        return self._publish(held, now_us, state=held.state_when_returned(), until_us=None)

    def _sound(self, held: Held, now_us: int) -> Alarm:
        return self._publish(
            held,
            now_us,
            state=AlarmState.UNACK,
            annunciate=held.newest.priority is not Priority.D,
            acked_by=None,
            ack_us=None,
            until_us=None,
        )

    def _publish(self, held: Held, now_us: int, **changes: object) -> Alarm:
        alarm = msgspec.structs.replace(
            held.alarm,
            **{
                "condition": held.newest,
                "version": held.alarm.version + 1,
                "changed_us": now_us,
                "annunciate": False,
                **changes,
            },
        )
        held.alarm = alarm
        held.deferred_us = None
        if alarm.annunciate:
            held.sounded_version = alarm.version
        if alarm.state is AlarmState.NORMAL:
            self._drop(held)
        return alarm

    def _judge(self, command: Command) -> tuple[Outcome, Held]:
        held = self._by_id.get(command.alarm_id)
        if held is None:
            raise CommandRefused(f"no open alarm {command.alarm_id}")
        return judge(command, held, self._policy.life), held

    def _carry_out(self, held: Held, outcome: Outcome, now_us: int) -> Alarm:
        if outcome.back:
            return self._back(held, now_us)
        if outcome.confirmation is not None:
            held.confirmation = outcome.confirmation
            held.newest = merged(held, outcome.confirmed(held.newest))
        changes = dict(outcome.changes)
        if outcome.acked_by is not None:
            changes |= {"acked_by": outcome.acked_by, "ack_us": now_us}
        if outcome.duration_s is not None:
            changes["until_us"] = now_us + seconds_to_us(outcome.duration_s)
        alarm = self._publish(held, now_us, **changes)
        if alarm.until_us is not None:
            self._schedule(alarm.until_us, held)
        return alarm

    def _renew_review(self, held: Held, now_us: int) -> None:
        if held.newest.key.kind in _EXPIRING:
            held.overdue = False
            held.review_us = now_us + seconds_to_us(self._policy.life.unreviewed_s)
            self._schedule(held.review_us, held)

    def _hold(self, held: Held) -> None:
        condition = held.newest
        self._held[condition.key, condition.purpose] = held
        self._by_id[held.alarm.id] = held
        for due_us in self._deadlines_of(held):
            self._schedule(due_us, held)

    def _drop(self, held: Held) -> None:
        condition = held.newest
        del self._held[condition.key, condition.purpose]
        del self._by_id[held.alarm.id]
        self._note_closed(held.alarm.id)

    def _revived(self, alarm: Alarm, sounded_version: int) -> Held:
        standing = alarm.state in STANDING
        active = standing or (alarm.state in SET_ASIDE and alarm.condition.active)
        held = Held(
            alarm=alarm,
            newest=msgspec.structs.replace(alarm.condition, active=active),
            active=active,
            sounded_version=sounded_version,
        )
        facts = alarm.condition.facts
        held.confirmation = {k: facts[k] for k in ("confirmed_by", "method") if k in facts}
        held.overdue = alarm.note == EXPIRED
        if alarm.condition.key.kind in _EXPIRING and not held.overdue:
            held.review_us = alarm.raised_us + seconds_to_us(self._policy.life.unreviewed_s)
        return held

    def _deadlines_of(self, held: Held) -> list[int]:
        due = [held.deferred_us, held.review_us]
        if held.alarm.state in SET_ASIDE:
            due.append(held.alarm.until_us)
        if held.returning_us is not None and held.newest.key.kind is AlarmKind.TECHNICAL:
            due.append(held.returning_us + _off_delay_us(held))
        return [due_us for due_us in due if due_us is not None]

    def _schedule(self, due_us: int, held: Held) -> None:
        heapq.heappush(self._due, (due_us, held.alarm.id))

    def _note_closed(self, alarm_id: str) -> None:
        self._closed[alarm_id] = None
        while len(self._closed) > _REMEMBERED_CLOSED:
            self._closed.popitem(last=False)

    def _forget_all(self) -> None:
        self._held.clear()
        self._by_id.clear()
        self._due.clear()
        self._unsent = []
        self._orders = OrderMemory()
        self._closed.clear()
        self._incidents.restore([])


def _off_delay_us(held: Held) -> int:
    return seconds_to_us(held.newest.off_delay_s)
