"""A daemon that is started again says since when nothing was kept."""

import asyncio
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_gateway.config.load import parse_site

AWAY_S = 0.5


def daemon(data_dir: Path) -> DaemonHere:
    head = site_head("gw", "varde", "torg", data_dir)
    return DaemonHere(parse_site(head + chlorine(period_s=1, stale_after_s=600), Path("site.toml")))


@pytest.mark.asyncio
async def test_the_time_without_readings_is_counted_at_the_next_start(tmp_path, caplog):
    async with daemon(tmp_path) as run:
        await run.chlorine(0.1, 0.1)
        last_us = run.clock.now().steady_us
        assert run.daemon.health()["missing_at_start_ms"] == 0
    assert "readings are missing" not in caplog.text
    await asyncio.sleep(AWAY_S)
    async with daemon(tmp_path) as run:
        await run.until(lambda: run.daemon.resumed, "a start")
        most_ms = (run.clock.now().steady_us - last_us) / 1000 + 1000
        assert AWAY_S * 1000 <= run.daemon.health()["missing_at_start_ms"] <= most_ms
    assert "readings are missing since" in caplog.text
