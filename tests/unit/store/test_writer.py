import asyncio
import threading

import pytest
from samples.store_samples import EPOCH, START_US, estimate, reading, readings_after

from cbrn_core.errors import StorageError
from cbrn_gateway.store.series import Series, SeriesReader, Snapshot
from cbrn_gateway.store.spool import Consequence, Spool, SpoolReader
from cbrn_gateway.store.writer import Batch, Writer

KEY = ("st04", "cl2")
NEVER_S = 3600.0


class Stores:
    """A writer on fresh files, with the errors it told."""

    def __init__(self, folder, **options):
        self.folder = folder
        self.series = Series(folder / "series.db")
        self.spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10_000, max_bytes=10_000_000)
        self.errors = asyncio.Queue()
        self.writer = Writer(self.series, self.spool, on_error=self.errors.put_nowait, **options)

    def stored(self):
        reader = SeriesReader(self.folder / "series.db")
        found = reader.readings(KEY)
        reader.close()
        return found

    def spooled(self):
        reader = SpoolReader(self.folder / "spool.db")
        found = [row.line for row in reader.peek(10_000, 10**9)]
        reader.close()
        return found


class HeldWriter:
    """Keeps the writer's thread busy in the series file until it is let go."""

    def __init__(self, writer):
        self._go = threading.Event()
        busy = threading.Event()

        def hold():
            busy.set()
            self._go.wait()

        with writer._wake:
            writer._series_lane.ask(hold)
            writer._wake.notify()
        busy.wait()

    def let_go(self):
        self._go.set()


def limit_pages(database, pages=None):
    """Set the largest size of a file in pages, by default what it has."""
    (used,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count={pages or used}")


def lines(*numbers):
    return [f"chemical value={n} 1".encode() for n in numbers]


def batch(*seconds):
    return Batch(
        readings=[reading(s) for s in seconds],
        lines={Consequence.READING: lines(*seconds)},
        stored_us=START_US,
    )


@pytest.mark.asyncio
async def test_what_was_submitted_is_on_disk_after_a_flush(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(1, 2))
    stores.writer.submit(Batch(estimates=[estimate(2)]))
    assert await stores.writer.flush() == 3
    assert stores.stored() == [reading(1), reading(2)]
    assert stores.spooled() == lines(1, 2)
    await stores.writer.close()


@pytest.mark.asyncio
async def test_rows_are_committed_by_themselves_after_the_interval(tmp_path):
    stores = Stores(tmp_path, interval_s=0.001)
    committed = asyncio.get_running_loop().create_future()
    done = stores.writer._write_lines

    def then_tell(rows):
        done(rows)
        committed.get_loop().call_soon_threadsafe(committed.set_result, None)

    stores.writer._spool_lane._write = then_tell
    stores.writer.submit(batch(1))
    await asyncio.wait_for(committed, 10)
    await stores.writer.close()
    assert stores.stored() == [reading(1)]


@pytest.mark.asyncio
async def test_enough_rows_are_committed_before_the_interval(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S, commit_rows=4)
    committed = asyncio.get_running_loop().create_future()
    done = stores.writer._write_samples

    def then_tell(rows):
        done(rows)
        committed.get_loop().call_soon_threadsafe(committed.set_result, len(rows["reading"]))

    stores.writer._series_lane._write = then_tell
    stores.writer.submit(Batch(readings=[reading(1), reading(2), reading(3)]))
    assert not committed.done()
    stores.writer.submit(Batch(readings=[reading(4)]))
    assert await asyncio.wait_for(committed, 10) == 4
    await stores.writer.close()


@pytest.mark.asyncio
async def test_submitting_never_waits_for_the_disk(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    held = HeldWriter(stores.writer)
    for second in range(100):
        stores.writer.submit(batch(second))
    assert stores.writer.counters()["series_waiting"] == 100
    assert stores.writer.committed_row == 0
    held.let_go()
    assert await stores.writer.flush() == 100
    await stores.writer.close()


@pytest.mark.asyncio
async def test_a_slow_disk_costs_the_oldest_readings_counted_by_name(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S, max_waiting_rows=3)
    held = HeldWriter(stores.writer)
    stores.writer.submit(Batch(lines={Consequence.ALARM: lines("alarm")}))
    stores.writer.submit(batch(1, 2, 3, 4, 5))
    held.let_go()
    await stores.writer.flush()
    assert stores.stored() == [reading(3), reading(4), reading(5)]
    assert stores.spooled() == lines(4, 5, "alarm")
    counters = stores.writer.counters()
    assert counters["series_dropped_reading"] == 2
    assert counters["spool_dropped_reading"] == 3
    assert "spool_dropped_alarm" not in counters
    await stores.writer.close()


@pytest.mark.asyncio
async def test_a_full_disk_is_told_and_nothing_is_lost_when_it_returns(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(0))
    await stores.writer.flush()
    limit_pages(stores.series.database)
    many = [reading(s) for s in range(1, 2001)]
    stores.writer.submit(Batch(readings=many))
    with pytest.raises(StorageError, match="disk is full"):
        await stores.writer.flush()
    told = await asyncio.wait_for(stores.errors.get(), 10)
    assert "disk is full" in str(told)
    assert stores.writer.committed_row == 1
    assert stores.stored() == [reading(0)]
    limit_pages(stores.series.database, 1_000_000)
    assert await stores.writer.flush() == 2001
    assert len(stores.stored()) == 2001
    await stores.writer.close()


@pytest.mark.asyncio
async def test_one_file_that_refuses_does_not_stop_the_other(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    limit_pages(stores.spool.database)
    stores.writer.submit(Batch(readings=[reading(1)], lines={Consequence.READING: [b"x" * 50_000]}))
    with pytest.raises(StorageError):
        await stores.writer.flush()
    assert stores.stored() == [reading(1)]
    assert stores.writer.committed_row == 1
    with pytest.raises(StorageError, match="1 rows could not be written"):
        await stores.writer.close()


@pytest.mark.asyncio
async def test_a_snapshot_is_saved_after_the_samples_it_knows(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    row = stores.writer.submit(Batch(readings=[reading(1)], estimates=[estimate(1)]))
    kept = Snapshot(journal_seq=7, last_row=row, config_hash="c0ffee", state=b"bank")
    stores.writer.submit(Batch(readings=[reading(2)]))
    await stores.writer.save_snapshot(kept)
    reader = SeriesReader(tmp_path / "series.db")
    assert reader.load_snapshot() == kept
    assert readings_after(reader, row) == [reading(2)]
    reader.close()
    await stores.writer.close()


@pytest.mark.asyncio
async def test_no_snapshot_is_saved_while_lines_of_its_samples_wait(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    limit_pages(stores.spool.database)
    too_large = Batch(readings=[reading(1)], lines={Consequence.READING: [b"x" * 50_000]})
    row = stores.writer.submit(too_large)
    with pytest.raises(StorageError):
        await stores.writer.save_snapshot(
            Snapshot(journal_seq=1, last_row=row, config_hash="c", state=b"bank")
        )
    reader = SeriesReader(tmp_path / "series.db")
    assert reader.load_snapshot() is None
    reader.close()
    with pytest.raises(StorageError, match="1 rows could not be written"):
        await stores.writer.close()


@pytest.mark.asyncio
async def test_row_numbers_go_on_after_a_restart(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    assert stores.writer.submit(batch(1, 2)) == 2
    await stores.writer.close()
    again = Stores(tmp_path, interval_s=NEVER_S)
    assert again.writer.committed_row == 2
    assert again.writer.submit(batch(3)) == 3
    await again.writer.close()


@pytest.mark.asyncio
async def test_the_sink_reads_deletes_and_quarantines_through_the_writer(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(1, 2, 3))
    await stores.writer.flush()
    found = await stores.writer.peek_lines(2, 10_000)
    assert [row.line for row in found] == lines(1, 2)
    await stores.writer.quarantine_line(found[1].seq, found[1].line, "type conflict")
    await stores.writer.delete_lines_through(found[0].seq)
    assert [row.line for row in await stores.writer.peek_lines(9, 10_000)] == lines(3)
    fill = await stores.writer.spool_fill()
    assert (fill.rows, fill.quarantined, fill.oldest_us) == (2, 1, START_US)
    await stores.writer.close()


@pytest.mark.asyncio
async def test_a_refused_job_does_not_undo_the_rows_beside_it(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(1))
    with pytest.raises(StorageError, match="not there yet"):
        await stores.writer.delete_lines_through(99)
    assert stores.spooled() == lines(1)
    assert stores.errors.empty()
    await stores.writer.close()


@pytest.mark.asyncio
async def test_closing_commits_what_waits_and_refuses_what_comes(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(1))
    await stores.writer.close()
    await stores.writer.close()
    assert stores.stored() == [reading(1)]
    assert stores.spooled() == lines(1)
    with pytest.raises(StorageError):
        stores.writer.submit(batch(2))
    with pytest.raises(StorageError):
        await stores.writer.flush()
    with pytest.raises(StorageError):
        await stores.writer.peek_lines(1, 1)


@pytest.mark.asyncio
async def test_closing_commits_what_came_while_the_disk_was_busy(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    held = HeldWriter(stores.writer)
    stores.writer.submit(batch(1))
    closing = asyncio.ensure_future(stores.writer.close())
    await asyncio.sleep(0)
    held.let_go()
    await closing
    assert stores.stored() == [reading(1)]


@pytest.mark.asyncio
async def test_a_disk_that_does_not_answer_is_told_at_closing(tmp_path, monkeypatch):
    monkeypatch.setattr("cbrn_gateway.store.writer._CLOSE_TIMEOUT_S", 0.01)
    stores = Stores(tmp_path, interval_s=NEVER_S)
    held = HeldWriter(stores.writer)
    with pytest.raises(StorageError, match="did not answer"):
        await stores.writer.close()
    held.let_go()
    stores.writer._thread.join()


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_says_so_and_leaves_nobody_waiting(tmp_path):
    stores = Stores(tmp_path, interval_s=NEVER_S)
    stores.writer.submit(batch(1))
    with pytest.raises(StorageError, match="has failed"):
        await stores.writer._ask(stores.writer._spool_lane, lambda: 1 // 0)
    assert "ended" in str(await asyncio.wait_for(stores.errors.get(), 10))
    stores.writer._thread.join()
    with pytest.raises(StorageError):
        stores.writer.submit(batch(2))
