import asyncio
import signal
import struct

import pytest

from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout, TransportError
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality
from cbrn_core.units import Unit

pytestmark = pytest.mark.asyncio
UNIT = 5


@pytest.fixture
def xcd(start_peer):
    peer = start_peer("tcp", "0", f"{UNIT}:60")
    peer.make_xcd(UNIT)
    return peer


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


async def after(batches, change):
    """Change the peer, then return the gas reading of a poll that began afterwards."""
    await next_batch(batches)
    change()
    await next_batch(batches)
    return (await next_batch(batches))[0]


async def test_every_reading_of_a_detector_is_right(xcd, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port, diagnostics=True)
    async with driver:
        batches = driver.batches()
        gas, temperature, supply = await next_batch(batches)
        assert (gas.station, gas.channel, gas.device) == ("st01", "cl2", "x5")
        assert (gas.value, gas.unit, gas.quality) == (0.5, Unit.PPM, Quality.GOOD)
        assert (gas.flags, gas.detection) == ((), None)
        assert (temperature.channel, temperature.value) == ("enclosure_temperature", -5)
        assert (supply.channel, supply.value, supply.unit) == ("supply", 23.75, Unit.V)
        (second,) = await next_batch(batches)
        assert second.time_us > gas.time_us
        assert second.received_us > gas.received_us
        await batches.aclose()
    assert {k: v for k, v in driver.counters().items() if v} == {}


@pytest.mark.parametrize(
    ("registers", "value", "quality", "flags", "detection"),
    [
        (
            {40005: 1107, 40006: 1 << 5},
            None,
            Quality.BAD,
            (Flag.INSTRUMENT_FAULT,),
            Detection(instrument_alarm=InstrumentAlarm.FAULT, code=7, text="instrument fault 7"),
        ),
        (
            {40005: 3, 40006: 1 << 4},
            0.5,
            Quality.GOOD,
            (Flag.INSTRUMENT_WARNING,),
            Detection(code=3, text="instrument warning 3"),
        ),
        ({40007: 2}, 0.5, Quality.UNCERTAIN, (Flag.WARMING_UP,), None),
        (
            {40007: 3},
            0.5,
            Quality.BAD,
            (Flag.INHIBITED,),
            Detection(instrument_alarm=InstrumentAlarm.INHIBIT),
        ),
        (
            {40007: 12},
            0.5,
            Quality.BAD,
            (Flag.CALIBRATING,),
            Detection(instrument_alarm=InstrumentAlarm.INHIBIT),
        ),
        (
            {40006: 1},
            0.5,
            Quality.GOOD,
            (),
            Detection(agent="cl2", instrument_alarm=InstrumentAlarm.A1),
        ),
        (
            {40006: 3},
            0.5,
            Quality.GOOD,
            (),
            Detection(agent="cl2", instrument_alarm=InstrumentAlarm.A2),
        ),
    ],
)
async def test_what_the_instrument_says_about_itself_arrives(
    xcd, detector, registers, value, quality, flags, detection
):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)

    def change():
        for register, word in registers.items():
            xcd.set(UNIT, register, word)

    async with driver:
        batches = driver.batches()
        reading = await after(batches, change)
        await batches.aclose()
    assert (reading.value, reading.quality, reading.flags) == (value, quality, flags)
    assert reading.detection == detection


async def test_a_refused_block_is_a_fault_with_its_code(start_peer, detector):
    peer = start_peer("tcp", "0", f"{UNIT}:8")
    peer.make_xcd(UNIT, last=8)
    driver = detector(UNIT, host="127.0.0.1", port=peer.port)
    async with driver:
        batches = driver.batches()
        (reading,) = await next_batch(batches)
        await batches.aclose()
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.detection.code == 2
    assert driver.counters()["refused_2"] == 1


async def test_a_frozen_device_is_given_up_and_read_again_when_it_wakes(xcd, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)
    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        xcd.process.send_signal(signal.SIGSTOP)
        with pytest.raises(ReadTimeout):
            await until_it_breaks(batches)
    assert driver.counters()["timeout"] == 3
    xcd.process.send_signal(signal.SIGCONT)
    async with driver:
        batches = driver.batches()
        assert (await next_batch(batches))[0].value == 0.5
        await batches.aclose()


async def test_a_killed_device_is_noticed_and_read_again_when_it_is_back(xcd, start_peer, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)
    async with driver:
        batches = driver.batches()
        await next_batch(batches)
        xcd.kill()
        with pytest.raises(Disconnected):
            await until_it_breaks(batches)
    with pytest.raises(ConnectFailed):
        await driver.__aenter__()
    back = start_peer("tcp", str(xcd.port), f"{UNIT}:60")
    back.make_xcd(UNIT, gas_ppm=1.5)
    async with driver:
        batches = driver.batches()
        assert (await next_batch(batches))[0].value == 1.5
        await batches.aclose()


async def test_a_wrong_instrument_is_a_fault_until_the_right_one_is_there(xcd, detector):
    xcd.set(UNIT, 40001, 0x2605)
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)
    async with driver:
        batches = driver.batches()
        (wrong,) = await next_batch(batches)
        assert (wrong.value, wrong.quality) == (None, Quality.BAD)
        assert wrong.detection.text == "wrong identity: register 40001 says 38, not 37"
        right = await after(batches, lambda: xcd.set(UNIT, 40001, 0x2505))
        assert (right.value, right.quality) == (0.5, Quality.GOOD)
        await batches.aclose()


async def test_addresses_off_by_one_are_said_and_cured_by_the_option(start_peer, detector):
    peer = start_peer("tcp", "0", f"{UNIT}:61")
    peer.set(UNIT, 40002, 0x2505)
    peer.set(UNIT, 40004, 0x3F00)
    peer.set(UNIT, 40008, 1)
    peer.set(UNIT, 40012, 4)
    plain = detector(UNIT, host="127.0.0.1", port=peer.port)
    async with plain:
        batches = plain.batches()
        (reading,) = await next_batch(batches)
        await batches.aclose()
    assert reading.value is None
    assert reading.detection.text.endswith("off by one: set address_base = 40000")
    shifted = detector(UNIT, host="127.0.0.1", port=peer.port, address_base=40000)
    async with shifted:
        batches = shifted.batches()
        (reading,) = await next_batch(batches)
        await batches.aclose()
    assert (reading.value, reading.unit, reading.quality) == (0.5, Unit.PPM, Quality.GOOD)


async def test_many_units_behind_one_gateway_are_told_apart(start_peer, detector):
    peer = start_peer("tcp", "0", "1:60", "2:60", "3:60")
    for unit_id in (1, 2, 3):
        peer.make_xcd(unit_id, gas_ppm=float(unit_id))
    driver = detector(1, 2, 3, host="127.0.0.1", port=peer.port)
    values = {}
    async with driver:
        batches = driver.batches()
        for _ in range(9):
            for reading in await next_batch(batches):
                values.setdefault(reading.device, set()).add(reading.value)
        await batches.aclose()
    assert values == {"x1": {1.0}, "x2": {2.0}, "x3": {3.0}}


async def test_leaving_leaves_nothing_running_and_nothing_reconnects(xcd, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)
    for _ in range(3):
        async with driver:
            batches = driver.batches()
            await next_batch(batches)
            await batches.aclose()
    await driver.__aexit__(None, None, None)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_driver_that_is_cancelled_closes_its_wire(xcd, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)

    async def work():
        async with driver:
            async for _ in driver.batches():
                started.set()

    started = asyncio.Event()
    task = asyncio.create_task(work())
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with driver:
        batches = driver.batches()
        assert await next_batch(batches)
        await batches.aclose()


def foreign_unit(request: bytes) -> bytes:
    return request[:4] + b"\0\x05" + bytes([request[6] + 1]) + b"\x03\x02\x25\x05"


def foreign_transaction(request: bytes) -> bytes:
    return bytes([request[0], request[1] ^ 1]) + b"\0\0\0\x05" + request[6:7] + b"\x03\x02\x25\x05"


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"\xff" * 40,
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20,
        lambda request: request[:4] + b"\0\x04" + request[6:7] + b"\x03\xfa\x01",
        lambda request: request[:4] + b"\0\x05" + request[6:7] + b"\x03\x03\x01\x02",
        lambda request: request[:4] + b"\0\x03" + request[6:7] + b"\x2b\x0e",
        lambda request: request[:4] + b"\0\x02" + request[6:7] + b"\x03",
        lambda request: request[:4] + b"\0\0",
        foreign_unit,
        foreign_transaction,
        lambda _: b"",
    ],
)
async def test_nonsense_from_the_other_side_gives_typed_errors_and_no_reading(detector, answer):
    async def serve(reader, writer):
        try:
            while True:
                writer.write(answer(await reader.readexactly(12)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, why: complaints.append(why))
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = detector(UNIT, host="127.0.0.1", port=port, timeout_s=0.05)
    with pytest.raises(TransportError):
        await run_without_a_reading(driver)
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.02)
    assert complaints == []


async def test_a_port_where_nobody_listens_is_a_failed_connection(detector):
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    driver = detector(UNIT, host="127.0.0.1", port=port)
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1"):
        await driver.__aenter__()


async def test_a_float_of_every_size_survives_the_wire(xcd, detector):
    driver = detector(UNIT, host="127.0.0.1", port=xcd.port)
    async with driver:
        batches = driver.batches()
        for wanted in (0.0, -0.25, 1e-6, 3.5, 4999.5):
            words = struct.unpack(">HH", struct.pack(">f", wanted))
            reading = await after(batches, lambda words=words: xcd.set(UNIT, 40003, *words))
            assert reading.value == pytest.approx(wanted, rel=1e-6)
        await batches.aclose()
