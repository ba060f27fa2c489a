import asyncio
import time
from collections import Counter

import pytest

from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout
from cbrn_core.reading import Quality

pytestmark = pytest.mark.asyncio
LINE = {"baudrate": 115200, "parity": "N"}
PERIOD_S, WATCHED_S = 0.4, 20.0
"""Fifty polls each: two may fail to come, five do where each round waits for a dead one."""


async def next_batch(batches):
    async with asyncio.timeout(10):
        return await anext(batches)


async def until_it_breaks(batches):
    while True:
        await next_batch(batches)


async def run_without_a_reading(driver):
    async with driver:
        async for batch in driver.batches():
            raise AssertionError(batch)


async def test_ten_detectors_on_one_line_give_their_own_values(start_bus, detector):
    bus, _ = start_bus(range(1, 11))
    driver = detector(*range(1, 11), port=bus.path, **LINE)
    values = {}
    async with driver:
        batches = driver.batches()
        for _ in range(30):
            for reading in await next_batch(batches):
                values.setdefault(reading.device, set()).add(round(reading.value, 6))
        await batches.aclose()
    assert values == {f"x{i}": {i / 10} for i in range(1, 11)}


async def test_one_dead_detector_of_ten_leaves_the_others_their_polls(start_bus, detector):
    bus, _ = start_bus(range(1, 11))
    bus.cut = {4}
    driver = detector(
        *range(1, 11), port=bus.path, period_s=PERIOD_S, timeout_s=0.4, quiet_s=0.02, **LINE
    )
    good = Counter()
    async with driver:
        batches = driver.batches()
        began_s = time.monotonic()
        while (elapsed_s := time.monotonic() - began_s) < WATCHED_S:
            for reading in await next_batch(batches):
                good[reading.device] += reading.quality is Quality.GOOD
        await batches.aclose()
    assert good["x4"] == 0
    others = {f"x{i}": good[f"x{i}"] for i in range(1, 11) if i != 4}
    assert min(others.values()) >= 0.95 * elapsed_s / PERIOD_S, others
    assert driver.counters()["silent"] == 1
    assert 3 <= bus.requests.count(4) <= 0.05 * len(bus.requests)


async def test_a_dead_detector_that_comes_back_is_read_again(start_bus, detector):
    bus, _ = start_bus(range(1, 3))
    bus.cut = {2}
    driver = detector(1, 2, port=bus.path, timeout_s=0.05, quiet_s=0.01, **LINE)
    async with driver:
        batches = driver.batches()
        while not driver.counters()["silent"]:
            assert (await next_batch(batches))[0].device == "x1"
        bus.cut = set()
        while (await next_batch(batches))[0].device != "x2":
            pass
        await batches.aclose()
    assert driver.counters()["silent"] == 0


async def test_a_late_reply_is_never_taken_for_the_next_answer(start_bus, detector):
    bus, peer = start_bus(range(1, 2))
    driver = detector(1, port=bus.path, timeout_s=0.1, quiet_s=0.1, **LINE)
    held = []

    def hold(reply):
        held.append(reply)
        bus.mangle = lambda later: later
        peer.set(1, 40003, 0x4000, 0)
        asyncio.get_running_loop().call_later(0.15, bus.say, reply)

    async with driver:
        batches = driver.batches()
        assert (await next_batch(batches))[0].value == pytest.approx(0.1)
        bus.mangle = hold
        assert (await next_batch(batches))[0].value == 2.0
        await batches.aclose()
    assert len(held[0]) == 5 + 18
    assert driver.counters()["late_replies"] == 1
    assert driver.counters()["timeout"] == 1


async def test_a_reply_that_is_later_than_the_quarantine_is_known_by_its_length(
    start_bus, detector
):
    bus, peer = start_bus(range(1, 2))
    driver = detector(1, port=bus.path, timeout_s=0.1, quiet_s=0.0, **LINE)
    held = []

    def in_place_of_the_identity(reply):
        if not held:
            held.append(reply)
            peer.set(1, 40003, 0x4000, 0)
            return None
        bus.mangle = lambda later: later
        return held[0]

    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        bus.mangle = in_place_of_the_identity
        assert (await next_batch(batches))[0].value == 2.0
        await batches.aclose()
    assert driver.counters()["unexpected_reply"] == 1


@pytest.mark.parametrize(
    ("mangle", "kind"),
    [
        (lambda reply: reply[:-1] + bytes([reply[-1] ^ 0xFF]), "checksum"),
        (lambda reply: reply[:4], "length"),
        (lambda reply: reply[:10], "checksum"),
        (lambda _: None, "timeout"),
    ],
)
async def test_a_damaged_reply_is_counted_by_its_kind_and_the_next_is_good(
    start_bus, detector, mangle, kind
):
    bus, _ = start_bus(range(1, 2))
    driver = detector(1, port=bus.path, timeout_s=0.1, quiet_s=0.02, **LINE)

    def once(reply):
        bus.mangle = lambda later: later
        return mangle(reply)

    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        bus.mangle = once
        assert (await next_batch(batches))[0].quality is Quality.GOOD
        await batches.aclose()
    assert driver.counters()[kind] == 1


async def test_a_line_that_gives_only_noise_is_given_up_and_works_when_it_is_clean(
    start_bus, detector
):
    bus, _ = start_bus(range(1, 9))
    driver = detector(*range(1, 9), port=bus.path, timeout_s=0.05, quiet_s=0.01, **LINE)
    bus.mangle = lambda reply: bytes([reply[0] ^ 0x55]) + reply[1:]
    with pytest.raises(Disconnected, match="bad replies in a row"):
        await run_without_a_reading(driver)
    bus.mangle = lambda reply: reply
    async with driver:
        batches = driver.batches()
        assert (await next_batch(batches))[0].quality is Quality.GOOD
        await batches.aclose()


async def test_an_unplugged_port_is_a_broken_wire(start_bus, detector):
    bus, _ = start_bus(range(1, 2))
    path = bus.path
    driver = detector(1, port=path, **LINE)
    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        bus.unplug()
        with pytest.raises(Disconnected):
            await until_it_breaks(batches)
    with pytest.raises(ConnectFailed, match=path):
        await driver.__aenter__()


async def test_a_port_that_another_program_holds_is_a_failed_connection(start_bus, detector):
    bus, _ = start_bus(range(1, 2))
    first, second = detector(1, port=bus.path, **LINE), detector(1, port=bus.path, **LINE)
    async with first:
        with pytest.raises(ConnectFailed):
            await second.__aenter__()


async def test_a_bus_on_which_nobody_answers_is_given_up(start_bus, detector):
    bus, _ = start_bus(range(1, 3))
    bus.cut = {1, 2}
    driver = detector(1, 2, port=bus.path, timeout_s=0.05, quiet_s=0.01, **LINE)
    with pytest.raises(ReadTimeout, match="none of 2 detectors answers"):
        await run_without_a_reading(driver)


async def test_a_retry_saves_a_poll_whose_request_was_lost(start_bus, detector):
    bus, _ = start_bus(range(1, 2))
    driver = detector(1, port=bus.path, timeout_s=0.1, quiet_s=0.02, retries=1, **LINE)

    def once(reply):
        bus.mangle = lambda later: later

    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        bus.mangle = once
        assert (await next_batch(batches))[0].quality is Quality.GOOD
        await batches.aclose()
    assert "timeout" not in driver.counters()


async def test_rtu_frames_travel_over_tcp_as_well(start_bus, detector):
    bus, _ = start_bus(range(7, 8))

    async def tunnel(reader, writer):
        loop = asyncio.get_running_loop()
        loop.remove_reader(bus.units[7][0])
        loop.add_reader(bus.units[7][0], lambda: writer.write(bus.take(7)))
        try:
            while octets := await reader.read(256):
                bus.give(7, octets)
        except ConnectionError:
            pass
        finally:
            loop.remove_reader(bus.units[7][0])
            writer.close()

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = detector(7, host="127.0.0.1", port=port, framing="rtu")
    async with driver:
        batches = driver.batches()
        for _ in range(3):
            assert (await next_batch(batches))[0].value == pytest.approx(0.7)
        await batches.aclose()
    server.close()
    await server.wait_closed()
