import asyncio
import logging

import pytest
import pytest_asyncio

from cbrn_core.clock import ManualClock
from cbrn_core.errors import Disconnected, ReadTimeout
from cbrn_drivers.codec.modbus import ReadRequest
from cbrn_drivers.transport.modbus import Framing, Line, ModbusLink

pytestmark = pytest.mark.asyncio
ASKED = ReadRequest(5, 3, 2, 1)


class Server:
    """Answers register 2 with 7, unless told to be deaf or to hang up."""

    def __init__(self):
        self.connections = 0
        self.requests = 0
        self.most_at_once = 0
        self.deaf = False
        self.hang_up = False

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while not self.hang_up:
                request = await reader.readexactly(12)
                self.requests += 1
                self.most_at_once = max(self.most_at_once, 1 + len(reader._buffer) // 12)
                if not self.deaf and not self.hang_up:
                    await asyncio.sleep(0.005)
                    writer.write(request[:4] + b"\0\x05" + request[6:8] + b"\x02\0\x07")
        except asyncio.IncompleteReadError:
            pass
        writer.close()


@pytest_asyncio.fixture
async def server():
    peer = Server()
    listener = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = listener.sockets[0].getsockname()[1]
    yield peer
    listener.close()
    await listener.wait_closed()


def link_to(server, timeout_s=0.05):
    line = Line(host="127.0.0.1", port=server.port, framing=Framing.TCP, timeout_s=timeout_s)
    return ModbusLink(line, ManualClock())


async def test_a_link_never_reconnects_by_itself(server):
    link = link_to(server)
    await link.open()
    assert await link.read(ASKED) == (7,)
    server.hang_up = True
    with pytest.raises((Disconnected, ReadTimeout)):
        await link.read(ASKED)
    server.hang_up = False
    await asyncio.sleep(0.4)
    with pytest.raises(Disconnected):
        await link.read(ASKED)
    assert server.connections == 1
    await link.open()
    assert await link.read(ASKED) == (7,)
    await link.close()


async def test_a_long_silence_does_not_cost_the_connection(server):
    link = link_to(server, timeout_s=0.02)
    await link.open()
    server.deaf = True
    for _ in range(8):
        with pytest.raises(ReadTimeout):
            await link.read(ASKED)
    server.deaf = False
    assert await link.read(ASKED) == (7,)
    assert server.connections == 1
    await link.close()


async def test_one_request_is_in_flight_however_many_ask(server):
    link = link_to(server, timeout_s=1.0)
    await link.open()
    answers = await asyncio.gather(*(link.read(ASKED) for _ in range(20)))
    await link.close()
    assert answers == [(7,)] * 20
    assert (server.requests, server.most_at_once) == (20, 1)


async def test_a_time_out_writes_nothing_to_the_log(server, caplog):
    caplog.set_level(logging.WARNING)
    link = link_to(server, timeout_s=0.02)
    await link.open()
    server.deaf = True
    with pytest.raises(ReadTimeout):
        await link.read(ASKED)
    await link.close()
    assert caplog.records == []


async def test_a_link_that_was_never_opened_says_so_and_closes_quietly(server):
    link = link_to(server)
    with pytest.raises(Disconnected):
        await link.read(ASKED)
    await link.close()
    await link.close()
