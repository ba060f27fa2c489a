"""Rolls old rows of the head table up into chunks, in steps that hold nothing up.

First the rows of a stretch of row numbers are found, then they are copied, one chunk after
the other, then they are taken away in the order in which they lie on the disk: to take away a
chunk's rows with it would write every page of the stretch once per channel. In between a row
stands in both places, and the head's counts. What was copied but not taken away at the end of
a process is copied over itself by the next.
"""

import json
import time
from array import array
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cbrn_core.errors import InputError, StorageError
from cbrn_core.units import Unit
from cbrn_gateway.store.chunks import Chunk, Chunks
from cbrn_gateway.store.rollup import SLOT_US
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_rows import SELECT_SAMPLES, Row, load_channels, overlay

ROLLED_AFTER_S = 600.0
"""So long after its arrival a row stays in the head table at least."""

SETTLED_AFTER_S = 60.0
"""So late a slot's last rows may come without its chunk being written twice."""

LONGEST_WAIT_S = 3600.0
"""After which a row is rolled up although its slot, by an odd clock, is not over."""

LOOK_EVERY_S = 300.0
FIRST_LOOK_S = 5.0
"""Before the retention's: rows of an earlier run shall not go for bytes that they need not have."""

RETRY_S = 10.0
STEP_PAUSE_S = 0.05
AIMED_STEP_S = 0.01
"""A step ends with the first piece of work that is finished after so long."""

_CHUNK_ROWS = 512
_PLANNED_ROWS = 200_000
_SCANNED_NUMBERS = 2_000
_DELETED_ROWS = 200
_US_PER_S = 1_000_000
_MS_PER_S = 1_000

_NEXT_ROW = "SELECT MIN(row) FROM head WHERE row > ?"
_RIPE = (
    "SELECT row, channel_id, time_us FROM head WHERE row > ? AND row <= ? AND received_us < ?"
    " AND (time_us < ? OR received_us < ?)"
)
_DELETE = "DELETE FROM head WHERE row = ?"
_WHERE_NUMBER = " WHERE row IN (SELECT value FROM json_each(?))"

Place = tuple[int, int]
"""Channel and slot."""


class _Plan:
    """What is rolled up now: rows of the head table up to a number, by place."""

    def __init__(self, last: int, newest_us: int, units: dict[int, Unit]) -> None:
        arrived_us = newest_us - int(ROLLED_AFTER_S * _US_PER_S)
        over_us = arrived_us - int(SETTLED_AFTER_S * _US_PER_S)
        waited_us = newest_us - int(LONGEST_WAIT_S * _US_PER_S)
        self.bounds_us = (arrived_us, over_us // SLOT_US * SLOT_US, waited_us)
        self.units = units
        self.last = last
        self.scanned = 0
        self.found = 0
        self.places: defaultdict[Place, array[int]] = defaultdict(lambda: array("q"))
        self.to_copy: deque[tuple[Place, Sequence[int]]] | None = None
        self.copied = array("q")
        self.to_delete: NDArray[np.int64] | None = None
        self.deleted = 0
        self.spared: set[int] = set()

    @property
    def is_scanned(self) -> bool:
        return self.scanned >= self.last or self.found >= _PLANNED_ROWS


class Roller:
    """Rolls up in steps; used by the writer's thread alone.

    Only what arrived ten minutes before the newest row and what no restart hears again;
    `through_row` bounds it further where it gives a row number. `hold` lets no new plan begin.

    Attributes:
        rolled: rows taken from the head table into chunks since the start.
        refused: steps that the disk refused.
        stuck: rows left in the head table, at each attempt, because their chunk cannot be
            read or would be too long.
        longest_ms: duration of the longest step.
    """

    def __init__(
        self,
        series: Series,
        *,
        through_row: Callable[[], int | None] = lambda: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rolled = 0
        self.refused = 0
        self.stuck = 0
        self.longest_ms = 0
        self._series = series
        self._chunks = Chunks(series.database)
        self._through_row = through_row
        self._monotonic_s = monotonic_s
        self._plan: _Plan | None = None
        self._after_row = 0
        self._is_held = False
        self._due_s = monotonic_s() + FIRST_LOOK_S

    @property
    def is_busy(self) -> bool:
        """Return whether a plan is being worked off."""
        return self._plan is not None

    def hold(self) -> None:
        """Begin no new plan until `go_on`."""
        self._is_held = True

    def go_on(self) -> None:
        """Begin plans again."""
        self._is_held = False

    def wait_s(self) -> float:
        """Return how long nothing needs to be done."""
        return self._due_s - self._monotonic_s()

    def step(self) -> None:
        """Do a few pieces of work in one transaction; never raises for the disk."""
        began_s = self._monotonic_s()
        rolled, stuck = self.rolled, self.stuck
        try:
            with self._series.database.transaction():
                while self._work() and self._monotonic_s() - began_s < AIMED_STEP_S:
                    pass
            pause_s = LOOK_EVERY_S if self._plan is None and not self._after_row else STEP_PAUSE_S
        except StorageError:
            self.refused += 1
            self.rolled, self.stuck = rolled, stuck
            self._end()
            self._after_row = 0
            pause_s = RETRY_S
        ended_s = self._monotonic_s()
        self.longest_ms = max(self.longest_ms, round((ended_s - began_s) * _MS_PER_S))
        self._due_s = ended_s + pause_s

    def _work(self) -> bool:
        """Do one piece of work; return whether there is more of this plan."""
        if self._plan is None:
            self._plan = self._begun()
        plan = self._plan
        if plan is None:
            return False
        if not plan.is_scanned:
            self._scan(plan)
            return True
        if plan.to_copy is None:
            plan.to_copy = deque(
                (place, rows[start : start + _CHUNK_ROWS])
                for place, rows in plan.places.items()
                for start in range(0, len(rows), _CHUNK_ROWS)
            )
        if plan.to_copy:
            self._copy(plan, *plan.to_copy.popleft())
            return True
        if plan.to_delete is None:
            plan.to_delete = np.sort(np.frombuffer(plan.copied, dtype=np.int64))
        if plan.deleted < len(plan.to_delete):
            self._delete(plan, plan.to_delete)
            return True
        self._after_row = plan.scanned if plan.scanned < plan.last else 0
        self._end()
        return False

    def _begun(self) -> _Plan | None:
        connection = self._series.database.connection
        (known,) = connection.execute("SELECT MAX(last_row) FROM snapshot").fetchone()
        newest = connection.execute("SELECT received_us FROM head ORDER BY row DESC LIMIT 1")
        newest_us = next(newest, (None,))[0]
        through = self._through_row()
        if self._is_held or known is None or newest_us is None:
            self._after_row = 0
            return None
        units = {known.id: known.unit for known in load_channels(connection).values()}
        plan = _Plan(known if through is None else min(known, through), newest_us, units)
        plan.scanned = self._after_row
        self._series.rewritten = set()
        return plan

    def _end(self) -> None:
        self._plan = None
        self._series.rewritten = None

    def _scan(self, plan: _Plan) -> None:
        connection = self._series.database.connection
        (first,) = connection.execute(_NEXT_ROW, (plan.scanned,)).fetchone()
        if first is None or first > plan.last:
            plan.scanned = plan.last
            return
        last = min(first + _SCANNED_NUMBERS - 1, plan.last)
        for row, channel_id, time_us in connection.execute(
            _RIPE, (first - 1, last, *plan.bounds_us)
        ):
            plan.places[channel_id, time_us // SLOT_US].append(row)
            plan.found += 1
        plan.scanned = last

    def _copy(self, plan: _Plan, place: Place, numbers: Sequence[int]) -> None:
        """Copy rows of one place into one chunk; those of another one come next."""
        channel_id, slot = place
        found = self._series.database.connection.execute(
            SELECT_SAMPLES + _WHERE_NUMBER, (json.dumps(list(numbers)),)
        ).fetchall()
        # gone or moved since they were found
        rows = sorted((r for r in found if (r[1], r[2] // SLOT_US) == place), key=_time_us)
        if not rows:
            return
        start_us = slot * SLOT_US
        chunks = list(self._chunks.between(channel_id, start_us, start_us + SLOT_US - 1))
        chunk, mine = _of_one_chunk(rows, chunks)
        if len(mine) < len(rows) and plan.to_copy is not None:
            plan.to_copy.appendleft((place, [row[0] for row in rows[len(mine) :]]))
        try:
            self._store(plan.units[channel_id], chunk, mine)
        except InputError:
            self.stuck += len(mine)
        else:
            plan.copied.extend(row[0] for row in mine)

    def _store(self, unit: Unit, chunk: Chunk | None, rows: Sequence[Row]) -> None:
        merged = {}
        if chunk is not None:
            merged = {row[2]: row for row in self._chunks.rows_of(chunk)}
        overlay(merged, rows)
        ordered = [merged[time_us] for time_us in sorted(merged)]
        # in parts of about the same length
        parts = -(-len(ordered) // _CHUNK_ROWS)
        length = -(-len(ordered) // parts)
        self._chunks.replace(
            chunk,
            rows[0][1],
            unit,
            [ordered[start : start + length] for start in range(0, len(ordered), length)],
        )

    def _delete(self, plan: _Plan, to_delete: NDArray[np.int64]) -> None:
        for place in self._series.rewritten or ():
            plan.spared.update(plan.places.get(place, ()))
        numbers = to_delete[plan.deleted : plan.deleted + _DELETED_ROWS].tolist()
        plan.deleted += len(numbers)
        doomed = [(number,) for number in numbers if number not in plan.spared]
        if doomed:
            connection = self._series.database.connection
            self.rolled += connection.executemany(_DELETE, doomed).rowcount


def _of_one_chunk(
    rows: Sequence[Row], chunks: Sequence[Chunk]
) -> tuple[Chunk | None, Sequence[Row]]:
    """Return the chunk that the first of some rows belong to, and those; None for a new one."""
    if not chunks:
        return None, rows
    starts_us = [chunk.first_us for chunk in chunks]
    at = max(bisect_right(starts_us, rows[0][2]) - 1, 0)
    chunk = chunks[at]
    mine = rows
    if at + 1 < len(chunks):
        mine = [row for row in rows if row[2] < starts_us[at + 1]]
    is_behind = mine[0][2] > chunk.last_us
    if is_behind and chunk.rows + len(mine) > _CHUNK_ROWS:
        return None, mine
    return chunk, mine


def _time_us(row: Row) -> int:
    time_us: int = row[2]
    return time_us
