"""A journal that turns out to be damaged while it is written: set aside, gone on from, told anew.

Meanwhile alarms go out from memory (safety 18).
"""

import logging
from collections.abc import Callable

from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.quarantine import SetAside

_LOG = logging.getLogger(__name__)

RETRY_S = 2.0
AGAIN_AFTER_S = 60.0
"""A disk that damages each new file as well must not fill up with them."""


class JournalHealing:
    """Sets a damaged journal aside; `run` until cancelled; `tell` hears of each."""

    def __init__(self, journal: Journal, clock: Clock, tell: Callable[[SetAside], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._tell = tell

    async def run(self) -> None:
        """Wait for damage and mend it, until cancelled."""
        while True:
            await self._journal.damaged.wait()
            try:
                aside = await self.heal()
            except StorageError as error:
                _LOG.error("the damaged journal cannot be set aside yet: %s", error)
                await self._clock.sleep(RETRY_S)
            else:
                self._tell(aside)
                await self._clock.sleep(AGAIN_AFTER_S)

    async def heal(self) -> SetAside:
        """Set the journal aside now; raises StorageError."""
        return await self._journal.begin_anew(self._clock.now().wall_us // US_PER_S)
