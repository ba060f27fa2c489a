"""Modbus over TCP, RTU and RTU over TCP; the one file that touches pymodbus.

pymodbus frames and waits; what is asked, whether a reply answers it, when a line is quiet
again and when it is given up is decided here. It never reconnects by itself: who uses a
link closes it and opens it again.
"""

import asyncio
import logging
import termios
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Literal

import msgspec
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from cbrn_core.clock import Clock
from cbrn_core.errors import (
    ConnectFailed,
    Disconnected,
    FrameError,
    ReadTimeout,
    UnexpectedReply,
)
from cbrn_drivers.codec.modbus import (
    READ_HOLDING,
    Frame,
    ReadReply,
    ReadRequest,
    Refusal,
    parse_rtu,
    parse_tcp,
    registers_of,
)
from cbrn_drivers.transport.wiretap import Direction, wire_listener

# It logs packet dumps and tracebacks; each is a typed error and a counter here.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

BAD_REPLIES_TO_REOPEN = 5
"""Replies in a row that answer nothing we asked: only a fresh connection helps."""
MOST_QUIET_WAITS = 10
NEVER = 2**31
SELECT_LIMIT = 1024
"""pyserial waits with select(), which knows no descriptor from here on."""

Client = AsyncModbusTcpClient | AsyncModbusSerialClient
Opener = Callable[[], Coroutine[Any, Any, Any]]


class Framing(StrEnum):
    """How frames are marked: by the MBAP header of TCP, or by the CRC of RTU."""

    TCP = "tcp"
    RTU = "rtu"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One wire: TCP where `host` is given, else the serial port at the path `port`.

    `quiet_s` is how long an RTU line must be silent after a failed read.
    """

    host: str | None
    port: int | str
    framing: Framing
    baudrate: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1
    timeout_s: float = 0.5
    retries: int = 0
    quiet_s: float = 0.1

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return str(self.port) if self.host is None else f"{self.host}:{self.port}"


class ModbusLink:
    """One connection with one request in flight.

    `late_replies` counts what came after its time and was thrown away.
    """

    def __init__(self, line: Line, clock: Clock) -> None:
        self.line = line
        self.late_replies = 0
        self._clock = clock
        self._client: Client | None = None
        self._turn = asyncio.Lock()
        self._connected = asyncio.Event()
        self._heard = b""
        self._bad_in_a_row = 0
        self._refusal: str | None = None
        self._overheard = wire_listener()
        self._asked_unit: int | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectFailed: no such port, in use, refused, settings that the port cannot do,
                or nobody there in time.
        """
        await self.close()
        self._overheard = wire_listener()
        self._connected.clear()
        self._bad_in_a_row = 0
        self._refusal = None
        reason: str | None = "interrupted"
        try:
            client = self._client = self._make_client()
            reason = await self._connect(client)
        except TimeoutError:
            reason = "no connection in time"
        except (OSError, ValueError, termios.error, ModbusException) as error:
            reason = _words(error)
        finally:
            if reason is not None:
                await self.close()
        if reason is not None:
            raise ConnectFailed(f"{self.line.place}: {reason}")

    async def close(self) -> None:
        """Close; never raises, may be called again."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            # A port that was just opened, or a socket just closed, is (un)registered by its
            # loop in the next turn; closed before that, a serial one prints a traceback.
            await asyncio.sleep(0)
        finally:
            client.close()
        await asyncio.sleep(0)

    async def read(self, request: ReadRequest) -> tuple[int, ...]:
        """Return the registers that were asked for.

        Raises:
            ReadTimeout: no reply in time, after `retries` more attempts.
            ExceptionReply: the instrument refuses.
            FrameError: a damaged reply, or one to another question.
            Disconnected: the connection is gone, or gives nothing but wrong replies.
        """
        async with self._turn:
            for _ in range(self.line.retries):
                try:
                    return await self._ask(request)
                except ReadTimeout:
                    continue
            return await self._ask(request)

    async def _connect(self, client: Client) -> str | None:
        """Return why the connection cannot be used, None where it can."""
        is_open = await client.connect()
        _heed_cancellation()
        if not is_open:
            return self._refusal or "no connection in time"
        async with asyncio.timeout(self.line.timeout_s):
            await self._connected.wait()
        port = getattr(client.ctx.transport, "sync_serial", None)
        if port is not None and port.fileno() >= SELECT_LIMIT:
            return "too many open files for a serial port"
        return None

    async def _ask(self, request: ReadRequest) -> tuple[int, ...]:
        client = self._client
        if client is None or not client.connected:
            raise Disconnected(f"{self.line.place}: not connected")
        self._heard = b""
        self._asked_unit = request.unit_id
        try:
            response = await _send(client, request)
            _heed_cancellation()
            registers = registers_of(request, _frame(response))
        except (ConnectionException, OSError, termios.error) as error:
            raise Disconnected(f"{self.line.place}: {_words(error)}") from error
        except UnexpectedReply as error:
            await self._quarantine()
            raise self._counted(error) from None
        except ModbusIOException:
            raise await self._silence(client, request) from None
        except (ModbusException, ValueError) as error:
            await self._quarantine()
            raise self._counted(UnexpectedReply(str(error))) from error
        self._bad_in_a_row = 0
        return registers

    async def _silence(self, client: Client, request: ReadRequest) -> Exception:
        """Return why no reply was accepted in time."""
        if not client.connected:
            return Disconnected(f"{self.line.place}: connection lost")
        heard = self._heard
        await self._quarantine()
        if heard:
            try:
                parse = parse_rtu if self.line.framing is Framing.RTU else parse_tcp
                registers_of(request, parse(heard))
            except FrameError as error:
                return self._counted(error)
        return ReadTimeout(f"unit {request.unit_id}: no reply in {self.line.timeout_s:g} s")

    def _counted(self, error: FrameError) -> FrameError | Disconnected:
        self._bad_in_a_row += 1
        if self._bad_in_a_row < BAD_REPLIES_TO_REOPEN:
            return error
        return Disconnected(f"{self.line.place}: {self._bad_in_a_row} bad replies in a row")

    async def _quarantine(self) -> None:
        """Wait until an RTU line is quiet: its late replies carry nothing to know them by."""
        if self.line.framing is Framing.TCP:
            return
        for _ in range(MOST_QUIET_WAITS):
            self._heard = b""
            await self._clock.sleep(self.line.quiet_s)
            if not self._heard:
                return
            self.late_replies += 1

    def _make_client(self) -> Client:
        line = self.line
        client: Client
        if line.host is not None:
            client = AsyncModbusTcpClient(
                line.host,
                port=int(line.port),
                framer=FramerType.RTU if line.framing is Framing.RTU else FramerType.SOCKET,
                reconnect_delay=0,
                timeout=line.timeout_s,
                retries=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connect,
            )
        else:
            client = AsyncModbusSerialClient(
                str(line.port),
                framer=FramerType.RTU,
                baudrate=line.baudrate,
                parity=line.parity,
                stopbits=line.stopbits,
                reconnect_delay=0,
                timeout=line.timeout_s,
                retries=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connect,
            )
        client.ctx.callback_data = _guarded(client.ctx.callback_data)  # type: ignore[method-assign]
        client.ctx.call_create = self._telling(client.ctx.call_create)
        self._overhear(client)
        client.set_max_no_responses(NEVER)
        return client

    def _overhear(self, client: Client) -> None:
        """Tell the listener what arrives; `trace_packet` would tell parts of a frame twice."""
        receive = client.ctx.data_received

        def received(data: bytes) -> None:
            self._overheard(Direction.RECEIVED, data, self._asked_unit)
            receive(data)

        client.ctx.data_received = received  # type: ignore[method-assign]

    def _telling(self, create: Opener) -> Opener:
        """Return pymodbus' opener; why it fails is kept here, pymodbus would only log it."""

        async def created() -> object:
            try:
                return await create()
            except OSError as error:
                self._refusal = _words(error)
                raise

        return created

    def _on_packet(self, sending: bool, octets: bytes) -> bytes:
        if sending:
            self._overheard(Direction.SENT, octets, self._asked_unit)
        else:
            self._heard = octets
        return octets

    def _on_connect(self, connected: bool) -> None:
        if connected:
            self._connected.set()


def _words(error: Exception) -> str:
    """Return what an error says; that of the operating system where it carries one."""
    if isinstance(error, termios.error):
        return f"the port refuses these settings: {error.args[-1]}"
    if isinstance(error, OSError) and error.strerror and error.__cause__ is None:
        return error.strerror
    return str(error) or type(error).__name__


def _heed_cancellation() -> None:
    """Raise what `asyncio.wait_for` swallows when an answer comes with the cancellation.

    Python 3.11; pymodbus awaits through it. A swallowed one would keep the daemon alive.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _send(client: Client, request: ReadRequest) -> ModbusPDU:
    # A function of its own: pymodbus raises already at the call when it is not connected.
    holding = request.function == READ_HOLDING
    ask = client.read_holding_registers if holding else client.read_input_registers
    return await ask(request.address, count=request.size, device_id=request.unit_id)


def _frame(response: ModbusPDU) -> Frame:
    if response.isError():
        return Refusal(response.dev_id, response.function_code & 0x7F, response.exception_code)
    return ReadReply(response.dev_id, response.function_code, tuple(response.registers))


def _guarded(receive: Callable[..., int]) -> Callable[..., int]:
    """Return pymodbus' receiver, throwing away bytes that it cannot stomach.

    Otherwise what it raises ends in the event loop: a TCP connection then dies, a serial
    one prints a traceback.
    """

    def received(octets: bytes, addr: tuple[object, ...] | None = None) -> int:
        try:
            return receive(octets, addr=addr)
        except (ModbusException, ValueError, IndexError, TypeError):
            return len(octets)

    return received
