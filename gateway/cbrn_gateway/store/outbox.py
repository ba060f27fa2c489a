"""Outbox of the journal: what each consumer has still to be told, inside the same file.

Two views. `newest`: per alarm only its newest version, by priority, never backwards.
`log`: every entry strictly by seq, behind one cursor.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from cbrn_core.alarm import Priority
from cbrn_core.errors import StorageError
from cbrn_core.reading import Purpose
from cbrn_gateway.store.chain import Entry, chain_fields, decode, is_alert

_ENDED_TOLD_AGAIN = 1_000

SCHEMA = """
CREATE TABLE consumers (
  name TEXT PRIMARY KEY, view TEXT NOT NULL, cursor INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE newest (
  alarm_id TEXT PRIMARY KEY, version INTEGER NOT NULL, seq INTEGER NOT NULL,
  drill INTEGER NOT NULL, priority INTEGER NOT NULL, is_open INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX newest_open ON newest (seq) WHERE is_open;
CREATE TABLE outbox (
  consumer TEXT NOT NULL, alarm_id TEXT NOT NULL, seq INTEGER NOT NULL,
  version INTEGER NOT NULL, drill INTEGER NOT NULL, priority INTEGER NOT NULL,
  PRIMARY KEY (consumer, alarm_id)
) WITHOUT ROWID;
CREATE INDEX outbox_by_rank ON outbox (consumer, drill, priority, seq);
"""


class View(StrEnum):
    """In which order, and how completely, a consumer is told."""

    NEWEST = "newest"
    LOG = "log"


class Start(StrEnum):
    """Where a consumer that is new to this journal begins.

    `open`: at the alerts that are open now (view newest only). `head`: at what comes
    next. `beginning`: at entry 1 (view log only).
    """

    OPEN = "open"
    HEAD = "head"
    BEGINNING = "beginning"


class Consumer(msgspec.Struct, frozen=True):
    """A sink as the journal knows it; without `start`: open for newest, head for log."""

    name: str
    view: View
    start: Start | None = None

    def __post_init__(self) -> None:
        if self.start is self._senseless:
            raise ValueError(f"a consumer of view {self.view} cannot start at {self.start}")

    @property
    def _senseless(self) -> Start:
        return Start.BEGINNING if self.view is View.NEWEST else Start.OPEN


class Pending(NamedTuple):
    """One alert version that a consumer has still to be told; `body` is canonical JSON."""

    seq: int
    alarm_id: str
    version: int
    priority: Priority
    body: bytes

    def decode(self) -> dict[str, Any]:
        """Return the alert as it was journalled."""
        return decode(self.body)


class AlertRank(NamedTuple):
    """What the journal must know of an alert: which alarm, which version, how urgent."""

    alarm_id: str
    version: int
    is_drill: bool
    priority: Priority
    is_open: bool


def alert_rank(entry: Entry) -> AlertRank | None:
    """Return the rank of an alert, None for any other entry.

    What cannot be read of priority or state counts as the most urgent: a badly written
    alert is still delivered.

    Raises:
        StorageError: an alert without `id` or `version` cannot be journalled.
    """
    if not is_alert(entry):
        return None
    fields = chain_fields(entry)
    alarm_id, version = entry.get("id"), fields.get("version")
    if not isinstance(alarm_id, str) or not alarm_id:
        raise StorageError("an alert without id cannot be journalled")
    if type(version) is not int:
        raise StorageError(f"alert {alarm_id} without version cannot be journalled")
    return AlertRank(
        alarm_id,
        version,
        fields.get("purpose") in {Purpose.EXERCISE, Purpose.TEST},
        _priority(fields.get("priority")),
        fields.get("state") != "normal",
    )


def enqueue(connection: sqlite3.Connection, seq: int, alert: AlertRank) -> None:
    """Put a journalled alert into every outbox, unless a newer version is known."""
    row = (alert.alarm_id, alert.version, seq, alert.is_drill, alert.priority, alert.is_open)
    changed = connection.execute(
        "INSERT INTO newest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (alarm_id) DO UPDATE SET"
        " version = excluded.version, seq = excluded.seq, drill = excluded.drill,"
        " priority = excluded.priority, is_open = excluded.is_open"
        " WHERE excluded.version > newest.version",
        row,
    ).rowcount
    if changed:
        connection.execute(
            "INSERT OR REPLACE INTO outbox (consumer, alarm_id, seq, version, drill, priority)"
            " SELECT c.name, n.alarm_id, n.seq, n.version, n.drill, n.priority"
            " FROM consumers c, newest n WHERE c.view = 'newest' AND n.alarm_id = ?",
            (alert.alarm_id,),
        )


def set_consumers(connection: sqlite3.Connection, consumers: Iterable[Consumer]) -> None:
    """Register the consumers; those no longer named lose their place.

    Raises:
        StorageError: two consumers of one name.
    """
    wanted = list(consumers)
    names = {consumer.name for consumer in wanted}
    if len(names) < len(wanted):
        raise StorageError("two consumers of the journal have the same name")
    views = dict(connection.execute("SELECT name, view FROM consumers").fetchall())
    staying = {c.name for c in wanted if views.get(c.name) == c.view}
    for name in set(views) - staying:
        connection.execute("DELETE FROM outbox WHERE consumer = ?", (name,))
        connection.execute("DELETE FROM consumers WHERE name = ?", (name,))
    for consumer in wanted:
        if consumer.name not in staying:
            _register(connection, consumer)


def take_over(
    connection: sqlite3.Connection, consumers: Iterable[Consumer], cursors: Mapping[str, int]
) -> None:
    """Register the consumers of a journal that was begun with the entries of another.

    What view newest had been told is not known: the alarms that ended last are told again,
    those still open are for the gateway to state anew.
    """
    for consumer in consumers:
        connection.execute(
            "INSERT INTO consumers SELECT ?, ?, MIN(?, seq) FROM head",
            (consumer.name, consumer.view.value, cursors.get(consumer.name, 0)),
        )
    connection.execute(
        "INSERT INTO outbox (consumer, alarm_id, seq, version, drill, priority)"
        " SELECT c.name, n.alarm_id, n.seq, n.version, n.drill, n.priority"
        " FROM consumers c, newest n WHERE c.view = 'newest' AND NOT n.is_open"
        " AND n.seq > (SELECT seq FROM head) - ?",
        (_ENDED_TOLD_AGAIN,),
    )


def pending_newest(connection: sqlite3.Connection, consumer: str, limit: int) -> list[Pending]:
    """Return what a consumer has still to be told: real before drill, then by priority."""
    _cursor(connection, consumer, View.NEWEST)
    rows = connection.execute(
        "SELECT o.seq, o.alarm_id, o.version, o.priority, e.body FROM outbox o"
        " JOIN entries e ON e.seq = o.seq WHERE o.consumer = ?"
        " ORDER BY o.drill, o.priority, o.seq LIMIT ?",
        (consumer, limit),
    )
    return [
        Pending(seq, alarm_id, version, Priority(priority), body)
        for seq, alarm_id, version, priority, body in rows
    ]


def delivered(connection: sqlite3.Connection, consumer: str, seqs: Sequence[int]) -> None:
    """Take what a consumer has been told out of its outbox; a newer version stays in it."""
    _cursor(connection, consumer, View.NEWEST)
    connection.executemany(
        "DELETE FROM outbox WHERE consumer = ? AND seq = ?", [(consumer, seq) for seq in seqs]
    )


def log_cursor(connection: sqlite3.Connection, consumer: str) -> int:
    """Return the seq up to which a log consumer has been told."""
    return _cursor(connection, consumer, View.LOG)


def advance(connection: sqlite3.Connection, consumer: str, seq: int) -> None:
    """Move a log consumer forward to `seq`; a step back does nothing.

    Raises:
        StorageError: beyond the newest entry.
    """
    cursor = log_cursor(connection, consumer)
    (head,) = connection.execute("SELECT seq FROM head").fetchone()
    if seq > head:
        raise StorageError(f"{consumer} cannot have been told entry {seq}: the newest is {head}")
    if seq > cursor:
        connection.execute("UPDATE consumers SET cursor = ? WHERE name = ?", (seq, consumer))


def _register(connection: sqlite3.Connection, consumer: Consumer) -> None:
    from_start = consumer.start is Start.BEGINNING
    connection.execute(
        "INSERT INTO consumers SELECT ?, ?, CASE WHEN ? THEN 0 ELSE seq END FROM head",
        (consumer.name, consumer.view.value, from_start),
    )
    if consumer.view is View.NEWEST and consumer.start is not Start.HEAD:
        connection.execute(
            "INSERT INTO outbox (consumer, alarm_id, seq, version, drill, priority)"
            " SELECT ?, alarm_id, seq, version, drill, priority FROM newest WHERE is_open",
            (consumer.name,),
        )


def _cursor(connection: sqlite3.Connection, consumer: str, view: View) -> int:
    row = connection.execute(
        "SELECT cursor FROM consumers WHERE name = ? AND view = ?", (consumer, view.value)
    ).fetchone()
    if row is None:
        raise StorageError(f"the journal knows no consumer {consumer} of view {view}")
    cursor: int = row[0]
    return cursor


def _priority(written: object) -> Priority:
    if isinstance(written, int | str):
        try:
            return Priority.from_wire(written)
        except ValueError:
            return Priority.P1
    return Priority.P1
