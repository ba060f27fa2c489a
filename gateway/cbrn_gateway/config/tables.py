"""From TOML to typed tables: every problem with its exact path, all of them at once."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from cbrn_core.errors import Problem

TableT = TypeVar("TableT", bound=msgspec.Struct)
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

LARGEST_FILE_BYTES = 4_000_000
DEEPEST_TABLE = 32
LARGEST_INTEGER = 2**53 - 1
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_AT = re.compile(r"^(?P<reason>.*?) - at `\$(?P<where>.*)`$", re.DOTALL)


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of every table: keyword-only, immutable, strict."""


def read_toml(path: Path, where: str, problems: list[Problem]) -> dict[str, Any] | None:
    """Return the tables of a file, None with a problem under `where` if it has none."""
    text = read_text(path, where, problems)
    return None if text is None else parse_toml(text, where, problems)


def read_text(path: Path, where: str, problems: list[Problem]) -> str | None:
    """Return the text of a file, None with a problem under `where` if it has none."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(LARGEST_FILE_BYTES + 1)
        text = octets.decode("utf-8")
    except (OSError, ValueError) as error:
        problems.append(Problem(where, f"{str(path)!r} cannot be read: {error}"))
        return None
    if len(octets) > LARGEST_FILE_BYTES:
        problems.append(Problem(where, f"larger than {LARGEST_FILE_BYTES} bytes"))
        return None
    return text


def parse_toml(text: str, where: str, problems: list[Problem]) -> dict[str, Any] | None:
    """Return the tables of a text, None with a problem under `where` if it is not TOML."""
    try:
        raw = tomllib.loads(text)
    except ValueError as error:
        problems.append(Problem(where, f"is not TOML: {error}"))
        return None
    except RecursionError:
        problems.append(Problem(where, "is not TOML that anybody wrote: too deeply nested"))
        return None
    impossible = list(_impossible_values(raw, ""))
    problems += impossible
    return None if impossible else raw


def key_path(path: str, key: str) -> str:
    """Return the path of a key of the table at `path` ("" for the file itself)."""
    written = key if _BARE_KEY.fullmatch(key) else json.dumps(key)
    return f"{path}.{written}" if path else written


def convert_table(
    raw: object, kind: type[TableT], path: str, problems: list[Problem]
) -> TableT | None:
    """Return `raw` as a table of `kind`; otherwise add the problem under its path."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        problems.append(problem_at(path, str(error)))
    except (ValueError, OverflowError) as error:
        problems.append(Problem(path, str(error)))
    return None


def problem_at(path: str, message: str) -> Problem:
    """Return the problem of a validation message, with the place it names behind `path`."""
    match = _AT.match(message)
    if match is None:
        return Problem(path, message)
    where = "".join(c if c.isprintable() else "?" for c in match["where"])
    return Problem(path + where, match["reason"])


def convert_list(
    raw: Mapping[str, Any], name: str, kind: type[TableT], problems: list[Problem]
) -> list[tuple[str, TableT]]:
    """Return (path, table) of each `[[name]]`; bad ones are left out and reported."""
    entries = raw.get(name, [])
    if not isinstance(entries, list):
        problems.append(Problem(name, f"write it as a list of tables: [[{name}]]"))
        return []
    tables = []
    for index, entry in enumerate(entries):
        path = f"{name}[{index}]"
        table = convert_table(entry, kind, path, problems)
        if table is not None:
            tables.append((path, table))
    return tables


def required_table(
    raw: Mapping[str, Any], name: str, kind: type[TableT], problems: list[Problem]
) -> TableT | None:
    """Return the table `[name]`, which must be there."""
    if name not in raw:
        problems.append(Problem(name, "this table is missing"))
        return None
    return convert_table(raw[name], kind, name, problems)


def optional_table(
    raw: Mapping[str, Any], name: str, kind: type[TableT], problems: list[Problem]
) -> TableT | None:
    """Return the table `[name]`, None where it is not there."""
    return convert_table(raw[name], kind, name, problems) if name in raw else None


def check_unique(names: Iterable[tuple[str, str]], problems: list[Problem]) -> None:
    """Report each (path, id) whose id was used before."""
    first: dict[str, str] = {}
    for path, name in names:
        if name in first:
            problems.append(Problem(f"{path}.id", f"{name!r} is taken by {first[name]}"))
        first.setdefault(name, path)


def _impossible_values(value: object, path: str, depth: int = 0) -> Iterator[Problem]:
    """Find numbers that no setting can have, and nesting that no table has."""
    if depth > DEEPEST_TABLE:
        yield Problem(path, "too deeply nested")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _impossible_values(item, key_path(path, key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _impossible_values(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, float) and not isfinite(value):
        yield Problem(path, f"{value} is no number to set")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        yield Problem(path, "the number is too large")
