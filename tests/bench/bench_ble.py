"""CPU per notification of 50 heart-rate wearables, beside bare bleak in the same run.

bleak as it comes against a simulated BlueZ in a process of its own on a private D-Bus; only
the CPU of this process counts. Driver: notification to readings of a batch. Bare: a client
per wearable whose callback counts. The two take turns.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

import bleak
from bench.figures import Figure, best, run
from sim.ble.air import DRIVER, address, wearable

from cbrn_gateway.live.system_clock import SystemClock
from cbrn_sim.ble.orders import Answer
from cbrn_sim.ble.private_bus import PrivateBus
from cbrn_sim.ble.process import BlueZProcess
from cbrn_sim.ble.strap import MEASUREMENT, Strap

WEARABLES = 50
VALUES = 100
ROUNDS = 6
PATIENCE_S = 120.0
BAR_RATIO = 2.0

Progress = Callable[[], int]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - the other side is a process of its own
            await asyncio.sleep(0.02)


async def ramp_us(bluez: BlueZProcess, heard: Progress) -> float:
    """Return µs of CPU per notification while all wearables count up as fast as they can."""

    def is_open(answer: Answer) -> bool:
        return len(answer.notifying) == WEARABLES

    async def all_listen() -> bool:
        return is_open(await bluez.tell())

    await until(all_listen)
    wanted = heard() + WEARABLES * VALUES

    async def all_heard() -> bool:
        return heard() >= wanted

    start = process_time()
    await bluez.ramp(60, VALUES)
    await until(all_heard)
    return (process_time() - start) / (WEARABLES * VALUES) * 1e6


async def driver_us(bluez: BlueZProcess) -> float:
    heard = 0
    options = {"links_most": 64, "silence_s": 600, "battery": False}
    devices = [wearable(n, **options) for n in range(WEARABLES)]

    async def listen() -> None:
        nonlocal heard
        async for batch in driver.batches():
            heard += len(batch)

    async with DRIVER.open_bus(devices, SystemClock()) as driver:
        listening = asyncio.create_task(listen())
        try:
            return await ramp_us(bluez, lambda: heard)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def bare_us(bluez: BlueZProcess) -> float:
    heard = 0

    def count(_source: object, _octets: bytearray) -> None:
        nonlocal heard
        heard += 1

    wanted = {address(n) for n in range(WEARABLES)}
    found: dict[str, bleak.backends.device.BLEDevice] = {}
    async with AsyncExitStack() as stack:
        async with bleak.BleakScanner(lambda device, _: found.update({device.address: device})):

            async def all_found() -> bool:
                return wanted <= found.keys()

            await until(all_found)
        for device in found.values():
            client = await stack.enter_async_context(bleak.BleakClient(device))
            await client.start_notify(MEASUREMENT, count)
        return await ramp_us(bluez, lambda: heard)


async def costs(bus_address: str) -> tuple[float, float]:
    """Return the best rounds of the driver and of bare bleak."""
    driver, bare = [], []
    async with BlueZProcess(bus_address) as bluez:
        straps = [
            Strap(address=address(n), period_s=0.0, battery_pct=None) for n in range(WEARABLES)
        ]
        await bluez.put(*straps)
        for _ in range(ROUNDS):
            bare.append(await bare_us(bluez))
            driver.append(await driver_us(bluez))
    return best(driver), best(bare)


def measure(_: argparse.Namespace) -> list[Figure]:
    with PrivateBus() as bus:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        driver, bare = asyncio.run(costs(bus.address))
    load = f"{WEARABLES} wearables, {VALUES} values each"
    return [
        Figure(name="a notification read by the driver", value=driver, unit="µs", note=load),
        Figure(name="a notification heard by bare bleak", value=bare, unit="µs", note="limit"),
        Figure(name="driver beside bare bleak", value=driver / bare, unit="×", bar=BAR_RATIO),
    ]


if __name__ == "__main__":
    sys.exit(run("ble", __doc__ or "", measure))
