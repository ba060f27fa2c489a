"""`init`: a commented starter for a site; asks nothing."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from cbrn_core.errors import ConfigError, Problem, StorageError
from cbrn_core.place import Position, is_id
from cbrn_gateway.alarms.policy import BUILT_IN
from cbrn_gateway.config.lint import STARTER_PLACE
from cbrn_gateway.config.load import parse_site

_STARTER = files("cbrn_gateway.config").joinpath("starter")
_POLICY = files("cbrn_gateway.alarms").joinpath("policies", f"{BUILT_IN}.toml")


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--gateway", default="gw-1", show_default=True, help="Id of this box.")
@click.option("--city", default="city", show_default=True, help="Id of the city.")
@click.option("--site", default="square", show_default=True, help="Id of the square.")
@click.option("--timezone", default="UTC", show_default=True, help="As Europe/Oslo.")
@click.option("--lat", type=click.FloatRange(-90, 90), help="Latitude of the first station.")
@click.option("--lon", type=click.FloatRange(-180, 180), help="Longitude of the first station.")
def command(
    folder: Path,
    *,
    gateway: str,
    city: str,
    site: str,
    timezone: str,
    lat: float | None,
    lon: float | None,
) -> None:
    """Write a commented starter into DIR: site.toml, the alarm policy, a README.

    Nothing that is there is overwritten. The starter is valid as it is: `check` tells
    what is still to be written down.
    """
    for name, value in (("--gateway", gateway), ("--city", city), ("--site", site)):
        if not is_id(value):
            reason = f"{value!r}: letters, digits, _ and -, at most 64 of them"
            raise ConfigError([Problem(name, reason)])
    if (lat is None) != (lon is None):
        raise click.UsageError("--lat and --lon go together")
    place = STARTER_PLACE if lat is None or lon is None else (lat, lon)
    if not Position(*place).is_valid():
        raise ConfigError([Problem("--lat, --lon", "0, 0 is no place on land")])
    words = {"gateway": gateway, "city": city, "site": site, "timezone": timezone}
    words |= {"lat": f"{place[0]!r}", "lon": f"{place[1]!r}"}
    written = starter(words)
    parse_site(written["site.toml"], folder / "site.toml")
    _write(folder, written)
    for name in written:
        click.echo(f"wrote {folder / name}")
    click.echo(
        f"next: edit {folder / 'site.toml'}, then: cbrn-gateway check -c "
        f"{json.dumps(str(folder / 'site.toml'))}"
    )


def starter(words: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a starter by name; `words` fills the places marked `@name@`."""
    written = {name: _filled(name, words) for name in ("site.toml", "README.md")}
    return written | {
        f"policy/{BUILT_IN}.toml": _POLICY.read_text(encoding="utf-8"),
        ".gitignore": "data/\nsecrets/\n",
    }


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = _STARTER.joinpath(name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _write(folder: Path, written: Mapping[str, str]) -> None:
    present = [str(folder / name) for name in written if (folder / name).exists()]
    if present:
        raise StorageError(f"nothing was written, this is there already: {', '.join(present)}")
    try:
        for name, text in written.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
        (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from None
