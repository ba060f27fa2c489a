"""Embedded series of readings and estimates: writing, and taking away what is too old or much."""

import sqlite3
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.store.database import Database, open_writer
from cbrn_gateway.store.rollup import SLOT_US
from cbrn_gateway.store.series_reader import SERIES_LAYOUT, SeriesReader, Snapshot
from cbrn_gateway.store.series_rows import (
    INSERT_ESTIMATE,
    INSERT_SAMPLE,
    KnownChannel,
    estimate_row,
    load_channels,
    sample_row,
)

_KEPT_ROWS = 1_000
_ROWS_PER_CHUNK = 20
"""A chunk goes as fast as so many rows."""

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


class _Oldest(NamedTuple):
    """What may be taken away: rows up to `last` that arrived before, and so many bytes."""

    newest: int
    last: int
    before_us: int | None
    excess_bytes: int
    used_bytes: int


class Series(SeriesReader):
    """Writes the series. Every method is one transaction and raises StorageError.

    (station, channel, time) is stored once: a repeat overwrites itself under the new number,
    a reading its reading and an estimate its estimate.

    Attributes:
        unwritable: samples that no row can hold; dropped and counted at each attempt.
        retired: rows taken away since the start because they were too old or too many.
        rewritten: channel and slot of estimates that came by themselves, where somebody wants
            to know: they change a row and leave it its number.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, open_writer(path, SERIES_LAYOUT))
        self.rewritten: set[tuple[int, int]] | None = None
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
        """Take the first stored samples away, at most about `most_rows`; return how many.

        Those that arrived before `before_us`, and those beyond `most_bytes` of the file;
        never the newest thousand, nor what a restart still hears again. Chunks go first.
        """
        with self._database.transaction() as connection:
            oldest = self._oldest(connection, before_us, most_bytes)
            deleted = self._chunks.retire(
                oldest.last, before_us, oldest.excess_bytes, max(1, most_rows // _ROWS_PER_CHUNK)
            )
            if not deleted:
                query = "DELETE FROM head WHERE row <= ?"
                through = _retired_through(connection, oldest, most_rows)
                deleted = connection.execute(query, (through,)).rowcount
        self.retired += deleted
        return deleted

    def _oldest(
        self, connection: sqlite3.Connection, before_us: int | None, most_bytes: int | None
    ) -> "_Oldest":
        (newest,) = connection.execute("SELECT MAX(row) FROM head").fetchone()
        (known,) = connection.execute("SELECT MAX(last_row) FROM snapshot").fetchone()
        last = (newest or 0) - _KEPT_ROWS
        # pages that fell free are used again first
        used_bytes = self._database.file_bytes() - self._database.unused_bytes()
        return _Oldest(
            newest or 0,
            last if known is None else min(last, known),
            before_us,
            0 if most_bytes is None else max(0, used_bytes - most_bytes),
            used_bytes,
        )

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
            if self.rewritten is not None:
                self.rewritten.add((known.id, estimate.time_us // SLOT_US))

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


def _retired_through(connection: sqlite3.Connection, oldest: _Oldest, most_rows: int) -> int:
    """Return the number of the last row that may go now, 0 where none may."""
    rows = connection.execute(
        "SELECT row, received_us FROM head WHERE row <= ? ORDER BY row LIMIT ?",
        (oldest.last, most_rows),
    ).fetchall()
    too_many = 0
    if rows:
        excess = oldest.excess_bytes / oldest.used_bytes
        too_many = ceil(excess * (oldest.newest - rows[0][0] + 1))
    through = 0
    for number, (row, received_us) in enumerate(rows):
        is_old = oldest.before_us is not None and received_us < oldest.before_us
        if number >= too_many and not is_old:
            break
        through = row
    return through


def _belong_together(reading: Reading, estimate: Estimate) -> bool:
    return (
        estimate.time_us == reading.time_us
        and estimate.channel == reading.channel
        and estimate.station == reading.station
    )
