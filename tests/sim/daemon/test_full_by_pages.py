"""Files that may not take another page (SQLITE_FULL): told, nothing lost once they may again."""

from contextlib import closing
from pathlib import Path

import pytest
from samples.store_samples import event
from sim.daemon.test_damaged_meanwhile import Run, versions

from cbrn_core.errors import StorageError
from cbrn_gateway.store.series_reader import SeriesReader
from cbrn_gateway.store.verify import verify_journal

NO_LIMIT = 10**9


def limit_pages(database, pages: int | None = None) -> None:
    """Set the largest size of a file in pages, by default what it has."""
    (used,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count={pages or used}")


async def limit_journal(run: Run, pages: int | None = None) -> None:
    await run.journal._write(lambda: limit_pages(run.journal._file.database, pages))


async def fill(run: Run) -> None:
    """Write into the journal until not even a small entry has room."""
    await limit_journal(run)
    for _ in range(1_000):
        try:
            await run.journal.append([event()])
        except StorageError:
            return
    raise AssertionError("it takes everything")


def full(run: Run) -> list[dict]:
    told = [alert["properties"] for alert in run.told("technical")]
    return [p for p in told if p["level"] == "disk full"]


@pytest.mark.asyncio
async def test_a_full_journal_is_told_and_gas_goes_out_from_memory(tmp_path):
    async with Run(tmp_path) as run:
        await run.until((tmp_path / "ballast").exists, "the ballast")
        await fill(run)
        gas = await run.gas()
        assert gas["properties"]["journal"] == "pending"
        told = await run.until(lambda: full(run), "the technical alarm")
        assert told[0]["priority"] == 2
        await limit_journal(run, NO_LIMIT)
        await run.until(lambda: versions(tmp_path, gas["id"]), "gas in the journal")
        await run.until(lambda: full(run)[-1]["state"] == "rtn_unack", "the end of it")
        assert run.daemon.health()["ballast_released"] >= 1
    assert verify_journal(tmp_path / "journal.db").ok


@pytest.mark.asyncio
async def test_a_full_series_is_told_and_what_waited_is_stored_later(tmp_path):
    async with Run(tmp_path) as run:
        series = run.daemon._writer._series
        await run.daemon._writer._ask(
            run.daemon._writer._series_lane, lambda: limit_pages(series.database)
        )
        refused = []
        run.daemon._notices.failing = watched(run.daemon._notices.failing, refused)
        count = 3_000
        await run.chlorine(*[0.1] * count, every_s=0.0)
        await run.until(lambda: refused, "a refusal")
        told = await run.until(lambda: told_of_series(run), "the technical alarm")
        assert told[0]["priority"] == 2
        series.database.connection.execute(f"PRAGMA max_page_count={NO_LIMIT}")
        await run.until(lambda: stored(tmp_path) == count, "what waited")
        assert run.daemon._writer.counters().get("series_dropped_reading", 0) == 0


def stored(data_dir: Path) -> int:
    with closing(SeriesReader(data_dir / "series.db")) as series:
        return len(series.readings(("st1", "cl2"), limit=10**6))


def watched(failing, refused):
    def told(reason, about, *rest):
        if about == "series":
            refused.append(rest)
        failing(reason, about, *rest)

    return told


def told_of_series(run: Run) -> list[dict]:
    told = [alert["properties"] for alert in run.told("technical")]
    return [p for p in told if "a store of this gateway fails" in p["text"]]
