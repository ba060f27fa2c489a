"""The real driver under its real supervisor, beside a simulated BlueZ on a private bus."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Self

from cbrn_core.channel import Device
from cbrn_core.reading import Reading
from cbrn_drivers.catalogue import channel_ids, load_driver, load_profile, parse_options
from cbrn_gateway.live.buses import Bus
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.progress import ProgressWatch
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_sim.ble.orders import Answer
from cbrn_sim.ble.process import BlueZProcess

PATIENCE_S = 40.0
LOOK_AGAIN_S = 0.02
PROFILE = load_profile("bluetooth-heart-rate")
DRIVER = load_driver("wearable.heart_rate")


def address(number: int) -> str:
    return f"C0:FF:EE:00:00:{number:02X}"


def wearable(number: int, **options: object) -> Device:
    """Return the device of one strap, at a station of its own."""
    table = {"address": address(number), **options}
    present = channel_ids(DRIVER, parse_options(DRIVER, table), PROFILE)
    name, station = f"strap{number}", f"w{number:02d}"
    return Device(
        id=name,
        station=station,
        driver=PROFILE.driver,
        profile=PROFILE.name,
        bus="ble",
        channels=tuple(
            PROFILE.channel(c).as_channel(station=station, device=name, grade=PROFILE.grade)
            for c in present
        ),
        options=table,
    )


class Air:
    """`async with` it: the bus runs supervised; what it reads is kept."""

    def __init__(self, bluez: BlueZProcess, *devices: Device) -> None:
        self.bluez = bluez
        clock = SystemClock()
        self._inbox = Inbox(clock, DropCounter())
        # hasty, so that a radio which is watched like a wire shows it
        watch = ProgressWatch(devices, clock, least_s=0.5)
        driver = DRIVER.open_bus(list(devices), clock)
        self.bus = Bus("ble", driver, self._inbox, clock, watch=watch)
        self._readings: list[Reading] = []

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.bus.supervisor.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.bus.counters())

    @property
    def error(self) -> str:
        return self.bus.supervisor.last_error or ""

    def readings(self, number: int, channel: str = "heart_rate") -> list[Reading]:
        """Return what one strap said so far."""
        self._readings += self._inbox.take()[1]
        return [r for r in self._readings if (r.station, r.channel) == (f"w{number:02d}", channel)]

    async def until(self, holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
        """Wait for a condition; fail with all that is known when it does not come."""
        deadline_s = time.monotonic() + within_s
        while not (found := holds()):
            if time.monotonic() > deadline_s:
                told = f"{self.counters}, last error: {self.error}"
                raise AssertionError(f"{what} did not come within {within_s:g} s; {told}")
            await asyncio.sleep(LOOK_AGAIN_S)
        return found

    async def more(self, *numbers: int, count: int = 2, within_s: float = PATIENCE_S) -> None:
        """Wait until each of the straps has said more."""
        wanted = {n: len(self.readings(n)) + count for n in numbers}
        for number, least in wanted.items():
            await self.until(
                lambda n=number, m=least: len(self.readings(n)) >= m,
                f"{count} more readings of strap {number}",
                within_s,
            )

    async def bluez_until(self, holds: Callable[[Answer], Any], what: str) -> Answer:
        """Wait until the simulated BlueZ stands in some way."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds(answer := await self.bluez.tell()):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{what} did not come; {answer}; {self.counters}")
            await asyncio.sleep(LOOK_AGAIN_S)
        return answer
