"""The serial port: typed errors, on a pty, on a socket and behind a terminal server."""

import asyncio
from contextlib import suppress

import pytest

from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout
from cbrn_drivers.transport import serial as transport
from cbrn_drivers.transport.serial import SerialOptions, open_port


async def port_of(plug):
    port = await open_port(SerialOptions(port=str(plug.link)))
    plug.hold_no_more()
    return port


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "place",
    [
        "/no/such/port",
        "/etc",
        "/dev/null",
        "nothing://x",
        "socket://host-without-port",
        "socket://127.0.0.1:1",
        "socket://[::1",
        "socket://127.0.0.1:99999",
    ],
)
async def test_a_port_that_cannot_be_opened_is_a_failed_connection(place):
    with pytest.raises(ConnectFailed):
        await open_port(SerialOptions(port=place))


@pytest.mark.asyncio
async def test_a_secret_in_an_address_is_not_told():
    with pytest.raises(ConnectFailed) as refused:
        await open_port(SerialOptions(port="nothing://x?password=geheim"))
    assert "geheim" not in str(refused.value)


@pytest.mark.asyncio
async def test_a_port_in_use_is_a_failed_connection(plug):
    plug.put_in()
    port = await port_of(plug)
    with pytest.raises(ConnectFailed):
        await open_port(SerialOptions(port=str(plug.link)))
    await port.close()


@pytest.mark.asyncio
async def test_bytes_go_both_ways(plug):
    plug.put_in()
    port = await port_of(plug)
    await port.write(b"<GETVER>>")
    assert await plug.heard_at_least(9) == b"<GETVER>>"
    plug.say(b"GMC-300SRe 1.14")
    assert await port.read_until_idle(1.0, 0.05, 64) == b"GMC-300SRe 1.14"
    await port.close()


@pytest.mark.asyncio
async def test_exactly_what_was_asked_for_is_read_and_the_rest_stays(plug):
    plug.put_in()
    port = await port_of(plug)
    plug.say(b"abcdef")
    assert await port.read_exactly(4, 1.0) == b"abcd"
    assert await port.read(1.0) == b"ef"
    await port.close()


@pytest.mark.asyncio
async def test_a_silence_is_a_time_out(plug):
    plug.put_in()
    port = await port_of(plug)
    with pytest.raises(ReadTimeout):
        await port.read(0.02)
    plug.say(b"ab")
    with pytest.raises(ReadTimeout, match="2 of 4"):
        await port.read_exactly(4, 0.05)
    with pytest.raises(ReadTimeout):
        await port.read_until_idle(0.02, 0.01, 64)
    await port.close()


@pytest.mark.asyncio
async def test_draining_ends_with_the_quiet_or_with_a_time_out(plug):
    plug.put_in()
    port = await port_of(plug)
    plug.say(b"leftover")
    assert await port.drain_input(0.05, 1.0) == 8

    async def chatter():
        while True:
            plug.say(b"x")
            await asyncio.sleep(0.005)

    talking = asyncio.create_task(chatter())
    with pytest.raises(ReadTimeout, match="never quiet"):
        await port.drain_input(0.05, 0.2)
    talking.cancel()
    await port.close()


@pytest.mark.asyncio
async def test_what_came_before_the_plug_was_pulled_is_read_first(plug):
    plug.put_in()
    port = await port_of(plug)
    plug.say(b"last words")
    assert await port.read(1.0) == b"last words"
    waiting = asyncio.create_task(port.read(5.0))
    await asyncio.sleep(0)
    plug.pull()
    with pytest.raises(Disconnected):
        await waiting
    with pytest.raises(Disconnected):
        await port.read_exactly(1, 5.0)
    with pytest.raises(Disconnected):
        await port.write(b"x")
    await port.close()
    await port.close()


@pytest.mark.asyncio
async def test_a_cancelled_read_loses_nothing(plug):
    plug.put_in()
    port = await port_of(plug)
    waiting = asyncio.create_task(port.read(5.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    plug.say(b"kept")
    assert await port.read(1.0) == b"kept"
    await port.close()


class _Peer:
    """A TCP server with one connection."""

    async def __aenter__(self):
        self.reader = self.writer = None
        self._joined = asyncio.Event()
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.place = f"socket://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        if self.writer is not None:
            self.writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def _join(self, reader, writer):
        self.reader, self.writer = reader, writer
        self._joined.set()

    async def joined(self):
        async with asyncio.timeout(5):
            await self._joined.wait()


@pytest.mark.asyncio
async def test_a_socket_is_a_port_and_its_end_a_disconnection():
    async with _Peer() as peer:
        port = await open_port(SerialOptions(port=peer.place))
        await peer.joined()
        await port.write(b"ask")
        assert await peer.reader.readexactly(3) == b"ask"
        peer.writer.write(b"answer")
        assert await port.read_exactly(6, 2.0) == b"answer"
        peer.writer.close()
        with pytest.raises(Disconnected):
            await port.read(2.0)
        with pytest.raises(Disconnected):
            await port.write(b"x")
        await port.close()


@pytest.mark.asyncio
async def test_a_flood_is_held_back_and_nothing_of_it_lost():
    async with _Peer() as peer:
        port = await open_port(SerialOptions(port=peer.place))
        await peer.joined()
        flood = bytes(range(256)) * 16_384
        peer.writer.write(flood)
        sending = asyncio.create_task(peer.writer.drain())
        async with asyncio.timeout(10):
            while len(port._inbox._received) < transport.INPUT_LIMIT_BYTES:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(1_000):  # room enough for what must not be taken in
            await asyncio.sleep(0)
        assert len(port._inbox._received) <= transport.INPUT_LIMIT_BYTES + 256 * 1024
        received = bytearray()
        while len(received) < len(flood):
            received += await port.read(5.0)
        assert received == flood
        await sending
        await port.close()


class TerminalServer:
    """Telnet with the COM port option (RFC 854, RFC 2217); its serial line echoes.

    Agrees to every option, acknowledges every setting by its code plus 100.
    """

    IAC, SE, SB, WILL, DO = 255, 240, 250, 251, 253
    SET_BAUDRATE = 1

    def __init__(self, peer):
        self._peer = peer
        self.baudrate = None

    async def serve(self):
        await self._peer.joined()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._peer.writer.write(await self._answer(await self._byte()))

    async def _byte(self):
        return (await self._peer.reader.readexactly(1))[0]

    async def _answer(self, byte):
        if byte != self.IAC:
            return bytes((byte,))
        command = await self._byte()
        if command == self.IAC:
            return bytes((self.IAC, self.IAC))
        if command == self.SB:
            return await self._setting()
        option = await self._byte()
        agreed = {self.WILL: self.DO, self.DO: self.WILL}.get(command)
        return b"" if agreed is None else bytes((self.IAC, agreed, option))

    async def _setting(self):
        content = bytearray()
        while not content.endswith(bytes((self.IAC, self.SE))):
            content.append(await self._byte())
        option, code, settings = content[0], content[1], bytes(content[2:-2])
        if code == self.SET_BAUDRATE:
            self.baudrate = int.from_bytes(settings, "big")
        return bytes((self.IAC, self.SB, option, code + 100)) + settings + bytes(content[-2:])


@pytest.mark.asyncio
async def test_a_port_behind_a_terminal_server_is_a_port():
    async with _Peer() as peer:
        server = TerminalServer(peer)
        serving = asyncio.create_task(server.serve())
        place = peer.place.replace("socket", "rfc2217")
        port = await open_port(SerialOptions(port=place, baudrate=57600))
        assert server.baudrate == 57600
        every_byte = bytes(range(256))
        await port.write(every_byte)
        assert await port.read_exactly(256, 5.0) == every_byte
        peer.writer.close()
        with pytest.raises(Disconnected):
            await port.read(2.0)
        await port.close()
        await serving


@pytest.mark.asyncio
async def test_a_terminal_server_that_never_answers_is_a_failed_connection(monkeypatch):
    monkeypatch.setattr(transport, "OPEN_TIMEOUT_S", 0.3)
    async with _Peer() as peer:
        place = peer.place.replace("socket", "rfc2217")
        with pytest.raises(ConnectFailed):
            await open_port(SerialOptions(port=place))
