"""The pipeline of one square: a pure function of its ordered events.

Work goes in two passes. The first takes the readings in and finds what went stale
between them, which depends on arrivals alone; all readings of the step then go through
the filter bank at once. The second walks the same items in order through rules and
machine, stepping exactly to each deadline and each full second in between. Any cut of
the same events into steps therefore gives the same alerts.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from cbrn_core.alarm import Alarm, Command, Condition, Reason
from cbrn_core.channel import Channel, ChannelKey
from cbrn_core.errors import CommandRefused
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.alarms.machine import AlarmMachine
from cbrn_gateway.alarms.policy import Policy
from cbrn_gateway.alarms.rulebook import RuleBook
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_gateway.pipeline.freshness import (
    FIRST_REPORT_GRACE_S,
    StaleDeadlines,
    has_fixed_wait,
    stale_after_us,
)
from cbrn_gateway.pipeline.fusion_stage import Fused, FusionStage
from cbrn_gateway.pipeline.intake import Accepted, Intake
from cbrn_gateway.pipeline.past import forget_arrivals, memory_of, recall_into, unheard

_LOG = logging.getLogger(__name__)
NOT_JUDGED = "not_judged"


class Ordered(msgspec.Struct, frozen=True):
    """A command as an event of the pipeline: when it came in, on the steady clock."""

    at_us: int
    command: Command


class Noticed(msgspec.Struct, frozen=True):
    """Something that the gateway saw of itself (a link, a disk), as an event."""

    at_us: int
    condition: Condition


class Restated(msgspec.Struct, frozen=True):
    """A published version is to be told once more, as an event.

    It went out from memory and is in the journal at last (safety 18), or its times are
    others now that the clock was set. `until_us` (steady) is then the end that it was told
    to have, where that was not known on this clock before.
    """

    at_us: int
    alarm: Alarm
    until_us: int | None = None


Event = Reading | Ordered | Noticed | Restated


class Answer(NamedTuple):
    """What became of a command: `refusal` is None when it was carried out."""

    command: Command
    refusal: str | None


class _Turn(NamedTuple):
    """A channel went stale, or reports again."""

    slot: int
    stale: bool


_Item = tuple[int, Accepted | _Turn | Command | Condition | Restated]
_Judge = Callable[..., list[Condition]]


class StepOutput(msgspec.Struct):
    """What one step produced, each list in the order in which it happened.

    `rereads` names the channels that should be read again at once (safety 9).
    """

    readings: list[Reading] = []
    estimates: list[Estimate] = []
    alarms: list[Alarm] = []
    answers: list[Answer] = []
    rereads: list[ChannelKey] = []


class Pipeline:
    """One square's readings, estimates and alarms. No globals; may exist twice."""

    def __init__(self, model: SiteModel, policy: Policy) -> None:
        self.model = model
        self.drops = DropCounter()
        self.intake = Intake(model, self.drops)
        self.fusion = FusionStage(model, self.intake, self.drops)
        self.rules = RuleBook(model, policy)
        self.machine = AlarmMachine(model.gateway, policy, model.stations)
        self._stale = StaleDeadlines()
        self._now_us = 0
        self._since_us = [0] * len(self.intake.channels)
        self._started = False
        self._next_tick_us = 0
        self._past: list[tuple[int, Condition]] | None = None
        self._defects: dict[int, str] = {}
        self._heard: set[int] = set()

    @property
    def now_us(self) -> int:
        """Return the virtual time reached, 0 before the first step."""
        return self._now_us

    def start(self, now_us: int) -> None:
        """Begin to watch: from here on a channel that never reports goes stale."""
        if self._started:
            return
        self._started = True
        self._since_us = [now_us] * len(self.intake.channels)
        self._begin(now_us)
        for slot in range(len(self.intake.channels)):
            self._stale.watch(slot, self._stale_at_us(slot))

    def step(self, now_us: int, events: Sequence[Event]) -> StepOutput:
        """Take in ordered events and bring the virtual time to `now_us`.

        An event that claims a time before the one already reached happens now.
        """
        self.start(_event_us(events[0]) if events else now_us)
        out = StepOutput()
        items = self._take_in(now_us, events)
        accepted = [what for _, what in items if isinstance(what, Accepted)]
        fused = iter(self._fuse(accepted))
        for at_us, what in items:
            self._advance(at_us, out)
            if isinstance(what, Accepted):
                self._judge(what, next(fused), at_us, out)
            elif isinstance(what, _Turn):
                self._turn(what, at_us, out)
            elif isinstance(what, Command):
                self._obey(what, at_us, out)
            elif isinstance(what, Restated):
                out.alarms += self.machine.restate(what.alarm, at_us, what.until_us)
            else:
                self._apply((what,), at_us, out)
        self._advance(max(now_us, self._now_us), out)
        out.rereads = self.rules.lone_samples()
        return out

    def next_deadline(self) -> int | None:
        """Return when the pipeline wants to be stepped even if nothing arrives."""
        candidates = (self._stale.next_us(), self._next_inner_us())
        return min((us for us in candidates if us is not None), default=None)

    def memory(self) -> bytes:
        """Return what filters, intake and rules know; alarms come from the journal."""
        return memory_of(self.intake, self.fusion, self.rules)

    def recall(self, memory: bytes, *, same_config: bool) -> int:
        """Take over a memory before the start; return how many filters were recognised.

        Raises:
            InputError: not the memory of a pipeline.
        """
        return recall_into(memory, self.intake, self.fusion, self.rules, same_config=same_config)

    def reconfigure(self, model: SiteModel, policy: Policy) -> StepOutput:
        """Go on for another configuration of the same gateway, between two steps.

        Filters, rhythms and rules go on by channel where nothing that concerns them has
        changed; open alarms go on in any case. Returns what the change itself has to say.
        Where it raises, nothing has changed.
        """
        intake = Intake(model, self.drops)
        fusion = FusionStage(model, intake, self.drops)
        slots = intake.take_over(self.intake)
        fusion.take_over(self.fusion)
        changed = self.rules.reconfigure(model, policy)
        self.machine.reconfigure(policy, model.stations)
        before, self.intake, self.fusion = self.intake, intake, fusion
        self.model = model
        self._move(slots, before.channels)
        return self._adopt_changed(changed)

    def hear_again(self, readings: Sequence[Reading]) -> None:
        """Let filters and rules hear what was stored after the memory; nothing is published."""
        if not readings:
            return
        if self._past is None:
            self._past = []
            self._begin(readings[0].received_us)
        accepted = [
            item
            for item in (self.intake.accept(r, r.received_us) for r in readings)
            if item is not None
        ]
        unused = StepOutput()
        for item, fused in zip(accepted, self._fuse(accepted), strict=True):
            at_us = max(self._now_us, item.reading.received_us)
            self._advance(at_us, unused)
            self._judge(item, fused, at_us, unused)

    def catch_up(self, journalled: Iterable[Alarm]) -> StepOutput:
        """End the past: return what it should have published beyond the journalled versions.

        The machine must have been rebuilt from the journal.
        """
        out = StepOutput()
        heard, self._past = self._past or [], None
        for at_us, condition in unheard(heard, journalled):
            out.alarms += self.machine.apply(condition, at_us)
        self.rules.lone_samples()
        left_open = self.machine.open_alarms()
        for alarm in left_open:
            farewell = self.rules.farewell(alarm, self._now_us)
            if farewell is not None:
                out.alarms += self.machine.apply(farewell, self._now_us)
        self.rules.adopt_forgotten(left_open)
        stale = {
            (alarm.condition.station, alarm.condition.channel)
            for alarm in self.machine.open_alarms()
            if alarm.condition.reason is Reason.STALE
        }
        slots = (s for s, c in enumerate(self.intake.channels) if (c.station, c.id) in stale)
        forget_arrivals(self.intake.freshness, slots)
        return out

    def _move(self, slots: Mapping[int, int], before: Sequence[Channel]) -> None:
        """Let what is kept by slot go on under the new slots of the channels there were."""
        self._defects = {slots[o]: told for o, told in self._defects.items() if o in slots}
        self._heard = {slots[o] for o in self._heard if o in slots}
        self._stale.move(slots)
        since_us = {slot: self._since_us[old] for old, slot in slots.items()}
        waits = {slot: _fixed_wait(before[old]) for old, slot in slots.items()}
        self._since_us = [since_us.get(s, self._now_us) for s in range(len(self.intake.channels))]
        for slot, channel in enumerate(self.intake.channels):
            known = slot in waits and waits[slot] == _fixed_wait(channel)
            if self._started and not known and not self.intake.freshness[slot].stale:
                self._stale.watch(slot, self._stale_at_us(slot))

    def _adopt_changed(self, changed: frozenset[ChannelKey]) -> StepOutput:
        """Take up the open alarms of channels whose rules are others, or end them."""
        out = StepOutput()
        site = (None, None)
        concerned = [
            alarm
            for alarm in self.machine.open_alarms()
            if (place := (alarm.condition.station, alarm.condition.channel)) in changed
            or place == site
        ]
        for alarm in concerned:
            try:
                farewell = self.rules.farewell(alarm, self._now_us)
                if farewell is not None:
                    out.alarms += self.machine.apply(farewell, self._now_us)
                if alarm.condition.station is not None:
                    self.rules.adopt((alarm,))
            except Exception:  # noqa: BLE001 - a defect must not silence the whole square
                _LOG.exception("alarm %s stays as it is", alarm.id)
        return out

    def _begin(self, now_us: int) -> None:
        self._now_us = max(self._now_us, now_us)
        self._next_tick_us = (self._now_us // US_PER_S + 1) * US_PER_S

    def _take_in(self, now_us: int, events: Sequence[Event]) -> list[_Item]:
        items: list[_Item] = []
        at_us = self._now_us
        for event in events:
            at_us = max(at_us, _event_us(event))
            self._find_stale(at_us, items)
            if isinstance(event, Reading):
                self._take_reading(event, at_us, items)
            elif isinstance(event, Ordered):
                items.append((at_us, event.command))
            elif isinstance(event, Restated):
                items.append((at_us, event))
            else:
                items.append((at_us, event.condition))
        self._find_stale(max(at_us, now_us), items)
        return items

    def _take_reading(self, reading: Reading, at_us: int, items: list[_Item]) -> None:
        accepted = self.intake.accept(reading, at_us)
        if accepted is None:
            return
        freshness = self.intake.freshness[accepted.slot]
        if freshness.stale and accepted.fresh:
            freshness.stale = False
            items.append((at_us, _Turn(accepted.slot, stale=False)))
        self._watch(accepted)
        items.append((at_us, accepted))

    def _find_stale(self, until_us: int, items: list[_Item]) -> None:
        while (due := self._stale.pop_due(until_us)) is not None:
            deadline_us, slot = due
            renewed_us = self._stale_at_us(slot)
            if renewed_us > deadline_us:
                self._stale.watch(slot, renewed_us)
            else:
                self.intake.freshness[slot].stale = True
                items.append((deadline_us, _Turn(slot, stale=True)))

    def _watch(self, accepted: Accepted) -> None:
        slot = accepted.slot
        later = has_fixed_wait(accepted.channel) and self._stale.is_watched(slot)
        # a later deadline is looked up when the earlier one comes; the first one was a grace
        if later and slot in self._heard:
            return
        if accepted.fresh:
            self._heard.add(slot)
        self._stale.watch(slot, self._stale_at_us(slot))

    def _stale_at_us(self, slot: int) -> int:
        freshness = self.intake.freshness[slot]
        wait_us = stale_after_us(self.intake.channels[slot], freshness)
        if freshness.last_received_us is None:
            return self._since_us[slot] + max(wait_us, seconds_to_us(FIRST_REPORT_GRACE_S))
        return freshness.last_received_us + wait_us

    def _next_inner_us(self) -> int | None:
        due_us = self._next_tick_us if self.rules.needs_tick else None
        rules_us = self.rules.next_deadline()
        if rules_us is not None and (due_us is None or rules_us < due_us):
            due_us = rules_us
        machine_us = self.machine.next_deadline() if self._past is None else None
        if machine_us is not None and (due_us is None or machine_us < due_us):
            due_us = machine_us
        return due_us

    def _advance(self, until_us: int, out: StepOutput) -> None:
        """Meet every deadline and full second up to and including `until_us`, in order."""
        while (due_us := self._next_inner_us()) is not None and due_us <= until_us:
            if self._past is None:
                out.alarms += self.machine.advance(due_us)
            self._apply(self.rules.advance(due_us), due_us, out)
            if due_us == self._next_tick_us:
                self._apply(self.rules.on_tick(due_us), due_us, out)
                self._next_tick_us += US_PER_S
        self._now_us = until_us
        if self._next_tick_us <= until_us:
            self._next_tick_us = (until_us // US_PER_S + 1) * US_PER_S

    def _fuse(self, accepted: Sequence[Accepted]) -> list[Fused | None]:
        """Return what the filters make of each reading.

        A defect that one channel's readings meet costs that channel, not the others: from
        then on every reading is taken alone. In the step that first meets it, filters that
        had already moved give no second estimate.
        """
        if not self._defects:
            try:
                return self.fusion.submit(accepted)
            except Exception:  # noqa: BLE001 - a defect must not silence the whole square
                _LOG.exception("readings cannot be fused together; each is tried alone")
        return [self._fuse_alone(item) for item in accepted]

    def _fuse_alone(self, item: Accepted) -> Fused | None:
        try:
            return self.fusion.submit((item,))[0]
        except Exception as error:  # noqa: BLE001 - a defect must not silence the whole square
            self._note_defect(item.slot, error)
            return None

    def _judge(self, item: Accepted, fused: Fused | None, at_us: int, out: StepOutput) -> None:
        out.readings.append(item.reading)
        known = self._defects.pop(item.slot, None)
        self._guard(self._judge_reading, item, at_us, out)
        if fused is not None:
            out.estimates.append(fused.estimate)
            self._guard(self._judge_estimate, item, at_us, out, fused)
        if known is not None and fused is None:
            self._defects.setdefault(item.slot, known)
        if item.slot in self._defects:
            spoken = self.rules.on_defect(item.channel.key, self._defects[item.slot], at_us)
            self._apply(spoken, at_us, out)
        elif known is not None:
            self._apply(self.rules.on_mended(item.channel.key, at_us), at_us, out)

    def _judge_reading(self, item: Accepted, at_us: int) -> list[Condition]:
        if not item.in_order:
            return self.rules.on_overtaken(item.reading, at_us, belated=item.belated)
        return self.rules.on_reading(item.reading, item.channel, at_us)

    def _judge_estimate(self, item: Accepted, at_us: int, fused: Fused) -> list[Condition]:
        if not fused.radiation:
            return self.rules.on_estimate(fused.estimate, at_us)
        return self.rules.on_radiation(fused.estimate, item.reading, fused.background, at_us)

    def _guard(
        self, judge: _Judge, item: Accepted, at_us: int, out: StepOutput, *found: Fused
    ) -> None:
        try:
            spoken = judge(item, at_us, *found)
        except Exception as error:  # noqa: BLE001 - a defect must not silence the whole square
            self._note_defect(item.slot, error)
            return
        if spoken:
            self._apply(spoken, at_us, out)

    def _note_defect(self, slot: int, error: Exception) -> None:
        name = "/".join(self.intake.channels[slot].key)
        _LOG.error("%s cannot be judged", name, exc_info=error)
        self.drops.add(NOT_JUDGED)
        self._defects[slot] = f"the gateway cannot judge its readings ({type(error).__name__})"

    def _turn(self, turn: _Turn, at_us: int, out: StepOutput) -> None:
        key = self.intake.channels[turn.slot].key
        spoken = self.rules.on_stale(key, at_us) if turn.stale else self.rules.on_fresh(key, at_us)
        self._apply(spoken, at_us, out)

    def _obey(self, command: Command, at_us: int, out: StepOutput) -> None:
        try:
            out.alarms += self.machine.command(command, at_us)
        except CommandRefused as refusal:
            out.answers.append(Answer(command, str(refusal)))
        else:
            out.answers.append(Answer(command, None))

    def _apply(self, conditions: Sequence[Condition], at_us: int, out: StepOutput) -> None:
        if self._past is not None:
            self._past += [(at_us, condition) for condition in conditions]
            return
        for condition in conditions:
            out.alarms += self.machine.apply(condition, at_us)


def _fixed_wait(channel: Channel) -> tuple[float | None, float | None]:
    return (channel.stale_after_s, channel.period_s)


def _event_us(event: Event) -> int:
    return event.received_us if isinstance(event, Reading) else event.at_us
