"""The machine's clock is set while the whole daemon works: told, and nothing is mute or wrong."""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_core.reading import Flag, Reading
from cbrn_core.times import US_PER_S, parse_rfc3339
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.system_clock import Machine, SystemClock
from cbrn_gateway.store.series import SeriesReader
from cbrn_gateway.store.verify import verify_journal

HOUR_US = 3600 * US_PER_S
CALM_PPM = (0.1,) * 5
GAS_PPM = (12.0,) * 6


class Board:
    """A wall clock that a test sets, and a kernel that may vouch for it."""

    def __init__(self, *, ahead_us: int = 0, up_s: float = 3600.0) -> None:
        self.ahead_us = ahead_us
        self.is_synchronised = False
        self.machine = Machine(lambda: self.is_synchronised, lambda: up_s)

    def clock(self) -> SystemClock:
        return SystemClock(0, self.machine, wall_ns=self._wall_ns)

    def _wall_ns(self) -> int:
        return time.time_ns() + 1000 * self.ahead_us


def daemon(data_dir: Path, board: Board) -> DaemonHere:
    head = site_head("gw", "varde", "torg", data_dir)
    site = parse_site(head + chlorine(period_s=1, stale_after_s=600), Path("site.toml"))
    return DaemonHere(site, board.clock(), board.machine)


def stored(data_dir: Path) -> list[Reading]:
    with closing(SeriesReader(data_dir / "series.db")) as reader:
        return reader.readings(("st1", "cl2"))


@pytest.mark.asyncio
@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US])
async def test_a_clock_that_is_set_by_an_hour_is_told_and_gas_alarms(tmp_path, step_us):
    board = Board()
    async with daemon(tmp_path, board) as run:
        await run.chlorine(*CALM_PPM)
        board.ahead_us = step_us
        set_us = run.clock.now().wall_us
        await run.until(
            lambda: [a for a in run.told("technical") if "clock was set" in said(a)], "the alarm"
        )
        # old readings must come at their own pace for two seconds before their clock is believed
        await run.chlorine(*(5 * GAS_PPM), every_s=0.1)
        (gas, *_) = await run.until(lambda: run.told("specific"), "the gas alarm")
        raised_us = parse_rfc3339(gas["properties"]["raised_at"])
        assert 0 < raised_us - set_us < 60 * US_PER_S
        await run.daemon.outlets.drain()
    assert verify_journal(tmp_path / "journal.db").ok


@pytest.mark.asyncio
async def test_after_a_boot_in_1970_samples_and_alerts_get_the_right_time(tmp_path):
    board = Board(ahead_us=-time.time_ns() // 1000)
    async with daemon(tmp_path, board) as run:
        assert run.clock.now().is_stand_in
        await run.chlorine(*CALM_PPM, *GAS_PPM)
        (gas, *_) = await run.until(lambda: run.told("specific"), "the gas alarm")
        await run.daemon.outlets.drain()
        board.ahead_us = 0
        set_us = run.clock.now().wall_us
        await run.until(lambda: run.daemon.health()["samples_restamped"], "the right times")
        (alarm,) = (a for a in run.pipeline.machine.open_alarms() if a.id == gas["id"])
        assert abs(run.daemon.outlets.stamped(alarm).raised_us - set_us) < 60 * US_PER_S
        await run.chlorine(*CALM_PPM)
    times_us = [reading.time_us for reading in stored(tmp_path)]
    assert len(times_us) == 2 * len(CALM_PPM) + len(GAS_PPM)
    assert all(later > earlier for earlier, later in pairwise(times_us))
    assert all(abs(time_us - set_us) < 60 * US_PER_S for time_us in times_us)


@pytest.mark.asyncio
async def test_after_a_boot_hours_behind_nothing_goes_out_wrong_and_samples_get_the_right_time(
    tmp_path,
):
    board = Board(ahead_us=-5 * HOUR_US, up_s=20.0)
    async with daemon(tmp_path, board) as run:
        watch = run.daemon._clock_watch
        await run.chlorine(*CALM_PPM, *GAS_PPM)
        assert watch.is_holding()
        await run.until(lambda: run.told("specific"), "the gas alarm")
        await run.daemon.outlets.drain()
        board.ahead_us = 0
        board.is_synchronised = True
        await run.until(lambda: not watch.is_holding(), "the right times")
        right_us = run.clock.now().wall_us
        await run.chlorine(*CALM_PPM)
    readings = stored(tmp_path)
    assert len(readings) == 2 * len(CALM_PPM) + len(GAS_PPM)
    assert all(abs(reading.time_us - right_us) < 60 * US_PER_S for reading in readings)
    doubted = [Flag.CLOCK_UNSYNCED in reading.flags for reading in readings]
    assert doubted == [True] * len(CALM_PPM + GAS_PPM) + [False] * len(CALM_PPM)


@pytest.mark.asyncio
async def test_a_kernel_that_never_vouches_holds_nothing_and_its_samples_say_so(tmp_path):
    async with daemon(tmp_path, Board()) as run:
        assert not run.daemon._clock_watch.is_holding()
        now_us = run.clock.now().wall_us
        await run.chlorine(*CALM_PPM)
    readings = stored(tmp_path)
    assert [reading.flags for reading in readings] == [(Flag.CLOCK_UNSYNCED,)] * len(CALM_PPM)
    assert all(abs(reading.time_us - now_us) < 60 * US_PER_S for reading in readings)


def said(alert: dict) -> str:
    return alert["properties"]["text"]
