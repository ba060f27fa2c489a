"""A serial bus under its supervisor: pulled plugs and liars, and nobody lends a hand."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from samples.cycles import cycles
from samples.supervised import LONG_PERIOD_S, readings_are_back, supervised, until
from sim.drivers.serial_bench import open_driver

from cbrn_drivers.codec.checksum import negated_sum8
from cbrn_gateway.live.supervisor import Health
from cbrn_gateway.live.system_clock import SystemClock

pytestmark = pytest.mark.asyncio
PERIOD_S = 0.1


class Module:
    """A gas module behind a plug; it may hold its tongue while it stays plugged in."""

    def __init__(self, plug, period_s: float) -> None:
        self.plug = plug
        self.period_s = period_s
        self.talks = True

    async def run(self) -> None:
        body = bytes((0x86, 0, 3, 0, 0, 0, 0))
        frame = b"\xff" + body + bytes((negated_sum8(body),))
        while True:
            await asyncio.sleep(self.period_s)
            if self.talks:
                with suppress(OSError):
                    self.plug.say(frame)


@asynccontextmanager
async def running(plug, least_s: float, period_s: float = PERIOD_S):
    clock = SystemClock()
    driver = open_driver("winsen-ze03", plug, clock, gas="cl2", warm_up_s=0, silence_s=600)
    plug.put_in()
    module = Module(plug, period_s)
    talking = asyncio.create_task(module.run())
    try:
        async with supervised(driver, clock, least_s) as bus:
            await until(lambda: bus.readings >= 12, "a known rhythm", 20 + 12 * period_s)
            plug.hold_no_more()
            yield bus, module
    finally:
        talking.cancel()


@cycles(10)
async def test_a_plug_that_is_pulled_and_put_in_again_brings_readings_back(plug, times):
    async with running(plug, least_s=5.0) as (bus, _):
        for _ in range(times):
            plug.pull()
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            plug.put_in()
            await readings_are_back(bus, PERIOD_S)
            plug.hold_no_more()
        assert bus.supervisor.restarts >= times


@cycles(3)
async def test_at_one_frame_a_second_readings_are_back_within_two_periods_and_the_back_off(
    plug, times
):
    async with running(plug, least_s=5.0, period_s=LONG_PERIOD_S) as (bus, _):
        for _ in range(times):
            plug.pull()
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            plug.put_in()
            await readings_are_back(bus, LONG_PERIOD_S)
            plug.hold_no_more()


@cycles(10)
async def test_a_port_that_only_seems_open_is_opened_anew(plug, times):
    async with running(plug, least_s=0.5) as (bus, module):
        for _ in range(times):
            restarts = bus.supervisor.restarts
            module.talks = False
            await until(lambda n=restarts: bus.supervisor.restarts > n, "a new attempt")
            assert "no reading for" in (bus.supervisor.last_error or "")
            module.talks = True
            await readings_are_back(bus, PERIOD_S)
