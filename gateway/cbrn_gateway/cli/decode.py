"""`decode`: frames in, readings or fields out; a bad frame prints its error in its place."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TextIO

import click
import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_drivers.decode import decode_lines
from cbrn_drivers.profile import Profile
from cbrn_gateway.cli import EXIT_FAILED
from cbrn_gateway.cli.options import profile_beside, profiles_option

_HEX = re.compile(r"\s*([0-9a-fA-F]{2}\s*)+")


@click.command("decode")
@click.argument("profile")
@click.argument("frames", type=click.File("r", errors="surrogateescape"), default="-")
@click.option("--fields", is_flag=True, help="Print the codec's own fields, one object a frame.")
@click.option("--hex", "mode", flag_value="hex", help="Frames are hex (default: found by looking).")
@click.option("--text", "mode", flag_value="text", help="Frames are text with JSON escapes.")
@click.option(
    "-o", "options", multiple=True, metavar="KEY=VALUE", help="What the wire carries elsewhere."
)
@profiles_option
def command(
    profile: str,
    frames: TextIO,
    site_file: Path | None,
    *,
    fields: bool,
    mode: str | None,
    options: tuple[str, ...],
) -> None:
    """Decode frames of PROFILE, one a line (hex, or text with JSON escapes).

    -o gives request, uuid, mac, key, unit_id, register … as KEY=VALUE. -c SITE.toml makes
    the site's own profiles known. Exit status 1 when any frame was bad.
    """
    chosen = profile_beside(site_file, profile)
    parsed = dict(_split(option) for option in options)
    bad = False
    for shown in _decoded(chosen, frames, mode, parsed, fields=fields):
        bad = bad or "error" in shown
        click.echo(msgspec.json.encode(shown))
    if bad:
        sys.exit(EXIT_FAILED)


def _decoded(
    profile: Profile, frames: TextIO, mode: str | None, options: dict[str, str], *, fields: bool
) -> Iterable[dict[str, object]]:
    for line in frames:
        frame = line.rstrip("\r\n")
        if frame.strip():
            chosen: Literal["hex", "text"] = "text"
            if mode == "hex" or (mode is None and _HEX.fullmatch(frame)):
                chosen = "hex"
            yield from decode_lines(profile, frame, chosen, options, fields=fields)


def _split(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not equals:
        raise ConfigError([Problem("-o", f"{option!r} is not KEY=VALUE")])
    return key, value
