"""Puts an instrument's behaviour onto a serial line and gives it its own pace."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cbrn_sim.faults import Faults
from cbrn_sim.instruments.pty_wire import PtyWire
from cbrn_sim.scenario_clock import ScenarioClock


class SerialModel(Protocol):
    """Behaviour of a serial instrument without any input or output.

    `period_s` is the scenario time between calls of `emit`.
    """

    @property
    def period_s(self) -> float:
        """Return the pace of the instrument."""
        ...

    def receive(self, chunk: bytes, t_s: float) -> bytes:
        """Take bytes from the host, return the reply."""
        ...

    def emit(self, t_s: float) -> bytes:
        """Return what the instrument says by itself at `t_s`."""
        ...


class SerialInstrument:
    """One instrument on one serial line of its own."""

    def __init__(self, link: Path, clock: ScenarioClock) -> None:
        self.wire = PtyWire(link, self._received)
        self._clock = clock
        self._model: SerialModel | None = None
        self._faults: Faults | None = None
        self._pace: asyncio.Task[None] | None = None

    def fit(self, model: SerialModel, faults: Faults) -> None:
        """Say what is at the end of the line."""
        self._model = model
        self._faults = faults

    async def start(self) -> None:
        """Plug the instrument in and let it run."""
        if self._model is None or self._faults is None:
            raise RuntimeError(f"no instrument is fitted to {self.wire.link}")
        await self.wire.plug()
        self._pace = asyncio.create_task(self._run(self._model, self._faults))

    async def stop(self) -> None:
        """Switch it off; raises what went wrong while it ran."""
        if self._pace is not None:
            self._pace.cancel()
            with suppress(asyncio.CancelledError):
                await self._pace
            self._pace = None
        self.wire.close()

    async def _run(self, model: SerialModel, faults: Faults) -> None:
        due_s = 0.0
        while True:
            due_s += model.period_s
            await self._clock.sleep_until(due_s)
            self.wire.write(faults.on_wire(model.emit(due_s)))

    def _received(self, chunk: bytes) -> None:
        if self._model is None or self._faults is None or self._faults.is_silent:
            return
        reply = self._model.receive(chunk, self._clock.elapsed_s())
        self.wire.write(self._faults.on_wire(reply))
