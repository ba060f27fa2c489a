"""The file of the journal: entries, chain head and outbox in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_core.times import parse_rfc3339
from cbrn_gateway.store import outbox
from cbrn_gateway.store.chain import (
    GENESIS_HASH,
    Chain,
    Entry,
    canonical,
    chain_fields,
    decode,
    entry_hash,
    is_alert,
)
from cbrn_gateway.store.database import Database, Layout, open_reader, open_writer
from cbrn_gateway.store.outbox import Consumer, Pending, alert_rank

JOURNAL_LAYOUT = Layout(
    name="journal",
    application_id=0x43424A31,
    version=1,
    synchronous="FULL",
    schema="""
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time_us INTEGER, type TEXT NOT NULL,
  alarm_id TEXT, version INTEGER, body BLOB NOT NULL
);
CREATE UNIQUE INDEX entries_by_alarm ON entries (alarm_id, version)
  WHERE alarm_id IS NOT NULL;
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  hash TEXT NOT NULL
);
"""
    + outbox.SCHEMA,
)

_ENTRY_COLUMNS = "e.seq, e.epoch, e.time_us, e.type, e.alarm_id, e.version, e.body"


class Head(NamedTuple):
    """The end of the chain; seq 0 and 64 zeros in an empty journal."""

    epoch: int
    seq: int
    hash: str


class JournalEntry(NamedTuple):
    """One entry as it lies in the file.

    `type` is "alert" or the entry's own `type`; `time_us` is None where the entry says no
    time; `alarm_id` and `version` are None unless it is an alert. `body` is the
    canonical JSON of the sealed entry.
    """

    seq: int
    epoch: int
    time_us: int | None
    type: str
    alarm_id: str | None
    version: int | None
    body: bytes

    def decode(self) -> dict[str, Any]:
        """Return the sealed entry."""
        return decode(self.body)


class JournalReader:
    """Reads a journal, also while another process writes it; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = open_reader(path, JOURNAL_LAYOUT)

    def head(self) -> Head:
        """Return the end of the chain; raises StorageError."""
        with self._database.reading() as connection:
            return Head(*connection.execute("SELECT epoch, seq, hash FROM head").fetchone())

    def entries(self, after_seq: int = 0, limit: int = 1000) -> list[JournalEntry]:
        """Return up to `limit` entries after `after_seq`, by seq; raises StorageError."""
        return self._entries("FROM entries e WHERE e.seq > ? ORDER BY e.seq", after_seq, limit)

    def open_alerts(self) -> list[JournalEntry]:
        """Return the newest version of each alarm that is not normal, by seq."""
        return self._entries(
            "FROM newest n JOIN entries e ON e.seq = n.seq WHERE n.is_open ORDER BY n.seq"
        )

    def newest_alerts(self, limit: int) -> list[JournalEntry]:
        """Return the newest version of each alarm, open or not, the last `limit` by seq."""
        newest = "FROM newest n JOIN entries e ON e.seq = n.seq ORDER BY n.seq DESC"
        return self._entries(newest, limit)[::-1]

    def pending_newest(self, consumer: str, limit: int = 100) -> list[Pending]:
        """Return what a consumer of view newest has still to be told, by priority."""
        with self._database.reading() as connection:
            return outbox.pending_newest(connection, consumer, limit)

    def pending_in_order(self, consumer: str, limit: int = 100) -> list[JournalEntry]:
        """Return what a consumer of view log has still to be told, strictly by seq."""
        with self._database.reading() as connection:
            cursor = outbox.log_cursor(connection, consumer)
        return self.entries(cursor, limit)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _entries(self, source: str, *parameters: int) -> list[JournalEntry]:
        limit = " LIMIT ?" if parameters else ""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_ENTRY_COLUMNS} {source}{limit}", parameters)
            return [JournalEntry(*row) for row in rows]


class JournalFile(JournalReader):
    """Writes a journal. Every method is one transaction and raises StorageError.

    `epoch` (UTC seconds) begins a journal that is made new. An existing one continues
    its own, unless `restored` says that it came back from a backup: then a new epoch
    begins at its end, so that nobody takes its next entries for those lost.
    """

    def __init__(self, path: Path, *, epoch: int, restored: bool = False) -> None:
        self._database = open_writer(path, JOURNAL_LAYOUT)
        try:
            self._begin(epoch, restored=restored)
            self._check_end()
        except BaseException:
            self._database.close()
            raise

    @property
    def database(self) -> Database:
        """Return the file itself, to group several calls into one transaction."""
        return self._database

    def append(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Seal and write all entries or none; return them as sealed.

        An alert version that is already there is not written again: what was journalled
        first is returned.
        """
        with self._database.transaction():
            chain = Chain(*self.head())
            sealed = [self._append_one(chain, entry) for entry in entries]
            self._database.connection.execute(
                "UPDATE head SET seq = ?, hash = ?", (chain.seq, chain.prev_hash)
            )
        return sealed

    def delivered(self, consumer: str, seqs: Sequence[int]) -> None:
        """Note that a consumer of view newest has been told these entries."""
        with self._database.transaction() as connection:
            outbox.delivered(connection, consumer, seqs)

    def advance(self, consumer: str, seq: int) -> None:
        """Note that a consumer of view log has been told everything up to `seq`."""
        with self._database.transaction() as connection:
            outbox.advance(connection, consumer, seq)

    def set_consumers(self, consumers: Iterable[Consumer]) -> None:
        """Register the consumers; those no longer named lose their outbox."""
        with self._database.transaction() as connection:
            outbox.set_consumers(connection, consumers)

    def take_over(
        self,
        rows: Iterable[JournalEntry],
        consumers: Sequence[Consumer],
        cursors: Mapping[str, int],
    ) -> int:
        """Begin with the verified entries of a damaged journal, as they are; return how many.

        The chain goes on behind them in a new epoch. `cursors` say how far each log
        consumer had been told; one without is told from entry 1 again.
        """
        head = self.head()
        last: JournalEntry | None = None
        with self._database.transaction() as connection:
            for last in rows:
                connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", last)
                alert = alert_rank(last.decode())
                if alert is not None:
                    outbox.enqueue(connection, last.seq, alert)
            if last is None:
                return 0
            connection.execute(
                "UPDATE head SET epoch = ?, seq = ?, hash = ?",
                (max(last.epoch + 1, head.epoch), last.seq, _hash_of(last.body)),
            )
            outbox.take_over(connection, consumers, cursors)
        return last.seq

    def _append_one(self, chain: Chain, entry: Entry) -> dict[str, Any]:
        alert = alert_rank(entry)
        connection = self._database.connection
        if alert is not None:
            known = connection.execute(
                "SELECT body FROM entries WHERE alarm_id = ? AND version = ?", alert[:2]
            ).fetchone()
            if known is not None:
                return decode(known[0])
        sealed = chain.seal(entry)
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", entry_row(sealed))
        if alert is not None:
            outbox.enqueue(connection, chain.seq, alert)
        return sealed

    def _begin(self, epoch: int, *, restored: bool) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO head VALUES (1, ?, 0, ?)", (epoch, GENESIS_HASH)
            )
            if restored:
                connection.execute("UPDATE head SET epoch = MAX(epoch + 1, ?)", (epoch,))

    def _check_end(self) -> None:
        """Refuse to tie new entries to an end that does not match its entry."""
        head = self.head()
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT seq, body FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
        last_seq, last_hash = (0, GENESIS_HASH) if row is None else (row[0], _hash_of(row[1]))
        if (last_seq, last_hash) != (head.seq, head.hash):
            raise ChainBroken(
                min(last_seq, head.seq),
                f"{self._database.path}: the newest entry is not the one that the journal "
                "remembers; nothing was deleted: run verify, then restore a backup or move "
                "the file aside with its -wal and -shm files",
            )


def entry_row(sealed: Entry) -> JournalEntry:
    """Return the row of a sealed entry; its columns follow from its content alone."""
    fields = chain_fields(sealed)
    alert = alert_rank(sealed)
    alarm_id, version = (None, None) if alert is None else alert[:2]
    return JournalEntry(
        fields["seq"],
        fields["epoch"],
        _time_us(sealed),
        _type(sealed),
        alarm_id,
        version,
        canonical(sealed),
    )


def _hash_of(body: bytes) -> str:
    try:
        return entry_hash(decode(body))
    except StorageError:
        return "unreadable"


def _type(entry: Entry) -> str:
    if is_alert(entry):
        return "alert"
    kind = entry.get("type")
    return kind if isinstance(kind, str) else "entry"


def _time_us(entry: Entry) -> int | None:
    fields: Mapping[str, Any] = chain_fields(entry)
    time_us = fields.get("time_us")
    if type(time_us) is int:
        return time_us
    written = fields.get("changed_at") or fields.get("time")
    try:
        return parse_rfc3339(written) if isinstance(written, str) else None
    except ValueError:
        return None
