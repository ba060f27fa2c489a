"""`demo`: a whole simulated square on this machine, from its wires to its alerts."""

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from cbrn_gateway.config.load import load_site
from cbrn_gateway.demo.site_file import site_text
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.sinks.embedded_broker import EmbeddedBroker
from cbrn_sim.scenarios import SCENARIOS, scenario
from cbrn_sim.square_sim import SimulatedSquare

_MQTT_311 = 311


@click.command("demo")
@click.option("--scenario", "name", type=click.Choice(sorted(SCENARIOS)), default="square")
@click.option("--duration", "duration_s", default=90.0, show_default=True, help="Seconds to run.")
@click.option("--port", default=0, help="Port of the broker (default: a free one).")
@click.option("--headless", is_flag=True, help="Print alerts only, no progress.")
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated world.")
def command(*, name: str, duration_s: float, port: int, headless: bool, seed: int) -> None:
    """Run a simulated square: instruments on ptys, Modbus TCP and RTU, a broker, alerts.

    Every instrument is marked simulated, so every alert is an exercise.
    """
    with tempfile.TemporaryDirectory(prefix="cbrn-demo-") as folder:
        wanted = _Wanted(name, duration_s, port, seed, headless)
        asyncio.run(_run(Path(folder), wanted))


class _Wanted(NamedTuple):
    scenario: str
    duration_s: float
    port: int
    seed: int
    headless: bool


async def _run(folder: Path, wanted: _Wanted) -> None:
    async with (
        EmbeddedBroker(wanted.port) as broker,
        SimulatedSquare(scenario(wanted.scenario), wanted.seed, folder / "wires") as square,
    ):
        site_file = folder / "site.toml"
        site_file.write_text(
            site_text(square.endpoints, folder / "data", broker.url, _MQTT_311), encoding="utf-8"
        )
        daemon = Daemon(load_site(site_file, allow_simulated=True), SystemClock())
        printer = _Printer(time.monotonic())
        daemon.outlets.listeners.append(printer.show)
        click.echo(f"{len(square.endpoints)} simulated instruments, embedded broker {broker.url}")
        click.echo(f"watch it: mosquitto_sub -p {broker.url.rsplit(':', 1)[1]} -t 'cbrn/v1/#' -v")
        progress = asyncio.create_task(_tell_progress(daemon, wanted))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wanted.duration_s):
                await daemon.run()
        progress.cancel()
        click.echo(f"done: {printer.alerts} alert versions")


async def _tell_progress(daemon: Daemon, wanted: _Wanted) -> None:
    started_s = time.monotonic()
    while not wanted.headless:
        await asyncio.sleep(10)
        readings = sum(bus.readings for bus in daemon.buses)
        elapsed_s = time.monotonic() - started_s
        click.echo(f"… {elapsed_s:.0f} of {wanted.duration_s:.0f} s, {readings} readings", err=True)


class _Printer:
    """Prints what people must hear of; diagnostics are counted only."""

    def __init__(self, started_s: float) -> None:
        self.alerts = 0
        self._started_s = started_s

    def show(self, alert: dict[str, Any]) -> None:
        """Print one alert in plain words: what, where, how sure, what to do first."""
        self.alerts += 1
        told = alert["properties"]
        if told["priority"] == "D":
            return
        elapsed_s = time.monotonic() - self._started_s
        place = alert["geometry"]
        click.echo(
            f"\n[{elapsed_s:5.1f} s] priority {told['priority']} {told['kind']} {told['state']}\n"
            f"  {told['text']}\n  where: {place['type']} {place.get('coordinates')}"
        )
        if told["actions"]:
            click.echo(f"  first: {told['actions'][0]['text']}")
