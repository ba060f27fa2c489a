"""A file that is damaged while it is written is set aside by itself, and a new one goes on."""

import asyncio
import time

import pytest
from samples.store_samples import EPOCH, START_US, reading

from cbrn_core.errors import StorageError, StoreDamaged
from cbrn_gateway.store import healing, salvage
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

US = 1_000_000
LINES = 20_000
PATIENCE_S = 30


class Gateway:
    """A writer over a spool and a series of several megabytes."""

    def __init__(self, folder):
        self.folder = folder
        self.errors, self.asides, self.delivered = [], [], []
        self.series = Series(folder / "series.db")
        self.series.append([reading(n, raw="x" * 200) for n in range(LINES)])
        self.spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
        self.spool.append([line(n) for n in range(LINES)], stored_us=START_US)
        for store in (self.series, self.spool):
            store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.writer = Writer(self.series, self.spool, on_error=self.errors.append, interval_s=0.001)
        self.writer.on_set_aside = self.asides.append

    async def takes(self, *numbers):
        self.writer.submit(
            Batch(
                readings=[reading(n) for n in numbers],
                lines={Consequence.READING: [line(n) for n in numbers]},
                stored_us=START_US,
            )
        )
        await self.writer.flush()

    async def until(self, holds):
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.01)

    async def is_healed(self):
        await self.until(lambda: self.asides)
        await self.writer.flush()
        return self.asides[0]

    async def delivers_all(self):
        """Return the numbers of all lines in the order in which they are delivered."""
        delivered = self.delivered
        while rows := await self.writer.peek_lines(5_000, 10**7):
            delivered += [int(row.line.split()[0]) for row in rows]
            await self.writer.delete_lines_through(rows[-1].seq)
        return delivered


def line(number):
    return b"%d " % number + b"x" * 300


def spoil(path, since=0.3, pages=5):
    """Overwrite some pages in the middle of a file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * since) // 4096 * 4096)
        file.write(b"\xaa" * 4096 * pages)


@pytest.mark.asyncio
async def test_a_spool_that_is_damaged_under_the_writer_goes_on_with_what_can_be_read(tmp_path):
    gateway = Gateway(tmp_path)
    await gateway.takes(LINES)
    spoil(tmp_path / "spool.db")
    with pytest.raises(StoreDamaged):
        await gateway.delivers_all()
    aside = await gateway.is_healed()
    assert aside.name == "spool"
    assert (aside.folder / "spool.db").exists()
    await gateway.takes(LINES + 1)
    delivered = await gateway.delivers_all()
    assert delivered == sorted(set(delivered))
    assert len(delivered) > 0.95 * (LINES + 2), "only what stood on damaged pages is lost"
    assert delivered[0] == 0
    assert delivered[-2:] == [LINES, LINES + 1], "what came last is delivered last"
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_who_was_given_lines_before_may_say_later_that_they_arrived(tmp_path):
    gateway = Gateway(tmp_path)
    rows = await gateway.writer.peek_lines(100, 10**6)
    gateway.writer.note_damage("spool", StoreDamaged("a page"))
    await gateway.is_healed()
    await gateway.writer.delete_lines_through(rows[-1].seq)
    await gateway.takes(LINES)
    assert await gateway.delivers_all() == list(range(100, LINES + 1))
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_a_series_that_is_damaged_under_the_writer_goes_on_in_a_new_file(tmp_path):
    gateway = Gateway(tmp_path)
    spoil(tmp_path / "series.db", 0.1, (tmp_path / "series.db").stat().st_size // 4096 * 3 // 5)
    late = range(500, LINES, 1_000)
    for number in late:
        gateway.writer.submit(Batch(readings=[reading(number)]))
        await asyncio.sleep(0)
    aside = await gateway.is_healed()
    assert aside.name == "series"
    await gateway.takes(LINES)
    found = gateway.series.readings(("st04", "cl2"), limit=10**6)
    stored = [r.time_us // US - START_US // US for r in found]
    assert stored == sorted(stored)
    assert stored[-1] == LINES
    assert set(stored) >= {number for number in late if number >= stored[0]}
    assert len(stored) > 1, "what waited is in the new file"
    assert gateway.writer.committed_row == gateway.series.last_row() == LINES + len(late) + 1
    assert gateway.writer.counters().get("series_dropped_reading", 0) == 0
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_a_disk_that_refuses_the_new_file_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(healing, "RETRY_S", 0.01)
    gateway = Gateway(tmp_path)
    real, refusals = Spool.begin_anew, []

    def refused_once(spool, epoch):
        if not refusals:
            refusals.append(1)
            raise StorageError("the disk is full")
        real(spool, epoch)

    monkeypatch.setattr(Spool, "begin_anew", refused_once)
    gateway.writer.note_damage("spool", StoreDamaged("a page"))
    gateway.writer.submit(Batch(lines={Consequence.READING: [line(LINES)]}))
    aside = await gateway.is_healed()
    assert aside.kept == LINES
    assert any("full" in str(error) for error in gateway.errors)
    assert await gateway.delivers_all() == list(range(LINES + 1))
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_a_disk_that_damages_every_file_is_not_filled_with_them(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.writer.note_damage("series", StoreDamaged("a page"))
    await gateway.is_healed()
    gateway.writer.note_damage("series", StoreDamaged("another page"))
    for number in range(20):
        await gateway.takes(LINES + number)
    assert len(gateway.asides) == 1
    await gateway.writer.close()


def test_lines_are_salvaged_from_both_sides_of_the_damage(tmp_path):
    path = tmp_path / "spool.db"
    spool = Spool(path, epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    spool.append([line(n) for n in range(LINES)])
    spool.close()
    spoil(path, 0.5)
    seqs = [row[0] for row in salvage.readable_lines(path)]
    assert seqs[0] == LINES
    assert min(seqs) == 1
    assert 0.95 * LINES < len(set(seqs)) < LINES
    assert list(salvage.readable_lines(path, longest_s=-1)) == []
    path.write_bytes(b"not a database")
    assert list(salvage.readable_lines(path)) == []
