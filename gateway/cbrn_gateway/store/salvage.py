"""What can still be read of a damaged spool: from both ends up to the pages that are damaged."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

LONGEST_S = 5.0
"""Writing waits meanwhile; what is not read by then stays in the file that was set aside."""

_CONSEQUENCES = range(4)
_SELECT = "SELECT seq, epoch, consequence, stored_us, line FROM lines ORDER BY seq"

LineRow = tuple[int, int, int, int, bytes]
"""Number, epoch, consequence, wall time of spooling, line."""


def readable_lines(path: Path, longest_s: float = LONGEST_S) -> Iterator[LineRow]:
    """Yield lines of a damaged spool, the newest first; some come twice. Never raises for it."""
    until_s = time.monotonic() + longest_s
    with suppress(sqlite3.Error), closing(_opened(path)) as connection:
        for order in (" DESC", ""):
            with suppress(sqlite3.Error):
                for row in connection.execute(_SELECT + order):
                    if time.monotonic() > until_s:
                        return
                    if _is_line(row):
                        yield row


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _is_line(row: tuple[object, ...]) -> bool:
    *numbers, line = row
    are_numbers = all(type(number) is int for number in numbers)
    return are_numbers and isinstance(line, bytes) and row[2] in _CONSEQUENCES
