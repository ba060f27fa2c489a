"""`run`: the daemon."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from cbrn_gateway.cli import EXIT_FAILED
from cbrn_gateway.cli.options import printable, site_option
from cbrn_gateway.config.admission import admitted
from cbrn_gateway.config.lint import lint
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.wires import devices_by_bus
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.data_dir_lock import DataDirLock
from cbrn_gateway.live.heap import give_back_what_is_free
from cbrn_gateway.live.restart import clock_going_on

NOTICE = "Not a certified gas-safety, dosimetry or medical device; it does not replace them."


@click.command("run")
@site_option
@click.option(
    "--log-level",
    default="INFO",
    show_default=True,
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    help="How much is told while it runs.",
)
def command(site_file: Path, log_level: str) -> None:
    """Run the daemon of SITE.toml until SIGTERM or Ctrl-C.

    It decides at the edge: alarms rise and are kept without network, broker or database.
    One daemon per data_dir; a second one is refused. SIGTERM ends it in order, SIGHUP
    applies the site file anew.
    """
    give_back_what_is_free()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes too early must not end it
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    site = load_site(site_file)
    config = admitted(site)
    click.echo(NOTICE, err=True)
    for finding in lint(site, datetime.now(UTC).date()):
        click.echo(printable(f"warning: {finding.problem}"), err=True)
    with DataDirLock(config.data_dir, "run"):
        for line in start_lines(config):
            click.echo(printable(line), err=True)
        sys.exit(asyncio.run(run_until_signalled(config)))


async def run_until_signalled(config: SiteConfig) -> int:
    """Run the daemon; SIGTERM and SIGINT end it in order. Return the exit code."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    try:
        kept = config.clock_kept_by_host
        daemon = Daemon(config, clock_going_on(config.data_dir, kept_by_host=kept))
        # what is made by now stays: a full collection that walks it holds an alert up for 50 ms
        gc.freeze()
        loop.add_signal_handler(signal.SIGHUP, daemon.reload.site_file_changed)
        await daemon.run()
    except asyncio.CancelledError:
        return 0
    return EXIT_FAILED


def start_lines(config: SiteConfig) -> Iterator[str]:
    """Return what the daemon is about to do, for who starts it by hand or reads its log."""
    model = config.model
    site = model.site
    yield f"gateway {model.gateway}, city {model.city}, site {site.name} ({site.id})"
    mobile = sum(station.mobile for station in model.stations.values())
    yield (
        f"  {len(model.stations)} stations ({mobile} mobile), {len(model.devices)} devices, "
        f"{len(model.channels)} channels; policy {config.policy.id}"
    )
    for name, devices in devices_by_bus(model.devices.values()).items():
        yield f"  bus {name}: {', '.join(device.id for device in devices)}"
    yield f"  alerts to: {', '.join(_sinks(config)) or 'this machine only (no [mqtt])'}"
    if site.in_service:
        yield "  IN SERVICE"
    else:
        reason = site.not_in_service_reason or "in_service is not set in [site]"
        yield f"  NOT IN SERVICE ({reason}): it alarms all the same, and says so"
    yield f"  files in {config.data_dir}; look: cbrn-gateway alerts list -c {config.path}"


def _sinks(config: SiteConfig) -> Iterator[str]:
    if config.mqtt is not None:
        version = "5" if config.mqtt.protocol == 5 else "3.1.1"
        yield f"MQTT {version} {config.mqtt.url}"
    if config.influx is not None:
        yield f"InfluxDB {config.influx.url} ({config.influx.bucket})"
