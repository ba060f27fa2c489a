"""Spool of line protocol for InfluxDB: kept until every required consumer has it.

Bounded by rows and bytes; what must go, goes by consequence (readings first, alarms
last), oldest first, and is counted by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from enum import IntEnum
from itertools import count, repeat
from pathlib import Path
from typing import NamedTuple

import msgspec

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import Database, Layout, open_reader, open_writer
from cbrn_gateway.store.salvage import readable_lines

INFLUX = "influx"

_QUARANTINE_ROWS = 10_000
_EVICTION_STEP_ROWS = 1_000
_EVICTED_PER_ROW = 2
_EVICTED_AT_ONCE = 10_000
_TAKE_OVER = "INSERT OR IGNORE INTO lines VALUES (?, ?, ?, ?, ?)"

SPOOL_LAYOUT = Layout(
    name="spool",
    application_id=0x43425031,
    version=2,
    synchronous="NORMAL",
    schema="""
CREATE TABLE lines (
  seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL,
  consequence INTEGER NOT NULL, stored_us INTEGER NOT NULL, line BLOB NOT NULL
);
CREATE TABLE totals (
  consequence INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  evicted INTEGER NOT NULL, newest_seq INTEGER NOT NULL, evicted_seq INTEGER NOT NULL
);
CREATE TABLE cursors (consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
  consumer TEXT NOT NULL, seq INTEGER NOT NULL, line BLOB NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (consumer, seq)
);
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY)
""",
    gives_back=True,
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

    def reopen(self) -> None:
        """Read the file that has come in the place of another; raises StorageError."""
        self._database.close()
        self._database = open_reader(self._database.path, SPOOL_LAYOUT)

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

    A line is deleted when all of `consumers` have had it. A lowered bound is reached little
    by little, some thousand lines with each call. `epoch` (UTC seconds) marks
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
        self._consumers = tuple(consumers)
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._totals: dict[Consequence, _Total] = {}
        self._totals_at = -1
        try:
            self._epoch = self._begin(epoch, consumers)
        except BaseException:
            self._database.close()
            raise

    @property
    def database(self) -> Database:
        """Return the file itself, to group several calls into one transaction."""
        return self._database

    def begin_anew(self, epoch: int) -> None:
        """Go on in a new file, behind the numbers of the damaged one that was moved away."""
        newest_seq = max((total.newest_seq for total in self._totals.values()), default=0)
        self._database.begin_anew()
        with self._database.transaction():
            self._epoch = self._begin(epoch, self._consumers)
            # who was given a line of before may still say that it has arrived
            for total in self._current_totals().values():
                total.newest_seq, total.changed = newest_seq, True
            self._save_totals()

    def take_over(self, damaged: Path) -> int:
        """Spool the lines of a damaged file that can be read, as they are; return how many.

        Only numbers that no line here has; for a bounded time, the newest first.
        """
        taken = 0
        with self._database.transaction() as connection:
            totals = self._current_totals()
            for row in readable_lines(damaged):
                seq, _, consequence, _, line = row
                if connection.execute(_TAKE_OVER, row).rowcount:
                    total = totals[Consequence(consequence)]
                    total.newest_seq = max(total.newest_seq, seq)
                    total.add(1, len(line))
                    taken += 1
            self._make_room(taken)
            self._save_totals()
        return taken

    def append(
        self,
        lines: Iterable[bytes],
        consequence: Consequence = Consequence.READING,
        stored_us: int = 0,
    ) -> None:
        """Spool lines in order; `stored_us` is the wall time, for the age of the spool."""
        self.append_stamped({consequence: [(stored_us, line) for line in lines]})

    def append_stamped(self, lines: Mapping[Consequence, Sequence[tuple[int, bytes]]]) -> None:
        """Spool (stored_us, line) pairs, of each consequence in order."""
        with self._database.transaction() as connection:
            totals = self._current_totals()
            seq = max(total.newest_seq for total in totals.values())
            rows: list[tuple[int, int, int, int, bytes]] = []
            for consequence, stamped in lines.items():
                if stamped:
                    stored_us, texts = zip(*stamped, strict=True)
                    # a plain int: SQLite's driver is slow with any other type of number
                    rank = repeat(int(consequence))
                    rows += zip(count(seq + 1), repeat(self._epoch), rank, stored_us, texts)
                    seq += len(stamped)
                    totals[consequence].newest_seq = seq
                    totals[consequence].add(len(stamped), sum(map(len, texts)))
            connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", rows)
            self._make_room(len(rows))
            self._save_totals()

    def delete_through(self, seq: int, consumer: str = INFLUX) -> None:
        """Note that a consumer has had everything up to `seq`; delete what all have had.

        Raises:
            StorageError: no such line was ever spooled; later ones would vanish unseen.
        """
        with self._database.transaction() as connection:
            if seq > max(total.newest_seq for total in self._current_totals().values()):
                raise StorageError(f"{consumer} cannot have had line {seq}: it is not there yet")
            if seq > self._cursor(consumer):
                connection.execute("UPDATE cursors SET seq = ? WHERE consumer = ?", (seq, consumer))
            self._delete_delivered()

    def retire(self, before_us: int, most_rows: int) -> int:
        """Evict lines spooled before a wall time, at most `most_rows`; return how many.

        Alarms stay: they are few, and go for want of room only.
        """
        evicted = 0
        with self._database.transaction():
            totals = self._current_totals()
            for consequence in (Consequence.READING, Consequence.ESTIMATE, Consequence.FAULT):
                if totals[consequence].rows and evicted < most_rows:
                    evicted += self._evict(consequence, most_rows - evicted, before_us)
            if evicted:
                self._save_totals()
        return evicted

    def newest_seq(self) -> int:
        """Return the number of the line spooled last, 0 before any; raises StorageError."""
        with self._database.transaction():
            return max(total.newest_seq for total in self._current_totals().values())

    @property
    def evicted(self) -> dict[str, int]:
        """Return the lines lost since the spool was made, by consequence, as last written."""
        return {c.name.lower(): total.evicted for c, total in self._totals.items()}

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
                "INSERT OR IGNORE INTO totals VALUES (?, 0, 0, 0, 0, 0)",
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
        totals = self._current_totals()
        for consequence, rows, size_bytes in deleted:
            totals[consequence].add(-rows, -size_bytes)
        self._save_totals()

    def _make_room(self, added: int) -> None:
        """Evict what is too much; a bound that was lowered must not hold a commit up."""
        left = max(_EVICTED_AT_ONCE, _EVICTED_PER_ROW * added)
        for consequence in reversed(Consequence):
            while left > 0 and self._totals[consequence].rows and self._is_over():
                left -= self._evict(consequence, min(left, _EVICTION_STEP_ROWS))

    def _is_over(self) -> bool:
        rows, size_bytes = self._excess()
        return rows > 0 or size_bytes > 0

    def _excess(self) -> tuple[int, int]:
        totals = self._totals.values()
        rows, size_bytes = sum(t.rows for t in totals), sum(t.bytes for t in totals)
        return rows - self._max_rows, size_bytes - self._max_bytes

    def _evict(self, consequence: Consequence, most: int, before_us: int | None = None) -> int:
        """Delete up to `most` of the oldest lines of one consequence; return how many.

        What is too much, or what was spooled before `before_us`. The search goes on where
        the last one ended, so that no line is passed over twice.
        """
        total = self._totals[consequence]
        connection = self._database.connection
        excess_rows, excess_bytes = self._excess()
        oldest = connection.execute(
            "SELECT seq, LENGTH(line), stored_us FROM lines WHERE seq > ? AND consequence = ?"
            " ORDER BY seq LIMIT ?",
            (total.evicted_seq, int(consequence), most),
        )
        through, rows, size_bytes = total.evicted_seq, 0, 0
        with closing(oldest):
            for seq, length, stored_us in oldest:
                if before_us is not None:
                    is_kept = stored_us >= before_us
                else:
                    is_kept = rows >= excess_rows and size_bytes >= excess_bytes
                if is_kept:
                    break
                through, rows, size_bytes = seq, rows + 1, size_bytes + length
        connection.execute(
            "DELETE FROM lines WHERE seq > ? AND seq <= ? AND consequence = ?",
            (total.evicted_seq, through, int(consequence)),
        )
        total.add(-rows, -size_bytes)
        total.evicted += rows
        total.evicted_seq = through
        return rows

    def _current_totals(self) -> dict[Consequence, "_Total"]:
        """Return the totals as they are in the file; call it inside a transaction."""
        if self._totals_at != self._database.rollbacks:
            self._totals = {
                Consequence(consequence): _Total(*total)
                for consequence, *total in self._database.connection.execute(
                    "SELECT consequence, rows, bytes, evicted, newest_seq, evicted_seq FROM totals"
                )
            }
            self._totals_at = self._database.rollbacks
        return self._totals

    def _save_totals(self) -> None:
        changed = [(c, t) for c, t in self._totals.items() if t.changed]
        self._database.connection.executemany(
            "UPDATE totals SET rows = ?, bytes = ?, evicted = ?, newest_seq = ?, evicted_seq = ?"
            " WHERE consequence = ?",
            [
                (t.rows, t.bytes, t.evicted, t.newest_seq, t.evicted_seq, int(consequence))
                for consequence, t in changed
            ],
        )
        for _, total in changed:
            total.changed = False


class _Total:
    """What the spool holds and has lost of one consequence; a row of `totals`."""

    __slots__ = ("bytes", "changed", "evicted", "evicted_seq", "newest_seq", "rows")

    def __init__(
        self, rows: int, size_bytes: int, evicted: int, newest_seq: int, evicted_seq: int
    ) -> None:
        self.rows = rows
        self.bytes = size_bytes
        self.evicted = evicted
        self.newest_seq = newest_seq
        self.evicted_seq = evicted_seq
        self.changed = False

    def add(self, rows: int, size_bytes: int) -> None:
        self.rows += rows
        self.bytes += size_bytes
        self.changed = True
