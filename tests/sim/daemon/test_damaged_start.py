"""The whole daemon starts over damaged files: it says so, deletes nothing, and alarms go on."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.store.verify import verify_journal

DEADLINE_S = 40
RUBBISH = b"not a database at all, " * 2000
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "{data_dir}"
[site]
id = "torg"
[[station]]
id = "st1"
position = {{ lat = 59.9, lon = 10.7, height_m = 3 }}
[[device]]
id = "d1"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
range = [0, 100]
period_s = 1
stale_after_s = 600
[store]
ballast_mb = 1
"""


class Run:
    """One run of the daemon in this process."""

    def __init__(self, data_dir: Path) -> None:
        self.clock = SystemClock()
        site = parse_site(SITE.format(data_dir=data_dir), Path("site.toml"))
        self.daemon = Daemon(site, self.clock)
        self.heard: list[dict] = []
        self.daemon.outlets.listeners.append(self.heard.append)

    def told(self, kind: str) -> list[dict]:
        return [a for a in self.heard if a["properties"]["kind"] == kind]

    def set_aside(self) -> list[str]:
        """Return the texts of the technical alarms about damaged files."""
        texts = [a["properties"]["text"] for a in self.told("technical")]
        return [text for text in texts if "quarantine/" in text]

    async def reading(self, value_ppm: float) -> None:
        now = self.clock.now()
        sample = Reading(
            station="st1",
            channel="cl2",
            time_us=now.wall_us,
            received_us=now.steady_us,
            value=value_ppm,
            unit=Unit.PPM,
        )
        self.daemon.inbox.put([sample])
        await asyncio.sleep(0.05)

    async def gas(self, value_ppm: float = 12.0) -> dict:
        """Let chlorine come; return the first alert of it."""
        for _ in range(6):
            await self.reading(value_ppm)
        await self.until(lambda: self.told("specific"))
        return self.told("specific")[0]

    async def until(self, condition) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - the daemon runs beside it
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(data_dir: Path):
    run = Run(data_dir)
    task = asyncio.create_task(run.daemon.run())
    try:
        yield run
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def first_run(data_dir: Path) -> dict:
    """Run until a gas alarm stands; return its alert."""
    async with running(data_dir) as run:
        await run.reading(0.1)
        gas = await run.gas()
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
    async with running(tmp_path) as run:
        await run.until(run.set_aside)
        assert name.removesuffix(".db") in run.set_aside()[0]
        assert run.daemon.resumed.alarms_open >= 1
        assert run.daemon.health()["stores_set_aside"] == 1
        again = [a for a in run.daemon.setup.pipeline.machine.open_alarms() if a.id == gas["id"]]
        assert [alarm.version for alarm in again] == [gas["properties"]["version"]]
        more = await run.gas(80.0)
        assert more["id"] == gas["id"]
        assert more["properties"]["version"] == gas["properties"]["version"] + 1
    assert quarantined(tmp_path, name) == [RUBBISH]
    assert verify_journal(tmp_path / "journal.db").ok


@pytest.mark.asyncio
async def test_a_series_log_without_its_file(tmp_path):
    await first_run(tmp_path)
    (tmp_path / "series.db").unlink()
    (tmp_path / "series.db-wal").write_bytes(RUBBISH)
    async with running(tmp_path) as run:
        await run.until(run.set_aside)
    assert quarantined(tmp_path, "series.db-wal") == [RUBBISH]


@pytest.mark.asyncio
async def test_rubbish_in_place_of_the_journal(tmp_path):
    gas = await first_run(tmp_path)
    spoil(tmp_path / "journal.db")
    async with running(tmp_path) as run:
        await run.until(run.set_aside)
        assert "journal damaged, 0 entries kept" in run.set_aside()[0]
        again = await run.gas()
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
    async with running(tmp_path) as run:
        alarm_id = gas["id"]
        for number in range(3):
            await run.daemon.operators.answer_line(order(alarm_id, f"note {number}"))
        await run.until(lambda: last_version(run, alarm_id) >= 4)
    before = json.loads(entries(tmp_path)[-1])
    last = before["properties"]["seq"]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.execute("DELETE FROM entries WHERE seq > ?", (last - 2,))
        database.commit()
    async with running(tmp_path) as run:
        await run.until(run.set_aside)
        await run.until(lambda: run.told("specific"))
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
    alarms = run.daemon.setup.pipeline.machine.open_alarms()
    return next(alarm.version for alarm in alarms if alarm.id == alarm_id)


def entries(data_dir: Path) -> list[bytes]:
    with closing(sqlite3.connect(data_dir / "journal.db")) as database:
        rows = database.execute("SELECT body FROM entries ORDER BY seq").fetchall()
    return [body for (body,) in rows]
