"""`profiles`: which instruments this gateway can read."""

from pathlib import Path

import click
import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_drivers.catalogue import load_profile, profile_names
from cbrn_drivers.profile import Profile
from cbrn_gateway.cli.options import json_option, print_table, profile_beside, profiles_option
from cbrn_gateway.config.own_profiles import OwnProfiles


@click.command("profiles")
@click.argument("name", required=False)
@profiles_option
@json_option
def command(name: str | None, site_file: Path | None, *, as_json: bool) -> None:
    """List the instruments, or show one with its channels and where its figures come from.

    With -c SITE.toml the site's own profiles are listed, too.
    """
    profiles = [profile_beside(site_file, name)] if name else _known(site_file)
    if as_json:
        for profile in profiles:
            click.echo(msgspec.json.encode(profile))
    elif name:
        _show_one(profiles[0])
    else:
        _show_list(profiles)


def _known(site_file: Path | None) -> list[Profile]:
    """Return every profile; raises ConfigError with all that is wrong with the site's own."""
    built_in = [load_profile(name) for name in profile_names()]
    if site_file is None:
        return built_in
    problems: list[Problem] = []
    own = OwnProfiles(site_file.parent, problems)
    found = [own.find(name) for name in own.names()]
    if problems:
        raise ConfigError(problems)
    return built_in + [profile for profile in found if profile is not None]


def _show_list(profiles: list[Profile]) -> None:
    rows = [
        (p.name, p.title, p.driver, p.grade, ", ".join(c.id for c in p.channels), p.confidence)
        for p in profiles
    ]
    print_table(("name", "instrument", "driver", "grade", "channels", "protocol known"), rows)


def _show_one(profile: Profile) -> None:
    click.echo(f"{profile.title} ({profile.maker} {profile.model})")
    click.echo(f"driver {profile.driver}, grade {profile.grade}, protocol {profile.confidence}")
    click.echo(f"document: {profile.document.title}, {profile.document.revision}")
    rows = []
    for channel in profile.channels:
        tau_rise_s, _ = channel.taus_s
        span = "–" if channel.range is None else f"{channel.range[0]:g} … {channel.range[1]:g}"
        lod = "–" if channel.lod is None else f"{channel.lod:g}"
        tau = "–" if tau_rise_s is None else f"{tau_rise_s:.1f} s"
        rows.append((channel.id, channel.quantity, channel.unit, span, lod, tau))
    print_table(("channel", "quantity", "unit", "range", "detects from", "τ rise"), rows)
    click.echo("where the figures come from:")
    for channel in profile.channels:
        for field, source in channel.source.items():
            click.echo(f"  {channel.id} {field}: {source}")
