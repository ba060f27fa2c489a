"""Serial ports, local or behind a terminal server; the one file that touches serialx.

A port is a path (`/dev/serial/by-id/…`), `socket://host:port` or `rfc2217://host:port`.
"""

import asyncio
from typing import Annotated, Literal

import msgspec
import serialx

from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout
from cbrn_drivers.transport.wiretap import Direction, wire_listener

OPEN_TIMEOUT_S = 10.0
INPUT_LIMIT_BYTES = 65_536
CLOSE_TIMEOUT_S = 2.0


class SerialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table that every serial instrument has."""

    port: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    baudrate: Annotated[int, msgspec.Meta(ge=50, le=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1

    @property
    def bus(self) -> str:
        """Return what is equal for instruments on one wire."""
        return f"serial:{self.port}"


class SerialPort:
    """An open port; made by `open_port`."""

    def __init__(self, transport: serialx.SerialTransport, inbox: "_Inbox") -> None:
        self._transport = transport
        self._inbox = inbox

    async def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, at least one byte.

        Raises:
            ReadTimeout: nothing arrived in `timeout_s`.
            Disconnected: the port went away, and everything it gave has been read.
        """
        await self._wait(timeout_s)
        return self._inbox.take()

    async def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return exactly `count` bytes; what follows stays for the next read.

        Raises:
            ReadTimeout: they did not all arrive in `timeout_s`; what did is dropped.
            Disconnected: the port went away before.
        """
        received = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while len(received) < count:
                    await self._inbox.arrival()
                    received += self._inbox.take(count - len(received))
        except TimeoutError:
            reason = f"{len(received)} of {count} bytes in {timeout_s:g} s"
            raise ReadTimeout(reason) from None
        return bytes(received)

    async def read_until_idle(self, timeout_s: float, idle_s: float, limit: int) -> bytes:
        """Return everything up to a silence of `idle_s`, at most about `limit` bytes.

        Raises:
            ReadTimeout: nothing arrived in `timeout_s`.
            Disconnected: the port went away and gave nothing.
        """
        received = bytearray(await self.read(timeout_s))
        while len(received) < limit:
            try:
                received += await self.read(idle_s)
            except (ReadTimeout, Disconnected):
                break
        return bytes(received)

    async def drain_input(self, quiet_s: float, limit_s: float) -> int:
        """Throw away input until nothing comes for `quiet_s`; return how many bytes that was.

        Raises:
            Disconnected: the port went away.
            ReadTimeout: still not quiet after `limit_s`.
        """
        dropped = 0
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        dropped += len(await self.read(quiet_s))
                    except ReadTimeout:
                        return dropped
        except TimeoutError:
            raise ReadTimeout(f"never quiet for {quiet_s:g} s in {limit_s:g} s") from None

    def discard_input(self) -> int:
        """Throw away what has arrived; return how many bytes that was."""
        return len(self._inbox.take())

    async def write(self, request: bytes) -> None:
        """Send bytes to the instrument.

        Raises:
            Disconnected: the port went away.
        """
        self._inbox.raise_if_lost()
        try:
            self._transport.write(request)
        except (OSError, serialx.SerialException) as error:
            raise Disconnected(str(error)) from error
        self._inbox.overheard(Direction.SENT, request, None)

    async def close(self) -> None:
        """Close the port; never raises, may be called again."""
        if not self._transport.is_closing():
            self._transport.abort()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._transport.wait_closed()
        except (OSError, serialx.SerialException):
            return

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._inbox.arrival()
        except TimeoutError:
            raise ReadTimeout(f"nothing in {timeout_s:g} s") from None


async def open_port(options: SerialOptions) -> SerialPort:
    """Open a port for this process alone.

    Raises:
        ConnectFailed: no such port, no right to it, in use, or nobody answers.
    """
    inbox = _Inbox()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            transport, _ = await serialx.create_serial_connection(
                asyncio.get_running_loop(),
                lambda: inbox,
                options.port,
                options.baudrate,
                parity=serialx.Parity(options.parity),
                stopbits=serialx.StopBits(options.stopbits),
                exclusive=True,
            )
    except (OSError, ValueError, EOFError, serialx.SerialException) as error:
        place = serialx.redact_uri(options.port)
        reason = str(error) or type(error).__name__
        raise ConnectFailed(f"{place}: {reason}") from error
    return SerialPort(transport, inbox)


class _Inbox(asyncio.Protocol):
    """Holds what has arrived; stops the sender at INPUT_LIMIT_BYTES."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.ReadTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._paused = False
        self.overheard = wire_listener()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.overheard(Direction.RECEIVED, bytes(data), None)
        self._received += data
        if len(self._received) >= INPUT_LIMIT_BYTES and not self._paused and self._transport:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = str(exc) if exc is not None else "closed"
        self._wake()

    async def arrival(self) -> None:
        """Wait until something is there; raises Disconnected when nothing can come any more."""
        if self._received:
            return
        self.raise_if_lost()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if not self._received:
            self.raise_if_lost()

    def take(self, count: int | None = None) -> bytes:
        """Return and forget the first `count` bytes, or all."""
        size = len(self._received) if count is None else count
        taken = bytes(self._received[:size])
        del self._received[:size]
        if self._paused and self._transport is not None and self._lost is None:
            self._transport.resume_reading()
            self._paused = False
        return taken

    def raise_if_lost(self) -> None:
        if self._lost is not None:
            raise Disconnected(self._lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
