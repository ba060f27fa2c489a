import asyncio
import threading

import pytest
from samples.store_samples import EPOCH, alert, event

from cbrn_core.errors import StorageError
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.journal_file import JournalReader
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.verify import verify_journal

CONSUMERS = [Consumer("mqtt", View.NEWEST), Consumer("log", View.LOG)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def opened(path):
    return Journal.open(path, epoch=EPOCH, consumers=CONSUMERS)


class HeldDisk:
    """Keeps the journal's writing thread busy until it is let go."""

    def __init__(self, journal):
        self._go = threading.Event()
        self._busy = threading.Event()
        self._job = journal._committer.submit(self._hold)
        self._busy.wait()

    def _hold(self):
        self._busy.set()
        self._go.wait()

    def let_go(self):
        self._go.set()
        self._job.result()


def limit_pages(journal, pages):
    """Set the largest size of the file in pages, None for no limit; return what it has."""
    connection = journal._file.database.connection

    def job():
        (used,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={used if pages is None else pages}")

    journal._committer.submit(job).result()


@pytest.mark.asyncio
async def test_an_alert_is_on_disk_when_append_returns(path):
    journal = opened(path)
    (sealed,) = await journal.append([alert("a", 1)])
    reader = JournalReader(path)
    assert reader.entries()[0].decode() == sealed
    reader.close()
    await journal.close()


@pytest.mark.asyncio
async def test_many_appends_at_once_keep_their_order_and_one_chain(path):
    journal = opened(path)
    sealed = await asyncio.gather(*(journal.append([event(str(n))]) for n in range(300)))
    assert [entry[0]["seq"] for entry in sealed] == list(range(1, 301))
    assert [entry[0]["text"] for entry in sealed] == [str(n) for n in range(300)]
    await journal.close()
    assert verify_journal(path).entries == 300


@pytest.mark.asyncio
async def test_what_queued_up_becomes_one_transaction(path):
    journal = opened(path)
    held = HeldDisk(journal)
    waiting = [asyncio.ensure_future(journal.append([event(str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    commits = []
    journal._file.database.connection.set_trace_callback(
        lambda sql: commits.append(sql) if sql == "COMMIT" else None
    )
    held.let_go()
    await asyncio.gather(*waiting)
    await journal.close()
    # the holder's own and one for the twenty
    assert len(commits) == 2


@pytest.mark.asyncio
async def test_a_bad_entry_does_not_fail_those_committed_with_it(path):
    journal = opened(path)
    held = HeldDisk(journal)
    waiting = [
        asyncio.ensure_future(journal.append([entry]))
        for entry in (alert("a"), alert("b", value=float("nan")), alert("c"))
    ]
    await asyncio.sleep(0)
    held.let_go()
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(second, StorageError)
    assert [first[0]["id"], third[0]["id"]] == ["a", "c"]
    await journal.close()
    assert verify_journal(path).entries == 2


@pytest.mark.asyncio
async def test_an_entry_too_large_for_the_disk_does_not_fail_an_alarm_beside_it(path):
    journal = opened(path)
    await journal.append([event("x" * 100)])
    limit_pages(journal, None)
    held = HeldDisk(journal)
    small = asyncio.ensure_future(journal.append([alert("a")]))
    large = asyncio.ensure_future(journal.append([event("x" * 500_000)]))
    await asyncio.sleep(0)
    held.let_go()
    with pytest.raises(StorageError, match="disk is full"):
        await large
    assert (await small)[0]["properties"]["seq"] == 2
    await journal.close()
    assert verify_journal(path).entries == 2


@pytest.mark.asyncio
async def test_a_full_disk_is_told_and_a_later_retry_works(path):
    journal = opened(path)
    await journal.append([alert("a", 1)])
    limit_pages(journal, None)
    before = await journal.head()
    entries = [alert("a", 2), *(event("x" * 3000) for _ in range(20))]
    with pytest.raises(StorageError, match="disk is full"):
        await journal.append(entries)
    assert await journal.head() == before
    limit_pages(journal, 1_000_000)
    sealed = await journal.append(entries)
    assert sealed[0]["properties"]["seq"] == 2
    assert sealed[0]["properties"]["prev_hash"] == before.hash
    await journal.close()
    assert verify_journal(path).ok


@pytest.mark.asyncio
async def test_a_caller_that_stops_waiting_loses_nothing(path):
    journal = opened(path)
    held = HeldDisk(journal)
    waiting = asyncio.ensure_future(journal.append([alert("a", 1)]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.let_go()
    (sealed,) = await journal.append([alert("a", 1, value=9.0)])
    assert sealed["properties"]["value"] == 3.1
    await journal.close()


@pytest.mark.asyncio
async def test_reading_goes_on_while_the_disk_holds_the_writer(path):
    journal = opened(path)
    await journal.append([alert("a", 1)])
    held = HeldDisk(journal)
    assert [e.alarm_id for e in await journal.open_alerts()] == ["a"]
    assert [p.alarm_id for p in await journal.pending_newest("mqtt")] == ["a"]
    held.let_go()
    await journal.close()


@pytest.mark.asyncio
async def test_deliveries_are_noted(path):
    journal = opened(path)
    await journal.append([alert("a", 1), alert("b", 1)])
    (first, _) = await journal.pending_newest("mqtt")
    await journal.delivered("mqtt", [first.seq])
    await journal.advance("log", 1)
    await journal.close()
    again = opened(path)
    assert [p.alarm_id for p in await again.pending_newest("mqtt")] == ["b"]
    assert [e.seq for e in await again.pending_in_order("log")] == [2]
    await again.close()


@pytest.mark.asyncio
async def test_consumers_follow_a_new_configuration(path):
    journal = opened(path)
    await journal.append([alert("a", 1)])
    await journal.set_consumers([*CONSUMERS, Consumer("soc", View.NEWEST)])
    assert [p.alarm_id for p in await journal.pending_newest("soc")] == ["a"]
    with pytest.raises(StorageError, match="nobody"):
        await journal.delivered("nobody", [1])
    await journal.close()


@pytest.mark.asyncio
async def test_what_was_queued_before_closing_is_written(path):
    journal = opened(path)
    waiting = [asyncio.ensure_future(journal.append([event(str(n))])) for n in range(50)]
    await asyncio.sleep(0)
    await journal.close()
    await asyncio.gather(*waiting)
    assert verify_journal(path).entries == 50


@pytest.mark.asyncio
async def test_a_closed_journal_refuses(path):
    journal = opened(path)
    await journal.close()
    await journal.close()
    with pytest.raises(StorageError, match="closed"):
        await journal.append([event()])
    with pytest.raises(StorageError, match="closed"):
        await journal.head()


@pytest.mark.asyncio
async def test_a_disk_that_does_not_answer_is_told_at_closing(path, monkeypatch):
    monkeypatch.setattr("cbrn_gateway.store.journal._CLOSE_TIMEOUT_S", 0.01)
    journal = opened(path)
    held = HeldDisk(journal)
    with pytest.raises(StorageError, match="did not finish"):
        await journal.close()
    held.let_go()


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_ever_when_the_thread_dies(path):
    journal = opened(path)
    held = HeldDisk(journal)
    broken = asyncio.wrap_future(journal._committer.submit(lambda: 1 // 0))
    behind = asyncio.ensure_future(journal.append([alert("a")]))
    await asyncio.sleep(0)
    held.let_go()
    with pytest.raises(StorageError):
        await broken
    with pytest.raises(StorageError):
        await behind
    journal._committer._thread.join()
    with pytest.raises(StorageError, match="closed"):
        await journal.append([alert("a")])
    await journal.close()


def test_a_journal_that_cannot_be_opened_leaves_no_thread_behind(path):
    path.write_bytes(b"rubbish" * 1000)
    before = threading.active_count()
    with pytest.raises(StorageError):
        opened(path)
    assert threading.active_count() == before
