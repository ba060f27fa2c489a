"""A small Modbus server of our own: TCP with many connections, RTU with many units."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cbrn_core.errors import FrameError
from cbrn_sim.faults import Faults
from cbrn_sim.instruments.modbus_frames import (
    ExceptionCode,
    MbapAssembler,
    RegisterUnit,
    RtuAssembler,
    TcpRequest,
    answer,
    exception_pdu,
    rtu_frame,
)
from cbrn_sim.instruments.pty_wire import PtyWire

_BROADCAST = 0
_UNREAD_REPLIES_BYTES = 65_536


class ServedUnit(RegisterUnit, Protocol):
    """A unit with faults of its own."""

    @property
    def faults(self) -> Faults:
        """Return what is wrong with it."""
        ...


class RtuBus:
    """Several units on one serial line; a request for an absent unit stays unanswered."""

    def __init__(self, link: Path, *, steady_s: Callable[[], float] = time.monotonic) -> None:
        self.wire = PtyWire(link, self._received)
        self.units: dict[int, ServedUnit] = {}
        self._steady_s = steady_s
        self._assembler = RtuAssembler()

    @property
    def damaged_requests(self) -> int:
        """Return how many requests were dropped for their CRC or length."""
        return self._assembler.damaged

    async def start(self) -> None:
        """Plug the bus in."""
        await self.wire.plug()

    async def stop(self) -> None:
        """Take the bus away."""
        self.wire.close()

    def _received(self, chunk: bytes) -> None:
        for request in self._assembler.feed(chunk, self._steady_s()):
            unit = self.units.get(request.unit_id)
            if unit is not None and request.unit_id != _BROADCAST:
                reply = rtu_frame(request.unit_id, answer(unit, request.pdu))
                self.wire.write(unit.faults.on_wire(reply))


class ModbusTcpServer:
    """Units behind one TCP port; an absent unit answers with exception 11, as gateways do.

    The port is chosen by the system at the first `plug` and kept from then on.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.units: dict[int, ServedUnit] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._is_frozen = False

    @property
    def connections(self) -> int:
        """Return how many clients are connected."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen."""
        await self.plug()

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        await self.unplug()

    async def plug(self) -> None:
        """Listen; nothing when already listening."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Refuse new connections and reset the open ones."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in tuple(self._connections):
            connection.drop()
        await server.wait_closed()

    def freeze(self, on: bool) -> None:
        """Accept connections and requests but answer nothing until it ends."""
        self._is_frozen = on
        for connection in self._connections:
            connection.hold(on)

    def _connection(self) -> "_Connection":
        return _Connection(self.units, self._connections, is_held=self._is_frozen)


class _Connection(asyncio.Protocol):
    def __init__(
        self, units: Mapping[int, ServedUnit], peers: set["_Connection"], *, is_held: bool
    ) -> None:
        self._units = units
        self._peers = peers
        self._is_held = is_held
        self._assembler = MbapAssembler()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server makes
        self._transport = transport
        self._peers.add(self)
        self.hold(self._is_held)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._peers.discard(self)
        self._transport = None

    def data_received(self, chunk: bytes) -> None:
        try:
            requests = self._assembler.feed(chunk)
        except FrameError:
            self.drop()
            return
        for request in requests:
            self._answer(request)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hold(self, on: bool) -> None:
        self._is_held = on
        if self._transport is None:
            return
        with suppress(RuntimeError):  # raised while closing
            if on:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _answer(self, request: TcpRequest) -> None:
        if self._transport is None:
            return
        unit = self._units.get(request.unit_id)
        if unit is None:
            no_target = exception_pdu(request.pdu[0], ExceptionCode.NO_TARGET_REPLY)
            self._transport.write(request.reply(no_target))
            return
        reply = request.reply(answer(unit, request.pdu))
        self._transport.write(unit.faults.on_wire(reply))
        if self._transport.get_write_buffer_size() > _UNREAD_REPLIES_BYTES:
            self.drop()
