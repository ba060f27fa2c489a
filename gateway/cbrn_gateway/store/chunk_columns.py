"""Rows of one channel as one compressed blob, column by column, and back, without loss. Pure.

A row is as `SELECT_SAMPLES` gives it; what SQLite can hold comes back as it was, of the same
type, to the bit. Numbers are laid out so that what changes little compresses well.
"""

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from cbrn_core.errors import InputError
from cbrn_gateway.store.series_rows import Row

MOST_ROWS = 4_096
"""Rows that a blob may hold."""

MOST_BYTES = 64 * 1024 * 1024
"""Greatest length before compression: so much memory may a damaged blob cost at most."""

_LAYOUT = b"\x01"
_COMPRESSION = 6
_MOST_DIGITS = 9
_EXACT_BELOW = 2.0**53
_LOOKED_AT = 16
_MOST_DISTINCT = 256

_INT, _REAL, _TEXT, _BLOB = (
    frozenset({int}),
    frozenset({float}),
    frozenset({str}),
    frozenset({bytes}),
)
_NULL = frozenset({type(None)})
# row, time and arrival; the channel is not written: all rows of a blob share it
_TYPES = (
    (_INT, _INT, _INT, _REAL | _NULL, _REAL | _NULL, _INT | _REAL | _TEXT | _BLOB | _NULL)
    + (_INT | _NULL, _TEXT | _NULL, _REAL | _NULL, _REAL | _NULL, _BLOB | _NULL)
    + (_REAL | _NULL,) * 5
    + (_INT | _NULL, _TEXT | _NULL, _INT | _NULL, _BLOB | _NULL)
)
_CHANNEL_AT = 1
_TIME, _ARRIVAL = 1, 2
_STEADY = (0, 1)

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]
NumberT = TypeVar("NumberT", np.int64, np.uint64)


class _Same(msgspec.Struct, array_like=True, tag=0, forbid_unknown_fields=True):
    """One value in every row."""

    value: Any


class _Whole(msgspec.Struct, array_like=True, tag=1, forbid_unknown_fields=True):
    """Integers: differences of the given order; `mask` as for all, empty where none is absent."""

    mask: bytes
    order: Annotated[int, msgspec.Meta(ge=1, le=2)]
    body: bytes


class _Decimal(msgspec.Struct, array_like=True, tag=2, forbid_unknown_fields=True):
    """Floats that are decimals of a few digits: differences of the integers they are then."""

    mask: bytes
    digits: Annotated[int, msgspec.Meta(ge=0, le=_MOST_DIGITS)]
    body: bytes


class _Real(msgspec.Struct, array_like=True, tag=3, forbid_unknown_fields=True):
    """Other floats: each differs from the one before in a few bits."""

    mask: bytes
    body: bytes


class _Words(msgspec.Struct, array_like=True, tag=4, forbid_unknown_fields=True):
    """A few distinct texts, blobs or nothing, and one byte a row that picks."""

    words: list[Any]
    picks: bytes


class _Mixed(msgspec.Struct, array_like=True, tag=5, forbid_unknown_fields=True):
    """Anything, one after the other."""

    values: list[Any]


class _Copy(msgspec.Struct, array_like=True, tag=6, forbid_unknown_fields=True):
    """The same as the column of this number, which comes before."""

    column: Annotated[int, msgspec.Meta(ge=0, lt=len(_TYPES))]


_Column = _Same | _Whole | _Decimal | _Real | _Words | _Mixed | _Copy


class _Blob(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    rows: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    columns: Annotated[list[_Column], msgspec.Meta(min_length=len(_TYPES), max_length=len(_TYPES))]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Blob).decode


def pack(rows: Sequence[Row]) -> bytes:
    """Return rows of one channel as a blob.

    Raises:
        InputError: none or too many rows, or too long before compression.
    """
    if not 0 < len(rows) <= MOST_ROWS:
        raise InputError(f"{len(rows)} rows are no chunk")
    columns = list(zip(*rows, strict=True))
    del columns[_CHANNEL_AT]
    columns[_ARRIVAL] = tuple(_wrapped_difference(columns[_ARRIVAL], columns[_TIME]))
    written: list[_Column] = []
    for number, values in enumerate(columns):
        column = _column(values, 2 if number in _STEADY else 1)
        if isinstance(column, _Real | _Decimal) and column in written:
            column = _Copy(written.index(column))
        written.append(column)
    body = _encode(_Blob(len(rows), written))
    if len(body) > MOST_BYTES:
        raise InputError(f"a chunk of {len(body)} bytes is too long")
    return _LAYOUT + zlib.compress(body, _COMPRESSION)


def unpack(blob: bytes, channel_id: int) -> list[Row]:
    """Return the rows of a blob; raises InputError for anything but what `pack` returned."""
    if blob[:1] != _LAYOUT:
        raise InputError("a chunk of an unknown layout")
    inflating = zlib.decompressobj()
    try:
        body = inflating.decompress(blob[1:], MOST_BYTES)
        if not inflating.eof or inflating.unused_data:
            raise InputError("a chunk that does not end where it should")
        written = _decode(body)
        columns = _columns(written)
    except (zlib.error, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(f"a chunk cannot be read: {error}") from error
    columns[_ARRIVAL] = _wrapped_sum(columns[_ARRIVAL], columns[_TIME])
    columns.insert(_CHANNEL_AT, [channel_id] * written.rows)
    return list(zip(*columns, strict=True))


def _column(values: Sequence[Any], order: int) -> _Column:
    types = set(map(type, values))
    if len(types) == 1 and types != _REAL and values.count(values[0]) == len(values):
        return _Same(values[0])
    if types in ({int}, {int, type(None)}):
        mask, present = _masked(values, types)
        return _Whole(mask, order, _packed(_differences(np.array(present, np.int64), order)))
    if types in ({float}, {float, type(None)}):
        mask, present = _masked(values, types)
        return _floats(mask, np.array(present, np.float64))
    distinct = dict.fromkeys(values) if types <= {str, bytes, type(None)} else {}
    if 0 < len(distinct) <= _MOST_DISTINCT:
        numbers = {word: number for number, word in enumerate(distinct)}
        return _Words(list(distinct), bytes(map(numbers.__getitem__, values)))
    return _Mixed(list(values))


def _floats(mask: bytes, values: NDArray[np.float64]) -> _Real | _Decimal:
    for digits in range(_MOST_DIGITS + 1):
        scale = 10.0**digits
        if _is_decimal(values[:_LOOKED_AT], scale) and _is_decimal(values, scale):
            whole = np.rint(values * scale).astype(np.int64)
            return _Decimal(mask, digits, _packed(_differences(whole, 1)))
    bits = values.view(np.uint64).copy()
    bits[1:] ^= bits[:-1].copy()
    return _Real(mask, _shuffled(bits))


def _is_decimal(values: NDArray[np.float64], scale: float) -> bool:
    """Return whether every value is a whole number divided by the scale, to the bit."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * scale)
        # also false for what is no finite number
        if not bool((np.abs(whole) < _EXACT_BELOW).all()):
            return False
        back = whole.astype(np.int64).astype(np.float64) / scale
    return bool((back.view(np.uint64) == values.view(np.uint64)).all())


def _columns(written: _Blob) -> list[list[Any]]:
    columns: list[list[Any]] = []
    for allowed, column in zip(_TYPES, written.columns, strict=True):
        values = _values(column, written.rows, columns)
        if len(values) != written.rows:
            raise InputError(f"{len(values)} values in a column of {written.rows} rows")
        if not allowed.issuperset(map(type, values)):
            raise InputError("a column holds values of a wrong type")
        columns.append(values)
    return columns


def _values(column: _Column, rows: int, before: Sequence[list[Any]]) -> list[Any]:
    if isinstance(column, _Same):
        return _bounded([column.value]) * rows
    if isinstance(column, _Copy):
        if column.column >= len(before):
            raise InputError("a column that copies a later one")
        return before[column.column]
    if isinstance(column, _Words):
        return [column.words[pick] if pick < len(column.words) else ... for pick in column.picks]
    if isinstance(column, _Mixed):
        return _bounded(column.values)
    return _unmasked(_numbers(column), column.mask, rows)


def _numbers(column: _Whole | _Decimal | _Real) -> list[Any]:
    if isinstance(column, _Whole):
        return list(_summed(_unpacked(column.body), column.order).tolist())
    if isinstance(column, _Decimal):
        whole = _summed(_unpacked(column.body), 1).astype(np.float64)
        return list((whole / 10.0**column.digits).tolist())
    bits = np.bitwise_xor.accumulate(_unshuffled(column.body))
    return list(bits.view(np.float64).tolist())


def _bounded(values: list[Any]) -> list[Any]:
    """Return what a column of SQLite can hold; raises InputError for greater integers."""
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        raise InputError("a number beyond 64 bits")
    return values


def _masked(values: Sequence[Any], types: set[type]) -> tuple[bytes, Sequence[Any]]:
    """Return one bit a row that has a value, and those values."""
    if type(None) not in types:
        return b"", values
    present = [value is not None for value in values]
    return np.packbits(present).tobytes(), [value for value in values if value is not None]


def _unmasked(present: list[Any], mask: bytes, rows: int) -> list[Any]:
    if not mask:
        return present
    bits = np.unpackbits(np.frombuffer(mask, np.uint8)).tolist()
    if len(bits) != (rows + 7) // 8 * 8 or sum(bits) != len(present) or any(bits[rows:]):
        raise InputError("a mask that does not fit its column")
    following = iter(present)
    return [next(following) if bit else None for bit in bits[:rows]]


def _differences(values: Ints, order: int) -> Ints:
    """Return differences that wrap around at 64 bits: nothing is lost at the ends."""
    for _ in range(order):
        values = np.concatenate((values[:1], np.diff(values)))
    return values


def _summed(values: Ints, order: int) -> Ints:
    for _ in range(order):
        values = np.cumsum(values, dtype=np.int64)
    return values


def _packed(values: Ints) -> bytes:
    """Return small numbers of either sign as small numbers without (zigzag), shuffled."""
    return _shuffled(((values << 1) ^ (values >> 63)).view(np.uint64))


def _unpacked(body: bytes) -> Ints:
    zigzag = _unshuffled(body)
    return (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)


def _shuffled(bits: Bits) -> bytes:
    """Return all first bytes, then all second ones …: the same bytes lie side by side."""
    return bits.astype("<u8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _unshuffled(body: bytes) -> Bits:
    planes = np.frombuffer(body, np.uint8).reshape(8, -1)
    return np.ascontiguousarray(planes.T).view("<u8").reshape(-1).astype(np.uint64)


def _wrapped_difference(values: Sequence[int], base: Sequence[int]) -> list[int]:
    return list((np.array(values, np.int64) - np.array(base, np.int64)).tolist())


def _wrapped_sum(values: Sequence[int], base: Sequence[int]) -> list[int]:
    return list((np.array(values, np.int64) + np.array(base, np.int64)).tolist())
