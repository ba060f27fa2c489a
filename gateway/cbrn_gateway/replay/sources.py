"""When `sources.jsonl` gets a line: 2 … 60 s after an incident opens, then each minute."""

import heapq

from cbrn_core.alarm import NOT_ENOUGH_EVIDENCE, Alarm, AlarmKind, AlarmState
from cbrn_core.times import US_PER_S, format_rfc3339

_FIRST_S = (2, 5, 10, 20, 40, 60)
_THEN_S = 60


class SourceSchedule:
    """Says at each due moment what is known of the source of every open incident.

    A source is not estimated yet: the honest answer is "not enough evidence".
    """

    def __init__(self) -> None:
        self._due: list[tuple[int, str, int]] = []
        self._agents: dict[str, str] = {}
        self._open: dict[str, set[str]] = {}

    def note(self, alarm: Alarm) -> None:
        """Take an alarm's newest version into account."""
        if alarm.condition.key.kind not in {AlarmKind.SPECIFIC, AlarmKind.EVOLVING}:
            return
        members = self._open.setdefault(alarm.incident, set())
        if alarm.state is AlarmState.NORMAL:
            members.discard(alarm.id)
            return
        members.add(alarm.id)
        if alarm.incident not in self._agents:
            self._agents[alarm.incident] = alarm.condition.agent or alarm.condition.key.agent
            for after_s in _FIRST_S:
                due_us = alarm.changed_us + after_s * US_PER_S
                heapq.heappush(self._due, (due_us, alarm.incident, after_s))

    def advance(self, now_us: int) -> list[dict[str, str]]:
        """Return the lines due up to and including `now_us`, in order."""
        lines = []
        while self._due and self._due[0][0] <= now_us:
            due_us, incident, after_s = heapq.heappop(self._due)
            if not self._open.get(incident):
                self._agents.pop(incident, None)
                continue
            if after_s >= _FIRST_S[-1]:
                again = (due_us + _THEN_S * US_PER_S, incident, after_s)
                heapq.heappush(self._due, again)
            lines.append(
                {
                    "time": format_rfc3339(due_us),
                    "incident": incident,
                    "agent": self._agents.get(incident, ""),
                    "status": NOT_ENOUGH_EVIDENCE,
                }
            )
        return lines
