"""InfluxDB line protocol (contracts §6): pure; one line of bytes without its line end.

Source: InfluxDB 1.x line protocol reference: commas, spaces and equals signs of tags are
escaped with a backslash, quotes and backslashes of string fields likewise. A tag cannot
end in a backslash and a line cannot hold a line end, so backslashes and control
characters of tags become `_` and control characters of string fields a space.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from re import compile as pattern

FieldValue = float | int | str | None
"""A float is written as a float, an int with `i`; None and what is not finite is left out."""

NS_PER_US = 1000
_LONGEST_TAG = 64
_LONGEST_TEXT = 1024
_LARGEST_INT = 2**63 - 1
_NOT_IN_A_TAG = pattern(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_A_TEXT = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPED = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


def tag_text(text: str) -> str:
    """Return what a tag of this text says: at most 64 characters, each one allowed."""
    return _NOT_IN_A_TAG.sub("_", text[:_LONGEST_TAG])


def field_text(text: str) -> str:
    """Return what a string field of this text says: at most 1024 characters, one line."""
    return _NOT_IN_A_TEXT.sub(" ", text[:_LONGEST_TEXT])


def encode_line(
    measurement: str,
    tags: Iterable[tuple[str, str | None]],
    fields: Mapping[str, FieldValue],
    time_ns: int,
) -> bytes | None:
    """Return one line, None where no field is left.

    Args:
        measurement: a plain name (letters, digits, `_`).
        tags: (key, value) sorted by key; absent values are left out.
        fields: by name; names are plain.
        time_ns: nanoseconds since the epoch.
    """
    written = [
        f"{name}={text}" for name, value in fields.items() if (text := _field(value)) is not None
    ]
    if not written:
        return None
    head = measurement + "".join(
        f",{key}={tag_text(value).translate(_ESCAPED)}" for key, value in tags if value
    )
    return f"{head} {','.join(written)} {time_ns}".encode()


def is_writable(value: FieldValue) -> bool:
    """Return whether a field of this value can be stored."""
    if value is None:
        return False
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, str) or -_LARGEST_INT <= value <= _LARGEST_INT


def _field(value: FieldValue) -> str | None:
    if value is None or not is_writable(value):
        return None
    if isinstance(value, str):
        text = field_text(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return repr(float(value)) if isinstance(value, float) else f"{int(value)}i"
