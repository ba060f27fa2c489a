"""Samples that were stored while the wall clock was known to be wrong, given their right time.

Our own stamp lies close to the arrival by the same clock (`base_us` beside it, where the wall
clock was believed and stood so far from the steady one that tells arrivals); what an instrument
stamped by a clock of its own lies elsewhere and stays as it is. That also tells what has been
moved from what has not, so a restart half way does no harm.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cbrn_gateway.store.database import Database
from cbrn_gateway.store.spool import Consequence

STEP_ROWS = 500
_NS_PER_US = 1_000
_LAST_ROW = 2**63 - 1
_NEWEST_FIRST = (
    "SELECT row, time_us, received_us FROM head WHERE row > ? AND row < ? ORDER BY row DESC LIMIT ?"
)
_OLDEST_FIRST = (
    "SELECT row, time_us, received_us FROM head WHERE row > ? AND row > ? ORDER BY row LIMIT ?"
)


class Moved(NamedTuple):
    """How far a step has come: the row it ended at, None at the end; and what it moved."""

    last: int | None
    rows: int


def move_samples(
    series: Database,
    after_row: int,
    last: int | None,
    shift_us: int,
    *,
    base_us: int = 0,
    most_rows: int = STEP_ROWS,
) -> Moved:
    """Move the next samples stored after a row; `last` is where the step before ended.

    One transaction. It goes against the shift, so that no sample lands on one that is still
    to be moved. Raises StorageError.
    """
    query, start = (_NEWEST_FIRST, _LAST_ROW) if shift_us > 0 else (_OLDEST_FIRST, after_row)
    with series.transaction() as connection:
        rows = connection.execute(
            query, (after_row, start if last is None else last, most_rows)
        ).fetchall()
        moved = [
            (time_us + shift_us, row)
            for row, time_us, received_us in rows
            if _is_own(time_us, received_us + base_us, shift_us)
        ]
        connection.executemany("UPDATE OR REPLACE head SET time_us = ? WHERE row = ?", moved)
    return Moved(_end(rows, most_rows), len(moved))


def move_lines(spool: Database, after_seq: int, last: int | None, shift_us: int) -> Moved:
    """Move the next lines spooled after a line, as `move_samples` does; alarms keep their time.

    When a line was spooled stays as it is: by that it is known whether it was moved.
    """
    with spool.transaction() as connection:
        rows = connection.execute(
            "SELECT seq, stored_us, line FROM lines WHERE seq > ? AND consequence <> ?"
            " ORDER BY seq LIMIT ?",
            (max(after_seq, last or 0), int(Consequence.ALARM), STEP_ROWS),
        ).fetchall()
        moved = [
            (text, seq)
            for seq, stored_us, line in rows
            if (text := _moved_line(line, stored_us, shift_us)) is not None
        ]
        connection.executemany("UPDATE lines SET line = ? WHERE seq = ?", moved)
    return Moved(_end(rows, STEP_ROWS), len(moved))


def _is_own(time_us: int, arrived_us: int, shift_us: int) -> bool:
    return 2 * abs(time_us - arrived_us) < abs(shift_us)


def _moved_line(line: bytes, stored_us: int, shift_us: int) -> bytes | None:
    """Return a line at its right time; None where it is not ours to move, or would change size."""
    head, _, stamp = line.rpartition(b" ")
    if not stamp.isdigit() or not _is_own(int(stamp) // _NS_PER_US, stored_us, shift_us):
        return None
    moved = b"%b %d" % (head, int(stamp) + shift_us * _NS_PER_US)
    return moved if len(moved) == len(line) else None


def _end(rows: Sequence[tuple[int, ...]], most_rows: int) -> int | None:
    return rows[-1][0] if len(rows) == most_rows else None
