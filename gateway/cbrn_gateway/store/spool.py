"""Spool of line protocol for InfluxDB: kept until every required consumer has it.

Bounded by rows and bytes; what must go, goes by consequence (readings first, alarms
last), oldest first, and is counted by name.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import Database, Layout, open_reader, open_writer

INFLUX = "influx"

_QUARANTINE_ROWS = 10_000
_EVICTION_STEP_ROWS = 1_000

SPOOL_LAYOUT = Layout(
    name="spool",
    application_id=0x43425031,
    version=1,
    synchronous="NORMAL",
    schema="""
CREATE TABLE lines (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL,
  consequence INTEGER NOT NULL, stored_us INTEGER NOT NULL, line BLOB NOT NULL
);
CREATE INDEX lines_by_consequence ON lines (consequence, seq);
CREATE TABLE totals (
  consequence INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  evicted INTEGER NOT NULL
);
CREATE TABLE cursors (consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
  consumer TEXT NOT NULL, seq INTEGER NOT NULL, line BLOB NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (consumer, seq)
);
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY)
""",
)


class Consequence(IntEnum):
    """What is kept longest when not everything can be kept."""

    ALARM = 0
    FAULT = 1
    ESTIMATE = 2
    READING = 3


class SpoolLine(NamedTuple):
    """One line of line protocol and its place; `seq` rises, with gaps after evictions."""

    epoch: int
    seq: int
    line: bytes


class QuarantinedLine(NamedTuple):
    """A line that the receiver rejects whatever happens, with its reason."""

    seq: int
    line: bytes
    reason: str


class SpoolFill(msgspec.Struct, frozen=True, kw_only=True):
    """How full the spool is.

    Attributes:
        bytes: of line protocol, without the file's own overhead.
        oldest_us: when the oldest line was spooled; None when empty.
        evicted: lines lost for want of room since the spool was made, by consequence.
        quarantined: lines set aside that are still kept.
    """

    rows: int
    bytes: int
    oldest_us: int | None
    evicted: dict[str, int]
    quarantined: int


class SpoolReader:
    """Reads a spool, also while another thread or process writes it."""

    def __init__(self, path: Path) -> None:
        self._database = open_reader(path, SPOOL_LAYOUT)

    def peek(self, limit_rows: int, limit_bytes: int, consumer: str = INFLUX) -> list[SpoolLine]:
        """Return the oldest lines that a consumer has not had, in order.

        At least one where there is any, however long it is; without the consumer's
        quarantined ones.

        Raises:
            StorageError: the file refuses, or nobody registered this consumer.
        """
        batch: list[SpoolLine] = []
        size_bytes = 0
        with self._database.reading() as connection:
            cursor = self._cursor(consumer)
            rows = connection.execute(
                "SELECT epoch, seq, line FROM lines WHERE seq > ? AND seq NOT IN"
                " (SELECT seq FROM quarantine WHERE consumer = ?) ORDER BY seq LIMIT ?",
                (cursor, consumer, limit_rows),
            )
            with closing(rows):
                for row in rows:
                    size_bytes += len(row[2])
                    if batch and size_bytes > limit_bytes:
                        break
                    batch.append(SpoolLine(*row))
        return batch

    def fill(self) -> SpoolFill:
        """Return how full the spool is; raises StorageError."""
        with self._database.reading() as connection:
            totals = connection.execute(
                "SELECT consequence, rows, bytes, evicted FROM totals"
            ).fetchall()
            oldest = connection.execute(
                "SELECT stored_us FROM lines ORDER BY seq LIMIT 1"
            ).fetchone()
            (quarantined,) = connection.execute("SELECT COUNT(*) FROM quarantine").fetchone()
        return SpoolFill(
            rows=sum(row[1] for row in totals),
            bytes=sum(row[2] for row in totals),
            oldest_us=None if oldest is None else oldest[0],
            evicted={Consequence(row[0]).name.lower(): row[3] for row in totals if row[3]},
            quarantined=quarantined,
        )

    def quarantined(self, consumer: str = INFLUX, limit: int = 100) -> list[QuarantinedLine]:
        """Return the newest quarantined lines of a consumer; raises StorageError."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, line, reason FROM quarantine WHERE consumer = ?"
                " ORDER BY seq DESC LIMIT ?",
                (consumer, limit),
            )
            return [QuarantinedLine(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _cursor(self, consumer: str) -> int:
        row = self._database.connection.execute(
            "SELECT seq FROM cursors WHERE consumer = ?", (consumer,)
        ).fetchone()
        if row is None:
            raise StorageError(f"the spool knows no consumer {consumer}")
        cursor: int = row[0]
        return cursor


class Spool(SpoolReader):
    """Writes a spool. Every method is one transaction and raises StorageError.

    A line is deleted when all of `consumers` have had it. `epoch` (UTC seconds) marks
    the rows of a spool that is made new; an existing one continues its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        epoch: int,
        max_rows: int,
        max_bytes: int,
        consumers: Sequence[str] = (INFLUX,),
    ) -> None:
        self._database = open_writer(path, SPOOL_LAYOUT)
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        try:
            self._epoch = self._begin(epoch, consumers)
        except BaseException:
            self._database.close()
            raise

    @property
    def database(self) -> Database:
        """Return the file itself, to group several calls into one transaction."""
        return self._database

    def append(
        self,
        lines: Iterable[bytes],
        consequence: Consequence = Consequence.READING,
        stored_us: int = 0,
    ) -> None:
        """Spool lines in order; `stored_us` is the wall time, for the age of the spool."""
        self.append_stamped([(stored_us, line) for line in lines], consequence)

    def append_stamped(self, lines: Sequence[tuple[int, bytes]], consequence: Consequence) -> None:
        """Spool (stored_us, line) pairs in order."""
        rows = [(self._epoch, int(consequence), at_us, line) for at_us, line in lines]
        size_bytes = sum(len(line) for _, line in lines)
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO lines (epoch, consequence, stored_us, line) VALUES (?, ?, ?, ?)",
                rows,
            )
            self._count(consequence, len(rows), size_bytes)
            self._make_room()

    def delete_through(self, seq: int, consumer: str = INFLUX) -> None:
        """Note that a consumer has had everything up to `seq`; delete what all have had.

        Raises:
            StorageError: no such line was ever spooled; later ones would vanish unseen.
        """
        with self._database.transaction() as connection:
            newest = connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'lines'"
            ).fetchone()
            if seq > (0 if newest is None else newest[0]):
                raise StorageError(f"{consumer} cannot have had line {seq}: it is not there yet")
            if seq > self._cursor(consumer):
                connection.execute("UPDATE cursors SET seq = ? WHERE consumer = ?", (seq, consumer))
            self._delete_delivered()

    def quarantine(self, seq: int, line: bytes, reason: str, consumer: str = INFLUX) -> None:
        """Set a line aside that a consumer rejects; the oldest set aside make room."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
                (consumer, seq, line, reason),
            )
            connection.execute(
                "DELETE FROM quarantine WHERE consumer = ? AND seq <= (SELECT seq FROM quarantine"
                " WHERE consumer = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (consumer, consumer, _QUARANTINE_ROWS),
            )

    def _begin(self, epoch: int, consumers: Sequence[str]) -> int:
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO totals VALUES (?, 0, 0, 0)",
                [(int(consequence),) for consequence in Consequence],
            )
            connection.execute(
                "INSERT INTO epochs SELECT ? WHERE NOT EXISTS (SELECT 1 FROM epochs)", (epoch,)
            )
            # a new consumer starts at the oldest line that is still kept
            connection.executemany(
                "INSERT OR IGNORE INTO cursors VALUES (?, 0)", [(name,) for name in consumers]
            )
            for (name,) in connection.execute("SELECT consumer FROM cursors").fetchall():
                if name not in consumers:
                    connection.execute("DELETE FROM cursors WHERE consumer = ?", (name,))
            self._delete_delivered()
            (current,) = connection.execute("SELECT MAX(epoch) FROM epochs").fetchone()
        epoch_now: int = current
        return epoch_now

    def _delete_delivered(self) -> None:
        connection = self._database.connection
        (through,) = connection.execute("SELECT MIN(seq) FROM cursors").fetchone()
        if through is None:
            return
        deleted = connection.execute(
            "SELECT consequence, COUNT(*), SUM(LENGTH(line)) FROM lines WHERE seq <= ?"
            " GROUP BY consequence",
            (through,),
        ).fetchall()
        connection.execute("DELETE FROM lines WHERE seq <= ?", (through,))
        for consequence, rows, size_bytes in deleted:
            self._count(consequence, -rows, -size_bytes)

    def _make_room(self) -> None:
        for consequence in reversed(Consequence):
            while self._is_over() and self._evict(consequence):
                pass

    def _is_over(self) -> bool:
        rows, size_bytes = self._excess()
        return rows > 0 or size_bytes > 0

    def _excess(self) -> tuple[int, int]:
        rows, size_bytes = self._database.connection.execute(
            "SELECT SUM(rows), SUM(bytes) FROM totals"
        ).fetchone()
        return rows - self._max_rows, size_bytes - self._max_bytes

    def _evict(self, consequence: Consequence) -> bool:
        """Delete some of the oldest lines of one consequence; False when there are none."""
        connection = self._database.connection
        excess_rows, excess_bytes = self._excess()
        oldest = connection.execute(
            "SELECT seq, LENGTH(line) FROM lines WHERE consequence = ? ORDER BY seq LIMIT ?",
            (int(consequence), _EVICTION_STEP_ROWS),
        ).fetchall()
        through, rows, size_bytes = 0, 0, 0
        for seq, length in oldest:
            if rows >= excess_rows and size_bytes >= excess_bytes:
                break
            through, rows, size_bytes = seq, rows + 1, size_bytes + length
        connection.execute(
            "DELETE FROM lines WHERE consequence = ? AND seq <= ?", (int(consequence), through)
        )
        self._count(consequence, -rows, -size_bytes)
        connection.execute(
            "UPDATE totals SET evicted = evicted + ? WHERE consequence = ?",
            (rows, int(consequence)),
        )
        return rows > 0

    def _count(self, consequence: int, rows: int, size_bytes: int) -> None:
        self._database.connection.execute(
            "UPDATE totals SET rows = rows + ?, bytes = bytes + ? WHERE consequence = ?",
            (rows, size_bytes, int(consequence)),
        )
