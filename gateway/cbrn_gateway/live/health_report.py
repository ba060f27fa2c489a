"""The daemon's own figures: what only the stores can tell, and a point of the series a minute."""

from collections.abc import Callable, Mapping

from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.store.writer import Writer

LOOK_EVERY_S = 10.0
LOOKS_PER_POINT = 6


class HealthReport:
    """Asks the spool how full and how old it is; `write` gets all `figures` now and then."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        figures: Callable[[], Mapping[str, int]],
        write: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._figures = figures
        self._write = write
        self._spool: dict[str, int] = {}

    def counters(self) -> Mapping[str, int]:
        """Return lines, bytes and age [s] of the spool; empty while it cannot be read."""
        return self._spool

    async def run(self) -> None:
        """Look until cancelled."""
        looks = 0
        while True:
            await self.look()
            if looks % LOOKS_PER_POINT == 0:
                self._write(self._figures())
            looks += 1
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask the spool."""
        try:
            fill = await self._writer.spool_fill()
        except StorageError:  # whoever writes to it tells
            self._spool = {}
            return
        now_us = self._clock.now().wall_us
        oldest_us = now_us if fill.oldest_us is None else fill.oldest_us
        self._spool = {
            "spool_lines": fill.rows,
            "spool_bytes": fill.bytes,
            "spool_age_s": max(0, now_us - oldest_us) // US_PER_S,
        }
