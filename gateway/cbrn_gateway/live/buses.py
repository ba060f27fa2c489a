"""Buses: devices that share a wire have one driver and one supervisor."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.protocols import Driver, RadioDriver, Rereads
from cbrn_drivers.catalogue import load_driver, reopen_wait_s
from cbrn_drivers.transport.wiretap import WireListener, overheard_by
from cbrn_gateway.config.wires import devices_by_bus, wirings
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.progress import ProgressWatch, tells_something
from cbrn_gateway.live.supervisor import PROMPT_WAIT_S, Supervisor
from cbrn_gateway.live.workers import Workers

_LOG = logging.getLogger(__name__)


class Bus:
    """One wire: enters its driver, forwards its batches, until the wire breaks.

    A radio watches over its instruments by itself; any other wire is watched here.
    """

    def __init__(
        self,
        name: str,
        driver: Driver,
        inbox: Inbox,
        clock: Clock,
        *,
        listener: WireListener | None = None,
        watch: ProgressWatch | None = None,
        wiring: tuple[Device, ...] = (),
        most_wait_s: float = PROMPT_WAIT_S,
    ) -> None:
        self.name = name
        self.wiring = wiring
        self.readings = 0
        self._radio = driver if isinstance(driver, RadioDriver) else None
        self._watch = ProgressWatch((), clock) if watch is None else watch
        self._listener = listener
        self.supervisor = Supervisor(name, self._listen, clock, most_wait_s=most_wait_s)
        self._driver = driver
        self._inbox = inbox

    def counters(self) -> Mapping[str, int]:
        """Return what the driver dropped, by name."""
        return self._driver.counters()

    @property
    def radio_name(self) -> str | None:
        """Return what people know the radio by, None where it is a wire."""
        return None if self._radio is None else self._radio.radio_name

    @property
    def is_well(self) -> bool:
        """Return whether it is a radio that is known to work now."""
        return self._radio is not None and self._radio.is_well

    def reread(self, device_id: str) -> bool:
        """Have a device of this wire read again at once; False where that cannot be."""
        return isinstance(self._driver, Rereads) and self._driver.reread(device_id)

    async def _listen(self) -> None:
        overheard = nullcontext() if self._listener is None else overheard_by(self._listener)
        with overheard:
            watching = self._watch.guarding() if self._radio is None else nullcontext()
            async with watching, self._driver as driver:
                async for batch in driver.batches():
                    self._inbox.put(batch)
                    self.readings += len(batch)
                    if tells_something(batch):
                        self._watch.heard(batch)
                        self.supervisor.progressed()


class Rewiring(NamedTuple):
    """Which buses end, and which start; one that changes does both."""

    gone: tuple[Bus, ...]
    new: tuple[Bus, ...]


Listen = Callable[[str, Sequence[Device]], WireListener]


class Buses:
    """One bus per wire of the configuration in force.

    `listen(bus name, its devices)` returns who overhears that wire.
    """

    def __init__(self, inbox: Inbox, clock: Clock, listen: Listen | None = None) -> None:
        self._inbox = inbox
        self._clock = clock
        self._listen = listen
        self._buses: dict[str, Bus] = {}
        self._workers = Workers()

    def __iter__(self) -> Iterator[Bus]:
        return iter(self._buses.values())

    def plan(self, devices: Collection[Device]) -> Rewiring:
        """Return what other devices need; opens nothing, touches nothing.

        Raises:
            ConfigError: a wire that cannot be opened as configured.
        """
        wired, groups = wirings(devices), devices_by_bus(devices)
        gone = [bus for bus in self if bus.wiring != wired.get(bus.name)]
        staying = self._buses.keys() - {bus.name for bus in gone}
        new = [
            self._bus(name, group, wired[name])
            for name, group in groups.items()
            if name not in staying
        ]
        return Rewiring(tuple(gone), tuple(new))

    async def leave(self, buses: Iterable[Bus]) -> None:
        """End buses and wait until their wires are closed."""
        for bus in buses:
            await self._workers.remove(bus.name)
            self._buses.pop(bus.name, None)

    def join(self, buses: Iterable[Bus]) -> None:
        """Start buses."""
        for bus in buses:
            self._buses[bus.name] = bus
            self._workers.add(bus.name, bus.supervisor.run)

    def reread(self, device_id: str) -> None:
        """Have a device read again at once where its wire can."""
        for bus in self:
            bus.reread(device_id)

    def counters(self) -> dict[str, int]:
        """Return what was read and dropped, by bus."""
        counts: dict[str, int] = {}
        for bus in self:
            counts |= {f"{bus.name}.{name}": n for name, n in bus.counters().items()}
            counts[f"{bus.name}.readings"] = bus.readings
            counts[f"{bus.name}.restarts"] = bus.supervisor.restarts
        return counts

    async def run(self) -> None:
        """Run all buses until cancelled."""
        await self._workers.run()

    def _bus(self, name: str, group: Sequence[Device], wiring: tuple[Device, ...]) -> Bus:
        module = load_driver(group[0].driver)
        driver = module.open_bus(group, self._clock)
        listener = None if self._listen is None else self._listen(name, group)
        return Bus(
            name,
            driver,
            self._inbox,
            self._clock,
            listener=listener,
            watch=ProgressWatch(group, self._clock),
            wiring=wiring,
            most_wait_s=reopen_wait_s(module, PROMPT_WAIT_S),
        )
