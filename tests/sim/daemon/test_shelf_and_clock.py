"""An alarm is shelved, and the machine's clock is set: the end that is shown is the right one."""

import time
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_core.alarm import Command
from cbrn_core.times import US_PER_S, parse_rfc3339
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.restart import stored_until_us
from cbrn_gateway.live.system_clock import Machine as Kernel
from cbrn_gateway.live.system_clock import SystemClock

HOUR_US = 3600 * US_PER_S
SHELF_S = 7200.0
WITHIN_US = 30 * US_PER_S
LONG_UP_S = 3600.0


class Machine:
    """A machine whose wall clock a test sets, and the daemon's runs on it."""

    def __init__(self, folder: Path) -> None:
        self.ahead_us = 0
        self.is_synchronised = True
        head = site_head("gw", "varde", "torg", folder / "kept")
        self._site = parse_site(head + chlorine(period_s=1, stale_after_s=600), Path("site.toml"))

    def run(self) -> DaemonHere:
        """Return the daemon as `cbrn-gateway run` starts it on this machine."""
        floor_us = stored_until_us(self._site.data_dir)
        machine = Kernel(lambda: self.is_synchronised, lambda: LONG_UP_S)
        return DaemonHere(self._site, SystemClock(floor_us, machine, wall_ns=self._wall_ns))

    def _wall_ns(self) -> int:
        return time.time_ns() + 1000 * self.ahead_us


async def shelved(run: DaemonHere, shelf_s: float = SHELF_S) -> dict:
    """Shelve the alarm that this site is not in service; return the version that says so."""
    (alert, *_) = await run.until(lambda: run.told("technical"), "an alarm to shelve")
    command = Command(
        verb="shelve", actor="A. Berg", alarm_id=alert["id"], text="known", duration_s=shelf_s
    )
    assert (await run.daemon.operators.obey(command)).refusal is None
    return await run.until(lambda: newest(run, alert["id"], "shelved"), "the shelved version")


def newest(run: DaemonHere, alarm_id: str, state: str) -> dict | None:
    """Return the last version of an alarm where it is in a state."""
    versions = [alert["properties"] for alert in run.heard if alert["id"] == alarm_id]
    return {"id": alarm_id} | versions[-1] if versions and versions[-1]["state"] == state else None


def ends_us(told: dict) -> int:
    return parse_rfc3339(told["until"])


@pytest.mark.asyncio
@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US])
async def test_a_shelf_shows_its_end_by_the_clock_that_was_set_and_lasts_as_long(tmp_path, step_us):
    machine = Machine(tmp_path)
    async with machine.run() as run:
        before = await shelved(run)
        (held,) = (a for a in run.pipeline.machine.open_alarms() if a.id == before["id"])
        machine.ahead_us = step_us
        after = await run.until(
            lambda: (
                ends_us(newest(run, before["id"], "shelved")) != ends_us(before)
                and newest(run, before["id"], "shelved")
            ),
            "the end by the new clock",
        )
        (still,) = (a for a in run.pipeline.machine.open_alarms() if a.id == before["id"])
    assert abs(ends_us(after) - ends_us(before) - step_us) < US_PER_S
    assert (after["version"], after["annunciate"]) == (before["version"] + 1, False)
    assert still.until_us == held.until_us


@pytest.mark.asyncio
async def test_a_shelf_of_an_earlier_run_keeps_its_end_though_the_clock_was_set_back_then(tmp_path):
    machine = Machine(tmp_path)
    machine.ahead_us = HOUR_US
    async with machine.run() as run:
        await run.chlorine(0.02, 0.02)
        machine.ahead_us = 0
        told = await shelved(run)
        right_us = run.clock.now().wall_us + int(SHELF_S * US_PER_S)
        told = await run.until(
            lambda: (
                (now := newest(run, told["id"], "shelved"))
                and abs(ends_us(now) - right_us) < WITHIN_US
                and now
            ),
            "the end by the right clock",
        )
        await run.daemon.outlets.drain()
    async with machine.run() as run:
        await run.until(lambda: run.daemon.resumed, "the start")
        now = run.clock.now()
        assert now.steady_us - now.wall_us > HOUR_US // 2
        (held,) = (a for a in run.pipeline.machine.open_alarms() if a.id == told["id"])
        left_us = held.until_us - run.clock.now().steady_us
        assert abs(left_us - SHELF_S * US_PER_S) < WITHIN_US
        assert abs(run.daemon.outlets.stamped(held).until_us - ends_us(told)) < US_PER_S


@pytest.mark.asyncio
@pytest.mark.parametrize("down_us", [HOUR_US // 2, 4 * HOUR_US])
async def test_a_shelf_ends_when_it_was_told_though_the_next_start_knew_no_time(tmp_path, down_us):
    machine = Machine(tmp_path)
    async with machine.run() as run:
        await run.chlorine(0.02, 0.02)
        told = await shelved(run)
        await run.daemon.outlets.drain()
    boots_at_us = -time.time_ns() // 1000
    machine.ahead_us, machine.is_synchronised = boots_at_us, False
    async with machine.run() as run:
        await run.until(lambda: run.daemon.resumed, "the start")
        assert run.clock.now().is_stand_in
        await run.until(lambda: run.pipeline.now_us, "a turn")
        machine.ahead_us = down_us
        if down_us < SHELF_S * US_PER_S:
            now = await run.until(lambda: newest(run, told["id"], "shelved"), "the end")
            (held,) = (a for a in run.pipeline.machine.open_alarms() if a.id == told["id"])
            left_us = held.until_us - run.clock.now().steady_us
            assert abs(left_us - (SHELF_S * US_PER_S - down_us)) < WITHIN_US
            assert abs(ends_us(now) - ends_us(told)) < US_PER_S
        else:
            back = await run.until(lambda: newest(run, told["id"], "unack"), "its return")
            assert back["annunciate"]
