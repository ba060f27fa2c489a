"""The city's playbook: its own steps where it has them, and who stands behind them (safety 6)."""

import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from cbrn_core.errors import Problem
from cbrn_gateway.alarms.actions_types import ApprovedPlay, Play, Playbook, Role, Step
from cbrn_gateway.config.tables import Table, Words, convert_table, read_toml

_LONGEST_STEP = 500
_MOST_STEPS = 400


class StepTable(Table, frozen=True):
    """One step of the playbook file; the steps of a play stand in the order of the file."""

    play: Play
    role: Role
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_STEP)]


class PlaybookFile(Table, frozen=True):
    """A file of steps in the language of the site."""

    name: Words
    step: Annotated[tuple[StepTable, ...], msgspec.Meta(min_length=1, max_length=_MOST_STEPS)]


class PlaybookTable(Table, frozen=True):
    """`[playbook]`: the approval; without `file` it is given to the built-in steps.

    Attributes:
        date, valid_until: days; after the last the approval no longer counts.
    """

    name: Words | None = None
    file: Words | None = None
    approved_by: Words | None = None
    role: Words | None = None
    date: datetime.date | None = None
    valid_until: datetime.date | None = None
    sources: tuple[Words, ...] = ()

    def lacks(self) -> list[str]:
        """Return what is missing for this to be an approval."""
        wanted = ("approved_by", "role", "date", "valid_until", "sources")
        return [name for name in wanted if not getattr(self, name)]


def read_steps(table: PlaybookTable, folder: Path, problems: list[Problem]) -> PlaybookFile | None:
    """Return the file of steps, None where there is none or it has problems."""
    if table.file is None:
        return None
    raw = read_toml(folder / table.file, "playbook.file", problems)
    return None if raw is None else convert_table(raw, PlaybookFile, table.file, problems)


def approved_plays(table: PlaybookTable, steps: PlaybookFile | None) -> dict[Play, ApprovedPlay]:
    """Return what the city stands for, by play; plays that are not in it stay the example.

    An approval that lacks something is none: its steps are shown, marked as an example.
    """
    complete = not table.lacks()
    playbook = Playbook(
        name=table.name or (steps.name if steps is not None else "built-in steps"),
        status="",
        approved_by=table.approved_by if complete else None,
        role=table.role if complete else None,
        date=_day(table.date) if complete else None,
        valid_until=_day(table.valid_until) if complete else None,
        sources=table.sources,
    )
    if table.file is None:
        return {play: ApprovedPlay(playbook) for play in Play} if complete else {}
    own: dict[Play, list[Step]] = {}
    for entry in steps.step if steps is not None else ():
        own.setdefault(entry.play, []).append(Step(entry.role, entry.text))
    return {play: ApprovedPlay(playbook, tuple(chosen)) for play, chosen in own.items()}


def _day(day: datetime.date | None) -> str | None:
    return None if day is None else day.isoformat()
