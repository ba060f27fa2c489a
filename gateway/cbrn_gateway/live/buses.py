"""Buses: devices that share a wire have one driver and one supervisor."""

import logging
from collections.abc import Iterable, Mapping

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.protocols import Driver
from cbrn_drivers.catalogue import load_driver
from cbrn_gateway.config.devices import EXTERNAL
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.supervisor import Supervisor

_LOG = logging.getLogger(__name__)


class Bus:
    """One wire: enters its driver, forwards its batches, until the wire breaks."""

    def __init__(self, name: str, driver: Driver, inbox: Inbox, clock: Clock) -> None:
        self.name = name
        self.readings = 0
        self.supervisor = Supervisor(name, self._listen, clock)
        self._driver = driver
        self._inbox = inbox

    def counters(self) -> Mapping[str, int]:
        """Return what the driver dropped, by name."""
        return self._driver.counters()

    async def _listen(self) -> None:
        async with self._driver as driver:
            async for batch in driver.batches():
                self._inbox.put(batch)
                self.readings += len(batch)
                self.supervisor.progressed()


def devices_by_bus(devices: Iterable[Device]) -> dict[str, list[Device]]:
    """Return the devices that have a wire, grouped by it, in the order of the site file."""
    buses: dict[str, list[Device]] = {}
    for device in devices:
        if device.driver != EXTERNAL:
            buses.setdefault(device.bus, []).append(device)
    return buses


def make_buses(devices: Iterable[Device], inbox: Inbox, clock: Clock) -> list[Bus]:
    """Return one bus per wire; nothing is opened yet."""
    return [
        Bus(name, load_driver(group[0].driver).open_bus(group, clock), inbox, clock)
        for name, group in devices_by_bus(devices).items()
    ]
