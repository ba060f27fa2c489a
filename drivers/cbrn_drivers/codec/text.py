"""Strict numbers out of instrument text: what Python's own parsers let through is refused.

`int` and `float` accept `1_0`, `+1`, `nan`, `inf` and surrounding blanks; an instrument
that sends any of those is broken.
"""

import re

from cbrn_core.errors import ChecksumError, FieldError
from cbrn_drivers.codec.checksum import xor8

_MOST_DIGITS = 12
_DECIMAL = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{0,12})?")


def ascii_text(body: bytes) -> str:
    """Return the bytes as printable ASCII.

    Raises:
        FieldError: a byte is not printable ASCII.
    """
    text = body.decode("ascii", "replace")
    if not (body.isascii() and text.isprintable()):
        raise FieldError("not printable ASCII")
    return text


def integer(text: str, name: str) -> int:
    """Return a decimal integer of at most 12 digits; raises FieldError naming the field."""
    digits = text.removeprefix("-")
    if not (digits.isdecimal() and digits.isascii() and len(digits) <= _MOST_DIGITS):
        raise FieldError(f"{name}: {text[:24]!r} is not an integer")
    return int(text)


def decimal(text: str, name: str) -> float:
    """Return a plain decimal number, always finite; raises FieldError naming the field."""
    if not _DECIMAL.fullmatch(text):
        raise FieldError(f"{name}: {text[:24]!r} is not a number")
    return float(text)


def verify_xor(body: bytes, printed: bytes) -> None:
    """Compare the XOR of `body` with two printed hexadecimal digits, either case.

    Raises:
        ChecksumError: they differ, or `printed` is not two hexadecimal digits.
    """
    computed = xor8(body)
    if printed.upper() != b"%02X" % computed:
        shown = printed[:8].decode("ascii", "backslashreplace")
        raise ChecksumError(f"printed {shown!r}, computed {computed:02X}")
