"""A simulated square on its real wires with the whole daemon beside it, watched from inside."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from samples.site_samples import instruments, site_head

from cbrn_core.estimate import Estimate
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_sim.faults import Faults
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare

LOOK_AGAIN_S = 0.05


class RunningSquare:
    """`async with` it: instruments and daemon run; what they say is kept."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._square = SimulatedSquare(scenario(name), seed, folder / "wires")
        self._folder = folder
        self.alerts: list[dict[str, Any]] = []
        self.estimates: list[Estimate] = []

    async def __aenter__(self) -> Self:
        await self._square.__aenter__()
        site = self._folder / "site.toml"
        head = site_head("gw1", "varde", "torg", self._folder / "state")
        site.write_text(head + instruments(self._square.endpoints), encoding="utf-8")
        self._daemon = Daemon(load_site(site), SystemClock())
        self._watch(self._daemon)
        self._running = asyncio.create_task(self._daemon.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._square.__aexit__(None, None, None)

    @property
    def faults(self) -> dict[str, Faults]:
        return self._square.faults

    def said(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what was said of one station or another, all but the site itself."""
        told = [alert["properties"] for alert in self.alerts]
        return [p for p in told if p["station"] and (not kinds or p["kind"] in kinds)]

    def shown(self, station: str) -> list[Estimate]:
        """Return the estimates of a station's chlorine channel, in order."""
        return [e for e in self.estimates if (e.station, e.channel) == (station, "cl2")]

    async def readings(self, station: str, number: int) -> None:
        """Wait for so many more chlorine readings of a station."""
        wanted = len(self.shown(station)) + number
        await self.until(lambda: len(self.shown(station)) >= wanted, 30, f"readings of {station}")

    async def until(self, holds: Callable[[], Any], within_s: float, what: str) -> None:
        """Wait for a condition; fail with all that was said when it does not come."""
        deadline_s = time.monotonic() + within_s
        while not holds():
            if self._running.done():
                await self._running
            if time.monotonic() > deadline_s:
                told = "\n".join(p["text"] for p in self.said())
                raise AssertionError(f"{what} did not come within {within_s:g} s; said:\n{told}")
            await asyncio.sleep(LOOK_AGAIN_S)

    def _watch(self, daemon: Daemon) -> None:
        take = daemon.outlets.take

        def take_and_keep(out: StepOutput) -> int | None:
            self.estimates += out.estimates
            return take(out)

        daemon.outlets.take = take_and_keep
        daemon.outlets.listeners.append(self.alerts.append)
