"""A strap that worked and does not come back: step by step up, and nobody else is disturbed."""

import pytest
from sim.ble.air import Air, address, wearable

from cbrn_drivers.transport import ble_link
from cbrn_sim.ble.strap import Cure, Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.timeout(120), pytest.mark.asyncio]

OFTEN_S = 0.1
RHYTHM = 14
"""Values after which the rhythm of any wire is known."""


def strap(number: int, **more) -> Strap:
    return Strap(**({"address": address(number), "period_s": OFTEN_S, "bpm": 60 + number} | more))


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Time-outs in the proportions of the real ones, far above what a slow machine needs."""
    monkeypatch.setattr(ble_link, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(ble_link, "ANSWER_S", 1.0)
    monkeypatch.setattr("cbrn_drivers.transport.ble_slots.FIRST_WAIT_S", 0.05)
    monkeypatch.setattr("cbrn_drivers.transport.ble_slots.MOST_WAIT_S", 0.5)


async def fall_ill(air: Air, **more) -> None:
    """Let strap 1 lose its link once its rhythm is known, and never find its services again."""
    await air.more(1, count=RHYTHM)
    await air.bluez.put(strap(1, resolve_s=None, **more))
    await air.bluez.drop(address(1))


async def test_after_a_known_rhythm_bluez_is_told_to_forget_a_strap_that_it_cannot_resolve(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await fall_ill(air, cure=Cure.REMOVAL)
        await air.more(1)
        counts, calls = air.counters, (await bluez.tell()).calls
        assert air.bus.supervisor.restarts == 0, "the adapter is left alone"
    assert counts["connect_timeout"] >= 2
    assert (counts["forgotten"], calls["RemoveDevice"]) == (1, 1)


async def test_where_forgetting_does_not_help_the_adapter_is_switched_off_and_on(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1, power_cycle=True)) as air:
        await fall_ill(air, cure=Cure.POWER)
        await air.more(1)
        counts = air.counters
        assert air.bus.supervisor.restarts == 1
        assert "switched off and on" in air.error
    assert counts["forgotten"] >= 1
    assert counts["power_cycles"] == 1


async def test_a_strap_that_nothing_helps_is_told_and_again_after_each_new_opening(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1, power_cycle=True)) as air:
        await fall_ill(air)
        await air.until(lambda: "can be connected" in air.error, "the last rung")
        restarts, timeouts = air.bus.supervisor.restarts, air.counters["connect_timeout"]
        assert not air.bus.is_well
        await air.until(lambda: air.bus.supervisor.restarts >= restarts + 2, "two more openings")
        assert air.counters["connect_timeout"] <= timeouts + 3, "it stays on the last rung"
        assert not air.bus.is_well, "opening the adapter proves nothing"
        await bluez.put(strap(1))
        await air.more(1)
        assert air.bus.is_well
        assert air.counters["power_cycles"] == 1
        await bluez.drop(address(1))
        await air.more(1)
        assert air.bus.supervisor.restarts <= restarts + 4, "a value has led down again"


async def test_a_strap_that_climbs_costs_another_nothing(bluez):
    await bluez.put(strap(1), strap(2))
    devices = [wearable(n, power_cycle=True, silence_s=60) for n in (1, 2)]
    async with Air(bluez, *devices) as air:
        await air.more(2)
        await fall_ill(air)
        await air.until(
            lambda: air.counters.get("connect_timeout", 0) >= 7, "the height of the ladder"
        )
        await air.more(2)
        assert air.bus.supervisor.restarts == 0
        assert air.counters["connects"] == 2, "the link of the other was never made anew"
        assert "power_cycles" not in air.counters


async def test_a_silent_strap_is_missed_after_its_own_silence_and_not_before(bluez):
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1, silence_s=60), wearable(2, silence_s=2)) as air:
        await air.more(1, 2, count=RHYTHM)
        await bluez.put(strap(1, silent=True), strap(2, silent=True))
        await air.until(lambda: air.counters.get("link_silent", 0) >= 2, "the impatient one")
        assert address(1) in (await bluez.tell()).linked
        assert air.bus.supervisor.restarts == 0
        await bluez.put(strap(1), strap(2))
        await air.more(1, 2)
        assert air.counters["link_silent"] <= 3, "the patient one was left in peace"


async def test_when_everybody_has_left_the_adapter_goes_on_looking_and_is_well(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1, count=RHYTHM)
        await bluez.put(strap(1, in_range=False))
        await bluez.drop(address(1))
        await air.until(lambda: air.counters.get("forgotten"), "the end of the hope")
        assert air.bus.is_well
        assert air.bus.supervisor.restarts == 0
        await bluez.put(strap(1))
        await air.more(1)
