"""Files are damaged under a running daemon, or where a start did not look: alarms go on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head, table
from samples.store_samples import event

from cbrn_core.errors import StoreDamaged
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.store import database
from cbrn_gateway.store.verify import verify_journal

GAS_PPM = (12.0,) * 6
MORE_PPM = (80.0,) * 6
PADDING = [event("x" * 3_000) for _ in range(300)]


class Run(DaemonHere):
    """One run of the daemon over the files of `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        head = site_head("gw", "varde", "torg", data_dir)
        text = head + chlorine(period_s=1, stale_after_s=600) + table("store", {"ballast_mb": 1})
        super().__init__(parse_site(text, Path("site.toml")))
        self.journal = self.daemon._journal

    def set_aside(self) -> list[str]:
        """Return the texts of the technical alarms about damaged files."""
        texts = [a["properties"]["text"] for a in self.told("technical")]
        return [text for text in texts if "quarantine/" in text]

    async def gas(self) -> dict:
        await self.chlorine(0.1, *GAS_PPM)
        return (await self.until(lambda: self.told("specific"), "the gas alarm"))[-1]

    async def is_set_aside(self) -> str:
        return (await self.until(self.set_aside, "the alarm about a damaged file"))[0]


def spoil(path: Path, since: float = 0.4, pages: int = 20) -> None:
    """Write what is in the log into the file, and rubbish over some pages of its middle."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * since) // 4096 * 4096)
        file.write(b"\xaa" * 4096 * pages)


def versions(data_dir: Path, alarm_id: str) -> list[int]:
    with closing(sqlite3.connect(data_dir / "journal.db")) as connection:
        rows = connection.execute("SELECT body FROM entries ORDER BY seq").fetchall()
    found = [json.loads(body) for (body,) in rows]
    return [alert["properties"]["version"] for alert in found if alert.get("id") == alarm_id]


@pytest.mark.asyncio
async def test_a_journal_that_is_damaged_meanwhile_goes_on_and_knows_every_open_alarm(tmp_path):
    async with Run(tmp_path) as run:
        await run.journal.append(PADDING)
        gas = await run.gas()
        await run.daemon.outlets.drain()
        spoil(tmp_path / "journal.db")
        with pytest.raises(StoreDamaged):
            await run.journal.entries(limit=10_000)
        assert "journal damaged" in await run.is_set_aside()
        version = gas["properties"]["version"]
        await run.until(lambda: versions(tmp_path, gas["id"]), "the open alarm in the new journal")
        assert versions(tmp_path, gas["id"])[0] > version
        told = len(run.told("specific"))
        await run.chlorine(*MORE_PPM)
        await run.until(lambda: len(run.told("specific")) > told, "its next version")
        assert run.told("specific")[-1]["id"] == gas["id"]
        await run.daemon.outlets.drain()
        assert run.daemon.health()["stores_set_aside"] == 1
    assert len(list((tmp_path / "quarantine").glob("*/journal.db"))) == 1
    report = verify_journal(tmp_path / "journal.db")
    assert report.ok, str(report)
    assert len(report.epochs) == 2
    heard = [a["properties"]["version"] for a in run.told("specific") if a["id"] == gas["id"]]
    assert heard == sorted(set(heard)), "no version goes back, none comes twice"


@pytest.fixture
def unchecked(monkeypatch):
    """Let the check at a start see nothing, as with a file too large for its time."""
    monkeypatch.setattr(database, "_CHECK_LIMIT_S", -1.0)
    monkeypatch.setattr(database, "_CHECK_STEP_OPCODES", 1)


@pytest.mark.asyncio
async def test_damage_of_the_journal_that_the_start_did_not_see_is_healed_as_it_is_read(
    tmp_path, unchecked
):
    async with Run(tmp_path) as run:
        gas = await run.gas()
        await run.daemon.outlets.drain()
        await run.journal.append(PADDING)
    (tmp_path / "series.db").unlink()
    spoil(tmp_path / "journal.db")
    async with Run(tmp_path) as run:
        assert "journal damaged" in await run.is_set_aside()
        again = (await run.until(lambda: run.told("specific"), "the alarm anew"))[0]
        assert again["id"] == gas["id"]
        assert again["properties"]["version"] > gas["properties"]["version"]
    assert verify_journal(tmp_path / "journal.db").ok


@pytest.mark.asyncio
async def test_damage_of_the_series_that_the_start_did_not_see_is_healed_as_it_is_read(
    tmp_path, unchecked
):
    async with Run(tmp_path) as run:
        gas = await run.gas()
        await run.chlorine(*[12.0] * 1_500, every_s=0.0)
        await run.daemon.outlets.drain()
    spoil(tmp_path / "series.db", 0.1)
    async with Run(tmp_path) as run:
        assert "series damaged" in await run.is_set_aside()
        assert run.daemon.resumed.alarms_open >= 1
        await run.chlorine(*MORE_PPM)
        more = await run.until(lambda: run.told("specific"), "the alarm goes on")
        assert more[0]["id"] == gas["id"]
    async with Run(tmp_path) as run:
        await run.until(lambda: run.daemon.resumed, "a start as any other")
        assert run.daemon.health()["stores_set_aside"] == 0
