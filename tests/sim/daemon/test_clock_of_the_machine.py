"""The machine's clock is set while the whole daemon works: told, and nothing is mute or wrong."""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_core.times import US_PER_S, parse_rfc3339
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.store.series import SeriesReader
from cbrn_gateway.store.verify import verify_journal

HOUR_US = 3600 * US_PER_S
CALM_PPM = (0.1,) * 5
GAS_PPM = (12.0,) * 6


class Machine:
    """A wall clock that a test sets."""

    def __init__(self, *, ahead_us: int = 0) -> None:
        self.ahead_us = ahead_us

    def clock(self) -> SystemClock:
        return SystemClock(synchronised=lambda: False, wall_ns=self._wall_ns)

    def _wall_ns(self) -> int:
        return time.time_ns() + 1000 * self.ahead_us


def daemon(data_dir: Path, machine: Machine) -> DaemonHere:
    head = site_head("gw", "varde", "torg", data_dir)
    site = parse_site(head + chlorine(period_s=1, stale_after_s=600), Path("site.toml"))
    return DaemonHere(site, machine.clock())


def stored_times_us(data_dir: Path) -> list[int]:
    with closing(SeriesReader(data_dir / "series.db")) as reader:
        return [reading.time_us for reading in reader.readings(("st1", "cl2"))]


@pytest.mark.asyncio
@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US])
async def test_a_clock_that_is_set_by_an_hour_is_told_and_gas_alarms(tmp_path, step_us):
    machine = Machine()
    async with daemon(tmp_path, machine) as run:
        await run.chlorine(*CALM_PPM)
        machine.ahead_us = step_us
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
    machine = Machine(ahead_us=-time.time_ns() // 1000)
    async with daemon(tmp_path, machine) as run:
        assert run.clock.now().is_stand_in
        await run.chlorine(*CALM_PPM, *GAS_PPM)
        (gas, *_) = await run.until(lambda: run.told("specific"), "the gas alarm")
        await run.daemon.outlets.drain()
        machine.ahead_us = 0
        set_us = run.clock.now().wall_us
        await run.until(lambda: run.daemon.health()["samples_restamped"], "the right times")
        (alarm,) = (a for a in run.pipeline.machine.open_alarms() if a.id == gas["id"])
        assert abs(run.daemon.outlets.stamped(alarm).raised_us - set_us) < 60 * US_PER_S
        await run.chlorine(*CALM_PPM)
    times_us = stored_times_us(tmp_path)
    assert len(times_us) == 2 * len(CALM_PPM) + len(GAS_PPM)
    assert all(later > earlier for earlier, later in pairwise(times_us))
    assert all(abs(time_us - set_us) < 60 * US_PER_S for time_us in times_us)


def said(alert: dict) -> str:
    return alert["properties"]["text"]
