"""`profiles`: which instruments this gateway can read."""

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cbrn_drivers.catalogue import load_profile, profile_names
from cbrn_drivers.profile import Profile
from cbrn_gateway.cli.options import json_option


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
    table = Table("name", "instrument", "driver", "grade", "channels", "protocol known")
    for profile in profiles:
        channels = ", ".join(c.id for c in profile.channels)
        table.add_row(
            profile.name,
            profile.title,
            profile.driver,
            profile.grade,
            channels,
            profile.confidence,
        )
    Console().print(table)


def _show_one(profile: Profile) -> None:
    console = Console()
    console.print(f"[bold]{profile.title}[/] ({profile.maker} {profile.model})", highlight=False)
    console.print(f"driver {profile.driver}, grade {profile.grade}", highlight=False)
    console.print(
        f"document: {profile.document.title}, {profile.document.revision}", highlight=False
    )
    table = Table("channel", "quantity", "unit", "range", "detects from", "τ rise", "sources")
    for channel in profile.channels:
        tau_rise_s, _ = channel.taus_s
        table.add_row(
            channel.id,
            channel.quantity,
            channel.unit,
            "–" if channel.range is None else f"{channel.range[0]:g} … {channel.range[1]:g}",
            "–" if channel.lod is None else f"{channel.lod:g}",
            "–" if tau_rise_s is None else f"{tau_rise_s:.1f} s",
            "; ".join(f"{field}: {source}" for field, source in channel.source.items()),
        )
    console.print(table)
