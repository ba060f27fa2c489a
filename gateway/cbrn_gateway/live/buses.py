"""Buses: devices that share a wire have one driver and one supervisor."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.protocols import Driver, Rereads
from cbrn_drivers.catalogue import load_driver
from cbrn_drivers.transport.wiretap import WireListener, overheard_by
from cbrn_gateway.config.wires import devices_by_bus
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.progress import ProgressWatch
from cbrn_gateway.live.supervisor import Supervisor

_LOG = logging.getLogger(__name__)


class Bus:
    """One wire: enters its driver, forwards its batches, until the wire breaks."""

    def __init__(
        self,
        name: str,
        driver: Driver,
        inbox: Inbox,
        clock: Clock,
        *,
        listener: WireListener | None = None,
        watch: ProgressWatch | None = None,
    ) -> None:
        self.name = name
        self.readings = 0
        self._watch = ProgressWatch((), clock) if watch is None else watch
        self._listener = listener
        self.supervisor = Supervisor(name, self._listen, clock)
        self._driver = driver
        self._inbox = inbox

    def counters(self) -> Mapping[str, int]:
        """Return what the driver dropped, by name."""
        return self._driver.counters()

    def reread(self, device_id: str) -> bool:
        """Have a device of this wire read again at once; False where that cannot be."""
        return isinstance(self._driver, Rereads) and self._driver.reread(device_id)

    async def _listen(self) -> None:
        overheard = nullcontext() if self._listener is None else overheard_by(self._listener)
        with overheard:
            async with self._watch.guarding(), self._driver as driver:
                async for batch in driver.batches():
                    self._watch.heard(batch)
                    self._inbox.put(batch)
                    self.readings += len(batch)
                    self.supervisor.progressed()


def make_buses(
    devices: Iterable[Device],
    inbox: Inbox,
    clock: Clock,
    listen: Callable[[str, Sequence[Device]], WireListener] | None = None,
) -> list[Bus]:
    """Return one bus per wire; nothing is opened yet.

    `listen(bus name, its devices)` returns who overhears that wire.
    """
    return [
        Bus(
            name,
            load_driver(group[0].driver).open_bus(group, clock),
            inbox,
            clock,
            listener=None if listen is None else listen(name, group),
            watch=ProgressWatch(group, clock),
        )
        for name, group in devices_by_bus(devices).items()
    ]
