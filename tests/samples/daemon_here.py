"""The whole daemon in the test's own process: readings are put in, what it tells is kept."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Self

from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.restart import clock_going_on
from cbrn_gateway.live.system_clock import Machine, SystemClock
from cbrn_gateway.pipeline.pipeline import Pipeline, StepOutput

LOOK_AGAIN_S = 0.02


class DaemonHere:
    """`async with` it: the daemon of a site runs, on the machine's own clock unless given one."""

    PATIENCE_S = 40.0

    def __init__(
        self,
        site: SiteConfig,
        clock: SystemClock | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.clock = clock or clock_going_on(site.data_dir, kept_by_host=site.clock_kept_by_host)
        self.daemon = Daemon(site, self.clock, machine)
        self.heard: list[dict[str, Any]] = []
        self.estimates: list[Estimate] = []
        self._watch()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.daemon.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def pipeline(self) -> Pipeline:
        return self.daemon.setup.pipeline

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the alerts of a kind that were journalled so far."""
        return [alert for alert in self.heard if alert["properties"]["kind"] == kind]

    def put(self, channel: str, value: float | None, unit: Unit, **more: Any) -> None:
        """Let a channel (of st1 unless said) say something now."""
        now = self.clock.now()
        known = {"station": "st1", "time_us": now.wall_us, "received_us": now.steady_us}
        reading = Reading(**(known | {"channel": channel, "value": value, "unit": unit} | more))
        self.daemon.inbox.put([reading])

    async def chlorine(self, *values_ppm: float, every_s: float = 0.05) -> None:
        for value_ppm in values_ppm:
            self.put("cl2", value_ppm, Unit.PPM)
            await asyncio.sleep(every_s)

    async def until(
        self, holds: Callable[[], Any], what: str, within_s: float | None = None
    ) -> Any:
        """Return what `holds()` gives once it gives something; fail with all that was said."""
        patience_s = self.PATIENCE_S if within_s is None else within_s
        deadline_s = time.monotonic() + patience_s
        while not (found := holds()):
            if self._running.done():
                await self._running
            if time.monotonic() > deadline_s:
                said = "\n".join(alert["properties"]["text"] for alert in self.heard)
                raise AssertionError(f"{what} did not come within {patience_s:g} s; said:\n{said}")
            await asyncio.sleep(LOOK_AGAIN_S)
        return found

    def _watch(self) -> None:
        outlets = self.daemon.outlets
        outlets.listeners.append(self.heard.append)
        take = outlets.take

        def take_and_keep(out: StepOutput) -> int | None:
            self.estimates += out.estimates
            return take(out)

        outlets.take = take_and_keep
