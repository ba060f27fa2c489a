"""The whole daemon starts over damaged files: it says so, deletes nothing, and alarms go on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head, table

from cbrn_gateway.config.load import parse_site
from cbrn_gateway.store.spool import Spool
from cbrn_gateway.store.verify import verify_journal

RUBBISH = b"not a database at all, " * 2000
GAS_PPM = (12.0,) * 6


class Run(DaemonHere):
    """One run of the daemon over the files of `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        head = site_head("gw", "varde", "torg", data_dir)
        text = head + chlorine(period_s=1, stale_after_s=600) + table("store", {"ballast_mb": 1})
        super().__init__(parse_site(text, Path("site.toml")))

    def set_aside(self) -> list[str]:
        """Return the texts of the technical alarms about damaged files."""
        texts = [a["properties"]["text"] for a in self.told("technical")]
        return [text for text in texts if "quarantine/" in text]

    async def gas(self, *values_ppm: float) -> dict:
        """Let chlorine come; return the first alert of it."""
        await self.chlorine(*values_ppm)
        return (await self.until(lambda: self.told("specific"), "the gas alarm"))[0]

    async def damage_is_told(self) -> None:
        await self.until(self.set_aside, "the alarm about a damaged file")


async def first_run(data_dir: Path) -> dict:
    """Run until a gas alarm stands; return its alert."""
    async with Run(data_dir) as run:
        gas = await run.gas(0.1, *GAS_PPM)
        await run.daemon.outlets.drain()
    return gas


def spoil(path: Path) -> None:
    """Write rubbish over a database; its log would mend it."""
    path.write_bytes(RUBBISH)
    for companion in path.parent.glob(f"{path.name}-*"):
        companion.unlink()


def quarantined(data_dir: Path, name: str) -> list[bytes]:
    return [path.read_bytes() for path in (data_dir / "quarantine").glob(f"*/{name}")]


def place(alert: dict) -> tuple[int, int]:
    return alert["properties"]["epoch"], alert["properties"]["seq"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["spool.db", "series.db"])
async def test_rubbish_in_place_of_spool_or_series(tmp_path, name):
    gas = await first_run(tmp_path)
    spoil(tmp_path / name)
    async with Run(tmp_path) as run:
        await run.damage_is_told()
        assert name.removesuffix(".db") in run.set_aside()[0]
        assert run.daemon.resumed.alarms_open >= 1
        assert run.daemon.health()["stores_set_aside"] == 1
        again = [a for a in run.pipeline.machine.open_alarms() if a.id == gas["id"]]
        assert [alarm.version for alarm in again] == [gas["properties"]["version"]]
        more = await run.gas(*(80.0,) * 6)
        assert more["id"] == gas["id"]
        assert more["properties"]["version"] == gas["properties"]["version"] + 1
    assert quarantined(tmp_path, name) == [RUBBISH]
    assert verify_journal(tmp_path / "journal.db").ok


@pytest.mark.asyncio
async def test_a_series_log_without_its_file(tmp_path):
    await first_run(tmp_path)
    (tmp_path / "series.db").unlink()
    (tmp_path / "series.db-wal").write_bytes(RUBBISH)
    async with Run(tmp_path) as run:
        await run.damage_is_told()
    assert quarantined(tmp_path, "series.db-wal") == [RUBBISH]


@pytest.mark.asyncio
async def test_rubbish_in_place_of_the_journal(tmp_path):
    gas = await first_run(tmp_path)
    spoil(tmp_path / "journal.db")
    async with Run(tmp_path) as run:
        await run.damage_is_told()
        assert "journal damaged, 0 entries kept" in run.set_aside()[0]
        again = await run.gas(*GAS_PPM)
    assert place(again)[0] > place(gas)[0]
    assert quarantined(tmp_path, "journal.db") == [RUBBISH]
    report = verify_journal(tmp_path / "journal.db")
    assert report.ok
    assert report.first_seq == 1
    if again["id"] == gas["id"]:
        assert again["properties"]["version"] > gas["properties"]["version"]


@pytest.mark.asyncio
async def test_a_cut_tail_of_the_journal_keeps_the_alarms_before_it(tmp_path):
    gas = await first_run(tmp_path)
    async with Run(tmp_path) as run:
        alarm_id = gas["id"]
        for number in range(3):
            await run.daemon.operators.answer_line(order(alarm_id, f"note {number}"))
        await run.until(lambda: last_version(run, alarm_id) >= 4, "the comments")
    before = json.loads(entries(tmp_path)[-1])
    last = before["properties"]["seq"]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.execute("DELETE FROM entries WHERE seq > ?", (last - 2,))
        database.commit()
    async with Run(tmp_path) as run:
        await run.damage_is_told()
        await run.until(lambda: run.told("specific"), "the alarm anew")
        restated = run.told("specific")[0]
        assert restated["id"] == alarm_id
        assert restated["properties"]["version"] > before["properties"]["version"]
        assert restated["properties"]["seq"] > last - 2
        assert restated["properties"]["epoch"] > before["properties"]["epoch"]
    report = verify_journal(tmp_path / "journal.db")
    assert report.ok, str(report)
    assert len(report.epochs) == 2


def order(alarm_id: str, text: str) -> bytes:
    command = {"schema": "cbrn-command/1", "verb": "comment", "actor": "K. Nordmann"}
    return json.dumps(command | {"alarm_id": alarm_id, "text": text}).encode()


def last_version(run: Run, alarm_id: str) -> int:
    alarms = run.pipeline.machine.open_alarms()
    return next(alarm.version for alarm in alarms if alarm.id == alarm_id)


def entries(data_dir: Path) -> list[bytes]:
    with closing(sqlite3.connect(data_dir / "journal.db")) as database:
        rows = database.execute("SELECT body FROM entries ORDER BY seq").fetchall()
    return [body for (body,) in rows]


@pytest.mark.asyncio
async def test_the_lines_of_a_damaged_spool_that_can_be_read_are_kept(tmp_path):
    count = 5_000
    with closing(spool_at(tmp_path)) as spool:
        spool.append([b"line %d " % n + b"x" * 300 for n in range(count)])
    path = tmp_path / "spool.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(RUBBISH[:4096])
    async with Run(tmp_path) as run:
        await run.damage_is_told()
        lines = await run.daemon._writer.peek_lines(10_000, 10**8)
        seqs = [row.seq for row in lines]
        assert seqs == sorted(set(seqs))
        assert (seqs[0], seqs[-1]) == (1, count)
        assert 0.9 * count < len(seqs) < count
        assert f"spool damaged, {len(seqs)} entries kept" in run.set_aside()[0]


def spool_at(folder: Path) -> Spool:
    return Spool(folder / "spool.db", epoch=1, max_rows=10**6, max_bytes=10**9)
