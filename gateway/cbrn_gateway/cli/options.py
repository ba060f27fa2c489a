"""Options and ways of printing that several commands share."""

import getpass
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cbrn_core.errors import ConfigError, Problem
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.profile import Profile
from cbrn_gateway.config.own_profiles import OwnProfiles

site_option = click.option(
    "-c",
    "--config",
    "site_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The site file (TOML).",
)
profiles_option = click.option(
    "-c",
    "--config",
    "site_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A site file (TOML): the site's own profiles, in profiles/ beside it, count too.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def profile_beside(site_file: Path | None, name: str) -> Profile:
    """Return a profile by name, or a built-in one by alias; a site's own lie beside its file.

    Raises:
        ConfigError: no such profile, or it is damaged.
    """
    if site_file is None:
        return load_profile(name)
    problems: list[Problem] = []
    profile = OwnProfiles(site_file.parent, problems).find(name)
    if profile is None:
        raise ConfigError(problems)
    return profile


def printable(text: str) -> str:
    """Return one line without control characters: nobody's text may steer this terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def login_name() -> str:
    """Return who gives an order: CBRN_ACTOR, or the login; a usage error where nobody is known."""
    named = os.environ.get("CBRN_ACTOR") or os.environ.get("SUDO_USER")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("say who you are: --actor 'name, role'") from None


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; where standard output is no terminal, plainly, one row a line."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _print_plainly([list(titles), *cells])
        return
    table = Table(*titles)
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _print_plainly(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
