"""The table of chunks: up to some hundred rows of one channel and slot each, apart in time.

Spans of the chunks of one channel never overlap. A row of the head table of the same channel
and time is newer than the one in the chunk.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from cbrn_core.errors import InputError
from cbrn_core.units import Unit
from cbrn_gateway.store.chunk_columns import pack, unpack
from cbrn_gateway.store.database import Database
from cbrn_gateway.store.rollup import SLOT_US, Figures, Summary, summary_of
from cbrn_gateway.store.series_rows import Row, SampleKind, has_estimate, has_reading

CHUNKS_SCHEMA = """
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL,
  first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
  first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, received_us INTEGER NOT NULL,
  readings INTEGER NOT NULL, estimates INTEGER NOT NULL, rows INTEGER NOT NULL,
  first_reading_us INTEGER, last_reading_us INTEGER, last_estimate_us INTEGER,
  n INTEGER NOT NULL, least REAL, greatest REAL, mean REAL, unit TEXT,
  good INTEGER NOT NULL, uncertain INTEGER NOT NULL, bad INTEGER NOT NULL,
  stale INTEGER NOT NULL, samples BLOB NOT NULL, UNIQUE (channel_id, first_us)
);
CREATE INDEX chunks_in_order_of_storing ON chunks (last_row)
"""

_INSERT = (
    "INSERT INTO chunks (channel_id, first_us, last_us, first_row, last_row, received_us,"
    " readings, estimates, rows, first_reading_us, last_reading_us, last_estimate_us, n, least,"
    " greatest, mean, unit, good, uncertain, bad, stale, samples)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT = (
    "SELECT id, channel_id, first_us, last_us, last_row, readings, estimates, rows,"
    " first_reading_us, last_reading_us, last_estimate_us, n, least, greatest, mean, unit,"
    " good, uncertain, bad, stale FROM chunks"
)
_UNITS = frozenset(Unit)
_LAST = {SampleKind.READING: "last_reading_us", SampleKind.ESTIMATE: "last_estimate_us"}
LEAST_US, LATEST_US = -(2**63), 2**63 - 1
"""Of the times that a row can hold."""


class Chunk(NamedTuple):
    """What is known of a chunk without its rows.

    `last_us` is inclusive; `last_kind_us` the time of its newest reading and estimate. There
    is no `summary` where values have different units: then the rows tell.
    """

    id: int
    channel_id: int
    first_us: int
    last_us: int
    last_row: int
    counts: tuple[int, int]
    rows: int
    last_kind_us: tuple[int | None, int | None]
    summary: Summary | None


class Chunks:
    """Queries of the chunks in one open file; one of an older layout that is only read has none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_there = False

    def between(self, channel_id: int, since_us: int, until_us: int) -> Iterator[Chunk]:
        """Yield the chunks that hold times from `since_us` to `until_us`, both in, in order."""
        # none is longer than a slot: the index finds where to begin
        after_us = max(since_us - SLOT_US, LEAST_US)
        where = " WHERE channel_id = ? AND first_us BETWEEN ? AND ? AND last_us >= ?"
        place = (channel_id, after_us, min(until_us, LATEST_US), max(since_us, LEAST_US))
        return self._found(where + " ORDER BY first_us", *place)

    def newest(self, channel_id: int, kind: SampleKind) -> Iterator[Chunk]:
        """Yield the chunks with samples of a kind, the newest first."""
        where = f" WHERE channel_id = ? AND {_LAST[kind]} IS NOT NULL ORDER BY first_us DESC"
        return self._found(where, channel_id)

    def stored_between(self, after_row: int, last_row: int) -> Iterator[Chunk]:
        """Yield the chunks that may hold row numbers above `after_row`, up to `last_row`."""
        return self._found(" WHERE last_row > ? AND first_row <= ?", after_row, last_row)

    def next_row(self, after_row: int) -> int | None:
        """Return a row number above `after_row` that no row in a chunk comes before."""
        query = "SELECT MIN(MAX(first_row, ?)) FROM chunks WHERE last_row > ?"
        found: int | None = next(self._rows(query, after_row + 1, after_row), (None,))[0]
        return found

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """Yield channel, readings and estimates; goes through the whole table."""
        query = "SELECT channel_id, SUM(readings), SUM(estimates) FROM chunks GROUP BY channel_id"
        return self._rows(query)

    def rows_of(self, chunk: Chunk) -> list[Row]:
        """Return the rows of a chunk by time; raises InputError where it cannot be read."""
        query = "SELECT samples FROM chunks WHERE id = ?"
        ((blob,),) = self._database.connection.execute(query, (chunk.id,)).fetchall()
        if not isinstance(blob, bytes):
            raise InputError("a chunk that is no blob")
        rows = unpack(blob, chunk.channel_id)
        times_us = [row[2] for row in rows]
        ends = (times_us[0], times_us[-1], len(rows))
        if ends != (chunk.first_us, chunk.last_us, chunk.rows) or not _is_rising(times_us):
            raise InputError("a chunk holds other times than it should")
        return rows

    def replace(
        self, chunk: Chunk | None, channel_id: int, unit: Unit, parts: Iterable[Sequence[Row]]
    ) -> None:
        """Store rows of one channel, each part a chunk and by time, in place of an old chunk.

        Raises InputError, with nothing changed, where a part is too long.
        """
        written = [_written(channel_id, unit, rows) for rows in parts]
        if chunk is not None:
            self._database.connection.execute("DELETE FROM chunks WHERE id = ?", (chunk.id,))
        self._database.connection.executemany(_INSERT, written)

    def retire(self, through_row: int, before_us: int | None, excess_bytes: int, most: int) -> int:
        """Take away the first stored chunks, at most `most`; return how many rows they held.

        Those that arrived before `before_us`, and as many as `excess_bytes` need; none that
        holds a row beyond `through_row`. By arrival: measured times of a wrong clock neither
        cost what has just come nor keep a chunk for ever.
        """
        query = "SELECT id, rows, received_us, LENGTH(samples) FROM chunks WHERE last_row <= ?"
        oldest = self._rows(query + " ORDER BY last_row LIMIT ?", through_row, most)
        gone = []
        for chunk_id, rows, received_us, length_bytes in oldest:
            if excess_bytes <= 0 and (before_us is None or received_us >= before_us):
                break
            excess_bytes -= length_bytes
            gone.append((chunk_id, rows))
        self._database.connection.executemany(
            "DELETE FROM chunks WHERE id = ?", [(i,) for i, _ in gone]
        )
        return sum(rows for _, rows in gone)

    def _found(self, where: str, *values: int) -> Iterator[Chunk]:
        return map(_chunk, self._rows(_SELECT + where, *values))

    def _rows(self, query: str, *values: int) -> Iterator[Row]:
        if not self._is_there:
            found = self._database.connection.execute(
                "SELECT 1 FROM sqlite_schema WHERE name = 'chunks'"
            )
            self._is_there = found.fetchone() is not None
        return self._database.connection.execute(query, values) if self._is_there else iter(())


def _chunk(row: Row) -> Chunk:
    chunk_id, channel_id, first_us, last_us, last_row, readings, estimates, rows = row[:8]
    first_reading_us, last_reading_us, last_estimate_us, n, least, greatest, mean, unit = row[8:16]
    summary = None
    if first_reading_us is not None and unit in _UNITS:
        one = Unit(unit)
        figures = {one: Figures(n, least, greatest, mean)} if n else {}
        summary = Summary(first_reading_us, last_reading_us, one, figures, row[16:])
    counts, last_kind_us = (readings, estimates), (last_reading_us, last_estimate_us)
    span = (first_us, last_us, last_row)
    return Chunk(chunk_id, channel_id, *span, counts, rows, last_kind_us, summary)


def _written(channel_id: int, unit: Unit, rows: Sequence[Row]) -> Row:
    readings = [row[2] for row in rows if has_reading(row)]
    estimates = [row[2] for row in rows if has_estimate(row)]
    summary = summary_of(unit, rows)
    figures: Row = (0, None, None, None, None, 0, 0, 0, 0)
    if summary is not None:
        of_unit = summary.figures.get(summary.unit, (0, None, None, None))
        written_unit = summary.unit.value if summary.figures.keys() <= {summary.unit} else None
        figures = (*of_unit, written_unit, *summary.counts)
    numbers = [row[0] for row in rows]
    return (
        channel_id,
        rows[0][2],
        rows[-1][2],
        min(numbers),
        max(numbers),
        max(row[3] for row in rows),
        len(readings),
        len(estimates),
        len(rows),
        readings[0] if readings else None,
        readings[-1] if readings else None,
        estimates[-1] if estimates else None,
        *figures,
        pack(rows),
    )


def _is_rising(times_us: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(times_us))
