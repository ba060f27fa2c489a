import json
import random
import sqlite3

import pytest
from samples.store_samples import EPOCH, alert, event

from cbrn_core.errors import StorageError
from cbrn_gateway.store.chain import canonical, decode, entry_hash
from cbrn_gateway.store.journal_file import JournalFile
from cbrn_gateway.store.verify import verify_journal

ENTRIES = 8


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.db"
    journal = JournalFile(path, epoch=EPOCH)
    for n in range(1, ENTRIES, 2):
        journal.append([alert("a", n, value=n / 7), event(f"note {n}", number=1e21)])
    journal.close()
    return path


def edit(path, sql, *parameters):
    with sqlite3.connect(path) as database:
        database.execute(sql, parameters)
    database.close()


def body_of(path, seq):
    with sqlite3.connect(path) as database:
        (body,) = database.execute("SELECT body FROM entries WHERE seq = ?", (seq,)).fetchone()
    database.close()
    return body


def test_an_untouched_journal_verifies(path):
    report = verify_journal(path)
    assert (report.ok, report.entries, report.last_seq) == (True, ENTRIES, ENTRIES)


def test_any_changed_byte_of_a_body_names_its_entry(path):
    chance = random.Random(7)
    database = sqlite3.connect(path, isolation_level=None)
    for seq in range(1, ENTRIES + 1):
        body = body_of(path, seq)
        for at in sorted(chance.sample(range(len(body)), 40)):
            changed = bytearray(body)
            changed[at] ^= chance.randrange(1, 256)
            database.execute("UPDATE entries SET body = ? WHERE seq = ?", (bytes(changed), seq))
            report = verify_journal(path)
            assert (report.ok, report.bad_seq, report.entries) == (False, seq, seq - 1), changed
        database.execute("UPDATE entries SET body = ? WHERE seq = ?", (body, seq))
    database.close()
    assert verify_journal(path).ok


def test_the_same_content_written_otherwise_is_named(path):
    edit(
        path,
        "UPDATE entries SET body = ? WHERE seq = 3",
        json.dumps(decode(body_of(path, 3)), indent=1).encode(),
    )
    assert verify_journal(path).bad_seq == 3


def test_a_key_written_twice_is_named(path):
    body = body_of(path, 2)
    edit(path, "UPDATE entries SET body = ? WHERE seq = 2", b'{"text":"x",' + body[1:])
    assert verify_journal(path).bad_seq == 2


@pytest.mark.parametrize(
    "change",
    [
        "epoch = epoch + 1",
        "version = 77",
        "alarm_id = 'b'",
        "type = 'alarm'",
        "time_us = 0",
        "body = x''",
        "body = CAST(body AS TEXT)",
        "type = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_changed_column_is_named(path, change):
    edit(path, f"UPDATE entries SET {change} WHERE seq = 5")
    report = verify_journal(path)
    assert (report.ok, report.bad_seq, report.entries) == (False, 5, 4)


def test_a_removed_entry_is_named(path):
    edit(path, "DELETE FROM entries WHERE seq = 4")
    report = verify_journal(path)
    assert (report.bad_seq, report.problem) == (4, "entry 4 is missing: 5 comes next")


def test_a_moved_entry_is_named(path):
    edit(path, "UPDATE entries SET seq = 40 WHERE seq = 4")
    assert verify_journal(path).bad_seq == 4


def test_a_cut_tail_is_named(path):
    edit(path, "DELETE FROM entries WHERE seq > 6")
    report = verify_journal(path)
    assert report.bad_seq == 7
    assert report.problem == "the last entries are missing: the journal ends at 6, not 8"


def test_an_emptied_journal_is_named(path):
    edit(path, "DELETE FROM entries")
    assert verify_journal(path).bad_seq == 1


def test_a_last_entry_rewritten_with_a_right_hash_is_named(path):
    entry = decode(body_of(path, 8))
    entry["text"] = "nothing happened"
    entry["hash"] = entry_hash(entry)
    edit(path, "UPDATE entries SET body = ? WHERE seq = 8", canonical(entry))
    report = verify_journal(path)
    assert report.bad_seq == 8
    assert "is not the one that the journal remembers" in str(report)


def test_an_alarm_hidden_from_the_list_of_open_ones_is_named(path):
    edit(path, "UPDATE newest SET is_open = 0")
    report = verify_journal(path)
    assert (report.ok, report.bad_seq) == (False, 7)
    edit(path, "DELETE FROM newest")
    assert verify_journal(path).bad_seq == 1


def test_a_cut_file_is_described_in_plain_words(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    report = verify_journal(path)
    assert not report.ok
    assert "damaged" in str(report)


def test_damage_in_the_middle_of_the_file_is_described_in_plain_words(tmp_path):
    path = tmp_path / "large.db"
    journal = JournalFile(path, epoch=EPOCH)
    journal.append([event("x" * 2000) for _ in range(60)])
    journal.close()
    pages = bytearray(path.read_bytes())
    pages[len(pages) // 2 : len(pages) // 2 + 8192] = b"\xa5" * 8192
    path.write_bytes(pages)
    report = verify_journal(path)
    assert not report.ok
    assert 0 < report.entries < 60
    assert report.bad_seq == report.entries + 1


def test_rubbish_is_described_in_plain_words(tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"rubbish" * 1000)
    report = verify_journal(path)
    assert (report.ok, report.entries) == (False, 0)
    assert "is no database" in str(report)


def test_a_journal_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="there is no journal"):
        verify_journal(tmp_path / "journal.db")


def test_verifying_changes_nothing(path):
    before = path.read_bytes()
    verify_journal(path)
    assert path.read_bytes() == before
