"""A Bluetooth bus under its supervisor: whatever goes comes back, and nobody lends a hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from samples.cycles import cycles
from samples.supervised import SLOW_MACHINE_S
from sim.ble.air import Air, address, wearable

from cbrn_drivers.transport import ble_link, ble_slots
from cbrn_gateway.live.supervisor import Health
from cbrn_sim.ble.bluez import ADVERTISE_EVERY_S
from cbrn_sim.ble.process import BlueZProcess
from cbrn_sim.ble.strap import Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.asyncio]

PERIOD_S = 0.1
SILENCE_S = 1.0
FIRST_WAIT_S = 0.2


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Short waits; the time-out of a connection stays far above a slow machine's."""
    monkeypatch.setattr(ble_slots, "FIRST_WAIT_S", FIRST_WAIT_S)
    monkeypatch.setattr(ble_link, "CONNECT_TIMEOUT_S", 3.0)


def strap(number: int = 1, **more) -> Strap:
    return Strap(**({"address": address(number), "period_s": PERIOD_S} | more))


@asynccontextmanager
async def running(bluez: BlueZProcess) -> AsyncIterator[Air]:
    """Let two straps be heard; what befalls one must not befall the other."""
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1, silence_s=SILENCE_S), wearable(2, silence_s=60)) as air:
        await air.more(1, 2, count=12)
        yield air


async def readings_are_back(air: Air, *numbers: int) -> None:
    """Wait for readings: within two periods, the waits, and the next advertisement."""
    # an attempt that is just failing is followed by a wait that is twice as long
    waits_s = 2 * air.bus.supervisor.wait_s + FIRST_WAIT_S + ADVERTISE_EVERY_S
    within_s = 2 * PERIOD_S + waits_s + SLOW_MACHINE_S
    await air.more(*numbers, count=1, within_s=within_s)


@cycles(10)
async def test_a_strap_that_walks_away_and_returns_is_heard_again(bluez, times):
    async with running(bluez) as air:
        for done in range(times):
            await bluez.put(strap(1, in_range=False))
            await bluez.drop(address(1))
            await air.until(lambda n=done: air.counters.get("link_lost", 0) > n, "the loss")
            await bluez.put(strap(1))
            await readings_are_back(air, 1)
        assert air.bus.supervisor.restarts == 0
        assert air.counters["connects"] == 2 + times, "the other kept its link"


@cycles(10)
async def test_a_strap_that_freezes_while_it_is_linked_is_heard_again(bluez, times):
    async with running(bluez) as air:
        for done in range(times):
            await bluez.put(strap(1, silent=True))
            await air.until(lambda n=done: air.counters.get("link_silent", 0) > n, "the silence")
            await bluez.put(strap(1))
            await readings_are_back(air, 1)
        assert air.bus.supervisor.restarts == 0
        assert "link_lost" not in air.counters, "the other kept its link"


@cycles(10)
async def test_an_adapter_that_is_switched_off_and_on_is_taken_up_again(bluez, times):
    async with running(bluez) as air:
        for _ in range(times):
            await bluez.power(on=False)
            await air.until(lambda: air.bus.supervisor.health is Health.WAITING, "the loss")
            assert not air.bus.is_well
            await bluez.power(on=True)
            await readings_are_back(air, 1, 2)
            assert air.bus.is_well
        assert air.bus.supervisor.restarts >= times


@cycles(10)
async def test_an_adapter_that_is_pulled_and_plugged_in_again_is_taken_up(bluez, times):
    async with running(bluez) as air:
        for _ in range(times):
            await bluez.plug(on=False)
            await air.until(lambda: air.bus.supervisor.health is Health.WAITING, "the loss")
            await bluez.plug(on=True)
            await readings_are_back(air, 1, 2)
        assert air.bus.supervisor.restarts >= times


@cycles(10)
async def test_a_bluetoothd_that_is_killed_and_started_anew_is_taken_up_again(bluez, times):
    async with running(bluez) as air:
        for _ in range(times):
            await bluez.die()
            await air.until(lambda: air.bus.supervisor.health is Health.WAITING, "the loss")
            await bluez.begin()
            await readings_are_back(air, 1, 2)
        assert air.bus.supervisor.restarts >= times
