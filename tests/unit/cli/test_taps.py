"""Whoever listens to the daemon gets what the pipeline got, and never slows it."""

import asyncio
import json

import msgspec
import pytest
from samples.sink_samples import site_model

from cbrn_core.channel import Device
from cbrn_core.clock import ManualClock
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_drivers.transport.wiretap import Direction, overheard_by, wire_listener
from cbrn_gateway.live.taps import (
    MOST_LISTENERS,
    MOST_REMEMBERED_BYTES,
    Tap,
    TapRequest,
    Taps,
    Wanted,
)
from cbrn_gateway.recording import encode_reading, lost_lines, started_us_of

ASK = {
    wanted: msgspec.json.encode(TapRequest(schema="cbrn-tap/1", wants=wanted)) for wanted in Wanted
}


def reading(second=1, value=1.0):
    return Reading(
        station="st1",
        channel="cl2",
        time_us=second * 1_000_000,
        received_us=second * 1_000_000,
        value=value,
        unit=Unit.PPM,
    )


def taps():
    model = msgspec.structs.replace(site_model(), gateway="gw", config_hash="f" * 64)
    return Taps(model, ManualClock(5_000_000))


def device(device_id, **options):
    return Device(
        id=device_id, station="s", driver="d", profile=None, bus="b", channels=(), options=options
    )


async def lines(tap):
    async with asyncio.timeout(5):
        return (await tap.take()).splitlines()


@pytest.mark.asyncio
async def test_a_listener_hears_where_it_began_and_then_every_reading_in_order():
    hub = taps()
    early = hub.open(ASK[Wanted.READINGS])
    hub.begin(7_000_000)
    hub.turn(9_000_000, [reading(8), reading(9)])
    late = hub.open(ASK[Wanted.READINGS])
    hub.turn(12_000_000, [reading(11)])
    header, *told = await lines(early)
    assert started_us_of(header) == 7_000_000
    assert [json.loads(line)["time"][17:19] for line in told] == ["08", "09", "11"]
    header, *told = await lines(late)
    assert started_us_of(header) == 9_000_000, "a late one begins at the last turn"
    assert len(told) == 1


@pytest.mark.asyncio
async def test_a_listener_of_a_fresh_daemon_gets_all_since_its_start():
    hub = taps()
    hub.begin(7_000_000, fresh=True)
    hub.turn(9_000_000, [reading(8)])
    tap = hub.open(ASK[Wanted.READINGS])
    hub.turn(10_000_000, [reading(9)])
    header, *told = await lines(tap)
    assert started_us_of(header) == 7_000_000
    assert [json.loads(line)["time"][17:19] for line in told] == ["08", "09"]


@pytest.mark.asyncio
async def test_what_a_daemon_remembers_of_its_start_is_bounded():
    hub = taps()
    hub.begin(7_000_000, fresh=True)
    many = MOST_REMEMBERED_BYTES // len(encode_reading(reading())) + 2
    hub.turn(9_000_000, [reading()] * many)
    (header,) = await lines(hub.open(ASK[Wanted.READINGS]))
    assert started_us_of(header) == 9_000_000, "too much: a late listener begins now"


@pytest.mark.asyncio
async def test_a_listener_that_left_is_told_nothing_more():
    hub = taps()
    tap = hub.open(ASK[Wanted.READINGS])
    hub.begin(1)
    hub.close(tap)
    hub.close(tap)
    hub.turn(2, [reading()])
    assert len(await lines(tap)) == 1


@pytest.mark.parametrize("line", [b"", b"{}", b"x", b'{"schema":"cbrn-command/1","verb":"ack"}'])
def test_other_lines_open_no_tap(line):
    assert taps().open(line) is None


def test_listeners_are_bounded():
    hub = taps()
    opened = [hub.open(ASK[Wanted.WIRE]) for _ in range(MOST_LISTENERS + 1)]
    assert opened[-1] is None
    assert None not in opened[:-1]
    hub.close(opened[0])
    assert hub.open(ASK[Wanted.READINGS]) is not None


@pytest.mark.asyncio
async def test_a_slow_listener_loses_lines_and_is_told_how_many_and_where():
    tap = Tap(Wanted.READINGS, most_bytes=10)
    for line in (b"aaaa", b"bbbb", b"cccc", b"d"):
        tap.put(line)
    first, second, gap = await lines(tap)
    assert (first, second, lost_lines(gap)) == (b"aaaa", b"bbbb", 2)
    tap.put(b"e")
    assert await lines(tap) == [b"e"]


@pytest.mark.asyncio
async def test_octets_are_told_with_the_device_that_was_asked():
    hub = taps()
    heard = hub.listen("bus", [device("a", unit_id=1), device("b", unit_id=7)])
    heard(Direction.SENT, b"\x07", 7)
    tap = hub.open(ASK[Wanted.WIRE])
    heard(Direction.SENT, b"\x07\x03", 7)
    heard(Direction.RECEIVED, b"\x01", 1)
    heard(Direction.RECEIVED, b"\x55", None)
    rows = [json.loads(line) for line in await lines(tap)]
    assert [(row["device"], row["direction"], row["hex"]) for row in rows] == [
        ("b", "tx", "0703"),
        ("a", "rx", "01"),
        (None, "rx", "55"),
    ]
    assert {row["bus"] for row in rows} == {"bus"}
    assert rows[0]["time"] == "1970-01-01T00:00:05.000Z"


@pytest.mark.asyncio
async def test_the_only_device_of_a_line_is_always_the_one_that_speaks():
    hub = taps()
    tap = hub.open(ASK[Wanted.WIRE])
    hub.listen("bus", [device("gmc")])(Direction.RECEIVED, b"x" * 40_000, None)
    rows = [json.loads(line) for line in await lines(tap)]
    assert {row["device"] for row in rows} == {"gmc"}
    assert "".join(row["hex"] for row in rows) == "78" * 40_000
    assert max(len(row["hex"]) for row in rows) < 40_000, "long pieces are cut"


def test_a_wire_is_overheard_only_where_it_was_opened_for_that():
    heard = []
    with overheard_by(lambda *said: heard.append(said)):
        wire_listener()(Direction.SENT, b"in", None)
    wire_listener()(Direction.SENT, b"out", None)
    assert heard == [(Direction.SENT, b"in", None)]
