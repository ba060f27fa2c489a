"""What waits for a file: bounded, and what must go goes by consequence. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Backlog:
    """Rows by name, in order of arrival within a name.

    `names` are in the order of eviction: the least consequence first. Nothing of a
    name is dropped while an earlier name still has rows.

    Attributes:
        names: in that order.
        dropped: rows lost for want of room, by name.
    """

    def __init__(self, names: Sequence[str], max_rows: int) -> None:
        self.names = tuple(names)
        self._rows: dict[str, deque[Any]] = {name: deque() for name in names}
        self._max_rows = max_rows
        self._count = 0
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def put(self, name: str, rows: Iterable[Any]) -> None:
        """Add rows; the oldest of the least consequence make room."""
        waiting = self._rows[name]
        before = len(waiting)
        waiting.extend(rows)
        self._count += len(waiting) - before
        self._trim()

    def take(self) -> dict[str, list[Any]]:
        """Remove and return all rows."""
        taken = {name: list(waiting) for name, waiting in self._rows.items()}
        for waiting in self._rows.values():
            waiting.clear()
        self._count = 0
        return taken

    def give_back(self, taken: Mapping[str, Sequence[Any]]) -> None:
        """Put rows back before all others, because they could not be written."""
        for name, rows in taken.items():
            self._rows[name].extendleft(reversed(rows))
            self._count += len(rows)
        self._trim()

    def _trim(self) -> None:
        excess = self._count - self._max_rows
        if excess <= 0:
            return
        for name, waiting in self._rows.items():
            count = min(excess, len(waiting))
            if count:
                for _ in range(count):
                    waiting.popleft()
                self.dropped[name] += count
                self._count -= count
                excess -= count
