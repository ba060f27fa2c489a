"""A wire that says it is connected: what counts as progress, and what is opened anew."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

import pytest
from samples.supervised import supervised, until

from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.units import Unit
from cbrn_gateway.live.supervisor import Health
from cbrn_gateway.live.system_clock import SystemClock

pytestmark = pytest.mark.asyncio
PERIOD_S = 0.02
LEAST_S = 0.5
FAULT = {"value": None, "quality": Quality.BAD, "flags": (Flag.INSTRUMENT_FAULT,)}
EMPTY = {"value": None, "quality": Quality.UNCERTAIN}


class Instrument:
    """A driver whose instrument says `now` for ever; `opened` counts the wire's openings."""

    def __init__(self, clock: SystemClock) -> None:
        self.now: dict[str, object] = {"value": 1.0}
        self.opened = 0
        self._clock = clock

    async def __aenter__(self) -> Self:
        self.opened += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    def counters(self) -> Mapping[str, int]:
        return {}

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        while True:
            now = self._clock.now()
            times = {"time_us": now.wall_us, "received_us": now.steady_us}
            known = {"station": "st1", "channel": "cl2", "unit": Unit.PPM}
            yield [Reading(**known, **times, **self.now)]
            await asyncio.sleep(PERIOD_S)


async def test_an_instrument_that_says_it_is_ill_keeps_its_wire():
    clock = SystemClock()
    instrument = Instrument(clock)
    async with supervised(instrument, clock, LEAST_S) as bus:
        await until(lambda: bus.readings >= 12, "a known rhythm")
        instrument.now = FAULT
        before = bus.readings
        enough = 4 * LEAST_S / PERIOD_S
        await until(lambda: bus.readings >= before + enough, "a long fault")
        assert instrument.opened == 1
        assert bus.supervisor.health is Health.RUNNING


async def test_a_wire_that_gives_nothing_but_unexplained_nulls_is_opened_anew():
    clock = SystemClock()
    instrument = Instrument(clock)
    async with supervised(instrument, clock, LEAST_S) as bus:
        await until(lambda: bus.readings >= 12, "a known rhythm")
        instrument.now = EMPTY
        await until(lambda: instrument.opened == 2, "a new opening")
        assert "no reading for" in (bus.supervisor.last_error or "")
        assert bus.supervisor.failing_since_us is not None
        before = bus.readings
        await until(lambda: bus.readings > before, "what it says now")
        assert bus.supervisor.failing_since_us is not None, "an empty reading proves nothing"
        instrument.now = {"value": 2.0}
        await until(lambda: bus.supervisor.health is Health.RUNNING, "progress")
        assert bus.supervisor.failing_since_us is None
