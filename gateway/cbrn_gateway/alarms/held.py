"""One alarm in the machine's hands: what was published, what is newest, and how they differ."""

import msgspec

from cbrn_core.alarm import (
    Alarm,
    AlarmKind,
    AlarmState,
    Certainty,
    Condition,
    Corroboration,
    Priority,
    Scope,
)
from cbrn_core.place import distance_m
from cbrn_gateway.alarms.policy import PublishPolicy

EXPIRED = "expired – not reviewed"
STANDING = frozenset({AlarmState.UNACK, AlarmState.ACK})
RETURNED = frozenset({AlarmState.RTN_UNACK, AlarmState.LATCHED})
SET_ASIDE = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})

_CERTAINTIES = tuple(Certainty)
_SCOPES = tuple(Scope)
_AGREEMENT = (
    Corroboration.SINGLE,
    Corroboration.INSTRUMENT,
    Corroboration.NETWORK,
    Corroboration.PERSON,
)


class Held(msgspec.Struct, kw_only=True):
    """An open alarm; times are steady µs.

    Attributes:
        alarm: the last published version.
        newest: the newest condition, merged with what stays through the alarm's life.
        active: whether the condition holds, also while the alarm is set aside.
        returning_us: since when it has been cleared without a break.
        sounded_version: the last version that annunciated; an acknowledgement must have
            seen it.
        deferred_us: when a change that had to wait is due.
        review_us: when an unreviewed alarm expires; None where it never does or has.
        overdue: nobody reviewed it in time.
    """

    alarm: Alarm
    newest: Condition
    active: bool = True
    returning_us: int | None = None
    sounded_version: int = 0
    deferred_us: int | None = None
    review_us: int | None = None
    overdue: bool = False
    confirmation: dict[str, str | int | float | bool] = {}

    @property
    def is_latching(self) -> bool:
        """Return whether a person must resolve it after it cleared."""
        return self.newest.latching or self.newest.key.kind is AlarmKind.SPECIFIC

    def state_when_returned(self) -> AlarmState:
        """Return the state once the condition has cleared."""
        if self.alarm.acked_by is None:
            never_sounded = self.newest.priority is Priority.D and self.sounded_version == 0
            return AlarmState.NORMAL if never_sounded and not self.is_latching else _RTN
        return AlarmState.LATCHED if self.is_latching else AlarmState.NORMAL


_RTN = AlarmState.RTN_UNACK
_PEAK = ("peak", "peak_lat", "peak_lon")


def merged(held: Held, condition: Condition) -> Condition:
    """Return a newer active condition, keeping what an alarm never loses while it lives.

    Certainty, corroboration and scope only grow; a priority 1 stays until it was
    acknowledged, so that a short peak cannot pass unseen. A mobile station's highest
    value stays with its place.
    """
    old = held.newest
    unseen = held.alarm.acked_by is None and held.alarm.condition.priority is Priority.P1
    corroboration = max(old.corroboration, condition.corroboration, key=_AGREEMENT.index)
    return msgspec.structs.replace(
        condition,
        priority=Priority.P1 if unseen else condition.priority,
        latching=condition.latching or (unseen and old.latching),
        certainty=max(old.certainty, condition.certainty, key=_CERTAINTIES.index),
        scope=max(old.scope, condition.scope, key=_SCOPES.index),
        corroboration=corroboration,
        facts={**condition.facts, **_peak(old, condition), **held.confirmation},
    )


def is_escalation(published: Condition, newest: Condition) -> bool:
    """Return whether the change must sound again.

    A wider scope alone is published without a sound: the station that widened it sounds,
    and every alarm of the incident would sound again with it.
    """
    return (
        newest.priority < published.priority
        or level_rank(newest) > level_rank(published)
        or _came_anew(published, newest)
        or _CERTAINTIES.index(newest.certainty) > _CERTAINTIES.index(published.certainty)
    )


def is_worth_publishing(published: Condition, newest: Condition, policy: PublishPolicy) -> bool:
    """Return whether level, value or place changed enough for a message.

    A diagnostic alarm is worth a message when its value rises only.
    """
    if _said(newest) != _said(published) or bool(newest.missing) != bool(published.missing):
        return True
    if newest.priority is Priority.D:
        return is_new_peak(published, newest, policy)
    return (
        _value_moved(published, newest, policy)
        or _momentary_moved(published, newest, policy)
        or _place_moved(published, newest, policy)
    )


def publish_interval_s(published: Condition, newest: Condition, policy: PublishPolicy) -> float:
    """Return how far apart two messages about a change that is no escalation are.

    A mobile station moves, and its value with it, whatever happens: below priority 1 only
    another level or a new highest value is told at once.
    """
    on_the_move = newest.place is not None and newest.priority is not Priority.P1
    told_at_once = _said(newest) != _said(published) or is_new_peak(published, newest, policy)
    return policy.mobile_interval_s if on_the_move and not told_at_once else policy.interval_s


def is_new_peak(published: Condition, newest: Condition, policy: PublishPolicy) -> bool:
    """Return whether the value, or a mobile station's highest one, rose enough for a message."""
    before, now = _highest(published), _highest(newest)
    if before is None or now is None:
        return now is not before
    return now > before + policy.value_fraction * abs(before)


def level_rank(condition: Condition) -> int:
    """Return the severity of the level within its alarm."""
    rank = condition.facts.get("level_rank", 0)
    return rank if isinstance(rank, int) else 0


def _said(condition: Condition) -> tuple[object, ...]:
    return (
        condition.priority,
        condition.level,
        condition.reason,
        condition.unit,
        condition.scope,
        condition.facts.get("momentary_rank"),
    )


def _came_anew(published: Condition, newest: Condition) -> bool:
    """Return whether a momentary level is reached that had been left, or a severer one.

    The mean of a window stands above it in rank for long after the gas is gone.
    """
    before, now = published.facts.get("momentary_rank"), newest.facts.get("momentary_rank")
    return isinstance(before, int) and isinstance(now, int) and now > before


def _highest(condition: Condition) -> float | None:
    peak = condition.facts.get("peak")
    return float(peak) if isinstance(peak, int | float) else condition.value


def _peak(old: Condition, newest: Condition) -> dict[str, str | int | float | bool]:
    """Return the highest value of a mobile station so far and where it was measured."""
    if newest.place is None or newest.value is None:
        return {key: old.facts[key] for key in _PEAK if key in old.facts}
    highest = old.facts.get("peak")
    if isinstance(highest, int | float) and old.unit == newest.unit and highest >= newest.value:
        return {key: old.facts[key] for key in _PEAK if key in old.facts}
    lat, lon, _ = newest.place
    return dict(zip(_PEAK, (newest.value, lat, lon), strict=True))


def _value_moved(published: Condition, newest: Condition, policy: PublishPolicy) -> bool:
    if newest.value is None or published.value is None:
        return newest.value is not published.value
    return abs(newest.value - published.value) > policy.value_fraction * abs(published.value)


def _momentary_moved(published: Condition, newest: Condition, policy: PublishPolicy) -> bool:
    """Return whether what is there now moved, beside a mean and by its setpoint's measure."""
    before, now = published.facts.get("momentary"), newest.facts.get("momentary")
    if not isinstance(before, int | float) or not isinstance(now, int | float):
        return False
    return abs(now - before) > policy.value_fraction * max(abs(before), newest.setpoint or 0.0)


def _place_moved(published: Condition, newest: Condition, policy: PublishPolicy) -> bool:
    if newest.place is None or published.place is None:
        return newest.place is not None
    error_m = newest.facts.get("accuracy_m", policy.place_error_m)
    if not isinstance(error_m, int | float):
        error_m = policy.place_error_m
    least_m = 0.5 * error_m
    if newest.priority is not Priority.P1:
        least_m = max(least_m, policy.mobile_distance_m)
    return distance_m(published.place[:2], newest.place[:2]) > least_m
