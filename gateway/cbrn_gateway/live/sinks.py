"""The sinks of the configuration in force; those that stay the same stay connected."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.links import LOOK_EVERY_S, Links
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.supervisor import Supervisor
from cbrn_gateway.live.workers import Workers
from cbrn_gateway.sinks.mqtt_alerts import AlertVersion
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 1_000_000

Make = Callable[[Links], None]
Content = tuple[object, ...]
"""What a sink was made of: its table, and what lies in the files that it names."""


class Redelivery(NamedTuple):
    """Which sinks end, and which start; one that changes does both."""

    gone: tuple[str, ...]
    new: Mapping[str, tuple[Content, Links]]


class Sinks:
    """The sinks that a site has, by name; `make[name](links)` adds one to its links."""

    def __init__(
        self, make: Mapping[str, Make], clock: Clock, notices: Notices, journal: Journal
    ) -> None:
        self._make = make
        self._clock = clock
        self._notices = notices
        self._journal = journal
        self._made: dict[str, tuple[Content, Links]] = {}
        self._workers = Workers()
        self._workers.add("notices", self._settle)

    def plan(self, config: SiteConfig) -> Redelivery:
        """Return what another configuration needs; connects to nothing, touches nothing.

        Raises:
            ConfigError: a sink that cannot be made as configured.
        """
        wanted = {name: found for name in self._make if (found := _content(config, name))}
        gone = tuple(name for name, (made, _) in self._made.items() if made != wanted.get(name))
        missing = [n for n in wanted if n in gone or n not in self._made]
        return Redelivery(gone, {n: (wanted[n], self._links(n, config)) for n in missing})

    def join(self, redelivery: Redelivery) -> None:
        """Start sinks."""
        for name, (content, links) in redelivery.new.items():
            self._made[name] = (content, links)
            self._workers.add(name, links.run)

    async def change(self, redelivery: Redelivery) -> None:
        """End the sinks that go, start those that come."""
        for name in redelivery.gone:
            await self._workers.remove(name)
            del self._made[name]
        if "mqtt" in redelivery.new:
            await self._register(mqtt_consumers())
        self.join(redelivery)

    async def settle(self, config: SiteConfig) -> None:
        """Forget what waits for a sink that a configuration has left out for good."""
        if config.mqtt is None:
            await self._register(())

    def supervisors(self) -> dict[str, Supervisor]:
        """Return who keeps each sink alive."""
        return {name: found for links in self for name, found in links.supervisors().items()}

    def status_line(self) -> str:
        """Return what each sink is doing, in one line."""
        return "; ".join(links.status_line() for links in self) or "no sinks"

    def send_unjournalled(self, row: AlertVersion) -> None:
        """Send an alert from memory, because the journal does not take it (safety 18)."""
        for links in self:
            links.send_unjournalled(row)

    def offer_live(self, lines: Sequence[bytes]) -> None:
        """Offer what was just spooled, to be shown before a backlog of the database."""
        for links in self:
            links.offer_live(lines)

    def wake(self) -> None:
        """Say that the stores have something new."""
        for links in self:
            links.wake()

    def counters(self) -> dict[str, int]:
        """Return the counters of all sinks."""
        return {name: count for links in self for name, count in links.counters().items()}

    async def run(self) -> None:
        """Run every sink until cancelled."""
        await self._workers.run()

    def __iter__(self) -> Iterator[Links]:
        return iter([links for _, links in self._made.values()])

    def _links(self, name: str, config: SiteConfig) -> Links:
        links = Links(config, self._clock, self._notices)
        self._make[name](links)
        return links

    async def _register(self, consumers: tuple[Consumer, ...]) -> None:
        try:
            await self._journal.set_consumers(consumers)
        except StorageError as error:
            _LOG.error("the journal does not take its consumers: %s", error)

    async def _settle(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self._notices.settle()


def mqtt_consumers() -> tuple[Consumer, ...]:
    """Return what the MQTT sink reads from the journal's outbox."""
    return (Consumer(ALERTS_CONSUMER, View.NEWEST), Consumer(LOG_CONSUMER, View.LOG))


def _content(config: SiteConfig, name: str) -> Content | None:
    table = getattr(config, name)
    if table is None:
        return None
    keys = [key for key in table.__struct_fields__ if key.endswith("_file")]
    return (table, *(_digest(getattr(table, key)) for key in keys))


def _digest(file: str | None) -> str | None:
    """Return what tells one content of a file from another; None where there is none."""
    if file is None:
        return None
    try:
        with Path(file).open("rb") as stream:
            return hashlib.sha256(stream.read(_MOST_BYTES)).hexdigest()
    except OSError:
        return None
