import json
import struct
from pathlib import Path

import pytest

from cbrn_core.errors import (
    ChecksumError,
    ExceptionReply,
    FieldError,
    FrameError,
    LengthError,
    UnexpectedReply,
)
from cbrn_drivers.codec.modbus import (
    ReadReply,
    ReadRequest,
    Refusal,
    crc16,
    parse_rtu,
    parse_tcp,
    registers_of,
    rtu_request,
)
from cbrn_drivers.codec.modbus_registers import RegisterType, WordOrder, bit_field, number, text

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "data" / "golden" / "modbus.json").read_text(encoding="utf-8")
)
FRAMES = [bytes.fromhex(f["input_hex"]) for f in GOLDEN["frames"]]


def sealed(body: str) -> bytes:
    octets = bytes.fromhex(body)
    return octets + crc16(octets).to_bytes(2, "little")


def test_the_crc_is_that_of_the_published_check_value():
    assert crc16(b"123456789") == 0x4B37


@pytest.mark.parametrize("frame", FRAMES, ids=[f["id"] for f in GOLDEN["frames"]])
def test_every_golden_frame_is_accepted_and_every_damaged_copy_refused(frame):
    parse_rtu(frame)
    for place in range(len(frame)):
        for bit in range(8):
            damaged = bytearray(frame)
            damaged[place] ^= 1 << bit
            with pytest.raises(ChecksumError):
                parse_rtu(bytes(damaged))
    for length in range(len(frame)):
        with pytest.raises(FrameError):
            parse_rtu(frame[:length])


def test_a_request_a_reply_and_a_refusal_are_told_apart():
    assert parse_rtu(bytes.fromhex("0503000200 05258D")) == ReadRequest(5, 3, 2, 5)
    assert parse_rtu(FRAMES[7]) == ReadReply(5, 3, (0x41FC, 0, 0, 1, 1))
    assert parse_rtu(FRAMES[8]) == Refusal(5, 3, 2)
    assert parse_rtu(FRAMES[8]).meaning == "illegal data address"


def test_a_request_is_written_as_the_manual_prints_it():
    assert rtu_request(ReadRequest(1, 3, 8, 2)) == bytes.fromhex("010300080002 45C9")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("05 06 00 01 00 02", FieldError),
        ("05 03 00 00 00 00", FieldError),
        ("05 03 00 00 00 7E", FieldError),
        ("05 03 FF FF 00 02", FieldError),
        ("05 03 04 00 00 00", FieldError),
        ("05 03 00 ", LengthError),
        ("05 03 05 01 02 03 04 05", LengthError),
        ("05 83 02 00", LengthError),
    ],
)
def test_a_well_sealed_frame_with_impossible_contents_is_refused(body, error):
    with pytest.raises(error):
        parse_rtu(sealed(body))


def test_a_tcp_frame_says_the_same_as_its_rtu_twin():
    header = struct.pack(">HHHB", 7, 0, 13, 5)
    assert parse_tcp(header + FRAMES[7][1:-2]) == parse_rtu(FRAMES[7])


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ("0001 0000 0003 05 83", LengthError),
        ("0001 0000 0004 05 83 02", LengthError),
        ("0001 0001 0003 05 83 02", FieldError),
        ("", LengthError),
    ],
)
def test_a_tcp_frame_with_a_wrong_header_is_refused(frame, error):
    with pytest.raises(error):
        parse_tcp(bytes.fromhex(frame))


def test_only_the_answer_to_the_question_counts():
    asked = ReadRequest(5, 3, 2, 5)
    good = ReadReply(5, 3, (1, 2, 3, 4, 5))
    assert registers_of(asked, good) == (1, 2, 3, 4, 5)
    for foreign in (
        ReadReply(6, 3, good.registers),
        ReadReply(5, 4, good.registers),
        ReadReply(5, 3, (1, 2, 3, 4)),
        Refusal(6, 3, 2),
        asked,
    ):
        with pytest.raises(UnexpectedReply):
            registers_of(asked, foreign)
    with pytest.raises(ExceptionReply) as refused:
        registers_of(asked, Refusal(5, 3, 4))
    assert refused.value.code == 4


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", (0x41FC, 0x0000)),
        ("CDAB", (0x0000, 0x41FC)),
        ("BADC", (0xFC41, 0x0000)),
        ("DCBA", (0x0000, 0xFC41)),
    ],
)
def test_every_word_order_gives_the_same_float(order, words):
    assert number(words, RegisterType.FLOAT32, WordOrder(order)) == 31.5


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", (0x0102, 0x0304)),
        ("CDAB", (0x0304, 0x0102)),
        ("BADC", (0x0201, 0x0403)),
        ("DCBA", (0x0403, 0x0201)),
    ],
)
def test_every_word_order_puts_each_byte_in_its_place(order, words):
    assert number(words, RegisterType.U32, WordOrder(order)) == 0x01020304


def test_signed_numbers_and_bits_and_texts():
    assert number((0xFFF6,), RegisterType.S16) == -10
    assert number((0xFFF6,), RegisterType.U16) == 65526
    assert number((0xFFFF, 0xFFFE), RegisterType.S32) == -2
    assert bit_field(0x2505, 8, 8) == 0x25
    assert bit_field(0x2505, 0, 8) == 5
    assert text(struct.unpack(">7H", b"Chlorine  \0\0XY")) == "Chlorine"
    assert text((0x43FF,)) == "C?"
