"""`replay`: the same pipeline in virtual time, as fast as it goes."""

from pathlib import Path

import click
import msgspec

from cbrn_drivers.catalogue import load_profile
from cbrn_gateway.cli.options import json_option, site_option
from cbrn_gateway.config.load import load_site
from cbrn_gateway.recording import RecordingReader
from cbrn_gateway.replay.log_as import LogSource, chosen_station, with_profile_channels
from cbrn_gateway.replay.replay import ReadingSource, replay


@click.command("replay")
@site_option
@click.argument("recording", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--as", "profile_name", metavar="PROFILE", help="RECORDING is this instrument's log.")
@click.option("--station", help="Station of the log (default: the only one).")
@click.option("--workers", default=0, show_default=True, help="Workers for localisation.")
@json_option
def command(
    *,
    site_file: Path,
    recording: Path,
    out: Path,
    profile_name: str | None,
    station: str | None,
    workers: int,  # noqa: ARG001 - localisation jobs come with the source estimate
    as_json: bool,
) -> None:
    """Replay RECORDING (JSON Lines, or an instrument's own log with --as) into --out."""
    config = load_site(site_file, allow_simulated=True)
    source: ReadingSource = RecordingReader(recording)
    if profile_name is not None:
        at = chosen_station(config.model, station)
        profile = load_profile(profile_name)
        model = with_profile_channels(config.model, profile, at)
        config = msgspec.structs.replace(config, model=model)
        source = LogSource(recording, profile, at)
    summary = replay(config, source, out)
    if as_json:
        click.echo(msgspec.json.encode(summary))
        return
    click.echo(
        f"{summary.readings_in} readings in, {summary.estimates} estimates, "
        f"{summary.alerts} alert versions over {summary.virtual_s:.0f} s; written to {out}"
    )
    for name, number in summary.drops.items():
        click.echo(f"  {name}: {number}")
