"""`demo`: a whole simulated square on this machine, from its wires to its alerts."""

import asyncio
import math
import time
from pathlib import Path

import click

from cbrn_gateway.cli.options import json_option
from cbrn_gateway.demo.run import Wanted, run_demo
from cbrn_sim.scenarios import SCENARIOS

_LONGEST_S = 7 * 86_400.0
_HIGHEST_PORT = 65_535


def _seconds(_: click.Context, __: click.Parameter, value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= _LONGEST_S):
        raise click.BadParameter("seconds, more than 0 and at most a week")
    return value


@click.command("demo")
@click.option(
    "--scenario",
    "name",
    type=click.Choice(list(SCENARIOS)),
    default="square",
    show_default=True,
    help="What happens.",
)
@click.option(
    "--duration",
    "duration_s",
    type=float,
    default=150.0,
    show_default=True,
    callback=_seconds,
    help="Seconds to run.",
)
@click.option(
    "--port",
    type=click.IntRange(0, _HIGHEST_PORT),
    default=0,
    help="Port of the broker on 127.0.0.1 (default: a free one).",
)
@click.option("--headless", is_flag=True, help="Alerts only: no progress, no summary.")
@click.option("--seed", default=1, show_default=True, help="Seed of all chance in the square.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the picture and alerts.jsonl.",
)
@json_option
def command(
    *,
    name: str,
    duration_s: float,
    port: int,
    headless: bool,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Run a simulated square: instruments on ptys, Modbus TCP and RTU, a broker, alerts.

    Every instrument is marked simulated, so every alert about what they measure is an
    exercise. --json prints each alert version as one JSON line, all else to standard error.
    """
    wanted = Wanted(name, duration_s, port, seed, headless, as_json, out, time.monotonic())
    asyncio.run(run_demo(wanted))
