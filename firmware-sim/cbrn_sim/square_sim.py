"""A whole square of simulated instruments, running on their real wires."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cbrn_sim.assembly import Assembly
from cbrn_sim.faults import Faults
from cbrn_sim.fittings import Endpoint
from cbrn_sim.scenario_clock import ScenarioClock
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.world import Truth, World

_BREATH_S = 1.0


class SimulatedSquare:
    """`async with` it: all instruments answer inside the block, all are gone after it.

    Scenario time starts when the block is entered. `workdir` gets the symlinks of the
    serial lines. The same scenario and seed give the same world and the same values at
    the same scenario times, whatever the speed; `world` puts another in its place.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        workdir: Path,
        *,
        speed: float = 1.0,
        world: World | None = None,
    ) -> None:
        self.scenario = scenario
        self.world = World(scenario, seed) if world is None else world
        self.clock = ScenarioClock(speed)
        self._assembly = Assembly(self.world, self.clock, workdir)
        self._breath: asyncio.Task[None] | None = None
        self._endpoints: list[Endpoint] = []

    @property
    def endpoints(self) -> list[Endpoint]:
        """Return where each instrument is found; empty before the block is entered."""
        return self._endpoints

    @property
    def faults(self) -> dict[str, Faults]:
        """Return the faults of each device by its id."""
        return self._assembly.faults

    def elapsed_s(self) -> float:
        """Return scenario time in seconds."""
        return self.clock.elapsed_s()

    def truth(self) -> Truth:
        """Return what really happens in this run."""
        return self.world.truth()

    async def __aenter__(self) -> Self:
        """Switch everything on and let the scenario begin."""
        self.clock.start()
        try:
            for wire in self._assembly.wires.values():
                await wire.start()
        except BaseException:
            await self._stop_wires()
            raise
        self._endpoints = self._assembly.endpoints()
        self._breath = asyncio.create_task(self._breathe())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Switch everything off."""
        if self._breath is not None:
            self._breath.cancel()
            with suppress(asyncio.CancelledError):
                await self._breath
            self._breath = None
        await self._stop_wires()

    async def _breathe(self) -> None:
        """Let the cells of polled detectors go on although nobody polls them."""
        due_s = 0.0
        while True:
            due_s += _BREATH_S
            await self.clock.sleep_until(due_s)
            for detector in self._assembly.detectors:
                detector.advance(due_s)

    async def _stop_wires(self) -> None:
        for wire in self._assembly.wires.values():
            await wire.stop()
