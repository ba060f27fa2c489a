"""Checksums of simple serial instruments."""

from functools import reduce
from operator import xor


def xor8(body: bytes) -> int:
    """Return the XOR of all bytes, 0 to 255 (NMEA 0183, Safecast, Gill)."""
    return reduce(xor, body, 0)


def negated_sum8(body: bytes) -> int:
    """Return the two's complement of the 8-bit sum of all bytes, 0 to 255 (Winsen)."""
    return -sum(body) & 0xFF
