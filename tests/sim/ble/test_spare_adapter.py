"""Two adapters in one machine: the spare is used while the other cannot be, and back again."""

import pytest
from sim.ble.air import Air, address, wearable

from cbrn_drivers.transport import ble_link, ble_slots
from cbrn_sim.ble.strap import Cure, Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.timeout(120), pytest.mark.asyncio]

RHYTHM = 14


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(ble_link, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(ble_link, "ANSWER_S", 1.0)
    monkeypatch.setattr(ble_slots, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(ble_slots, "MOST_WAIT_S", 0.5)


def strap(**more) -> Strap:
    return Strap(**({"address": address(1), "period_s": 0.1} | more))


async def adapter_of(air: Air) -> str | None:
    return (await air.bluez.tell()).over.get(address(1))


async def test_what_cannot_be_connected_over_one_adapter_is_heard_over_the_spare(two_adapters):
    bluez = two_adapters
    await bluez.put(strap())
    async with Air(bluez, wearable(1, spare_adapter="hci1")) as air:
        await air.more(1, count=RHYTHM)
        assert await adapter_of(air) == "hci0"
        await bluez.put(strap(deaf=("hci0",)))
        await bluez.drop(address(1))
        await air.more(1)
        assert await adapter_of(air) == "hci1"
        assert air.bus.is_well
        counts = air.counters
    assert (counts["adapter_changes"], air.bus.supervisor.restarts) == (1, 1)
    assert counts["connect_timeout"] == ble_slots.TELL_AT - 1, "after the loss, the whole ladder"


async def test_an_adapter_that_is_pulled_costs_a_moment_only(two_adapters):
    bluez = two_adapters
    await bluez.put(strap())
    async with Air(bluez, wearable(1, spare_adapter="00:11:22:33:44:56")) as air:
        await air.more(1)
        await bluez.plug(on=False, adapter="hci0")
        await air.more(1)
        assert await adapter_of(air) == "hci1"
        await bluez.plug(on=True, adapter="hci0")
        await bluez.plug(on=False, adapter="hci1")
        await air.more(1)
        assert await adapter_of(air) == "hci0"
        assert air.counters["adapter_changes"] == 2


async def test_when_neither_adapter_can_be_used_it_is_told_of_the_first(two_adapters):
    bluez = two_adapters
    await bluez.put(strap())
    async with Air(bluez, wearable(1, spare_adapter="hci1")) as air:
        await air.more(1)
        await bluez.power(on=False, adapter="hci1")
        await bluez.power(on=False, adapter="hci0")
        await air.until(lambda: "hci0 is switched off: bluetoothctl" in air.error, "what to do")
        assert not air.bus.is_well
        await bluez.power(on=True, adapter="hci1")
        await air.more(1)
        assert air.bus.is_well


async def test_over_the_second_adapter_bluez_forgets_what_the_second_adapter_knows(two_adapters):
    bluez = two_adapters
    await bluez.put(strap())
    async with Air(bluez, wearable(1, adapter="hci1")) as air:
        await air.more(1, count=RHYTHM)
        await bluez.put(strap(resolve_s=None, cure=Cure.REMOVAL))
        await bluez.drop(address(1))
        await air.more(1)
        assert air.counters["forgotten"] == 1
        assert air.bus.supervisor.restarts == 0
