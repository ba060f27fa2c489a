"""GQ GMC over a pty: a scripted counter of each dialect, with its bad habits."""

import asyncio
import re
import struct

import pytest
from sim.drivers.serial_bench import BenchClock, next_batch, open_driver, readings_until

from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout
from cbrn_core.reading import Flag, Quality
from cbrn_drivers.codec.gmc import Dialect
from cbrn_drivers.radiation import gmc

ONLY_READS = {
    b"GETSERIAL",
    b"GETVER",
    b"GETCFG",
    b"GETCPS",
    b"GETCPM",
    b"GETVOLT",
    b"HEARTBEAT0",
    b"HEARTBEAT1",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No heartbeat is under way on the bench: a short quiet is enough."""
    monkeypatch.setattr(gmc, "HEARTBEAT_END_S", 0.1)
    monkeypatch.setattr(gmc, "IDLE_S", 0.05)


@pytest.fixture
def impatient(monkeypatch):
    """For counters that are meant not to answer."""
    monkeypatch.setattr(gmc, "REPLY_TIMEOUT_S", 0.1)


def rfc1801_config():
    config = bytearray(512)
    for offset, (cpm, usv_h) in zip((8, 14, 20), [(100, 0.65), (30000, 195), (25, 4)], strict=True):
        struct.pack_into(">Hf", config, offset, cpm, usv_h)
    return bytes(config)


def rfc1201_config():
    config = bytearray(256)
    for offset, (cpm, usv_h) in zip(
        (8, 14, 20), [(60, 0.39), (240, 1.56), (1000, 6.5)], strict=True
    ):
        struct.pack_into(">H", config, offset, cpm)
        struct.pack_into("<f", config, offset + 2, usv_h)
    return bytes(config)


class Counter:
    """Answers requests from a table; a callable answer is called each time."""

    def __init__(self, **answers):
        self.requests = []
        self._answers = answers
        self._rest = b""

    def __call__(self, said):
        self._rest += said
        reply = b""
        while match := re.match(rb"<(\w+)>>", self._rest):
            self._rest = self._rest[match.end() :]
            self.requests.append(match[1])
            answer = self._answers.get(match[1].decode(), b"")
            reply += answer() if callable(answer) else answer
        return reply


def counting(width, *counts):
    remaining = list(counts)
    return lambda: (remaining.pop(0) if remaining else 0).to_bytes(width, "big")


def gmc500(**other):
    answers = {
        "GETVER": b"GMC-500+Re 2.22",
        "GETCFG": rfc1801_config(),
        "GETVOLT": b"3.97v",
        "GETCPS": counting(4, 1, 2, 3),
    }
    return Counter(**answers | other)


def gmc300(**other):
    answers = {
        "GETVER": b"GMC-300SRe 1.14",
        "GETCFG": rfc1201_config(),
        "GETVOLT": b"\x2a",
        "GETCPM": counting(2, 90, 91),
    }
    return Counter(**answers | other)


def gamma(readings):
    return [r.value for r in readings if r.channel == "gamma"]


@pytest.mark.asyncio
async def test_another_counter_gives_no_count_until_ours_is_there(plug):
    ours, other = bytes.fromhex("f7f4c578139d08"), bytes.fromhex("00112233445566")
    serials = [other, other, ours]
    counter = gmc500(GETSERIAL=lambda: serials.pop(0))
    plug.put_in(counter)
    clock = BenchClock()
    async with open_driver("gq-gmc-500", plug, clock, serial="F7F4C578139D08") as driver:
        plug.hold_no_more()
        batches = driver.batches()
        for _ in range(2):
            (reading,) = await next_batch(batches)
            assert (reading.channel, reading.value) == ("gamma", None)
            assert {Flag.INSTRUMENT_FAULT, Flag.OTHER_INSTRUMENT} == set(reading.flags)
            assert "another instrument (id 00112233445566)" in reading.detection.text
            assert b"GETCPS" not in counter.requests
        assert gamma(await readings_until(batches, 4)) == [1.0, 2.0, 3.0]
        assert driver.counters()["identity_wrong"] == 2
    assert set(counter.requests) <= ONLY_READS


@pytest.mark.asyncio
async def test_a_counter_that_does_not_say_who_it_is_is_not_read(plug, impatient):
    plug.put_in(gmc500())
    with pytest.raises(ConnectFailed, match="does not tell its serial number"):
        await open_driver("gq-gmc-500", plug, BenchClock(), serial="f7f4c578139d08").__aenter__()


@pytest.mark.asyncio
async def test_another_counter_that_is_pulled_out_is_told(plug):
    plug.put_in(gmc500(GETSERIAL=bytes(7)))
    async with open_driver("gq-gmc-500", plug, BenchClock(), serial="f7f4c578139d08") as driver:
        plug.hold_no_more()
        batches = driver.batches()
        await next_batch(batches)
        plug.pull()
        with pytest.raises(Disconnected):
            await next_batch(batches)


@pytest.mark.asyncio
async def test_a_gmc_500_is_recognised_and_polled_for_counts_per_second(plug):
    counter = gmc500()
    plug.put_in(counter)
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        plug.hold_no_more()
        readings = await readings_until(driver.batches(), 4)
    assert driver.version.model == "GMC-500+"
    assert gamma(readings) == [1.0, 2.0, 3.0]
    assert all(r.livetime_s == 1.0 for r in readings if r.channel == "gamma")
    (battery,) = [r for r in readings if r.channel == "battery"]
    assert battery.value == pytest.approx(3.97)
    assert readings[-1].received_us - readings[0].received_us == 2_000_000
    assert driver.calibration.usv_h_per_cps == pytest.approx(0.39)
    assert [cpm for cpm, _ in driver.calibration.points] == [100, 30000]
    assert driver.counters() == {}


@pytest.mark.asyncio
async def test_a_gmc_300_is_recognised_and_its_heartbeat_read(plug):
    counter = gmc300(HEARTBEAT1=b"\x00\x03")
    plug.put_in(counter)
    async with open_driver("gq-gmc-300", plug, BenchClock()) as driver:
        plug.hold_no_more()
        batches = driver.batches()
        first = await next_batch(batches)
        assert gamma(first) == [3.0]
        assert [r.value for r in first if r.channel == "battery"] == [4.2]
        plug.say(b"\x40\x05")
        assert gamma(await next_batch(batches)) == [5.0]
        plug.say(b"\x00\x01\x00\x02")
        both = await next_batch(batches)
        assert gamma(both) == [1.0, 2.0]
        assert both[1].time_us - both[0].time_us == 1_000_000
        await batches.aclose()
    assert counter.requests[0] == b"HEARTBEAT0"
    assert driver.calibration.usv_h_per_cps == pytest.approx(0.39)


@pytest.mark.asyncio
async def test_half_a_heartbeat_is_dropped_and_the_next_is_in_step(plug):
    plug.put_in(gmc300(HEARTBEAT1=b"\x00\x03"))
    async with open_driver("gq-gmc-300", plug, BenchClock()) as driver:
        plug.hold_no_more()
        batches = driver.batches()
        await next_batch(batches)
        plug.say(b"\x07")
        beating = asyncio.create_task(beat(plug, b"\x00\x09"))
        assert gamma(await next_batch(batches)) == [9.0]
        beating.cancel()
        assert driver.counters()["frame_length"] == 1


async def beat(plug, record):
    """Say a record again and again, as a heartbeat does."""
    while True:
        await asyncio.sleep(0.3)
        plug.say(record)


@pytest.mark.asyncio
async def test_the_heartbeat_is_switched_off_when_leaving(plug):
    counter = gmc300(HEARTBEAT1=b"\x00\x03")
    plug.put_in(counter)
    async with open_driver("gq-gmc-300", plug, BenchClock()) as driver:
        await next_batch(driver.batches())
        sent = len(plug.heard)
    await plug.heard_at_least(sent + len(b"<HEARTBEAT0>>"))
    assert counter.requests[-1] == b"HEARTBEAT0"


@pytest.mark.asyncio
async def test_counts_per_minute_are_read_once_a_minute(plug):
    plug.put_in(gmc300())
    async with open_driver("gq-gmc-300", plug, BenchClock(), mode="cpm") as driver:
        readings = await readings_until(driver.batches(), 3)
    rates = [r for r in readings if r.channel == "gamma"]
    assert [r.value for r in rates] == [1.5, pytest.approx(91 / 60)]
    assert [r.livetime_s for r in rates] == [60.0, 60.0]
    assert rates[1].received_us - rates[0].received_us == 60_000_000


@pytest.mark.asyncio
async def test_a_heartbeat_left_on_by_another_program_is_drained(plug):
    counter = gmc500(HEARTBEAT0=b"\x00\x00\x00\x07")
    plug.put_in(counter)
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        assert gamma(await next_batch(driver.batches())) == [1.0]
        assert driver.counters() == {"bytes_skipped": 4}


@pytest.mark.asyncio
async def test_a_lost_byte_costs_one_count_and_not_the_next(plug):
    replies = iter(
        [b"\x00\x00\x01", b"\x00\x00\x00\x02", b"\x00\x00\x00\x00\x03", b"\x00\x00\x00\x04"]
    )
    plug.put_in(gmc500(GETCPS=lambda: next(replies)))
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        assert gamma(await readings_until(driver.batches(), 3)) == [2.0, 4.0]
        assert driver.counters()["no_reply"] == 1
        assert driver.counters()["frame_length"] == 1


@pytest.mark.asyncio
async def test_a_count_that_no_tube_can_give_is_a_shifted_reply(plug):
    plug.put_in(gmc500(GETCPS=counting(4, 0x01000000, 5)))
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        assert gamma(await next_batch(driver.batches())) == [5.0]
        assert driver.counters() == {"frame_field": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "version", [b"", b"\x80\x13\xfe\x00\x07\xff", b"RadPro 2.0.1 xx", b"GMC-900Re 1.0"]
)
async def test_what_is_no_known_counter_is_not_read(plug, impatient, version):
    plug.put_in(gmc500(GETVER=version))
    with pytest.raises(ConnectFailed):
        await open_driver("gq-gmc-500", plug, BenchClock()).__aenter__()


@pytest.mark.asyncio
async def test_an_unknown_model_is_read_in_the_dialect_that_it_is_said_to_speak(plug):
    plug.put_in(gmc500(GETVER=b"GMC-900Re 1.0"))
    async with open_driver("gq-gmc-500", plug, BenchClock(), dialect="rfc1801") as driver:
        assert gamma(await next_batch(driver.batches())) == [1.0]
        assert driver._dialect is Dialect.RFC1801


@pytest.mark.asyncio
async def test_a_garbled_greeting_is_tried_again(plug):
    versions = iter([b"\xff\xfe\xfd\xfc\xfb\xfa", b"GMC-500+Re 2.22"])
    plug.put_in(gmc500(GETVER=lambda: next(versions)))
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        assert driver.version.model == "GMC-500+"
        assert driver.counters()["frame_field"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("config", [bytes(512), b"\xff" * 512, bytes(600)])
async def test_counts_go_on_without_a_readable_calibration(plug, monkeypatch, config):
    monkeypatch.setattr(gmc, "CONFIG_TIMEOUT_S", 0.2)
    plug.put_in(gmc500(GETCFG=config))
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        assert driver.calibration is None
        assert gamma(await next_batch(driver.batches())) == [1.0]
        assert sum(driver.counters().values()) >= 1


@pytest.mark.asyncio
async def test_an_unreadable_battery_takes_nothing_from_the_counts(plug):
    plug.put_in(gmc500(GETVOLT=b"?????"))
    async with open_driver("gq-gmc-500", plug, BenchClock()) as driver:
        readings = await next_batch(driver.batches())
    assert gamma(readings) == [1.0]
    assert all(r.quality is Quality.GOOD for r in readings)
    assert driver.counters() == {"frame_field": 1}


@pytest.mark.asyncio
async def test_a_counter_that_falls_silent_is_a_broken_wire(plug, impatient):
    plug.put_in(gmc500(GETCPS=b""))
    async with open_driver("gq-gmc-500", plug, BenchClock(), silence_s=2) as driver:
        with pytest.raises(ReadTimeout):
            await next_batch(driver.batches())
        assert driver.counters()["no_reply"] >= 2


@pytest.mark.asyncio
async def test_a_pulled_plug_is_told_and_the_counter_is_found_again(plug):
    driver = open_driver("gq-gmc-500", plug, BenchClock())
    for _ in range(2):
        plug.put_in(gmc500())
        async with driver:
            plug.hold_no_more()
            batches = driver.batches()
            assert gamma(await next_batch(batches)) == [1.0]
            plug.pull()
            with pytest.raises(Disconnected):
                await next_batch(batches)


@pytest.mark.asyncio
async def test_no_command_but_reading_is_ever_sent(plug):
    seen = set()
    for make, profile in ((gmc500, "gq-gmc-500"), (gmc300, "gq-gmc-300")):
        counter = make(HEARTBEAT1=b"\x00\x03") if make is gmc300 else make()
        plug.put_in(counter)
        async with open_driver(profile, plug, BenchClock()) as driver:
            await next_batch(driver.batches())
        plug.pull()
        seen |= set(counter.requests)
    assert seen <= ONLY_READS
