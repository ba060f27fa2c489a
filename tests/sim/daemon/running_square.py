"""A simulated square on its real wires with the whole daemon beside it, watched from inside."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from samples.daemon_here import DaemonHere
from samples.site_samples import instruments, site_head

from cbrn_core.estimate import Estimate
from cbrn_gateway.config.load import load_site
from cbrn_sim.faults import Faults
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare


class RunningSquare:
    """`async with` it: instruments and daemon run; what they say is kept."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._square = SimulatedSquare(scenario(name), seed, folder / "wires")
        self._folder = folder

    async def __aenter__(self) -> Self:
        await self._square.__aenter__()
        site = self._folder / "site.toml"
        head = site_head("gw1", "varde", "torg", self._folder / "state")
        site.write_text(head + instruments(self._square.endpoints), encoding="utf-8")
        self._here = DaemonHere(load_site(site))
        self.alerts, self.estimates = self._here.heard, self._here.estimates
        await self._here.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._here.__aexit__(None, None, None)
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
        await self._here.until(holds, what, within_s)
