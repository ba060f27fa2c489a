"""Numbers and texts in Modbus registers, in every word order that detectors use."""

import struct
from collections.abc import Sequence
from enum import StrEnum


class RegisterType(StrEnum):
    """What a field is made of; `bits` is a u16 whose bits have names."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    FLOAT32 = "float32"
    TEXT = "text"
    BITS = "bits"


class WordOrder(StrEnum):
    """Order on the wire of the four bytes of a number, A the most significant."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


WORDS = {RegisterType.U32: 2, RegisterType.S32: 2, RegisterType.FLOAT32: 2}
"""Registers of a number; every type that is not listed has one (a text says its own)."""

_FORMATS = {RegisterType.U32: ">I", RegisterType.S32: ">i", RegisterType.FLOAT32: ">f"}


def number(
    registers: Sequence[int], kind: RegisterType, order: WordOrder = WordOrder.ABCD
) -> int | float:
    """Return the number in one register, or in two by `order`; a float may be not finite."""
    if kind in _FORMATS:
        octets = struct.pack(">HH", registers[0], registers[1])
        arranged = bytes(octets[order.index(letter)] for letter in "ABCD")
        value: int | float = struct.unpack(_FORMATS[kind], arranged)[0]
        return value
    word = registers[0]
    return word - 0x10000 if kind is RegisterType.S16 and word & 0x8000 else word


def text(registers: Sequence[int]) -> str:
    """Return printable ASCII, high byte first, up to the first NUL, blanks trimmed."""
    octets = struct.pack(f">{len(registers)}H", *registers).partition(b"\0")[0]
    return "".join(chr(o) if 0x20 <= o < 0x7F else "?" for o in octets).strip()


def bit_field(word: int, first_bit: int, width: int) -> int:
    """Return `width` bits of a register from `first_bit`, bit 0 the least significant."""
    return (word >> first_bit) & ((1 << width) - 1)
