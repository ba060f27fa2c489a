"""A Modbus TCP server of holding registers, as small as the protocol allows.

Frames follow the Modbus Messaging on TCP/IP guide V1.0b and the application protocol
V1.1b3, function 3 alone; it shares no code with the driver.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence

READ_HOLDING = 3
ILLEGAL_ADDRESS = 2
_REQUEST = struct.Struct(">HHHBBHH")

Registers = Callable[[int, int], Sequence[int]]
"""(first address, how many) -> the words that are there."""


class RegisterConnection(asyncio.Protocol):
    """One client: answers with the words that `registers` gives."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._heard = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while len(self._heard) >= _REQUEST.size:
            request, self._heard = self._heard[: _REQUEST.size], self._heard[_REQUEST.size :]
            self._transport.write(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        transaction, _, _, unit, function, address, count = _REQUEST.unpack(request)
        words = self._registers(address, count)
        if function != READ_HOLDING or len(words) < count or not count:
            return struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, ILLEGAL_ADDRESS)
        head = struct.pack(">HHHBBB", transaction, 0, 3 + 2 * count, unit, READ_HOLDING, 2 * count)
        return head + struct.pack(f">{count}H", *words)


async def serve(registers: Registers, port: int = 0) -> asyncio.Server:
    """Return a running server on loopback, port 0 for any."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: RegisterConnection(registers), "127.0.0.1", port)


def port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]
