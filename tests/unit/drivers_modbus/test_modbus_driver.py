import asyncio
import random
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import pytest
from msgspec import ValidationError, convert

from cbrn_core.channel import Device, Grade
from cbrn_core.clock import Now
from cbrn_core.errors import (
    ChecksumError,
    ConfigError,
    Disconnected,
    ExceptionReply,
    LengthError,
    ReadTimeout,
    UnexpectedReply,
)
from cbrn_core.quantities import Quantity
from cbrn_core.reading import Quality
from cbrn_drivers.catalogue import load_driver, load_profile
from cbrn_drivers.chemical.modbus_detector import Options, bus_key, channel_ids, open_bus
from cbrn_drivers.modbus_schedule import REREAD_AFTER_US

XCD = load_profile("sensepoint-xcd")
SAMPLE = (0x3F00, 0, 0, 0, 1, 0, 0, 0, 4)
GAS_NAME = (0x436C, 0x3220, 0x2020, 0x2020, 0x2020, 0x2020, 0x2020)


class RunningClock:
    """Sleeping moves it; nothing waits."""

    def __init__(self):
        self.us = 1_000_000_000

    def now(self):
        return Now(self.us, self.us)

    async def sleep(self, seconds):
        await asyncio.sleep(0)
        self.us += round(seconds * 1e6)


class FakeLink:
    """A wire in a dict: unit -> None (answers) or the error that a read raises."""

    late_replies = 0

    def __init__(self, clock, units):
        self.clock = clock
        self.units = dict.fromkeys(units)
        self.polls = Counter()
        self.opened = 0
        self.spoils = {}
        self.noise = lambda: False
        self.damaged_s = 0.04

    def spoil(self, unit_id, size, error, times):
        """Let the next so many reads of a size fail."""
        self.spoils[unit_id, size] = SimpleNamespace(error=error, times=times, last_us=0)

    async def open(self):
        self.opened += 1

    async def close(self):
        pass

    async def read(self, request):
        await asyncio.sleep(0)
        error = self.units[request.unit_id] or self._spoilt(request)
        if error is not None:
            took_s = 0.6 if isinstance(error, ReadTimeout) else self.damaged_s
            self.clock.us += round(took_s * 1e6)
            self.polls[request.unit_id] += 1
            raise error
        self.clock.us += 40_000
        if request.size == 1:
            return (0x2500 | request.unit_id,)
        if request.size == 7:
            return GAS_NAME
        self.polls[request.unit_id] += 1
        return SAMPLE

    def _spoilt(self, request):
        if self.noise():
            return ChecksumError("noise")
        spoil = self.spoils.get((request.unit_id, request.size))
        if spoil is None or spoil.times == 0:
            return None
        spoil.times -= 1
        spoil.last_us = self.clock.us
        return spoil.error


def device(unit_id=1, name=None, channels=("cl2",), period_s=1.0, **options):
    name = name or f"x{unit_id}"
    return Device(
        id=name,
        station=f"st{unit_id:02}",
        driver="chemical.modbus_detector",
        profile="sensepoint-xcd",
        bus="b",
        channels=tuple(
            XCD.channel(c).as_channel(station="st01", device=name, grade=Grade.PROFESSIONAL)
            for c in channels
        ),
        options={"host": "127.0.0.1", "unit_id": unit_id} | options,
        period_s=period_s,
    )


def bench(count):
    clock = RunningClock()
    driver = open_bus([device(i + 1) for i in range(count)], clock)
    link = FakeLink(clock, range(1, count + 1))
    driver._link = link
    return driver, link, clock


async def take(driver, clock, seconds):
    """Return how many good readings each device gave in `seconds` of the clock."""
    until_us = clock.us + round(seconds * 1e6)
    good = Counter()
    async for batch in driver.batches():
        good.update(r.device for r in batch if r.quality is Quality.GOOD)
        if clock.us >= until_us:
            return good
    raise AssertionError("batches ended")


@pytest.mark.asyncio
async def test_every_detector_of_a_bus_is_read_every_period():
    driver, _, clock = bench(10)
    async with driver:
        good = await take(driver, clock, 60)
    assert set(good) == {f"x{i}" for i in range(1, 11)}
    assert min(good.values()) >= 59
    # The very first round also proves ten identities and gases and cannot fit into a second.
    assert driver.counters()["slots_skipped"] <= 10


@pytest.mark.asyncio
async def test_one_dead_detector_of_ten_leaves_the_others_their_rate():
    driver, link, clock = bench(10)
    link.units[4] = ReadTimeout("nothing")
    async with driver:
        good = await take(driver, clock, 300)
    assert good["x4"] == 0
    assert min(good[f"x{i}"] for i in range(1, 11) if i != 4) >= 0.95 * 300
    assert driver.counters()["silent"] == 1
    assert link.polls[4] * 600_000 <= 300_000_000 * 0.05 + 3 * 600_000


@pytest.mark.asyncio
async def test_a_detector_that_comes_back_is_read_again():
    driver, link, clock = bench(3)
    link.units[2] = ReadTimeout("nothing")
    async with driver:
        await take(driver, clock, 60)
        link.units[2] = None
        good = await take(driver, clock, 60)
    assert good["x2"] >= 28
    assert driver.counters()["silent"] == 0


@pytest.mark.asyncio
async def test_a_bus_on_which_nobody_answers_is_given_up_and_can_be_opened_again():
    driver, link, clock = bench(2)
    link.units = dict.fromkeys(link.units, ReadTimeout("nothing"))
    with pytest.raises(ReadTimeout, match="none of 2 detectors answers"):
        async with driver:
            await take(driver, clock, 60)
    link.units = dict.fromkeys(link.units)
    async with driver:
        good = await take(driver, clock, 10)
    assert min(good.values()) >= 9
    assert link.opened == 2


async def first_good_s(driver, link, clock):
    """Return after how long the first good reading comes."""
    async with driver:
        began_us = clock.us
        async for batch in driver.batches():
            if batch[0].quality is Quality.GOOD:
                return (clock.us - began_us) / 1e6
    raise AssertionError("batches ended")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [ChecksumError("CRC"), LengthError("cut"), UnexpectedReply("foreign"), ReadTimeout("none")],
)
@pytest.mark.parametrize("place", [1, 7, 9], ids=["identity", "gas name", "sample"])
async def test_a_reply_that_is_lost_once_is_asked_for_again_at_once(error, place):
    clock = RunningClock()
    driver = open_bus([device(1, period_s=60.0)], clock)
    link = driver._link = FakeLink(clock, [1])
    link.spoil(1, place, error, times=1)
    assert await first_good_s(driver, link, clock) < 1.5


@pytest.mark.asyncio
@pytest.mark.parametrize("spoilt", [2, 5, 20])
async def test_an_identity_that_stays_garbled_holds_nothing_back_once_it_is_clean(spoilt):
    clock = RunningClock()
    driver = open_bus([device(i, period_s=60.0) for i in (1, 2)], clock)
    link = driver._link = FakeLink(clock, [1, 2])
    link.spoil(1, 1, ChecksumError("CRC"), times=spoilt)
    async with driver:
        async for batch in driver.batches():
            if batch[0].device == "x1":
                break
    assert link.spoils[1, 1].times == 0
    assert clock.us - link.spoils[1, 1].last_us < 2_500_000


@pytest.mark.asyncio
async def test_a_noisy_line_leaves_no_detector_unheard_for_long(monkeypatch):
    monkeypatch.setattr("cbrn_drivers.modbus_schedule.random", random.Random(6))
    driver, link, clock = bench(10)
    noise = random.Random(7)
    link.noise = lambda: noise.random() < 0.2
    last_us = dict.fromkeys((f"x{i}" for i in range(1, 11)), clock.us)
    longest_us = dict.fromkeys(last_us, 0)
    while clock.us < 1_000_000_000 + 1_800_000_000:
        with suppress(ReadTimeout):
            async with driver:
                async for batch in driver.batches():
                    name = batch[0].device
                    longest_us[name] = max(longest_us[name], clock.us - last_us[name])
                    last_us[name] = clock.us
                    if clock.us > 1_000_000_000 + 1_800_000_000:
                        break
    assert max(longest_us.values()) < 30_000_000


@pytest.mark.asyncio
async def test_dead_detectors_do_not_keep_a_garbled_one_waiting():
    driver, link, clock = bench(10)
    link.units |= dict.fromkeys(range(1, 8), ReadTimeout("nothing"))
    link.units[8] = ChecksumError("CRC")
    async with driver:
        await take(driver, clock, 120)
        link.units[8] = None
        cleaned_us = clock.us
        async for batch in driver.batches():
            if batch[0].device == "x8":
                break
    assert clock.us - cleaned_us < 5_000_000


@pytest.mark.asyncio
async def test_one_garbled_detector_of_ten_leaves_the_others_their_rate():
    driver, link, clock = bench(10)
    link.units[4] = ChecksumError("CRC")
    link.damaged_s = 0.6
    async with driver:
        good = await take(driver, clock, 300)
    assert good["x4"] == 0
    assert min(good[f"x{i}"] for i in range(1, 11) if i != 4) >= 0.95 * 300
    assert link.polls[4] * 600_000 <= 300_000_000 * 0.2 + 3 * 600_000


@pytest.mark.asyncio
async def test_a_broken_wire_is_raised_at_once():
    driver, link, clock = bench(2)
    link.units[1] = Disconnected("gone")
    async with driver:
        with pytest.raises(Disconnected):
            await take(driver, clock, 60)


@pytest.mark.asyncio
async def test_a_device_behind_a_gateway_that_does_not_reach_it_is_silent_not_ill():
    driver, link, clock = bench(2)
    link.units[1] = ExceptionReply(11, "gateway target failed to respond")
    async with driver:
        good = await take(driver, clock, 30)
    assert driver.counters()["silent"] == 1
    assert "x1" not in good


@pytest.mark.asyncio
async def test_a_busy_device_is_alive():
    driver, link, clock = bench(2)
    link.units[1] = ExceptionReply(6, "busy")
    async with driver:
        await take(driver, clock, 30)
    assert driver.counters()["silent"] == 0
    assert driver.counters()["busy"] >= 29


@pytest.mark.asyncio
async def test_a_device_over_a_level_is_read_again_within_the_second():
    driver, _, clock = bench(3)
    async with driver:
        await take(driver, clock, 5)
        batches = driver.batches()
        first = (await anext(batches))[0]
        assert driver.reread(first.device)
        others = iter([(await anext(batches))[0] for _ in range(3)])
        again = next(reading for reading in others if reading.device == first.device)
        assert REREAD_AFTER_US <= again.time_us - first.time_us < REREAD_AFTER_US + 100_000
        assert not driver.reread(first.device)
        assert not driver.reread("nobody")
        await batches.aclose()


@pytest.mark.asyncio
async def test_a_rereading_wakes_a_driver_that_rests():
    class StuckClock(RunningClock):
        stuck = False

        async def sleep(self, seconds):
            if self.stuck:
                await asyncio.Event().wait()
            await super().sleep(seconds)

    clock = StuckClock()
    driver = open_bus([device(1)], clock)
    driver._link = FakeLink(clock, [1])
    async with driver:
        batches = driver.batches()
        await anext(batches)
        clock.stuck = True
        waiting = asyncio.ensure_future(anext(batches))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        clock.stuck = False
        assert driver.reread("x1")
        assert (await waiting)[0].device == "x1"
        await batches.aclose()


def test_leaving_a_driver_that_was_never_entered_is_safe():
    driver = open_bus([device(1)], RunningClock())
    asyncio.run(driver.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give host"),
        ({"port": 502}, "give host"),
        ({"host": "h", "port": "/dev/ttyS0"}, "port is a number"),
        ({"port": "/dev/ttyS0", "framing": "tcp"}, "framing tcp needs a host"),
        ({"port": "/dev/ttyS0", "unit_id": 0}, "1 to 247"),
        ({"host": "h", "framing": "rtu", "unit_id": 255}, "1 to 247"),
        ({"host": "h", "unit_id": 256}, "<= 255"),
        ({"host": "h", "port": 70000}, "<= 65535"),
        ({"host": "h", "slave": 1}, "unknown field `slave`"),
        ({"host": "h", "gas": "unobtainium"}, "Invalid enum value"),
        ({"port": "/dev/ttyS0", "parity": "X"}, "Invalid enum value"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, why):
    with pytest.raises(ValidationError, match=why):
        convert(options, Options)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"host": "Gas.Example"}, "tcp:gas.example:502"),
        ({"host": "gas.example", "port": 502, "unit_id": 9}, "tcp:gas.example:502"),
        ({"host": "gas.example", "port": 1502, "framing": "rtu"}, "tcp:gas.example:1502"),
        ({"port": "/dev/serial/by-id/a", "unit_id": 4}, "serial:/dev/serial/by-id/a"),
    ],
)
def test_devices_on_one_wire_share_a_bus(options, key):
    assert bus_key(convert(options, Options)) == key


def test_the_option_gas_decides_which_channel_a_detector_has():
    def channels(**options):
        return channel_ids(Options(host="h", **options), XCD)

    assert channels() == ("cl2",)
    assert channels(gas=Quantity.NH3) == ("nh3",)
    assert channels(diagnostics=True) == ("cl2", "enclosure_temperature", "supply")
    with pytest.raises(ConfigError, match="sensepoint-xcd has no hcn"):
        channels(gas=Quantity.HCN)
    assert channel_ids(Options(host="h"), load_profile("scd30")) == (
        "co2",
        "air_temperature",
        "relative_humidity",
    )


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        ([device(1), device(1, name="y")], "unit 1 already"),
        ([device(1), device(2, timeout_s=0.3)], "x1 on the same wire says otherwise"),
        ([device(1, address_base=40002)], "would lie at -1"),
        ([device(1, surprise=True)], "unknown field `surprise`"),
    ],
)
def test_devices_that_cannot_share_a_wire_are_refused(devices, why):
    with pytest.raises(ConfigError, match=why):
        open_bus(devices, RunningClock())


def test_a_serial_line_that_would_be_too_busy_is_refused():
    def line(count):
        return [device(i + 1, host=None, port="/dev/ttyS0", baudrate=9600) for i in range(count)]

    open_bus(line(16), RunningClock())
    with pytest.raises(ConfigError, match="17 devices need 74% of /dev/ttyS0"):
        open_bus(line(17), RunningClock())


def test_the_driver_is_found_by_its_profile():
    module = load_driver(XCD.driver)
    assert module.PROFILE == "sensepoint-xcd"
    assert module.Options is Options
