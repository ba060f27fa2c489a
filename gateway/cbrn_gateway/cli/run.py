"""`run`: the daemon."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click
import msgspec

from cbrn_gateway.cli.options import site_option
from cbrn_gateway.config.lint import lint, unsigned_limits
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock

NOTICE = "Not a certified gas-safety, dosimetry or medical device; it does not replace them."


@click.command("run")
@site_option
@click.option("--log-level", default="INFO", show_default=True, help="DEBUG, INFO, WARNING …")
def command(site_file: Path, log_level: str) -> None:
    """Run the daemon of SITE.toml until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    config = _checked(load_site(site_file))
    click.echo(NOTICE, err=True)
    for finding in lint(config):
        click.echo(f"warning: {finding.problem}", err=True)
    sys.exit(asyncio.run(run_until_signalled(config)))


async def run_until_signalled(config: SiteConfig) -> int:
    """Run the daemon; SIGTERM and SIGINT end it in order. Return the exit code."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    try:
        await Daemon(config, SystemClock()).run()
    except asyncio.CancelledError:
        return 0
    return 1


def _checked(config: SiteConfig) -> SiteConfig:
    """Return the site, out of service while a limit lacks its signature; it still alarms."""
    if not unsigned_limits(config):
        return config
    reason = "a limit is not signed off by the city"
    site = msgspec.structs.replace(
        config.model.site, in_service=False, not_in_service_reason=reason
    )
    model = msgspec.structs.replace(config.model, site=site)
    return msgspec.structs.replace(config, model=model)
