"""Which figures a city has signed off: agent and row, with a name and a date (safety 9).

A missing signature never mutes: the figure alarms and the alert says that it is unsigned.
"""

import datetime
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from cbrn_core.agents import Limit, aegl_10_min, extreme_limit, limit, priority_1_limit

ALL_ROWS = "*"
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_EXPOSURE_LEVELS = ("AEGL-2", "AEGL-3")
_EXPOSURE_DURATIONS_MIN = (10.0, 30.0, 60.0)


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named person of the city vouches for the figures of one agent.

    Attributes:
        level: one row as `row_key` names it ("aegl_2_10_min", "idlh"), or "*" for all.
        by: name and role.
    """

    agent: str
    level: str = ALL_ROWS
    by: Words
    date: datetime.date


def row_key(row: Limit) -> str:
    """Return how a signature names a row: "aegl_2_10_min", "erpg_2_60_min", "idlh"."""
    name = _SEPARATORS.sub("_", row.name.lower())
    return name if row.duration_min is None else f"{name}_{row.duration_min:g}_min"


def alarming_rows(agent_id: str) -> list[Limit]:
    """Return the rows from which an agent's alarms and notices rise, each once."""
    rows = [aegl_10_min(agent_id, 1), priority_1_limit(agent_id), extreme_limit(agent_id)]
    rows += [
        limit(agent_id, name, duration_min)
        for name in _EXPOSURE_LEVELS
        for duration_min in _EXPOSURE_DURATIONS_MIN
    ]
    present = {row_key(row): row for row in rows if row is not None and row.value is not None}
    return list(present.values())


def is_signed(agent_id: str, row: Limit, signatures: Iterable[Signature]) -> bool:
    """Return whether a figure needs no signature, or has one."""
    if not row.needs_signature:
        return True
    wanted = {ALL_ROWS, row_key(row)}
    return any(signed.agent == agent_id and signed.level in wanted for signed in signatures)
