"""Winsen ZE03 over a pty: it is told a mode, then the driver looks at what arrives."""

import msgspec
import pytest
from sim.drivers.serial_bench import BenchClock, next_batch, open_driver, readings_until

from cbrn_core.errors import Disconnected, ReadTimeout
from cbrn_core.reading import Flag, Quality
from cbrn_drivers.chemical import winsen_ze03

ACTIVE = bytes.fromhex("FF0178030000000084")
QUESTION = bytes.fromhex("FF0178040000000083")
READ = bytes.fromhex("FF0186000000000079")
ACK = bytes.fromhex("FF7801000000000087")
REFUSED = bytes.fromhex("FF7800000000000088")


def reading_frame(count):
    body = bytes((0x86, count >> 8, count & 0xFF, 0, 0, 0, 0))
    return b"\xff" + body + bytes((-sum(body) & 0xFF,))


@pytest.fixture
def impatient(monkeypatch):
    """Ask after 50 ms of silence instead of 2.5 s."""
    monkeypatch.setattr(winsen_ze03, "_PATIENCE_PERIODS", 0.05)


@pytest.mark.asyncio
async def test_active_upload_is_commanded_and_read(plug):
    plug.put_in()
    async with open_driver("winsen-ze03", plug, BenchClock(), gas="cl2", warm_up_s=0) as driver:
        plug.hold_no_more()
        assert await plug.heard_at_least(9) == ACTIVE
        batches = driver.batches()
        plug.say(ACK + reading_frame(31)[:4])
        plug.say(reading_frame(31)[4:] + b"\x00\xff\x13" + reading_frame(32))
        readings = await readings_until(batches, 2)
        assert [r.value for r in readings] == [pytest.approx(3.1), pytest.approx(3.2)]
        assert {(r.channel, r.quality) for r in readings} == {("cl2", Quality.GOOD)}
        plug.say(reading_frame(1)[:5] + reading_frame(40))
        assert (await readings_until(batches, 1))[0].value == pytest.approx(4.0)
        assert driver.counters()["bytes_skipped"] == 8
        plug.pull()
        with pytest.raises(Disconnected):
            await next_batch(batches)


@pytest.mark.asyncio
async def test_a_module_that_stays_silent_is_asked(plug, impatient):
    plug.put_in(lambda said: reading_frame(7) if READ in said else b"")
    async with open_driver("winsen-ze03", plug, BenchClock(), gas="nh3", warm_up_s=0) as driver:
        plug.hold_no_more()
        readings = await readings_until(driver.batches(), 2)
        assert [r.value for r in readings] == [7.0, 7.0]
        assert driver.counters()["silences"] >= 2


@pytest.mark.asyncio
async def test_in_question_mode_the_module_is_asked_once_a_period(plug):
    answers = iter(range(100))
    plug.put_in(lambda said: reading_frame(next(answers)) if READ in said else b"")
    clock = BenchClock()
    driver = open_driver("winsen-ze03", plug, clock, gas="co", mode="question", warm_up_s=0)
    async with driver:
        plug.hold_no_more()
        readings = await readings_until(driver.batches(), 3)
    assert [r.value for r in readings] == [0.0, 1.0, 2.0]
    assert readings[2].received_us - readings[0].received_us == 2_000_000
    assert plug.heard.startswith(QUESTION)


@pytest.mark.asyncio
async def test_as_is_sends_no_mode_command(plug):
    plug.put_in()
    async with open_driver("winsen-ze03", plug, BenchClock(), gas="co", mode="as_is") as driver:
        plug.hold_no_more()
        plug.say(reading_frame(5))
        await next_batch(driver.batches())
    assert plug.heard == b""


@pytest.mark.asyncio
async def test_a_module_that_never_answers_counts_as_a_broken_wire(plug, impatient):
    plug.put_in()
    clock = BenchClock()
    async with open_driver("winsen-ze03", plug, clock, gas="co", silence_s=5) as driver:
        clock.advance(5)
        with pytest.raises(ReadTimeout):
            await next_batch(driver.batches())
    assert await plug.heard_at_least(18) == ACTIVE + READ


@pytest.mark.asyncio
async def test_a_refused_mode_is_counted_and_readings_go_on(plug):
    plug.put_in()
    async with open_driver("winsen-ze03", plug, BenchClock(), gas="co") as driver:
        plug.hold_no_more()
        plug.say(REFUSED + reading_frame(5))
        assert (await readings_until(driver.batches(), 1))[0].value == 5.0
        assert driver.counters()["frame_field"] == 1


@pytest.mark.asyncio
async def test_after_each_connection_the_cell_warms_up_for_three_minutes(plug):
    plug.put_in()
    clock = BenchClock()
    async with open_driver("winsen-ze03", plug, clock, gas="cl2") as driver:
        plug.hold_no_more()
        batches = driver.batches()
        plug.say(reading_frame(31))
        (early,) = await next_batch(batches)
        clock.advance(180)
        plug.say(reading_frame(31))
        (late,) = await next_batch(batches)
    assert (early.quality, early.flags) == (Quality.UNCERTAIN, (Flag.WARMING_UP,))
    assert (late.quality, late.flags) == (Quality.GOOD, ())
    assert early.value == late.value


@pytest.mark.asyncio
async def test_only_channels_that_the_site_has_are_given(plug):
    plug.put_in()
    driver = open_driver("winsen-ze03", plug, BenchClock(), gas="cl2")
    driver._device = msgspec.structs.replace(driver._device, channels=())
    async with driver:
        plug.hold_no_more()
        plug.say(reading_frame(31))
        assert await driver._listen(driver._open_port()) == []
