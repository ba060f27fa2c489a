"""Writing on while the disk has no more room: in place of what is oldest.

Series and spool keep the size that they have when it begins. What comes is written into pages
that fell free: those of either file, then those of the oldest samples of the series, then those
of the oldest lines of the spool (readings first, never alarms).
"""

import time
from collections.abc import Callable, Mapping

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import Database
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool

LONGEST_S = 1.0
"""So long a commit waits for its room at most; then what has none is dropped."""

_STEP_ROWS = 500
_STEP_BYTES = 262_144
_SLACK_BYTES = 65_536
_EVER_US = 2**62


class Hold:
    """Room for series and spool on a disk that is nearly full; used by the writer's thread alone.

    Attributes:
        made_way: samples of the series taken away for want of room since the start.
        refused: how often the disk refused to make room.
    """

    def __init__(
        self,
        series: Series,
        spool: Spool,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.made_way = 0
        self.refused = 0
        self._series = series
        self._spool = spool
        self._files = (series.database, spool.database)
        self._monotonic_s = monotonic_s
        self._most_bytes: int | None = None

    def room_for(self, wanted_bytes: Mapping[Database, int]) -> dict[Database, int]:
        """Make room in each file for what is to be written; return how much it has then.

        From the first call on the files do not grow any more, until `end`. Never raises for
        the disk.
        """
        until_s = self._monotonic_s() + LONGEST_S
        try:
            self._begin()
            # more comes while room is made
            wanted = {file: 2 * size + _SLACK_BYTES for file, size in wanted_bytes.items() if size}
            for file, size_bytes in wanted.items():
                while self._room_bytes(file) < size_bytes and self._monotonic_s() < until_s:
                    if not self._give_way(file, wanted):
                        break
            return {file: max(0, self._room_bytes(file)) for file in wanted_bytes}
        except StorageError:
            self.refused += 1
            return self._left()

    def end(self) -> None:
        """Let the files grow again."""
        if self._most_bytes is not None:
            self._most_bytes = None
            for file in self._files:
                file.keep_log_short(short=False)

    def _begin(self) -> None:
        if self._most_bytes is None:
            self._most_bytes = sum(file.file_bytes() for file in self._files)
            for file in self._files:
                file.keep_log_short(short=True)

    def _left(self) -> dict[Database, int]:
        left = {}
        for file in self._files:
            try:
                left[file] = file.unused_bytes()
            except StorageError:
                left[file] = 0
        return left

    def _room_bytes(self, file: Database) -> int:
        """Return what a file may take; negative where both have grown beyond what they may."""
        taken_bytes = sum(one.file_bytes() for one in self._files)
        return file.unused_bytes() + (self._most_bytes or 0) - taken_bytes

    def _give_way(self, file: Database, wanted: Mapping[Database, int]) -> bool:
        """Make some room for a file; return whether there was anything to make it of."""
        (other,) = (one for one in self._files if one is not file)
        spare_bytes = other.unused_bytes() - wanted.get(other, 0)
        if spare_bytes > 0 and other.give_back(min(spare_bytes, _STEP_BYTES)):
            return True
        series, spool = self._series.database, self._spool.database
        if (file is series or series.gives_back) and self._retire_samples():
            return True
        return (file is spool or spool.gives_back) and bool(
            self._spool.retire(_EVER_US, _STEP_ROWS)
        )

    def _retire_samples(self) -> bool:
        used_bytes = self._series.database.file_bytes() - self._series.database.unused_bytes()
        taken = self._series.retire(None, max(0, used_bytes - _STEP_BYTES), _STEP_ROWS)
        self.made_way += taken
        return taken > 0
