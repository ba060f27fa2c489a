"""A damaged file is moved aside whole, a new one begins, and of a journal what verifies is kept."""

import shutil
import sqlite3

import pytest
from samples.store_samples import EPOCH, alert, copy_as_after_kill, event

from cbrn_core.errors import StorageError
from cbrn_gateway.store import quarantine
from cbrn_gateway.store.database import open_writer
from cbrn_gateway.store.journal_file import JOURNAL_LAYOUT, JournalFile
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.quarantine import open_journal_file, open_or_set_aside
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool
from cbrn_gateway.store.verify import verify_journal

CONSUMERS = (Consumer("mqtt", View.NEWEST), Consumer("log", View.LOG))
LATER = EPOCH + 60
RUBBISH = b"not a database at all, " * 500


def spool_at(path):
    return Spool(path, epoch=EPOCH, max_rows=1000, max_bytes=10**6)


def long_journal(path, entries=200):
    """Make a journal of many pages: alarm a0, a1 … each with one version."""
    journal = JournalFile(path, epoch=EPOCH)
    journal.set_consumers(CONSUMERS)
    journal.append([alert(f"a{n}") for n in range(entries)])
    journal.close()
    return path


def reopened(path):
    return open_journal_file(path, epoch=LATER, consumers=CONSUMERS)


def damage_in_the_middle(path):
    """Spoil one page in the middle of the entries; what stands before stays readable."""
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b'"id":"a120"')
    page = at // 4096 * 4096
    whole[page : page + 4096] = b"\xaa" * 4096
    path.write_bytes(whole)


@pytest.mark.parametrize("open_store", [spool_at, Series])
def test_rubbish_is_moved_aside_and_a_new_file_begins(tmp_path, open_store):
    path = tmp_path / "series.db"
    path.write_bytes(RUBBISH)
    store, aside = open_or_set_aside(path, open_store)
    store.close()
    assert aside.name == "series"
    assert aside.folder.parent == tmp_path / "quarantine"
    assert (aside.folder / "series.db").read_bytes() == RUBBISH
    assert "no database" in (aside.folder / "reason.txt").read_text()
    assert aside.folder.name in str(aside)


def test_a_good_file_is_left_where_it_is(tmp_path):
    path = tmp_path / "spool.db"
    spool_at(path).close()
    spool, aside = open_or_set_aside(path, spool_at)
    spool.close()
    assert aside is None
    assert not (tmp_path / "quarantine").exists()


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_cut_file_is_moved_aside(tmp_path, keep):
    path = tmp_path / "spool.db"
    spool = spool_at(path)
    spool.append([b"x" * 500] * 100)
    spool.close()
    path.write_bytes(path.read_bytes()[:keep])
    spool, aside = open_or_set_aside(path, spool_at)
    assert spool.fill().rows == 0
    spool.close()
    assert (aside.folder / "spool.db").stat().st_size == keep


def test_a_log_without_its_file_is_moved_aside(tmp_path):
    spool = spool_at(tmp_path / "spool.db")
    spool.append([b"one"])
    copied = copy_as_after_kill(tmp_path / "spool.db", tmp_path / "killed")
    spool.close()
    copied.unlink()
    log = copied.with_name("spool.db-wal").read_bytes()
    spool, aside = open_or_set_aside(copied, spool_at)
    spool.append([b"two"])
    spool.close()
    assert (aside.folder / "spool.db-wal").read_bytes() == log


def test_two_damaged_files_of_one_second_lie_in_two_folders(tmp_path):
    folders = set()
    for _ in range(3):
        (tmp_path / "spool.db").write_bytes(RUBBISH)
        spool, aside = open_or_set_aside(tmp_path / "spool.db", spool_at)
        spool.close()
        folders.add(aside.folder)
    assert len(folders) == 3
    assert all((folder / "spool.db").exists() for folder in folders)


def test_a_disk_that_refuses_is_no_damage(tmp_path):
    with pytest.raises(StorageError, match="check folder"):
        open_or_set_aside(tmp_path / "nowhere" / "spool.db", spool_at)


def test_a_whole_journal_goes_on_as_it_was(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    journal, aside = reopened(path)
    assert aside is None
    assert journal.head().epoch == EPOCH
    journal.close()


def test_of_a_damaged_journal_the_verified_beginning_goes_on_in_a_new_epoch(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    damage_in_the_middle(path)
    spoilt = path.read_bytes()
    journal, aside = reopened(path)
    kept = aside.kept
    assert 50 < kept <= 120
    assert (aside.folder / "journal.db").read_bytes() == spoilt
    assert journal.head().seq == kept
    assert journal.head().epoch == LATER + 1
    (sealed,) = journal.append([alert("new")])
    assert sealed["properties"]["seq"] == kept + 1
    assert len(journal.open_alerts()) == kept + 1
    journal.close()
    report = verify_journal(path)
    assert report.ok, str(report)
    assert report.epochs == (EPOCH, LATER + 1)


def test_a_cut_tail_of_the_chain_is_set_aside(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM entries WHERE seq > 150")
    database.close()
    journal, aside = reopened(path)
    assert aside.kept == 150
    assert journal.head().epoch == LATER + 1
    journal.close()


def test_of_a_changed_last_entry_those_before_it_are_kept(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entries SET body = replace(body, '3.1', '9.9') WHERE seq = 200")
    database.close()
    journal, aside = reopened(path)
    assert aside.kept == 199
    assert verify_journal(path).ok
    journal.close()


@pytest.mark.parametrize("content", [RUBBISH, b""])
def test_a_journal_of_which_nothing_can_be_read_begins_anew(tmp_path, content):
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    journal, aside = reopened(path)
    assert aside.kept == 0
    assert journal.head()[:2] == (LATER + 1, 0)
    journal.append([alert()])
    journal.close()
    assert (aside.folder / "journal.db").read_bytes() == content


def test_a_journal_of_a_newer_program_is_set_aside_too(tmp_path):
    path = tmp_path / "journal.db"
    open_writer(path, JOURNAL_LAYOUT._replace(version=99)).close()
    journal, aside = reopened(path)
    assert "layout 99" in aside.reason
    journal.close()


def test_the_log_goes_on_where_it_was_told_and_ended_alarms_are_told_again(tmp_path):
    path = tmp_path / "journal.db"
    journal = JournalFile(path, epoch=EPOCH)
    journal.set_consumers(CONSUMERS)
    journal.append([alert("open"), alert("ended"), alert("ended", 2, state="normal"), event()])
    journal.advance("log", 2)
    journal.append([event("cut off")])
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM entries WHERE seq = 5")
    database.close()
    journal, aside = reopened(path)
    journal.set_consumers(CONSUMERS)
    assert aside.kept == 4
    assert [entry.seq for entry in journal.pending_in_order("log")] == [3, 4]
    assert [(p.alarm_id, p.version) for p in journal.pending_newest("mqtt")] == [("ended", 2)]
    assert [entry.alarm_id for entry in journal.open_alerts()] == ["open"]
    journal.close()


def test_a_clock_set_back_never_repeats_an_epoch(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    damage_in_the_middle(path)
    journal, _ = open_journal_file(path, epoch=EPOCH - 10_000, consumers=CONSUMERS)
    assert journal.head().epoch == EPOCH + 1
    journal.close()


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moves", [0, 1])
def test_a_kill_while_it_is_moved_aside_loses_nothing(tmp_path, monkeypatch, moves):
    """It is killed before, or right after, the damaged file was moved."""
    path = long_journal(tmp_path / "journal.db")
    damage_in_the_middle(path)
    real = quarantine.set_aside

    def killed(path, reason):
        if moves:
            real(path, reason)
        raise Killed

    monkeypatch.setattr(quarantine, "set_aside", killed)
    with pytest.raises(Killed):
        reopened(path)
    monkeypatch.undo()
    journal, aside = reopened(path)
    assert journal.head().seq == aside.kept > 50
    assert journal.head().epoch == LATER + 1
    journal.close()
    assert verify_journal(path).ok
    assert len(list((tmp_path / "quarantine").glob("*/journal.db"))) == 1


def test_a_half_written_new_journal_of_an_earlier_start_is_written_again(tmp_path):
    path = long_journal(tmp_path / "journal.db")
    damage_in_the_middle(path)
    shutil.copyfile(path, tmp_path / "journal.db.salvaged")
    journal, aside = reopened(path)
    assert aside.kept > 50
    journal.close()
    assert verify_journal(path).ok


def test_a_journal_damaged_in_the_second_of_its_birth_gets_another_epoch(tmp_path):
    path = long_journal(tmp_path / "journal.db", entries=1)
    path.write_bytes(RUBBISH)
    journal, _ = open_journal_file(path, epoch=EPOCH, consumers=CONSUMERS)
    assert journal.head().epoch > EPOCH
    journal.close()
