"""Options that several commands share."""

from pathlib import Path

import click

site_option = click.option(
    "-c",
    "--config",
    "site_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The site file (TOML).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
