"""bGeigie and WindSonic over a pty: split, garbled, pulled out, put in again."""

import asyncio
import random

import pytest
from sim.drivers.serial_bench import BenchClock, device, next_batch, open_driver, readings_until

from cbrn_core.channel import Device
from cbrn_core.errors import ConfigError, ConnectFailed, Disconnected, ReadTimeout
from cbrn_core.reading import Flag, InstrumentAlarm, Quality
from cbrn_core.times import parse_rfc3339
from cbrn_drivers.catalogue import load_driver

START_US = parse_rfc3339("2026-06-01T06:15:00Z")


def xor(body):
    value = 0
    for byte in body:
        value ^= byte
    return value


def geiger(counts, time="2026-06-01T06:15:00Z", device_id=12):
    place = "5003.1563,N,01430.9260,E,242.80,A,4,210"
    body = f"BNRDD,{device_id:04d},{time},40,{counts},400,A,{place}".encode()
    return b"$" + body + b"*%02X\r\n" % xor(body)


def wind(speed, status="00", node="Q"):
    body = f"{node},229,{speed:06.2f},M,{status},".encode()
    return b"\x02" + body + b"\x03%02X\r\n" % xor(body)


def counts_of(readings):
    return [round(r.value * 5) for r in readings]


@pytest.mark.asyncio
async def test_split_merged_and_damaged_lines_cost_only_themselves(plug):
    plug.put_in()
    async with open_driver("safecast-bgeigie", plug, BenchClock(START_US)) as driver:
        plug.hold_no_more()
        batches = driver.batches()
        plug.say(geiger(1) + geiger(2)[:30])
        assert counts_of(await readings_until(batches, 1)) == [1]
        plug.say(geiger(2)[30:])
        assert counts_of(await readings_until(batches, 1)) == [2]
        noise = random.Random(7).randbytes(64).replace(b"\n", b"").replace(b"\r", b"")
        plug.say(noise + geiger(3) + geiger(4)[:25] + geiger(5))
        plug.say(geiger(6).replace(b"242", b"342") + b"# NEW LOG\r\n" + geiger(7)[:-6] + b"\r\n")
        plug.say(geiger(8))
        assert counts_of(await readings_until(batches, 3)) == [3, 5, 8]
        counters = driver.counters()
        assert counters["frame_checksum"] == 1
        assert counters["frame_length"] == 1
        assert counters["bytes_skipped"] == len(noise) + 25
        await batches.aclose()


@pytest.mark.asyncio
async def test_a_pulled_plug_is_told_and_the_next_adapter_is_found_behind_the_same_name(plug):
    driver = open_driver("gill-windsonic", plug, BenchClock())
    with pytest.raises(ConnectFailed):
        await driver.__aenter__()
    for speed in (1.0, 2.0):
        plug.put_in()
        async with driver:
            plug.hold_no_more()
            batches = driver.batches()
            plug.say(wind(speed) + wind(9.0)[:10])
            assert (await readings_until(batches, 2))[0].value == speed
            plug.pull()
            with pytest.raises(Disconnected):
                await next_batch(batches)
    assert driver.counters() == {"bytes_skipped": 20}


@pytest.mark.asyncio
async def test_leaving_is_safe_twice_and_without_entering(plug):
    driver = open_driver("gill-windsonic", plug, BenchClock())
    await driver.__aexit__(None, None, None)
    plug.put_in()
    async with driver:
        pass
    await driver.__aexit__(None, None, None)
    with pytest.raises(Disconnected):
        await next_batch(driver.batches())


@pytest.mark.asyncio
async def test_a_wrong_baud_rate_is_garbage_that_counts_as_a_broken_wire(plug):
    plug.put_in()
    clock = BenchClock()
    async with open_driver("gill-windsonic", plug, clock, silence_s=10) as driver:
        plug.hold_no_more()
        batches = driver.batches()
        dice = random.Random(3)

        async def garble():
            while True:
                line = wind(3.0)
                plug.say(
                    bytes(
                        b | 0x80 if dice.random() < 0.4 else b ^ dice.randrange(256) for b in line
                    )
                )
                clock.advance(1.0)
                await asyncio.sleep(0.002)

        talking = asyncio.create_task(garble())
        with pytest.raises(ReadTimeout, match="no valid frame"):
            await next_batch(batches)
        talking.cancel()
        assert sum(driver.counters().values()) > 0


@pytest.mark.asyncio
async def test_an_instrument_that_says_nothing_counts_as_a_broken_wire(plug):
    plug.put_in()
    async with open_driver("gill-windsonic", plug, BenchClock(), silence_s=0.05) as driver:
        with pytest.raises(ReadTimeout):
            await next_batch(driver.batches())


@pytest.mark.asyncio
async def test_a_wind_reading_carries_arrival_and_station(plug):
    plug.put_in()
    clock = BenchClock()
    async with open_driver("gill-windsonic", plug, clock, north_offset_deg=141) as driver:
        plug.hold_no_more()
        plug.say(wind(2.74))
        speed, direction = await next_batch(driver.batches())
    assert (speed.station, speed.channel, speed.value) == ("st01", "wind_speed", 2.74)
    assert speed.time_us == clock.now().wall_us
    assert speed.received_us == clock.now().steady_us
    assert speed.device == "instrument"
    assert direction.value == pytest.approx(10.0)


@pytest.mark.asyncio
async def test_an_anemometer_that_is_ill_says_so_and_is_no_exception(plug):
    plug.put_in()
    async with open_driver("gill-windsonic", plug, BenchClock()) as driver:
        plug.hold_no_more()
        plug.say(wind(2.74, "04"))
        readings = await next_batch(driver.batches())
    assert all(r.quality is Quality.BAD and Flag.INSTRUMENT_FAULT in r.flags for r in readings)
    assert readings[0].detection.code == 4


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("time", "trusted"),
    [
        ("2026-06-01T06:14:35Z", True),
        ("2026-06-01T06:15:29Z", True),
        ("2026-06-01T06:14:25Z", False),
        ("2025-06-01T06:15:00Z", False),
        ("2012-00-00T00:00:00Z", False),
    ],
)
async def test_a_device_clock_is_trusted_only_near_the_machines_own(plug, time, trusted):
    plug.put_in()
    async with open_driver("safecast-bgeigie", plug, BenchClock(START_US)) as driver:
        plug.hold_no_more()
        plug.say(geiger(4, time))
        (reading,) = await next_batch(driver.batches())
    assert reading.received_us == START_US
    assert reading.livetime_s == 5.0
    if trusted:
        assert reading.time_us == parse_rfc3339(time)
        assert reading.raw is None
        assert reading.flags == ()
    else:
        assert reading.time_us == START_US
        assert reading.raw == time
        assert reading.flags == (Flag.CLOCK_UNSYNCED,)


@pytest.mark.asyncio
async def test_dead_time_is_taken_from_the_comment_on_the_wire(plug):
    plug.put_in()
    async with open_driver("safecast-bgeigie", plug, BenchClock(START_US)) as driver:
        plug.hold_no_more()
        plug.say(b"# deadtime=on\r\n" + geiger(5000))
        (reading,) = await next_batch(driver.batches())
    assert reading.value == pytest.approx(1127.4, abs=0.1)
    assert reading.livetime_s < 5.0


def is_of_another(reading, told, expected):
    return (
        reading.value is None
        and reading.quality is Quality.BAD
        and {Flag.INSTRUMENT_FAULT, Flag.OTHER_INSTRUMENT} <= set(reading.flags)
        and reading.detection.instrument_alarm is InstrumentAlarm.FAULT
        and f"another instrument (id {told}) at this port" in reading.detection.text
        and f"expected {expected}" in reading.detection.text
        and reading.fix is None
    )


@pytest.mark.asyncio
async def test_a_bgeigie_of_another_station_gives_no_value_in_any_sentence(plug):
    driver = open_driver("safecast-bgeigie", plug, BenchClock(START_US), serial=12)
    for strangers, ours in ((1, 2), (2, 1)):
        plug.put_in()
        async with driver:
            plug.hold_no_more()
            plug.say(b"".join(geiger(90, device_id=2108) for _ in range(strangers)))
            plug.say(b"".join(geiger(n) for n in range(ours)) + geiger(90, device_id=2108))
            readings = await readings_until(driver.batches(), strangers + ours + 1)
        assert [is_of_another(r, 2108, 12) for r in readings] == [
            *([True] * strangers + [False] * ours),
            True,
        ]
        assert counts_of(readings[strangers:-1]) == list(range(ours))
        plug.pull()
    assert driver.counters()["identity_wrong"] == 5


@pytest.mark.asyncio
async def test_an_anemometer_of_another_node_gives_no_value_in_any_line(plug):
    plug.put_in()
    nmea = b"WIMWV,229,R,002.7,M,A"
    async with open_driver("gill-windsonic", plug, BenchClock(), node="Q") as driver:
        plug.hold_no_more()
        plug.say(wind(9.0, node="A") + wind(2.0) + b"$" + nmea + b"*%02X\r\n" % xor(nmea))
        readings = await readings_until(driver.batches(), 6)
    assert [is_of_another(r, "A", "Q") for r in readings] == [True] * 2 + [False] * 4
    assert [r.value for r in readings[2:4]] == [2.0, 229.0]
    assert [is_of_another(r, "WI", "Q") for r in readings[4:]] == [True] * 2


@pytest.mark.asyncio
async def test_without_an_id_in_the_site_file_any_instrument_is_read(plug):
    plug.put_in()
    async with open_driver("safecast-bgeigie", plug, BenchClock(START_US)) as driver:
        plug.hold_no_more()
        plug.say(geiger(1) + geiger(2, device_id=2108))
        assert counts_of(await readings_until(driver.batches(), 2)) == [1, 2]


def test_a_port_has_one_instrument():
    one = device("gill-windsonic", port="/dev/x")
    module = load_driver(one.driver)
    with pytest.raises(ConfigError, match="one instrument"):
        module.open_bus([one, one], BenchClock())


def test_options_that_do_not_fit_are_refused_before_anything_is_opened():
    module = load_driver("weather.gill_windsonic")
    one = device("gill-windsonic", port="/dev/x", north_offset_deg="east")
    assert isinstance(one, Device)
    with pytest.raises(ConfigError, match="north_offset_deg"):
        module.open_bus([one], BenchClock())
