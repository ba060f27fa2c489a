"""The live stream between the pipeline and MQTT: bounded, newest wins, nothing private."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from cbrn_core.estimate import Estimate
from cbrn_core.quantities import Hazard, hazard_of
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel


class LiveItem(msgspec.Struct, frozen=True, gc=False):
    """One reading or estimate; `seq` counts the station's readings, 0 for estimates."""

    seq: int
    item: Reading | Estimate


class LiveQueue:
    """Readings and estimates on their way out, at most `capacity` of them.

    The oldest are dropped first (counted `live_dropped`): the durable copy is in the
    stores. Body quantities and unknown channels never enter (`live_private`): what a
    person's heart does stays in the process.

    Args:
        site: the channels that may be shown; replace the attribute on a new configuration.
        epoch: UTC seconds of this stream's start; `seq` counts within it.
    """

    def __init__(self, site: SiteModel, epoch: int, capacity: int = 10_000) -> None:
        self.site = site
        self.epoch = epoch
        self.counters: Counter[str] = Counter()
        self._items: deque[LiveItem] = deque(maxlen=capacity)
        self._seq_of: Counter[str] = Counter()
        self._filled = asyncio.Event()

    @property
    def site(self) -> SiteModel:
        """Return the site whose channels may be shown."""
        return self._site

    @site.setter
    def site(self, site: SiteModel) -> None:
        self._site = site
        self._public = frozenset(
            key
            for key, channel in site.channels.items()
            if hazard_of(channel.quantity) is not Hazard.PHYSIOLOGICAL
        )

    def offer(self, items: Iterable[Reading | Estimate]) -> None:
        """Take what may be shown; call it on the event loop."""
        waiting, public = self._items, self._public
        for item in items:
            if (item.station, item.channel) not in public:
                self.counters["live_private"] += 1
                continue
            if len(waiting) == waiting.maxlen:
                self.counters["live_dropped"] += 1
            waiting.append(LiveItem(self._next_seq(item), item))
        if waiting:
            self._filled.set()

    async def take(self, limit: int) -> list[LiveItem]:
        """Wait for something and return up to `limit` items, oldest first."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    def _next_seq(self, item: Reading | Estimate) -> int:
        if isinstance(item, Estimate):
            return 0
        self._seq_of[item.station] += 1
        return self._seq_of[item.station]
