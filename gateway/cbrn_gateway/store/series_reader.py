"""Reading the series: rows of the head table over those of the chunks, as if all were rows."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.errors import InputError
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.store.chunks import CHUNKS_SCHEMA, LATEST_US, LEAST_US, Chunk, Chunks
from cbrn_gateway.store.database import Database, Layout, open_reader
from cbrn_gateway.store.rollup import SLOT_US, Rollup, Summary, rollup_of, summary_of
from cbrn_gateway.store.series_rows import (
    HAS,
    SELECT_SAMPLES,
    KnownChannel,
    Row,
    SampleKind,
    has_estimate,
    has_reading,
    load_channels,
    overlay,
    row_estimate,
    row_reading,
)

SampleT = TypeVar("SampleT", Reading, Estimate)

_PAGE_ROWS = 1_000
_WINDOW_ROWS = 20_000
_HOLDS = {SampleKind.READING: has_reading, SampleKind.ESTIMATE: has_estimate}
_WHERE_LAST = (
    " WHERE row IN (SELECT row FROM (SELECT row, MAX(time_us) FROM head WHERE {has}"
    " GROUP BY channel_id))"
)
_WHERE_BETWEEN = " WHERE channel_id = ? AND time_us BETWEEN ? AND ?"

# one row holds a reading and its estimate; by time first, because then a commit changes few pages
SERIES_LAYOUT = Layout(
    name="series store",
    application_id=0x43425331,
    version=3,
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
);
"""
    + CHUNKS_SCHEMA,
    upgrades={2: CHUNKS_SCHEMA},
    gives_back=True,
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
        unreadable: rows that were skipped because a newer program wrote them, or because
            their chunk is damaged.
    """

    def __init__(self, path: Path, database: Database | None = None) -> None:
        self._database = database or open_reader(path, SERIES_LAYOUT)
        self._chunks = Chunks(self._database)
        self.unreadable = 0

    def last_readings(self) -> list[Reading]:
        """Return the newest reading of every channel; raises StorageError."""
        return self._decoded(self._last(SampleKind.READING), row_reading)

    def last_estimates(self) -> list[Estimate]:
        """Return the newest estimate of every channel; raises StorageError."""
        return self._decoded(self._last(SampleKind.ESTIMATE), row_estimate)

    def readings(
        self, key: ChannelKey, since_us: int = 0, until_us: int = LATEST_US, limit: int = 100_000
    ) -> list[Reading]:
        """Return a channel's readings with since_us ≤ time < until_us, by time."""
        rows = self._range(SampleKind.READING, key, since_us, until_us, limit)
        return self._decoded(rows, row_reading)

    def estimates(
        self, key: ChannelKey, since_us: int = 0, until_us: int = LATEST_US, limit: int = 100_000
    ) -> list[Estimate]:
        """Return a channel's estimates with since_us ≤ time < until_us, by time."""
        rows = self._range(SampleKind.ESTIMATE, key, since_us, until_us, limit)
        return self._decoded(rows, row_estimate)

    def rollups(
        self, key: ChannelKey, since_us: int = 0, until_us: int = LATEST_US
    ) -> list[Rollup]:
        """Return every aligned five minutes that since_us ≤ time < until_us touches, each whole.

        Five minutes without a reading are left out. Chunks are opened only where the head table
        overlies them (late data, until it is rolled up) or a unit has changed in them.
        """
        known = self._channel(key)
        if known is None or since_us >= until_us:
            return []
        since_us = max(since_us // SLOT_US * SLOT_US, LEAST_US)
        last_us = min(-(-until_us // SLOT_US) * SLOT_US - 1, LATEST_US)
        summaries: defaultdict[int, list[Summary]] = defaultdict(list)
        with self._database.moment():
            head = {row[2]: row for row in self._head(known.id, since_us, last_us)}
            late_us = list(head)
            for chunk in self._chunks.between(known.id, since_us, last_us):
                summary = chunk.summary
                late = slice(
                    bisect_left(late_us, chunk.first_us), bisect_right(late_us, chunk.last_us)
                )
                if late_us[late] or (summary is None and chunk.counts[SampleKind.READING]):
                    summary = self._opened(known.unit, chunk, head, late_us[late])
                if summary is not None:
                    summaries[chunk.first_us // SLOT_US].append(summary)
        slots: defaultdict[int, list[Row]] = defaultdict(list)
        for time_us, row in head.items():
            slots[time_us // SLOT_US].append(row)
        for slot, rows in slots.items():
            summary = summary_of(known.unit, rows)
            if summary is not None:
                summaries[slot].append(summary)
        return [rollup_of(slot, summaries[slot]) for slot in sorted(summaries)]

    def counts(self, kind: SampleKind = SampleKind.READING) -> dict[ChannelKey, int]:
        """Return how many distinct samples each channel has; raises StorageError.

        Goes through all that is stored.
        """
        with self._database.moment() as connection:
            counted: defaultdict[int, int] = defaultdict(int)
            for channel_id, *counts in self._chunks.totals():
                counted[channel_id] += counts[kind]
            # per slot, because chunks that it overlies are looked for
            spans = connection.execute(
                "SELECT channel_id, MIN(time_us), MAX(time_us), COUNT(quality),"
                " COUNT(est_quality) FROM head GROUP BY channel_id, time_us / ?",
                (SLOT_US,),
            ).fetchall()
            for channel_id, first_us, last_us, *counts in spans:
                counted[channel_id] += counts[kind]
                for chunk in self._chunks.between(channel_id, first_us, last_us):
                    counted[channel_id] -= self._stored_twice(kind, chunk, first_us, last_us)
            known = load_channels(connection)
        return {key: counted[channel.id] for key, channel in known.items()}

    def samples_after(self, row: int) -> Iterator[tuple[list[Reading], list[Estimate]]]:
        """Yield what was stored after `row` in the order of storing, page by page."""
        while (found := self._window(row)) is not None:
            window, row = found
            for start in range(0, len(window), _PAGE_ROWS):
                page = window[start : start + _PAGE_ROWS]
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
        """Return the newest row of a kind of every channel, wherever it is."""
        with self._database.moment() as connection:
            query = SELECT_SAMPLES + _WHERE_LAST.format(has=HAS[kind])
            newest = {row[1]: row for row in connection.execute(query)}
            for known in load_channels(connection).values():
                after_us = newest[known.id][2] if known.id in newest else None
                row = self._last_in_chunks(kind, known.id, after_us)
                if row is not None:
                    newest[known.id] = row
        return [newest[channel_id] for channel_id in sorted(newest)]

    def _last_in_chunks(
        self, kind: SampleKind, channel_id: int, after_us: int | None
    ) -> Row | None:
        for chunk in self._chunks.newest(channel_id, kind):
            last_us = chunk.last_kind_us[kind]
            if last_us is None or (after_us is not None and last_us <= after_us):
                return None
            for row in self._rows_of(chunk):
                if row[2] == last_us:
                    return row
        return None

    def _range(
        self, kind: SampleKind, key: ChannelKey, since_us: int, until_us: int, limit: int
    ) -> list[Row]:
        known = self._channel(key)
        found: list[Row] = []
        holds = _HOLDS[kind]
        if known is None or since_us >= until_us:
            return found
        last_us = min(until_us - 1, LATEST_US)
        with self._database.moment():
            for chunk in self._chunks.between(known.id, since_us, last_us):
                rows = {row[2]: row for row in self._rows_of(chunk) if row[2] >= since_us}
                end_us = min(chunk.last_us, last_us)
                overlay(rows, self._head(known.id, since_us, end_us))
                found += (rows[at] for at in sorted(rows) if at <= end_us and holds(rows[at]))
                if len(found) >= limit or end_us == last_us:
                    return found[:limit]
                since_us = end_us + 1
            found += self._head(known.id, since_us, last_us, kind, limit - len(found))
        return found

    def _head(
        self,
        channel_id: int,
        since_us: int,
        last_us: int,
        kind: SampleKind | None = None,
        limit: int = -1,
    ) -> list[Row]:
        """Return a channel's rows of the head table from `since_us` to `last_us`, both in."""
        has = "" if kind is None else f" AND {HAS[kind]}"
        return self._database.connection.execute(
            SELECT_SAMPLES + _WHERE_BETWEEN + has + " ORDER BY time_us LIMIT ?",
            (channel_id, since_us, last_us, limit),
        ).fetchall()

    def _window(self, row: int) -> tuple[list[Row], int] | None:
        """Return what is stored in the next stretch of row numbers, and its last number."""
        with self._database.moment() as connection:
            query = SELECT_SAMPLES + " WHERE row > ? ORDER BY row LIMIT ?"
            head = connection.execute(query, (row, _PAGE_ROWS)).fetchall()
            rolled = self._chunks.next_row(row)
            if rolled is None and not head:
                return None
            if rolled is None:
                last: int = head[-1][0]
            else:
                last = min(rolled, head[0][0] if head else rolled) + _WINDOW_ROWS
                query = SELECT_SAMPLES + " WHERE row > ? AND row <= ?"
                head = connection.execute(query, (row, last)).fetchall()
            rows = self._over_chunks(head, row, last)
        return sorted((r for r in rows if row < r[0] <= last), key=_number), last

    def _over_chunks(self, head: Sequence[Row], after_row: int, last: int) -> list[Row]:
        """Return rows of the head table and of the chunks they touch, each time once."""
        chunks = {chunk.id: chunk for chunk in self._chunks.stored_between(after_row, last)}
        for channel_id, slot in {(row[1], row[2] // SLOT_US) for row in head}:
            start_us = slot * SLOT_US
            found = self._chunks.between(channel_id, start_us, start_us + SLOT_US - 1)
            chunks |= {chunk.id: chunk for chunk in found}
        rows = {(row[1], row[2]): row for row in head}
        for chunk in chunks.values():
            merged = {row[2]: row for row in self._rows_of(chunk)}
            overlay(merged, self._head(chunk.channel_id, chunk.first_us, chunk.last_us))
            rows |= {(chunk.channel_id, time_us): row for time_us, row in merged.items()}
        return list(rows.values())

    def _opened(
        self, unit: Unit, chunk: Chunk, head: dict[int, Row], late_us: Sequence[int]
    ) -> Summary | None:
        """Return that of a chunk with the rows that overlie it; takes those out of `head`."""
        rows = {row[2]: row for row in self._rows_of(chunk)}
        if not rows:
            return chunk.summary
        overlay(rows, [head.pop(at) for at in late_us])
        return summary_of(unit, rows.values())

    def _stored_twice(self, kind: SampleKind, chunk: Chunk, since_us: int, last_us: int) -> int:
        holds = _HOLDS[kind]
        head = self._head(chunk.channel_id, since_us, last_us, kind)
        times_us = {row[2] for row in head}
        return sum(row[2] in times_us and holds(row) for row in self._rows_of(chunk))

    def _rows_of(self, chunk: Chunk) -> list[Row]:
        try:
            return self._chunks.rows_of(chunk)
        except InputError:
            self.unreadable += chunk.rows
            return []

    def _channel(self, key: ChannelKey) -> KnownChannel | None:
        with self._database.reading() as connection:
            return load_channels(connection).get(key)

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


def _number(row: Row) -> int:
    number: int = row[0]
    return number
