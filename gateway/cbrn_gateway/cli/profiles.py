"""`profiles`: which instruments this gateway can read."""

import click
import msgspec

from cbrn_drivers.catalogue import load_profile, profile_names
from cbrn_drivers.profile import Profile
from cbrn_gateway.cli.options import json_option, print_table


@click.command("profiles")
@click.argument("name", required=False)
@json_option
def command(name: str | None, *, as_json: bool) -> None:
    """List the instruments, or show one with its channels and where its figures come from."""
    profiles = [load_profile(n) for n in ([name] if name else profile_names())]
    if as_json:
        for profile in profiles:
            click.echo(msgspec.json.encode(profile))
    elif name:
        _show_one(profiles[0])
    else:
        _show_list(profiles)


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
