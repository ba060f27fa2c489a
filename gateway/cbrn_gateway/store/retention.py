"""What series and spool may keep: old rows rolled up, what is too much taken away, in steps."""

import time
from collections.abc import Callable

import msgspec

from cbrn_core.errors import StorageError
from cbrn_gateway.store.roller import Roller
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool

LOOK_EVERY_S = 10.0
STEP_PAUSE_S = 0.05
LONGEST_STEP_S = 0.02
"""A step that took longer halves the next: a commit never waits for more than one of them."""

_FIRST_ROWS = 200
_FEWEST_ROWS = 10
_MOST_ROWS = 2_000
_US_PER_DAY = 86_400_000_000


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be kept; None has no limit. The spool's bytes are its own matter."""

    series_days: float | None = None
    series_bytes: int | None = None
    spool_days: float | None = None


class Retention:
    """Rolls up and takes away in steps; used by the writer's thread alone.

    While there is something to roll up nothing goes for its bytes: it will be fewer.

    Attributes:
        refused: steps that the disk refused.
    """

    def __init__(
        self,
        series: Series,
        spool: Spool,
        keep: Keep,
        *,
        roller: Roller | None = None,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        self._series = series
        self._spool = spool
        self._keep = keep
        self._roller = roller or Roller(series, monotonic_s=monotonic_s)
        self._wall_us = wall_us
        self._monotonic_s = monotonic_s
        self._rows = _FIRST_ROWS
        self._due_s = monotonic_s() + LOOK_EVERY_S

    def wait_s(self) -> float:
        """Return how long nothing needs to be done."""
        return min(self._due_s - self._monotonic_s(), self._roller.wait_s())

    def step(self) -> None:
        """Roll a few rows up, or take a few away; never raises for the disk."""
        if self._roller.wait_s() <= 0:
            self._roller.step()
        else:
            self._take_away()

    def _take_away(self) -> None:
        started_s = self._monotonic_s()
        try:
            taken = self._retire_series() + self._retire_spool()
        except StorageError:
            self.refused += 1
            taken = 0
        ended_s = self._monotonic_s()
        if ended_s - started_s > LONGEST_STEP_S:
            self._rows = max(self._rows // 2, _FEWEST_ROWS)
        elif taken:
            self._rows = min(self._rows * 2, _MOST_ROWS)
        self._due_s = ended_s + (STEP_PAUSE_S if taken else LOOK_EVERY_S)

    def _retire_series(self) -> int:
        most_bytes = None if self._roller.is_busy else self._keep.series_bytes
        before_us = self._before_us(self._keep.series_days)
        return self._series.retire(before_us, most_bytes, self._rows)

    def _retire_spool(self) -> int:
        before_us = self._before_us(self._keep.spool_days)
        return self._spool.retire(before_us, self._rows) if before_us is not None else 0

    def _before_us(self, days: float | None) -> int | None:
        return None if days is None else self._wall_us() - int(days * _US_PER_DAY)
