"""Heart-rate wearables over the real bleak against a simulated BlueZ: what goes wrong, mends."""

import signal

import pytest
from sim.ble.air import Air, address, wearable

from cbrn_core.reading import Flag, Quality
from cbrn_drivers.transport import ble, ble_link
from cbrn_drivers.transport import bluez as radio
from cbrn_gateway.live.supervisor import Health
from cbrn_sim.ble.strap import Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.timeout(120)]

OFTEN_S = 0.1


def strap(number: int, **more) -> Strap:
    return Strap(**({"address": address(number), "period_s": OFTEN_S, "bpm": 60 + number} | more))


@pytest.fixture
def hasty(monkeypatch):
    """Time-outs that a test can wait for; the connect one stays far above a slow machine's."""
    monkeypatch.setattr(ble_link, "CONNECT_TIMEOUT_S", 2.0)
    monkeypatch.setattr(ble_link, "ANSWER_S", 1.0)


@pytest.mark.asyncio
async def test_a_strap_gives_its_rate_its_battery_and_its_signal(bluez):
    await bluez.put(strap(1, bpm=72, contact=True, battery_pct=87, rssi_dbm=-63))
    async with Air(bluez, wearable(1, signal=True)) as air:
        await air.more(1, count=3)
        (rate, *_), (battery, *_), (heard, *_) = (
            air.readings(1, channel) for channel in ("heart_rate", "battery", "signal")
        )
        assert air.bus.supervisor.health is Health.RUNNING
    assert (rate.value, rate.unit, rate.quality, rate.flags) == (72.0, "bpm", Quality.GOOD, ())
    assert (battery.value, battery.unit) == (87.0, "%")
    assert (heard.value, heard.unit) == (-63.0, "dBm")


@pytest.mark.asyncio
async def test_what_a_strap_does_not_have_is_null_and_never_invented(bluez):
    await bluez.put(strap(1, battery_pct=None))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        (battery, *_) = air.readings(1, "battery")
    assert (battery.value, battery.quality) == (None, Quality.UNCERTAIN)


@pytest.mark.asyncio
async def test_a_strap_off_the_skin_is_uncertain_and_says_so(bluez):
    await bluez.put(strap(1, contact=False))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        first = air.readings(1)[0]
    assert first.quality is Quality.UNCERTAIN
    assert Flag.INSTRUMENT_WARNING in first.flags


@pytest.mark.asyncio
async def test_a_dropped_link_is_made_anew_and_the_others_go_on(bluez):
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1), wearable(2)) as air:
        await air.more(1, 2)
        for _ in range(3):
            await bluez.drop(address(1))
            await air.more(1, 2)
        counts = air.counters
        assert air.bus.supervisor.restarts == 0
    assert counts["link_lost"] == 3
    assert counts["connects"] == 5
    assert counts["links"] == 2


@pytest.mark.asyncio
async def test_an_adapter_that_is_switched_off_is_told_and_taken_up_when_it_is_on(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        await bluez.power(on=False)
        await air.until(lambda: "bluetoothctl power on" in air.error, "what to do")
        assert air.bus.supervisor.failing_since_us is not None
        await bluez.power(on=True)
        await air.more(1)


@pytest.mark.asyncio
async def test_the_death_of_bluetoothd_is_noticed_at_once_and_its_return_taken_up(bluez):
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1, silence_s=3600), wearable(2, silence_s=3600)) as air:
        await air.more(1, 2)
        await bluez.die()
        await air.until(lambda: "systemctl start bluetooth" in air.error, "what to do")
        await bluez.begin()
        await air.more(1, 2)


@pytest.mark.asyncio
async def test_a_bluetoothd_that_hangs_is_noticed_without_a_word_from_it(bluez, monkeypatch, hasty):
    monkeypatch.setattr(radio, "ASK_EVERY_S", 0.2)
    monkeypatch.setattr(radio, "ANSWER_S", 1.0)
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1, silence_s=3600)) as air:
        await air.more(1)
        bluez.signal(signal.SIGSTOP)
        await air.until(lambda: "does not answer" in air.error, "a word about the hang")
        bluez.signal(signal.SIGCONT)
        await air.more(1)


@pytest.mark.asyncio
async def test_the_death_of_the_bus_is_told(bluez, private_bus):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        private_bus.kill()
        await air.until(lambda: "no D-Bus system bus" in air.error, "what to do")


@pytest.mark.asyncio
async def test_services_that_are_never_found_cost_that_strap_only(bluez, hasty):
    await bluez.put(strap(1, resolve_s=None), strap(2))
    async with Air(bluez, wearable(1, priority=1), wearable(2)) as air:
        await air.until(lambda: air.counters.get("connect_timeout"), "a time-out")
        await air.more(2)
        assert air.readings(1) == []
        await bluez.put(strap(1))
        await air.more(1)
        assert air.bus.supervisor.restarts == 0


@pytest.mark.asyncio
async def test_services_that_are_found_slowly_are_waited_for(bluez):
    await bluez.put(strap(1, resolve_s=1.5))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        assert air.counters["connects"] == 1


@pytest.mark.asyncio
async def test_one_dead_strap_of_three_leaves_the_others_undisturbed(bluez):
    await bluez.put(strap(1, refuse="br-connection-page-timeout"), strap(2), strap(3))
    async with Air(bluez, wearable(1, priority=1), wearable(2), wearable(3)) as air:
        await air.more(2, 3)
        first = {n: len(air.readings(n)) for n in (2, 3)}
        await air.until(lambda: air.counters.get("forgotten"), "the second rung")
        await air.more(2, 3)
        counts, answer = air.counters, await bluez.tell()
        assert air.bus.supervisor.restarts == 0
        for number in (2, 3):
            said = air.readings(number)[first[number] :]
            assert {r.value for r in said} == {60.0 + number}
    assert counts["connect_refused"] >= 3
    assert counts["connects"] == 2, "no link but the dead one's was made anew"
    assert answer.calls["RemoveDevice"] >= 1


@pytest.mark.asyncio
async def test_a_paired_strap_is_never_forgotten(bluez):
    await bluez.put(strap(1, paired=True, refuse="br-connection-page-timeout"), strap(2))
    async with Air(bluez, wearable(1), wearable(2)) as air:
        await air.until(lambda: air.counters.get("kept_paired"), "the second rung")
        assert "RemoveDevice" not in (await bluez.tell()).calls


@pytest.mark.asyncio
async def test_an_address_that_is_no_heart_rate_wearable_is_counted_as_such(bluez):
    await bluez.put(strap(1, measures=False))
    async with Air(bluez, wearable(1)) as air:
        await air.until(lambda: air.counters.get("characteristic_missing"), "the mark")


@pytest.mark.asyncio
async def test_a_strap_that_stays_linked_and_silent_is_connected_anew(bluez):
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1, silence_s=1), wearable(2, silence_s=30)) as air:
        await air.more(1, 2)
        await bluez.put(strap(1, silent=True))
        await air.until(lambda: air.counters.get("link_silent"), "the watchdog")
        await bluez.put(strap(1))
        await air.more(1, 2)
        assert "link_lost" not in air.counters


@pytest.mark.asyncio
async def test_malformed_values_are_counted_and_count_as_silence(bluez):
    await bluez.put(strap(1, period_s=0.0))
    async with Air(bluez, wearable(1, silence_s=3)) as air:
        await air.bluez_until(lambda answer: answer.notifying, "a listener")
        for octets in (b"", b"\x01\x50", b"\x08\x50\x01", b"\x00" * 400):
            await bluez.send(address(1), octets)
        await air.until(lambda: air.counters.get("frame_length") == 3, "three damaged values")
        (zero,) = await air.until(lambda: air.readings(1), "the long value")
        assert (zero.value, zero.quality) == (None, Quality.BAD)
        await air.until(lambda: air.counters.get("link_silent"), "the watchdog")


@pytest.mark.asyncio
async def test_a_device_that_another_program_removes_comes_back(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        await bluez.remove(address(1))
        await air.more(1)
        assert air.bus.supervisor.restarts == 0


@pytest.mark.asyncio
async def test_a_responder_takes_the_link_of_another_and_gives_it_back(bluez):
    await bluez.put(strap(1))
    responder = wearable(2, priority=1, links_most=1)
    async with Air(bluez, wearable(1, priority=3, links_most=1), responder) as air:
        await air.more(1)
        await bluez.put(strap(2))
        await air.more(2)
        assert (await bluez.tell()).linked == (address(2),)
        assert air.counters["link_yielded"] == 1
        await bluez.put(strap(2, in_range=False))
        await bluez.drop(address(2))
        await air.more(1)


@pytest.mark.asyncio
async def test_where_nothing_can_be_connected_the_supervisor_is_told(bluez, monkeypatch):
    monkeypatch.setattr("cbrn_drivers.transport.ble_slots.MOST_WAIT_S", 0.2)
    await bluez.put(strap(1, refuse="br-connection-page-timeout"))
    async with Air(bluez, wearable(1)) as air:
        await air.until(lambda: "can be connected" in air.error, "the last rung")
        assert "power_cycles" not in air.counters
        await bluez.put(strap(1))
        await air.more(1)


@pytest.mark.asyncio
async def test_where_it_is_allowed_the_adapter_is_switched_off_and_on_once(bluez, monkeypatch):
    monkeypatch.setattr("cbrn_drivers.transport.ble_slots.MOST_WAIT_S", 0.2)
    await bluez.put(strap(1, refuse="br-connection-page-timeout"))
    async with Air(bluez, wearable(1, power_cycle=True)) as air:
        await air.until(lambda: "off and on" in air.error, "the power cycle")
        await air.until(lambda: "can be connected" in air.error, "the last rung")
        assert air.counters["power_cycles"] == 1
        assert (await bluez.tell()).powered


@pytest.mark.asyncio
async def test_the_adapter_may_be_named_by_its_address(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1, adapter="00:11:22:33:44:55")) as air:
        await air.more(1)


@pytest.mark.asyncio
async def test_an_adapter_that_is_not_there_is_told_with_those_that_are(bluez):
    async with Air(bluez, wearable(1, adapter="hci7")) as air:
        await air.until(lambda: "no Bluetooth adapter hci7; there is hci0" in air.error, "it")


@pytest.mark.asyncio
async def test_without_a_system_bus_it_is_told_what_to_install(bluez, monkeypatch, tmp_path):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    async with Air(bluez, wearable(1)) as air:
        await air.until(lambda: "install and start dbus and bluez" in air.error, "what to do")


@pytest.mark.asyncio
async def test_nobody_in_the_air_is_no_failure(bluez):
    async with Air(bluez, wearable(1)) as air:
        await air.bluez_until(lambda answer: answer.scanning, "a scan")
        assert air.bus.supervisor.restarts == 0
        assert air.counters["links"] == 0


@pytest.mark.asyncio
async def test_a_scan_ends_when_all_are_linked_and_begins_when_one_is_lost(bluez):
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1)) as air:
        await air.more(1)
        await air.bluez_until(lambda answer: not answer.scanning, "the end of the scan")
        await bluez.put(strap(1, in_range=False))
        await bluez.drop(address(1))
        await air.bluez_until(lambda answer: answer.scanning, "a new scan")


@pytest.mark.asyncio
async def test_a_scan_that_fails_costs_no_link_that_works(bluez, monkeypatch):
    monkeypatch.setattr(ble, "SCAN_WINDOW_S", 0.5)
    await bluez.put(strap(1))
    async with Air(bluez, wearable(1), wearable(2)) as air:
        await air.more(1)
        await bluez.jam(on=True)
        await air.until(lambda: air.counters.get("scan_failed", 0) >= 2, "failing scans")
        await air.more(1)
        await bluez.jam(on=False)
        await bluez.put(strap(2))
        await air.more(1, 2)
        assert air.counters["connects"] == 2
        assert air.bus.supervisor.restarts == 0


@pytest.mark.asyncio
async def test_where_no_link_works_a_scan_that_fails_is_told(bluez):
    await bluez.jam(on=True)
    async with Air(bluez, wearable(1)) as air:
        await air.until(lambda: "cannot scan" in air.error, "the failing scan")
        await bluez.jam(on=False)
        await bluez.put(strap(1))
        await air.more(1)


@pytest.mark.asyncio
async def test_leaving_ends_every_link(bluez):
    await bluez.put(strap(1), strap(2))
    async with Air(bluez, wearable(1), wearable(2)) as air:
        await air.more(1, 2)
    answer = await bluez.tell()
    assert answer.linked == ()
    assert not answer.scanning


@pytest.mark.asyncio
async def test_fifty_wearables_at_once_lose_no_value(bluez):
    straps, rounds = range(1, 51), 60
    await bluez.put(*(strap(n, period_s=0.0, battery_pct=None) for n in straps))
    devices = [wearable(n, links_most=64, silence_s=600, battery=False) for n in straps]
    async with Air(bluez, *devices) as air:
        await air.bluez_until(lambda answer: len(answer.notifying) == 50, "fifty listeners")
        sent = await bluez.ramp(60, rounds)
        await air.until(
            lambda: air.readings(50)[-1:] and air.readings(50)[-1].value == 60 + rounds - 1,
            "the last value",
        )
        for number in straps:
            readings = air.readings(number)
            assert [r.value for r in readings] == [float(60 + k) for k in range(rounds)]
            assert len({r.time_us for r in readings}) == rounds, "a sample is known by its time"
        assert "notifications_dropped" not in air.counters
        assert air.counters["links"] == 50
    assert set(sent.sent.values()) == {rounds}


@pytest.mark.asyncio
async def test_a_burst_of_one_strap_arrives_whole_and_in_order(bluez):
    await bluez.put(strap(1, period_s=0.0))
    async with Air(bluez, wearable(1)) as air:
        await air.bluez_until(lambda answer: answer.notifying, "a listener")
        await bluez.ramp(30, 250)
        await air.until(lambda: len(air.readings(1)) == 250, "the burst")
        assert [r.value for r in air.readings(1)] == [float(30 + k) for k in range(250)]
