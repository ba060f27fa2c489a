"""Alerts that the journal has still to take: in order, bounded, and sent from memory if need be.

Safety 18: an alert that is not journalled in time, or is refused, goes out marked
`journal: "pending"`. When the journal has it at last, the machine publishes it once more as
its next version. A restart before that raises it again from the rules, in versions far
beyond those that were told; what the rules do not raise again is gone with its memory.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cbrn_core.alarm import Alarm, AlarmState, Priority
from cbrn_gateway.alarms.render import mark_pending
from cbrn_gateway.sinks.mqtt_alerts import AlertVersion
from cbrn_gateway.store.chain import canonical

MOST_WAITING = 2_000
"""Alerts kept in memory: some tens of megabytes, hours of a hung disk."""

MOST_AT_ONCE = 64


class WaitingAlert:
    """One version on its way into the journal.

    Attributes:
        alert: the message without its place in the journal.
        since_s: when it was published, by the event loop's clock.
        from_memory: it was sent without waiting for the journal.
    """

    __slots__ = ("alarm", "alert", "from_memory", "since_s")

    def __init__(self, alarm: Alarm, alert: dict[str, Any], since_s: float) -> None:
        self.alarm = alarm
        self.alert = alert
        self.since_s = since_s
        self.from_memory = False


class PendingAlerts:
    """All alerts that wait, the oldest first.

    Beyond `most` older versions of an alarm are left out, then the least urgent alerts,
    oldest first; both only from those that were sent from memory, and counted.

    Attributes:
        counters: `alerts_from_memory`, `alerts_left_out` (of the journal) by reason.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.counters: Counter[str] = Counter()
        self._most = most
        self._waiting: deque[WaitingAlert] = deque()
        self._writing = 0
        self._owed: dict[str, Alarm] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Iterable[WaitingAlert]) -> None:
        """Add versions in the order in which they were published."""
        self._waiting.extend(waiting)

    def head(self, most: int = MOST_AT_ONCE) -> list[WaitingAlert]:
        """Return the oldest, which are being journalled together until `journalled`."""
        group = [self._waiting[i] for i in range(min(most, len(self._waiting)))]
        self._writing = len(group)
        return group

    def journalled(self, group: Sequence[WaitingAlert]) -> None:
        """Take the head away: the journal has it."""
        for waiting in group:
            self._waiting.popleft()
            if waiting.from_memory:
                self._owed[waiting.alarm.id] = waiting.alarm
            else:
                self._owed.pop(waiting.alarm.id, None)
        self._writing = 0

    def send_from_memory(self) -> Iterator[tuple[AlertVersion, dict[str, Any]]]:
        """Yield what has not been sent yet, as row for the sinks and as message."""
        for waiting in self._waiting:
            if not waiting.from_memory:
                waiting.from_memory = True
                self.counters["alerts_from_memory"] += 1
                message = mark_pending(waiting.alert)
                alarm = waiting.alarm
                yield AlertVersion(0, alarm.id, alarm.version, canonical(message)), message
        self._bound()

    def take_owed(self) -> list[Alarm]:
        """Return, once, the versions told from memory whose alarms the journal now knows."""
        owed, self._owed = list(self._owed.values()), {}
        return owed

    def _bound(self) -> None:
        excess = len(self._waiting) - self._most
        if excess <= 0:
            return
        fixed = [self._waiting.popleft() for _ in range(self._writing)]
        rest = self._without_older_versions(list(self._waiting), excess)
        rest = self._without_least_urgent(rest, len(fixed) + len(rest) - self._most)
        self._waiting = deque([*fixed, *rest])

    def _without_older_versions(self, rest: list[WaitingAlert], excess: int) -> list[WaitingAlert]:
        newest = {waiting.alarm.id: waiting.alarm.version for waiting in rest}
        kept = []
        for waiting in rest:
            if excess > 0 and waiting.alarm.version < newest[waiting.alarm.id]:
                excess -= 1
                self.counters["alerts_left_out_superseded"] += 1
            else:
                kept.append(waiting)
        return kept

    def _without_least_urgent(self, rest: list[WaitingAlert], excess: int) -> list[WaitingAlert]:
        if excess <= 0:
            return rest
        order = sorted(range(len(rest)), key=lambda i: (-_urgency(rest[i].alarm), i))
        gone = set(order[:excess])
        self.counters["alerts_left_out_no_room"] += len(gone)
        return [waiting for i, waiting in enumerate(rest) if i not in gone]


def _urgency(alarm: Alarm) -> int:
    """Return the rank by which alerts stay: an ended alarm goes before any that stands."""
    if alarm.state is AlarmState.NORMAL:
        return Priority.D + 1
    return int(alarm.condition.priority)
