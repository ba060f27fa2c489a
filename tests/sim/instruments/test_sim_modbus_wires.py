"""The Modbus server over real TCP and a real pseudo-terminal, with raw sockets."""

import asyncio
import struct

import pytest
import pytest_asyncio

from cbrn_sim.faults import Fault, Faults
from cbrn_sim.instruments.modbus_frames import rtu_frame
from cbrn_sim.instruments.modbus_server import ModbusTcpServer, RtuBus
from cbrn_sim.instruments.xcd import SensepointXcd, XcdSettings
from cbrn_sim.streams import stream

pytestmark = pytest.mark.asyncio

READ_GAS = bytes.fromhex("0300020005")
GOLDEN_REQUEST = bytes.fromhex("050300020005258D")
GOLDEN_REPLY = bytes.fromhex("05030A41FC00000000000100 01B827".replace(" ", ""))


def fit(units, wire, unit_id, ppm=31.5):
    device_id = f"xcd{unit_id}"
    faults = Faults(device_id, wire, stream(1, device_id), knows=frozenset(Fault))
    settings = XcdSettings(unit_id=unit_id, alarm1=10.0, alarm2=50.0)
    units[unit_id] = SensepointXcd(settings, lambda _t_s: ppm, lambda: 1.0, faults)
    return faults


def tcp_request(transaction, unit_id, pdu=READ_GAS):
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit_id) + pdu


async def tcp_reply(reader):
    async with asyncio.timeout(10):
        header = await reader.readexactly(6)
        return header + await reader.readexactly(int.from_bytes(header[4:6], "big"))


@pytest_asyncio.fixture
async def server():
    made = ModbusTcpServer()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def connect():
    writers = []

    async def opener(server):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writers.append(writer)
        return reader, writer

    yield opener
    for writer in writers:
        writer.close()


@pytest_asyncio.fixture
async def bus(tmp_path):
    made = RtuBus(tmp_path / "serial" / "rtu1")
    await made.start()
    yield made
    await made.stop()


async def test_the_golden_exchange_over_rtu(bus, open_line):
    fit(bus.units, bus.wire, 5)
    line = open_line(bus.wire.link)
    assert await line.ask(GOLDEN_REQUEST, len(GOLDEN_REPLY)) == GOLDEN_REPLY


async def test_several_units_share_the_bus_and_absent_ones_are_silent(bus, open_line):
    fit(bus.units, bus.wire, 5)
    fit(bus.units, bus.wire, 6, ppm=2.0)
    line = open_line(bus.wire.link)
    line.write(rtu_frame(7, READ_GAS))
    line.write(rtu_frame(0, READ_GAS))
    reply = await line.ask(rtu_frame(6, READ_GAS), 15)
    assert reply[0] == 6
    assert struct.unpack(">f", reply[3:7]) == (2.0,)
    assert line.unread == b""


async def test_a_damaged_request_is_ignored_and_the_next_one_answered(bus, open_line, eventually):
    fit(bus.units, bus.wire, 5)
    line = open_line(bus.wire.link)
    line.write(GOLDEN_REQUEST[:-1] + b"\x00")
    await eventually(lambda: bus.damaged_requests == 1)
    assert await line.ask(GOLDEN_REQUEST, len(GOLDEN_REPLY)) == GOLDEN_REPLY
    assert line.unread == b""


async def test_an_exception_over_rtu(bus, open_line):
    faults = fit(bus.units, bus.wire, 5)
    line = open_line(bus.wire.link)
    faults.exception(2)
    assert (await line.ask(GOLDEN_REQUEST, 5)).hex() == "0583028130"


async def test_a_silent_unit_leaves_its_neighbours_alone(bus, open_line):
    faults = fit(bus.units, bus.wire, 5)
    fit(bus.units, bus.wire, 6)
    line = open_line(bus.wire.link)
    faults.silence()
    line.write(GOLDEN_REQUEST)
    assert (await line.ask(rtu_frame(6, READ_GAS), 15))[0] == 6
    assert line.unread == b""


async def test_pulling_the_bus_takes_every_unit_and_plugging_brings_them_back(bus, open_line):
    faults = fit(bus.units, bus.wire, 5)
    line = open_line(bus.wire.link)
    await line.ask(GOLDEN_REQUEST, len(GOLDEN_REPLY))
    await faults.unplug()
    await line.hang_up()
    await faults.replug()
    again = open_line(bus.wire.link)
    assert await again.ask(GOLDEN_REQUEST, len(GOLDEN_REPLY)) == GOLDEN_REPLY


async def test_the_golden_registers_over_tcp(server, connect):
    fit(server.units, server, 5)
    reader, writer = await connect(server)
    writer.write(tcp_request(0x1234, 5))
    expected = bytes.fromhex("12340000000D05") + GOLDEN_REPLY[1:-2]
    assert await tcp_reply(reader) == expected


async def test_requests_in_a_row_are_answered_in_order(server, connect):
    fit(server.units, server, 5)
    reader, writer = await connect(server)
    writer.write(b"".join(tcp_request(n, 5) for n in range(50)))
    replies = [await tcp_reply(reader) for _ in range(50)]
    assert [int.from_bytes(reply[:2], "big") for reply in replies] == list(range(50))


async def test_fifty_clients_at_once(server, connect):
    fit(server.units, server, 5)
    lines = [await connect(server) for _ in range(50)]
    for number, (_, writer) in enumerate(lines):
        writer.write(tcp_request(number, 5))
    replies = await asyncio.gather(*(tcp_reply(reader) for reader, _ in lines))
    assert [int.from_bytes(reply[:2], "big") for reply in replies] == list(range(50))
    assert server.connections == 50


async def test_an_absent_unit_over_tcp_is_exception_eleven(server, connect):
    reader, writer = await connect(server)
    writer.write(tcp_request(1, 9))
    assert (await tcp_reply(reader)).hex() == "000100000003" + "09830b"


async def test_what_is_not_modbus_closes_only_that_connection(server, connect):
    fit(server.units, server, 5)
    bad_reader, bad_writer = await connect(server)
    good_reader, good_writer = await connect(server)
    bad_writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await tcp_reply(bad_reader)
    good_writer.write(tcp_request(1, 5))
    assert (await tcp_reply(good_reader))[7] == 3


async def test_unplugged_tcp_resets_and_refuses_then_listens_on_the_same_port(server, connect):
    faults = fit(server.units, server, 5)
    reader, writer = await connect(server)
    writer.write(tcp_request(1, 5))
    await tcp_reply(reader)
    port = server.port
    await faults.unplug()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await tcp_reply(reader)
    with pytest.raises(ConnectionRefusedError):
        await connect(server)
    await faults.replug()
    assert server.port == port
    reader, writer = await connect(server)
    writer.write(tcp_request(2, 5))
    assert (await tcp_reply(reader))[7] == 3


async def test_a_frozen_server_accepts_and_answers_late(server, connect):
    faults = fit(server.units, server, 5)
    fit(server.units, server, 6)
    old_reader, old_writer = await connect(server)
    old_writer.write(tcp_request(1, 5))
    await tcp_reply(old_reader)
    faults.freeze()
    old_writer.write(tcp_request(2, 6))
    new_reader, new_writer = await connect(server)
    new_writer.write(tcp_request(3, 6))
    replies = [asyncio.create_task(tcp_reply(reader)) for reader in (old_reader, new_reader)]
    assert (await asyncio.wait(replies, timeout=0.2))[0] == set()
    assert not old_reader.at_eof()
    faults.freeze(on=False)
    assert [int.from_bytes((await reply)[:2], "big") for reply in replies] == [2, 3]
