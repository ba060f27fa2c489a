"""Modbus framing and request handling without any input or output.

Sources: MODBUS Application Protocol 1.1b3 §4, §6, §7; MODBUS over Serial Line 1.02
§2.5.1 (RTU framing, CRC); MODBUS Messaging on TCP/IP 1.0b §3.1 (MBAP header).
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from cbrn_core.errors import FrameError

LONGEST_RTU_FRAME = 256
LONGEST_MBAP_LENGTH = 254
MOST_REGISTERS = 125
_MBAP_HEADER_BYTES = 6
_EXCEPTION_BIT = 0x80
_PLAIN_REQUESTS = range(1, 7)
_MULTIPLE_WRITES = (15, 16)
_PLAIN_RTU_BYTES = 8
_SHORTEST_RTU_BYTES = 4


class Function(IntEnum):
    """Functions that a read-only instrument knows."""

    READ_HOLDING = 3
    READ_INPUT = 4


class ExceptionCode(IntEnum):
    """Exception codes of the application protocol, §7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    DEVICE_BUSY = 6
    NO_TARGET_REPLY = 11


class RegisterUnit(Protocol):
    """One addressed unit: its registers by zero-based address."""

    @property
    def active_exception(self) -> int | None:
        """Return the exception that answers everything, None when the unit is well."""
        ...

    def holding(self, address: int, count: int) -> Sequence[int] | None:
        """Return the holding registers; None when any of them does not exist."""
        ...

    def inputs(self, address: int, count: int) -> Sequence[int] | None:
        """Return the input registers; None when any of them does not exist."""
        ...


def answer(unit: RegisterUnit, pdu: bytes) -> bytes:
    """Return the reply to one request PDU; any bytes are answered, nothing is raised."""
    function = pdu[0] if pdu else 0
    if unit.active_exception is not None:
        return exception_pdu(function, unit.active_exception)
    if function not in (Function.READ_HOLDING, Function.READ_INPUT):
        return exception_pdu(function, ExceptionCode.ILLEGAL_FUNCTION)
    if len(pdu) != 5:
        return exception_pdu(function, ExceptionCode.ILLEGAL_VALUE)
    address, count = struct.unpack(">HH", pdu[1:])
    if not 1 <= count <= MOST_REGISTERS:
        return exception_pdu(function, ExceptionCode.ILLEGAL_VALUE)
    read = unit.holding if function == Function.READ_HOLDING else unit.inputs
    registers = read(address, count)
    if registers is None:
        return exception_pdu(function, ExceptionCode.ILLEGAL_ADDRESS)
    return struct.pack(f">BB{count}H", function, 2 * count, *registers)


def exception_pdu(function: int, code: int) -> bytes:
    """Return an exception reply."""
    return bytes((function | _EXCEPTION_BIT, code))


def crc16(frame: bytes) -> int:
    """Return CRC-16/MODBUS: polynomial A001 reflected, start FFFF; sent low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    """Return a complete RTU frame."""
    body = bytes((unit_id,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


class RtuRequest(NamedTuple):
    """A request on a serial bus."""

    unit_id: int
    pdu: bytes


class RtuAssembler:
    """Cuts the bytes of a serial bus into requests.

    A request ends where its function's length says; a function of unknown length ends
    where the CRC fits. A frame whose CRC is wrong takes everything received with it.
    Silence longer than `gap_s` starts a new frame: 3.5 characters on a real line, far
    more on a pseudo-terminal, whose timing is that of two busy processes.
    """

    def __init__(self, gap_s: float = 0.05) -> None:
        self._gap_s = gap_s
        self._buffer = bytearray()
        self._last_s = 0.0
        self.damaged = 0

    def feed(self, chunk: bytes, now_s: float) -> list[RtuRequest]:
        """Return the requests that are complete with `chunk`; `now_s` on any steady clock."""
        if self._buffer and now_s - self._last_s > self._gap_s:
            self._discard()
        self._last_s = now_s
        self._buffer += chunk
        requests = []
        while (request := self._next()) is not None:
            requests.append(request)
        return requests

    def _next(self) -> RtuRequest | None:
        length = self._length()
        if length is None or len(self._buffer) < length:
            if len(self._buffer) > LONGEST_RTU_FRAME:
                self._discard()
            return None
        frame = bytes(self._buffer[:length])
        if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            self._discard()
            return None
        del self._buffer[:length]
        return RtuRequest(frame[0], frame[1:-2])

    def _length(self) -> int | None:
        if len(self._buffer) < _SHORTEST_RTU_BYTES:
            return None
        function = self._buffer[1]
        if function in _PLAIN_REQUESTS:
            return _PLAIN_RTU_BYTES
        if function in _MULTIPLE_WRITES:
            return 9 + self._buffer[6] if len(self._buffer) > 6 else None
        whole = bytes(self._buffer)
        fits = crc16(whole[:-2]) == int.from_bytes(whole[-2:], "little")
        return len(whole) if fits else None

    def _discard(self) -> None:
        self._buffer.clear()
        self.damaged += 1


class TcpRequest(NamedTuple):
    """A request on a TCP connection."""

    transaction: int
    unit_id: int
    pdu: bytes

    def reply(self, pdu: bytes) -> bytes:
        """Return the complete reply with this request's transaction and unit."""
        return struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, self.unit_id) + pdu


class MbapAssembler:
    """Cuts a TCP stream into requests; holds at most one incomplete request."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[TcpRequest]:
        """Return the requests that are complete with `chunk`.

        Raises:
            FrameError: not Modbus (protocol identifier or length); close the connection.
        """
        self._buffer += chunk
        requests = []
        while len(self._buffer) > _MBAP_HEADER_BYTES:
            transaction, protocol, length = struct.unpack(">HHH", self._buffer[:6])
            if protocol != 0 or not 2 <= length <= LONGEST_MBAP_LENGTH:
                self._buffer.clear()
                raise FrameError(f"protocol {protocol}, length {length}: not Modbus TCP")
            if len(self._buffer) < _MBAP_HEADER_BYTES + length:
                break
            adu = bytes(self._buffer[: _MBAP_HEADER_BYTES + length])
            del self._buffer[: len(adu)]
            requests.append(TcpRequest(transaction, adu[6], adu[7:]))
        return requests
