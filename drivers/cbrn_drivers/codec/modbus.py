"""Modbus frames: register reads, their replies and their refusals; RTU and TCP.

Source: MODBUS Application Protocol Specification V1.1b3 (§4.1, §6.3, §6.4, §7);
MODBUS over Serial Line V1.02 (§2.5.1, §6.2.2); MODBUS Messaging on TCP/IP V1.0b (§3.1.3).
Only functions 3 and 4 exist here: this side never writes to an instrument.
"""

import struct
from typing import NamedTuple

from cbrn_core.errors import (
    ChecksumError,
    ExceptionReply,
    FieldError,
    LengthError,
    UnexpectedReply,
)

READ_HOLDING = 3
READ_INPUT = 4
MOST_REGISTERS = 125
REFUSED = 0x80
RTU_SIZES = range(5, 257)
TCP_SIZES = range(9, 261)

GATEWAY_PATH_UNAVAILABLE = 10
GATEWAY_TARGET_SILENT = 11
REFUSALS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    GATEWAY_PATH_UNAVAILABLE: "gateway path unavailable",
    GATEWAY_TARGET_SILENT: "gateway target failed to respond",
}
"""Exception code -> its name in §7."""


class ReadRequest(NamedTuple):
    """A question for `size` registers from `address`, both as on the wire (from 0)."""

    unit_id: int
    function: int
    address: int
    size: int


class ReadReply(NamedTuple):
    """Registers as answered, each 0 to 65535; the wire does not say which ones they are."""

    unit_id: int
    function: int
    registers: tuple[int, ...]


class Refusal(NamedTuple):
    """An exception reply; `function` is the one that was asked for."""

    unit_id: int
    function: int
    code: int

    @property
    def meaning(self) -> str:
        """Return the name of the code."""
        return REFUSALS.get(self.code, f"exception {self.code}")


Frame = ReadRequest | ReadReply | Refusal


def crc16(octets: bytes) -> int:
    """Return the CRC-16 of MODBUS over Serial Line §6.2.2; sent low byte first."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def parse_rtu(frame: bytes) -> Frame:
    """Return what one RTU frame says.

    Raises:
        LengthError: too short, too long, or its byte count does not fit.
        ChecksumError: the CRC does not match.
        FieldError: no register read, or a count that no reply may have.
    """
    if len(frame) not in RTU_SIZES:
        raise LengthError(f"{len(frame)} bytes are no RTU frame (5 to 256)")
    sent, computed = int.from_bytes(frame[-2:], "little"), crc16(frame[:-2])
    if sent != computed:
        raise ChecksumError(f"CRC {sent:04X}, computed {computed:04X}")
    return _parse_pdu(frame[0], frame[1:-2])


def parse_tcp(frame: bytes) -> Frame:
    """Return what one Modbus/TCP frame (MBAP header and PDU) says.

    Raises:
        LengthError: too short, too long, or a length field that does not fit.
        FieldError: not the Modbus protocol, no register read, or an impossible count.
    """
    if len(frame) not in TCP_SIZES:
        raise LengthError(f"{len(frame)} bytes are no Modbus/TCP frame (9 to 260)")
    _, protocol, length, unit_id = struct.unpack(">HHHB", frame[:7])
    if protocol != 0:
        raise FieldError(f"protocol {protocol} is not Modbus")
    if length != len(frame) - 6:
        raise LengthError(f"length field {length}, followed by {len(frame) - 6} bytes")
    return _parse_pdu(unit_id, frame[7:])


def rtu_request(request: ReadRequest) -> bytes:
    """Return the request as an RTU frame."""
    body = struct.pack(">BBHH", *request)
    return body + crc16(body).to_bytes(2, "little")


def registers_of(request: ReadRequest, frame: Frame) -> tuple[int, ...]:
    """Return the registers if `frame` answers `request`.

    Raises:
        ExceptionReply: the instrument refuses.
        UnexpectedReply: another unit, function or number of registers, or no reply at all.
    """
    if frame.unit_id != request.unit_id or frame.function != request.function:
        raise UnexpectedReply(
            f"unit {frame.unit_id} function {frame.function} answers a question to "
            f"unit {request.unit_id} function {request.function}"
        )
    if isinstance(frame, Refusal):
        raise ExceptionReply(frame.code, f"unit {frame.unit_id}: {frame.meaning}")
    if isinstance(frame, ReadRequest):
        raise UnexpectedReply("a request, not a reply")
    if len(frame.registers) != request.size:
        raise UnexpectedReply(f"{len(frame.registers)} registers, {request.size} asked for")
    return frame.registers


def _parse_pdu(unit_id: int, pdu: bytes) -> Frame:
    function = pdu[0]
    if function & REFUSED:
        if len(pdu) != 2:
            raise LengthError(f"{len(pdu)} bytes in an exception reply, expected 2")
        return Refusal(unit_id, function & ~REFUSED, pdu[1])
    if function not in {READ_HOLDING, READ_INPUT}:
        raise FieldError(f"function {function} reads no registers")
    # A reply of five bytes would hold three, and registers have two each: this is a request.
    if len(pdu) == 5:
        return _request(ReadRequest(unit_id, *struct.unpack(">BHH", pdu)))
    if len(pdu) < 2 or pdu[1] != len(pdu) - 2:
        raise LengthError(f"byte count does not fit {len(pdu)} bytes")
    if pdu[1] % 2 or not pdu[1]:
        raise LengthError(f"byte count {pdu[1]} is no number of registers")
    registers = struct.unpack(f">{pdu[1] // 2}H", pdu[2:])
    return ReadReply(unit_id, function, registers)


def _request(request: ReadRequest) -> ReadRequest:
    if not 1 <= request.size <= MOST_REGISTERS:
        raise FieldError(f"a read of {request.size} registers (1 to {MOST_REGISTERS})")
    if request.address + request.size > 0x10000:
        raise FieldError(f"registers {request.address} + {request.size} end beyond 65535")
    return request
