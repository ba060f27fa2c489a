"""The one thing of a certificate that Python's ssl tells only of trusted ones: its dates."""

from datetime import UTC, datetime
from typing import NamedTuple

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_FIELDS_BEFORE_VALIDITY = 3
"""Serial number, signature algorithm, issuer (RFC 5280 §4.1)."""


class _Element(NamedTuple):
    tag: int
    content: bytes
    rest: bytes


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Return from when until when a certificate (X.509, DER) is valid, in UTC.

    Raises:
        ValueError: not a certificate.
    """
    signed = _expect(_element(_expect(_element(certificate), _SEQUENCE)), _SEQUENCE)
    field = _element(signed)
    if field.tag == _VERSION:
        field = _element(field.rest)
    for _ in range(_FIELDS_BEFORE_VALIDITY):
        field = _element(field.rest)
    since = _element(_expect(field, _SEQUENCE))
    return _time(since), _time(_element(since.rest))


def _element(octets: bytes) -> _Element:
    """Return the first element (X.690 §8.1) and what follows it."""
    if len(octets) < 2:
        raise ValueError("ends too early")
    start, length = 2, octets[1]
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[2:start], "big")
    if start + length > len(octets):
        raise ValueError("ends too early")
    return _Element(octets[0], octets[start : start + length], octets[start + length :])


def _expect(element: _Element, tag: int) -> bytes:
    if element.tag != tag:
        raise ValueError(f"tag {element.tag:#x} where {tag:#x} should be")
    return element.content


def _time(element: _Element) -> datetime:
    """Return a time; years of two digits are 1950 to 2049 (RFC 5280 §4.1.2.5.1)."""
    text = element.content.decode("ascii")
    if element.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {element.tag:#x} is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
