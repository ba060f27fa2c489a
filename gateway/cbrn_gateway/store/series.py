"""Embedded series of readings and estimates: one row per sample, and the bank's snapshot."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.store.database import Database, Layout, open_reader, open_writer
from cbrn_gateway.store.series_rows import (
    INSERT_ESTIMATE,
    INSERT_SAMPLE,
    SELECT_SAMPLES,
    KnownChannel,
    Row,
    SampleKind,
    estimate_row,
    has_estimate,
    has_reading,
    load_channels,
    row_estimate,
    row_reading,
    sample_row,
)

SampleT = TypeVar("SampleT", Reading, Estimate)

_PAGE_ROWS = 1_000
_KEPT_ROWS = 1_000
_LATEST_US = 2**63 - 1

# an outlandish sample (a number beyond 64 bits, text that is no Unicode) costs itself only
_UNWRITABLE = (
    OverflowError,
    UnicodeEncodeError,
    TypeError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

_HAS = {SampleKind.READING: "quality IS NOT NULL", SampleKind.ESTIMATE: "est_quality IS NOT NULL"}
_WHERE_LAST = (
    " WHERE row IN (SELECT row FROM (SELECT row, MAX(time_us) FROM head WHERE {has}"
    " GROUP BY channel_id)) ORDER BY channel_id"
)
_WHERE_BETWEEN = (
    " WHERE channel_id = (SELECT id FROM channels WHERE station = ? AND channel = ?)"
    " AND {has} AND time_us >= ? AND time_us < ? ORDER BY time_us LIMIT ?"
)

# one row holds a reading and its estimate; by time first, because then a commit changes few pages
SERIES_LAYOUT = Layout(
    name="series store",
    application_id=0x43425331,
    version=2,
    synchronous="NORMAL",
    schema="""
CREATE TABLE channels (
  id INTEGER PRIMARY KEY, station TEXT NOT NULL, channel TEXT NOT NULL, unit TEXT NOT NULL,
  device TEXT, UNIQUE (station, channel)
);
CREATE TABLE head (
  row INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, time_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL, value REAL, sigma REAL, raw, quality INTEGER, flags TEXT,
  lat REAL, lon REAL, extra BLOB, est_value REAL, est_sigma REAL, nis REAL,
  trend_per_min REAL, instrument_value REAL, est_quality INTEGER, est_flags TEXT,
  est_received_us INTEGER, est_extra BLOB, UNIQUE (time_us, channel_id)
);
CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY CHECK (id = 1), journal_seq INTEGER NOT NULL,
  last_row INTEGER NOT NULL, config_hash TEXT NOT NULL, state BLOB NOT NULL
)
""",
)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """State of the filter bank at one moment, to start from after a restart.

    Attributes:
        journal_seq: newest journal entry at that moment.
        last_row: newest sample that the state knows; what came after is caught up.
        config_hash: the configuration under which the state was made.
    """

    journal_seq: int
    last_row: int
    config_hash: str
    state: bytes


class SeriesReader:
    """Reads the series, also while another thread or process writes it.

    Attributes:
        unreadable: rows that were skipped because a newer program wrote them.
    """

    def __init__(self, path: Path) -> None:
        self._database = open_reader(path, SERIES_LAYOUT)
        self.unreadable = 0

    def last_readings(self) -> list[Reading]:
        """Return the newest reading of every channel; raises StorageError."""
        return self._decoded(self._last(SampleKind.READING), row_reading)

    def last_estimates(self) -> list[Estimate]:
        """Return the newest estimate of every channel; raises StorageError."""
        return self._decoded(self._last(SampleKind.ESTIMATE), row_estimate)

    def readings(
        self, key: ChannelKey, since_us: int = 0, until_us: int = _LATEST_US, limit: int = 100_000
    ) -> list[Reading]:
        """Return a channel's readings with since_us ≤ time < until_us, by time."""
        rows = self._range(SampleKind.READING, key, since_us, until_us, limit)
        return self._decoded(rows, row_reading)

    def estimates(
        self, key: ChannelKey, since_us: int = 0, until_us: int = _LATEST_US, limit: int = 100_000
    ) -> list[Estimate]:
        """Return a channel's estimates with since_us ≤ time < until_us, by time."""
        rows = self._range(SampleKind.ESTIMATE, key, since_us, until_us, limit)
        return self._decoded(rows, row_estimate)

    def counts(self, kind: SampleKind = SampleKind.READING) -> dict[ChannelKey, int]:
        """Return how many distinct samples each channel has; raises StorageError."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT station, channel, IFNULL(readings, 0), IFNULL(estimates, 0)"
                " FROM channels LEFT JOIN (SELECT channel_id, COUNT(quality) AS readings,"
                " COUNT(est_quality) AS estimates FROM head GROUP BY channel_id)"
                " ON channel_id = id"
            )
            return {(station, channel): counts[kind] for station, channel, *counts in rows}

    def samples_after(self, row: int) -> Iterator[tuple[list[Reading], list[Estimate]]]:
        """Yield what was stored after `row` in the order of storing, page by page."""
        while True:
            with self._database.reading() as connection:
                page = connection.execute(
                    SELECT_SAMPLES + " WHERE row > ? ORDER BY row LIMIT ?",
                    (row, _PAGE_ROWS),
                ).fetchall()
            if not page:
                return
            row = page[-1][0]
            readings = self._decoded(list(filter(has_reading, page)), row_reading)
            estimates = self._decoded(list(filter(has_estimate, page)), row_estimate)
            yield readings, estimates

    def last_row(self) -> int:
        """Return the highest row number ever committed, 0 when there is none."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT MAX(row) FROM head UNION ALL SELECT last_row FROM snapshot"
            ).fetchall()
        return max(row[0] or 0 for row in rows)

    def latest_received_us(self) -> int:
        """Return the greatest arrival time among the newest samples, 0 when there is none."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT MAX(received_us) FROM"
                " (SELECT received_us FROM head ORDER BY row DESC LIMIT 1000)"
            ).fetchone()
        return found[0] or 0

    def load_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot; raises StorageError."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT journal_seq, last_row, config_hash, state FROM snapshot"
            ).fetchone()
        if row is None:
            return None
        return Snapshot(journal_seq=row[0], last_row=row[1], config_hash=row[2], state=row[3])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _last(self, kind: SampleKind) -> list[Row]:
        with self._database.reading() as connection:
            return connection.execute(
                SELECT_SAMPLES + _WHERE_LAST.format(has=_HAS[kind])
            ).fetchall()

    def _range(
        self, kind: SampleKind, key: ChannelKey, since_us: int, until_us: int, limit: int
    ) -> list[Row]:
        with self._database.reading() as connection:
            return connection.execute(
                SELECT_SAMPLES + _WHERE_BETWEEN.format(has=_HAS[kind]),
                (*key, since_us, until_us, limit),
            ).fetchall()

    def _decoded(
        self, rows: Sequence[Row], decode: Callable[[ChannelKey, KnownChannel, Row], SampleT]
    ) -> list[SampleT]:
        with self._database.reading() as connection:
            known = load_channels(connection)
        by_id = {channel.id: (key, channel) for key, channel in known.items()}
        samples = []
        for row in rows:
            try:
                samples.append(decode(*by_id[row[1]], row))
            except (KeyError, ValueError, msgspec.DecodeError):
                self.unreadable += 1
        return samples


class Series(SeriesReader):
    """Writes the series. Every method is one transaction and raises StorageError.

    (station, channel, time) is stored once: a repeat overwrites itself under the new number,
    a reading its reading and an estimate its estimate.

    Attributes:
        unwritable: samples that no row can hold; dropped and counted at each attempt.
        retired: rows taken away since the start because they were too old or too many.
    """

    def __init__(self, path: Path) -> None:
        self._database = open_writer(path, SERIES_LAYOUT)
        self.unreadable = 0
        self.unwritable = 0
        self.retired = 0
        self._known: dict[ChannelKey, KnownChannel] = {}
        self._known_at = -1

    @property
    def database(self) -> Database:
        """Return the file itself, to group several calls into one transaction."""
        return self._database

    def append(self, readings: Sequence[Reading], estimates: Sequence[Estimate] = ()) -> None:
        """Store samples; readings get the higher row numbers."""
        first = self.last_row() + 1
        self.append_numbered(
            list(enumerate(readings, first + len(estimates))), list(enumerate(estimates, first))
        )

    def append_numbered(
        self,
        readings: Sequence[tuple[int, Reading]],
        estimates: Sequence[tuple[int, Estimate]] = (),
    ) -> None:
        """Store samples under row numbers that the caller has given them, ever rising.

        An estimate shares the row of its reading; only one without its reading needs its own.
        """
        with self._database.transaction():
            if self._known_at != self._database.rollbacks:
                self._known = load_channels(self._database.connection)
                self._known_at = self._database.rollbacks
            try:
                alone = self._store_pairs(readings, estimates)
                self._store_alone(alone)
            except _UNWRITABLE:
                self._store_one_by_one(readings, estimates)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?, ?)",
                (snapshot.journal_seq, snapshot.last_row, snapshot.config_hash, snapshot.state),
            )

    def retire(self, before_us: int | None, most_bytes: int | None, most_rows: int) -> int:
        """Take the oldest rows away, at most `most_rows`; return how many.

        Those that arrived before `before_us`, and those beyond `most_bytes` of the file;
        never the newest thousand, nor what a restart still hears again.
        """
        with self._database.transaction() as connection:
            through = self._retired_through(connection, before_us, most_bytes, most_rows)
            deleted = connection.execute("DELETE FROM head WHERE row <= ?", (through,)).rowcount
        self.retired += deleted
        return deleted

    def _retired_through(
        self,
        connection: sqlite3.Connection,
        before_us: int | None,
        most_bytes: int | None,
        most_rows: int,
    ) -> int:
        """Return the number of the last row that may go now, 0 where none may."""
        (newest,) = connection.execute("SELECT MAX(row) FROM head").fetchone()
        (known,) = connection.execute("SELECT MAX(last_row) FROM snapshot").fetchone()
        last = (newest or 0) - _KEPT_ROWS
        if known is not None:
            last = min(last, known)
        oldest = connection.execute(
            "SELECT row, received_us FROM head WHERE row <= ? ORDER BY row LIMIT ?",
            (last, most_rows),
        ).fetchall()
        too_many = 0
        if oldest and most_bytes is not None:
            used_bytes = self._used_bytes(connection)
            excess = max(0.0, 1 - most_bytes / used_bytes)
            too_many = ceil(excess * (newest - oldest[0][0] + 1))
        through = 0
        for number, (row, received_us) in enumerate(oldest):
            if number >= too_many and (before_us is None or received_us >= before_us):
                break
            through = row
        return through

    def _used_bytes(self, connection: sqlite3.Connection) -> int:
        """Return the size of what is kept; pages that fell free are used again first."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        used_bytes: int = (pages - unused) * page_bytes
        return used_bytes

    def _store_pairs(
        self,
        readings: Sequence[tuple[int, Reading]],
        estimates: Sequence[tuple[int, Estimate]],
    ) -> Sequence[tuple[int, Estimate]]:
        """Store readings, each with its estimate; return the estimates that are left.

        Estimates come in the order of their readings; others are among those left.
        """
        rows = []
        paired = 0
        estimate = estimates[0][1] if estimates else None
        for row, reading in readings:
            known = self._known.get((reading.station, reading.channel))
            if known is None:
                known = self._new_channel(reading.key, reading.unit, reading.device)
            if estimate is None or not _belong_together(reading, estimate):
                rows.append(sample_row(row, known, reading, None))
                continue
            rows.append(sample_row(row, known, reading, estimate))
            paired += 1
            estimate = estimates[paired][1] if paired < len(estimates) else None
        self._database.connection.executemany(INSERT_SAMPLE, rows)
        return estimates[paired:]

    def _store_alone(self, estimates: Sequence[tuple[int, Estimate]]) -> None:
        for row, estimate in estimates:
            known = self._known.get((estimate.station, estimate.channel))
            if known is None:
                known = self._new_channel(estimate.key, estimate.unit, None)
            self._database.connection.execute(INSERT_ESTIMATE, estimate_row(row, known, estimate))

    def _store_one_by_one(
        self,
        readings: Sequence[tuple[int, Reading]],
        estimates: Sequence[tuple[int, Estimate]],
    ) -> None:
        """Store what a row can hold; rows that went in before are replaced by themselves."""
        for reading in readings:
            try:
                self._store_pairs([reading], ())
            except _UNWRITABLE:
                self.unwritable += 1
        for estimate in estimates:
            try:
                self._store_alone([estimate])
            except _UNWRITABLE:
                self.unwritable += 1

    def _new_channel(self, key: ChannelKey, unit: Unit, device: str | None) -> KnownChannel:
        cursor = self._database.connection.execute(
            "INSERT INTO channels (station, channel, unit, device) VALUES (?, ?, ?, ?)",
            (*key, unit.value, device),
        )
        channel_id = cursor.lastrowid
        if channel_id is None:
            raise TypeError(f"no row for channel {key}")
        known = self._known[key] = KnownChannel(channel_id, unit, device)
        return known


def _belong_together(reading: Reading, estimate: Estimate) -> bool:
    return (
        estimate.time_us == reading.time_us
        and estimate.channel == reading.channel
        and estimate.station == reading.station
    )
