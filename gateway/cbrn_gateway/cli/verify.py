"""`verify`: is the journal whole and untouched?"""

import sys
from pathlib import Path

import click
import msgspec

from cbrn_gateway.cli import EXIT_FAILED
from cbrn_gateway.cli.options import json_option
from cbrn_gateway.store.verify import verify_journal


@click.command("verify")
@click.argument("journal", type=click.Path(path_type=Path))
@json_option
def command(journal: Path, *, as_json: bool) -> None:
    """Check every entry's hash and link. JOURNAL is journal.db, or the data_dir that holds it."""
    path = journal / "journal.db" if journal.is_dir() else journal
    report = verify_journal(path)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        click.echo(str(report))
    if not report.ok:
        sys.exit(EXIT_FAILED)
