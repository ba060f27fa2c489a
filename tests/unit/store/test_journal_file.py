import sqlite3

import pytest
from samples.store_samples import EPOCH, START_US, alert, copy_as_after_kill, event

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_gateway.store.chain import GENESIS_HASH, decode
from cbrn_gateway.store.database import is_disk_full, open_writer
from cbrn_gateway.store.journal_file import JOURNAL_LAYOUT, Head, JournalFile, JournalReader
from cbrn_gateway.store.outbox import Consumer, Start, View
from cbrn_gateway.store.spool import SPOOL_LAYOUT
from cbrn_gateway.store.verify import verify_journal

MQTT = Consumer("mqtt", View.NEWEST)
LOG = Consumer("log", View.LOG)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    file = JournalFile(path, epoch=EPOCH)
    file.set_consumers([MQTT, LOG])
    yield file
    file.close()


def versions(pending):
    return [(p.alarm_id, p.version) for p in pending]


def test_a_new_journal_begins_with_its_epoch(journal):
    assert journal.head() == Head(EPOCH, 0, GENESIS_HASH)


def test_an_existing_journal_continues_epoch_and_seq(path, journal):
    sealed = journal.append([alert()])
    journal.close()
    again = JournalFile(path, epoch=EPOCH + 500)
    (following,) = again.append([event()])
    again.close()
    assert (following["epoch"], following["seq"]) == (EPOCH, 2)
    assert following["prev_hash"] == sealed[0]["properties"]["hash"]


def test_a_restored_journal_continues_seq_in_a_new_epoch(path, journal):
    journal.append([event()])
    journal.close()
    again = JournalFile(path, epoch=EPOCH + 500, restored=True)
    (following,) = again.append([event()])
    again.close()
    assert (following["epoch"], following["seq"]) == (EPOCH + 500, 2)
    assert verify_journal(path).epochs == (EPOCH, EPOCH + 500)


def test_a_restored_journal_never_repeats_an_epoch_when_the_clock_is_wrong(path, journal):
    journal.append([event()])
    journal.close()
    again = JournalFile(path, epoch=5, restored=True)
    assert again.head().epoch == EPOCH + 1
    again.close()


def test_what_is_returned_is_what_is_stored(journal):
    sealed = journal.append([alert(), event()])
    assert [entry.decode() for entry in journal.entries()] == sealed


def test_rows_say_what_they_hold(journal):
    journal.append([alert("x", 4), event(time_us=7)])
    first, second = journal.entries()
    assert (first.type, first.alarm_id, first.version) == ("alert", "x", 4)
    assert first.time_us == START_US + 4_000_000
    assert (second.type, second.alarm_id, second.version) == ("comment", None, None)
    assert second.time_us == 7


def test_an_alert_without_a_readable_time_is_journalled_all_the_same(journal):
    odd = alert()
    odd["properties"]["changed_at"] = "yesterday"
    journal.append([odd])
    assert journal.entries()[0].time_us is None


def test_the_same_alert_version_is_journalled_once(journal):
    (first,) = journal.append([alert("x", 1)])
    (again, _) = journal.append([alert("x", 1, value=99.0), event()])
    assert again == first
    assert [e.seq for e in journal.entries()] == [1, 2]


def test_a_repeat_within_one_call_is_journalled_once(journal):
    one, two = journal.append([alert("x", 1), alert("x", 1)])
    assert one == two
    assert journal.head().seq == 1


def test_one_bad_entry_keeps_the_whole_call_out(journal):
    with pytest.raises(StorageError):
        journal.append([alert("good"), alert("bad", value=float("nan"))])
    assert journal.head() == Head(EPOCH, 0, GENESIS_HASH)
    assert journal.entries() == []
    assert journal.pending_newest("mqtt") == []


@pytest.mark.parametrize(
    ("field", "entry"),
    [("id", alert("")), ("version", alert(version=1) | {"properties": {"version": "1"}})],
)
def test_an_alert_that_cannot_be_identified_is_refused(journal, field, entry):
    with pytest.raises(StorageError, match=field):
        journal.append([entry])


def test_open_alerts_are_the_newest_versions_that_are_not_normal(journal):
    journal.append([alert("a", 1), alert("b", 1), alert("a", 2, state="ack"), event()])
    journal.append([alert("b", 2, state="normal"), alert("c", 1, state="latched")])
    found = [
        (e.alarm_id, e.version, e.decode()["properties"]["state"]) for e in journal.open_alerts()
    ]
    assert found == [("a", 2, "ack"), ("c", 1, "latched")]


def test_an_older_version_that_comes_late_is_logged_but_opens_nothing(journal):
    journal.append([alert("a", 2, state="normal")])
    journal.append([alert("a", 1)])
    assert journal.open_alerts() == []
    assert versions(journal.pending_newest("mqtt")) == [("a", 2)]
    assert len(journal.pending_in_order("log")) == 2


def test_pending_alerts_come_by_priority_then_age(journal):
    journal.append([alert("d", priority="D"), alert("c", priority=2), alert("a"), alert("b")])
    found = [(p.alarm_id, p.priority) for p in journal.pending_newest("mqtt")]
    assert found == [("a", 1), ("b", 1), ("c", 2), ("d", 4)]


def test_a_drill_never_stands_before_a_real_alert(journal):
    journal.append([alert("drill", purpose="exercise"), alert("test", purpose="test")])
    journal.append([alert("real", priority="D")])
    assert [p.alarm_id for p in journal.pending_newest("mqtt")] == ["real", "drill", "test"]


@pytest.mark.parametrize("written", [None, 0, 9, "high", [1]])
def test_an_unreadable_priority_counts_as_the_highest(journal, written):
    journal.append([alert("b", priority=2), alert("odd", priority=written)])
    assert journal.pending_newest("mqtt")[0].alarm_id == "odd"


def test_only_the_newest_version_of_an_alarm_is_pending(journal):
    journal.append([alert("a", 1), alert("a", 2), alert("a", 3, state="normal")])
    (pending,) = journal.pending_newest("mqtt")
    assert (pending.version, pending.seq) == (3, 3)
    assert pending.decode() == journal.entries()[2].decode()


def test_a_version_that_came_during_delivery_stays_pending(journal):
    journal.append([alert("a", 1)])
    in_flight = journal.pending_newest("mqtt")
    journal.append([alert("a", 2)])
    journal.delivered("mqtt", [p.seq for p in in_flight])
    assert versions(journal.pending_newest("mqtt")) == [("a", 2)]


def test_what_was_delivered_does_not_come_back(path, journal):
    journal.append([alert("a", 1)])
    journal.delivered("mqtt", [1])
    journal.close()
    again = JournalFile(path, epoch=0)
    again.set_consumers([MQTT, LOG])
    assert again.pending_newest("mqtt") == []
    again.close()


def test_the_log_comes_strictly_by_seq_behind_its_cursor(journal):
    journal.append([event(str(n)) for n in range(5)])
    journal.advance("log", 2)
    assert [e.seq for e in journal.pending_in_order("log", 2)] == [3, 4]
    journal.advance("log", 1)
    assert [e.seq for e in journal.pending_in_order("log")] == [3, 4, 5]


def test_a_cursor_cannot_pass_the_newest_entry(journal):
    journal.append([event()])
    with pytest.raises(StorageError):
        journal.advance("log", 2)
    assert [e.seq for e in journal.pending_in_order("log")] == [1]


def test_a_new_consumer_starts_at_the_open_alerts_or_at_the_head(journal):
    journal.append([alert("a"), alert("b", state="normal")])
    late = [Consumer("soc", View.NEWEST), Consumer("log2", View.LOG)]
    journal.set_consumers([MQTT, LOG, *late])
    assert versions(journal.pending_newest("soc")) == [("a", 1)]
    assert journal.pending_in_order("log2") == []
    journal.append([event()])
    assert [e.seq for e in journal.pending_in_order("log2")] == [3]


def test_a_new_consumer_can_start_elsewhere(journal):
    journal.append([alert("a"), event()])
    late = [
        Consumer("soc", View.NEWEST, Start.HEAD),
        Consumer("log2", View.LOG, Start.BEGINNING),
    ]
    journal.set_consumers([MQTT, LOG, *late])
    assert journal.pending_newest("soc") == []
    assert [e.seq for e in journal.pending_in_order("log2")] == [1, 2]


def test_a_removed_consumer_loses_its_outbox_and_the_others_nothing(journal):
    journal.append([alert("a"), alert("b", state="normal")])
    journal.set_consumers([LOG])
    with pytest.raises(StorageError, match="mqtt"):
        journal.pending_newest("mqtt")
    assert len(journal.pending_in_order("log")) == 2
    journal.set_consumers([MQTT, LOG])
    assert versions(journal.pending_newest("mqtt")) == [("a", 1)]


def test_a_consumer_that_changes_its_view_starts_anew(journal):
    journal.append([alert("a")])
    journal.set_consumers([Consumer("mqtt", View.LOG)])
    with pytest.raises(StorageError):
        journal.pending_newest("mqtt")
    assert journal.pending_in_order("mqtt") == []


def test_two_consumers_of_one_name_are_refused_and_nothing_changes(journal):
    journal.append([alert("a")])
    with pytest.raises(StorageError):
        journal.set_consumers([MQTT, Consumer("mqtt", View.LOG)])
    assert versions(journal.pending_newest("mqtt")) == [("a", 1)]


@pytest.mark.parametrize(
    ("view", "start"), [(View.NEWEST, Start.BEGINNING), (View.LOG, Start.OPEN)]
)
def test_a_start_that_a_view_cannot_have_is_refused(view, start):
    with pytest.raises(ValueError, match="cannot start"):
        Consumer("x", view, start)


def test_a_full_disk_refuses_and_leaves_nothing_half_written(path, journal):
    connection = journal.database.connection
    journal.append([alert("a", 1)])
    head = journal.head()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    large = [event("x" * 3000) for _ in range(20)]
    with pytest.raises(StorageError) as refused:
        journal.append([alert("a", 2), *large])
    assert is_disk_full(refused.value)
    assert journal.head() == head
    assert versions(journal.pending_newest("mqtt")) == [("a", 1)]
    connection.execute("PRAGMA max_page_count=1000000")
    journal.append([alert("a", 2), *large])
    assert journal.head().seq == 22
    assert verify_journal(path).ok


def test_another_kind_of_file_is_not_taken_for_a_journal(path):
    open_writer(path, SPOOL_LAYOUT).close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="something else than a journal"):
        JournalFile(path, epoch=EPOCH)
    assert path.read_bytes() == before


def test_a_foreign_database_is_not_taken_for_a_new_journal(path):
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    with pytest.raises(StorageError, match="something else"):
        JournalFile(path, epoch=EPOCH)


def test_a_journal_of_a_newer_program_is_refused(path):
    open_writer(path, JOURNAL_LAYOUT._replace(version=99)).close()
    with pytest.raises(StorageError, match="layout 99"):
        JournalFile(path, epoch=EPOCH)


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_cut_file_is_refused_with_what_to_do_and_left_alone(path, journal, keep):
    journal.append([event("x" * 500) for _ in range(100)])
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    before = path.read_bytes()
    with pytest.raises(StorageError, match="move it aside"):
        JournalFile(path, epoch=EPOCH)
    assert path.read_bytes() == before


def test_a_file_of_rubbish_is_refused_and_left_alone(path):
    path.write_bytes(b"not a database at all, " * 500)
    with pytest.raises(StorageError, match="move it aside"):
        JournalFile(path, epoch=EPOCH)
    assert path.read_bytes().startswith(b"not a database")


@pytest.mark.parametrize("lose", ["unlink", "empty"])
def test_a_log_without_its_file_is_kept(tmp_path, path, journal, lose):
    journal.append([alert()])
    copied = copy_as_after_kill(path, tmp_path / "killed")
    log = copied.with_name("journal.db-wal")
    before = log.read_bytes()
    if lose == "unlink":
        copied.unlink()
    else:
        copied.write_bytes(b"")
    with pytest.raises(StorageError, match="still holds entries"):
        JournalFile(copied, epoch=EPOCH)
    assert log.read_bytes() == before


def test_a_tampered_end_is_not_built_upon(path, journal):
    journal.append([event("a"), event("b")])
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM entries WHERE seq = 2")
    database.close()
    with pytest.raises(ChainBroken, match="run verify") as broken:
        JournalFile(path, epoch=EPOCH)
    assert broken.value.seq == 1


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="check folder"):
        JournalFile(tmp_path / "nowhere" / "journal.db", epoch=EPOCH)


def test_reading_a_journal_that_is_not_there_makes_none(path):
    with pytest.raises(StorageError, match="there is no journal"):
        JournalReader(path)
    assert not path.exists()


def test_a_reader_sees_what_is_committed_while_the_writer_writes(path, journal):
    reader = JournalReader(path)
    journal.append([event("a")])
    assert [e.seq for e in reader.entries()] == [1]
    with journal.database.transaction():
        journal.append([event("b")])
        assert reader.head().seq == 1
    assert reader.head().seq == 2
    reader.close()


def test_a_reader_cannot_write(path, journal):
    reader = JournalReader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._database.connection.execute("DELETE FROM entries")
    reader.close()


def test_stored_bodies_are_canonical_json(journal):
    journal.append([alert()])
    body = journal.entries()[0].body
    assert body.startswith(b'{"geometry":{"coordinates":[10.73,59.91]')
    assert decode(body)["id"] == "a1"


def test_the_journal_survives_a_power_cut_by_its_settings(journal):
    connection = journal.database.connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
