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
    text, _ = encode_fields(fields)
    return f"{encode_head(measurement, tags)} {text} {time_ns}".encode() if text else None


def encode_head(measurement: str, tags: Iterable[tuple[str, str | None]]) -> str:
    """Return what a line says before its fields, see `encode_line`."""
    return measurement + "".join(
        f",{key}={tag_text(value).translate(_ESCAPED)}" for key, value in tags if value
    )


def encode_fields(fields: Mapping[str, FieldValue]) -> tuple[str, int]:
    """Return the fields of a line, "" for none, and how many were no finite number."""
    written: list[str] = []
    not_finite = 0
    for name, value in fields.items():
        if isinstance(value, float):
            if isfinite(value):
                written.append(f"{name}={float(value)!r}")
            else:
                not_finite += 1
        elif value is not None and (text := _field(value)) is not None:
            written.append(f"{name}={text}")
    return ",".join(written), not_finite


def _field(value: int | str) -> str | None:
    if isinstance(value, str):
        text = field_text(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return f"{int(value)}i" if -_LARGEST_INT <= value <= _LARGEST_INT else None
