"""From TOML to typed tables: every problem with its exact path, all of them at once."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from cbrn_core.errors import Problem

TableT = TypeVar("TableT", bound=msgspec.Struct)

_AT = re.compile(r"^(?P<reason>.*?) - at `\$(?P<where>[^`]*)`$", re.DOTALL)


def convert_table(
    raw: object, kind: type[TableT], path: str, problems: list[Problem]
) -> TableT | None:
    """Return `raw` as a table of `kind`; otherwise add the problem under its path."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        match = _AT.match(str(error))
        if match is None:
            problems.append(Problem(path, str(error)))
        else:
            problems.append(Problem(path + match["where"], match["reason"]))
    return None


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
