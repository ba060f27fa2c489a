"""A machine whose clock was wrong for a while: after a restart the daemon watches all the same."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head, table

from cbrn_core.times import parse_rfc3339
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.restart import stored_until_us
from cbrn_gateway.live.system_clock import SystemClock, machine_of

pytestmark = pytest.mark.timeout(120)

HOUR_S = 3600
GAS_PPM, NO_GAS_PPM = (25.0,) * 6, (0.02,) * 5
POLICY = Path(__file__).parents[3] / "config/policy/default-1.toml"


class Machine:
    """A machine whose wall clock may be set, and the daemon's runs on it."""

    def __init__(self, folder: Path) -> None:
        self.ahead_s = 0
        self._site_file = folder / "site.toml"
        fast = POLICY.read_text().replace("off_delay_s = 60.0", "off_delay_s = 0.5")
        (folder / "fast.toml").write_text(fast)
        text = site_head("gw", "varde", "torg", "kept") + table("alarms", {"policy": "fast"})
        self._site_file.write_text(text + chlorine(sigma=0.05, lod=0.1, stale_after_s=2))

    def run(self) -> DaemonHere:
        """Return the daemon as `cbrn-gateway run` starts it on this machine."""
        site = load_site(self._site_file)
        machine = machine_of(kept_by_host=True)
        clock = SystemClock(stored_until_us(site.data_dir), machine, wall_ns=self._wall_ns)
        return DaemonHere(site, clock)

    def forget_snapshot(self) -> None:
        """Leave the files as a kill does: what was stored last is heard again."""
        with closing(sqlite3.connect(self._site_file.parent / "kept" / "series.db")) as series:
            series.execute("DELETE FROM snapshot")
            series.commit()

    def _wall_ns(self) -> int:
        return time.time_ns() + self.ahead_s * 1_000_000_000


def age_s(alert: dict) -> float:
    """Return how long ago an alert was changed, by a clock that is right."""
    return time.time() - parse_rfc3339(alert["properties"]["changed_at"]) / 1e6


@pytest.mark.asyncio
async def test_an_alarm_that_was_told_in_the_future_returns_and_is_told_anew_now(tmp_path):
    machine = Machine(tmp_path)
    async with machine.run() as run:
        machine.ahead_s = HOUR_S
        await run.until(lambda: run.told("technical"), "the first alarm")
        await run.until(lambda: "clock set" in levels(run), "the clock was set")
        await run.chlorine(*GAS_PPM)
        await run.until(lambda: run.told("specific"), "the gas alarm")
        assert age_s(run.told("specific")[0]) < -HOUR_S / 2
        await run.daemon.outlets.drain()
    machine.forget_snapshot()
    machine.ahead_s = 0
    async with machine.run() as run:
        await run.chlorine(*GAS_PPM)
        while not any(a["properties"]["state"] == "rtn_unack" for a in run.told("specific")):
            await run.chlorine(*NO_GAS_PPM)
    assert [age_s(alert) for alert in run.heard if abs(age_s(alert)) > HOUR_S / 2] == []


def levels(run: DaemonHere) -> set[str]:
    return {alert["properties"]["level"] for alert in run.heard}


@pytest.mark.asyncio
async def test_a_silent_channel_is_told_when_it_is_silent_though_the_clock_is_behind(
    tmp_path,
):
    machine = Machine(tmp_path)
    machine.ahead_s = HOUR_S
    async with machine.run() as run:
        await run.chlorine(*NO_GAS_PPM)
        await run.until(lambda: run.told("technical"), "something journalled")
    machine.forget_snapshot()
    assert stored_until_us(tmp_path / "kept") / 1e6 > time.time() + HOUR_S / 2
    machine.ahead_s = 0
    async with machine.run() as run:
        await run.chlorine(*NO_GAS_PPM * 5, every_s=0.25)
        assert "no reading" not in levels(run)
        await run.until(lambda: "no reading" in levels(run), "the channel is silent", 20.0)
