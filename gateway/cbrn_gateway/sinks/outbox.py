"""What a sink needs of the stores: protocols, so that sinks and stores stay apart.

`store.journal.Journal` and `store.writer.Writer` fit them. Every call may raise
StorageError and none blocks the event loop.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

ALERTS_CONSUMER = "mqtt"
"""Name under which the journal keeps what MQTT's alert topics have still to be told."""
LOG_CONSUMER = "mqtt-log"
"""Name of the journal's cursor for MQTT's log topic."""


class AlertRow(Protocol):
    """One alert version; `body` is the payload as it was journalled."""

    @property
    def seq(self) -> int:
        """Return the place in the journal."""
        ...

    @property
    def alarm_id(self) -> str:
        """Return the alarm's id."""
        ...

    @property
    def version(self) -> int:
        """Return the alarm's version; it only rises."""
        ...

    @property
    def body(self) -> bytes:
        """Return the GeoJSON Feature."""
        ...


class LogRow(Protocol):
    """One journal entry, alert or event; an event has neither alarm nor version."""

    @property
    def seq(self) -> int:
        """Return the place in the journal."""
        ...

    @property
    def alarm_id(self) -> str | None:
        """Return the alarm's id."""
        ...

    @property
    def version(self) -> int | None:
        """Return the alarm's version."""
        ...

    @property
    def body(self) -> bytes:
        """Return the entry as it was journalled."""
        ...


class AlertOutbox(Protocol):
    """The newest version of every alarm that a consumer has not received."""

    async def pending_newest(self, consumer: str, limit: int = ...) -> Sequence[AlertRow]:
        """Return at most one row per alarm, its newest, the most pressing first."""
        ...

    async def delivered(self, consumer: str, seqs: Sequence[int]) -> None:
        """Retire these rows; a version that came in meanwhile stays pending."""
        ...

    async def open_alerts(self) -> Sequence[LogRow]:
        """Return the newest version of each alarm that is not normal."""
        ...


class LogOutbox(Protocol):
    """Every journal entry, strictly by seq."""

    async def pending_in_order(self, consumer: str, limit: int = ...) -> Sequence[LogRow]:
        """Return the entries after the consumer's cursor, without gaps."""
        ...

    async def advance(self, consumer: str, seq: int) -> None:
        """Set the consumer's cursor: everything up to `seq` has arrived."""
        ...


class SealedRow(LogRow, Protocol):
    """One journal entry with the epoch in which it was written."""

    @property
    def epoch(self) -> int:
        """Return when its journal was begun."""
        ...


class JournalHead(Protocol):
    """The end of the journal; seq 0 in an empty one."""

    @property
    def epoch(self) -> int:
        """Return when the journal was begun."""
        ...

    @property
    def seq(self) -> int:
        """Return the place of the newest entry."""
        ...


class LogReader(Protocol):
    """The journal's entries for whoever lost some; nothing here writes."""

    async def entries(self, after_seq: int = ..., limit: int = ...) -> Sequence[SealedRow]:
        """Return the entries after a place, by seq."""
        ...

    async def head(self) -> JournalHead:
        """Return the end of the journal."""
        ...


class JournalOutbox(AlertOutbox, LogOutbox, LogReader, Protocol):
    """All faces of the journal that MQTT sees."""


class SpoolRow(Protocol):
    """One line of line protocol on its way to the time-series database."""

    @property
    def seq(self) -> int:
        """Return the place in the spool."""
        ...

    @property
    def line(self) -> bytes:
        """Return the line without its line end."""
        ...


class LineSpool(Protocol):
    """Lines that wait for the time-series database, oldest first."""

    async def peek_lines(self, limit_rows: int, limit_bytes: int) -> Sequence[SpoolRow]:
        """Return the oldest rows within both limits, at least one where there is any."""
        ...

    async def delete_lines_through(self, seq: int) -> None:
        """Note that everything up to `seq` was stored or set aside."""
        ...

    async def quarantine_line(self, seq: int, line: bytes, reason: str) -> None:
        """Set a line aside that the database will never take; again changes nothing."""
        ...


RefusedCallback = Callable[[str, int], None]
"""Called with (topic or target, reason code) when a receiver refuses: a technical alarm."""


def ignore_refusal(target: str, reason_code: int) -> None:
    """Stand in where nobody wants to hear of refusals (they are counted all the same)."""


def ignore_progress() -> None:
    """Stand in where nobody counts progress."""
