"""A private D-Bus and a simulated BlueZ for each test."""

import pytest
import pytest_asyncio
from e2e.servers import program

from cbrn_sim.ble.private_bus import PROGRAM, PrivateBus
from cbrn_sim.ble.process import BlueZProcess


@pytest.fixture
def private_bus(monkeypatch):
    """A bus of our own; skips without dbus-daemon, fails in CI."""
    program(PROGRAM, "dbus")
    with PrivateBus() as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield bus


@pytest_asyncio.fixture
async def bluez(private_bus):
    """A running bluetoothd with nothing in the air."""
    async with BlueZProcess(private_bus.address) as process:
        yield process


@pytest_asyncio.fixture
async def two_adapters(private_bus):
    """A running bluetoothd with hci0 and hci1."""
    async with BlueZProcess(private_bus.address, ("hci0", "hci1")) as process:
        yield process
