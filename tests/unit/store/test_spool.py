import pytest
from samples.store_samples import EPOCH, START_US, copy_as_after_kill

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import is_disk_full
from cbrn_gateway.store.spool import Consequence, QuarantinedLine, Spool, SpoolLine, SpoolReader

ALARM, FAULT, ESTIMATE, READING = Consequence


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.db"


def opened(path, **options):
    named = {"epoch": EPOCH, "max_rows": 1000, "max_bytes": 1_000_000}
    return Spool(path, **(named | options))


@pytest.fixture
def spool(path):
    spool = opened(path)
    yield spool
    spool.close()


def lines(*numbers):
    return [f"chemical,station=st04 value={n} 1".encode() for n in numbers]


def waiting(spool, **options):
    return [row.line for row in spool.peek(1000, 10**9, **options)]


def test_lines_come_back_in_order_with_epoch_and_seq(spool):
    spool.append(lines(1, 2))
    assert spool.peek(10, 10_000) == [
        SpoolLine(EPOCH, 1, lines(1)[0]),
        SpoolLine(EPOCH, 2, lines(2)[0]),
    ]


def test_peeking_takes_nothing_away(spool):
    spool.append(lines(1))
    assert waiting(spool) == waiting(spool) == lines(1)


def test_a_batch_is_bounded_by_rows_and_by_bytes(spool):
    spool.append([b"x" * 100] * 10)
    assert len(spool.peek(3, 10_000)) == 3
    assert len(spool.peek(10, 350)) == 3


def test_a_line_longer_than_a_batch_still_comes(spool):
    spool.append([b"x" * 100])
    assert len(spool.peek(10, 5)) == 1


def test_delivered_lines_are_deleted(spool):
    spool.append(lines(1, 2, 3))
    spool.delete_through(2)
    assert waiting(spool) == lines(3)
    assert (spool.fill().rows, spool.fill().bytes) == (1, len(lines(3)[0]))


def test_seq_never_repeats_after_everything_was_deleted(path, spool):
    spool.append(lines(1, 2))
    spool.delete_through(2)
    spool.close()
    again = opened(path)
    again.append(lines(3))
    assert again.peek(1, 1000)[0].seq == 3
    again.close()


def test_what_was_never_spooled_cannot_be_delivered(spool):
    spool.append(lines(1))
    with pytest.raises(StorageError, match="not there yet"):
        spool.delete_through(2)
    spool.append(lines(2))
    assert waiting(spool) == lines(1, 2)


def test_an_existing_spool_keeps_its_epoch_and_its_lines(path, spool):
    spool.append(lines(1))
    spool.close()
    again = opened(path, epoch=EPOCH + 999)
    again.append(lines(2))
    assert [row.epoch for row in again.peek(10, 1000)] == [EPOCH, EPOCH]
    again.close()


def test_a_line_stays_until_every_consumer_has_had_it(path):
    spool = opened(path, consumers=("influx", "archive"))
    spool.append(lines(1, 2))
    spool.delete_through(2, "influx")
    assert waiting(spool, consumer="influx") == []
    assert waiting(spool, consumer="archive") == lines(1, 2)
    spool.delete_through(1, "archive")
    assert spool.fill().rows == 1
    spool.close()


def test_a_consumer_that_is_removed_holds_nothing_back(path):
    spool = opened(path, consumers=("influx", "archive"))
    spool.append(lines(1, 2))
    spool.delete_through(2, "influx")
    spool.close()
    again = opened(path, consumers=("influx",))
    assert again.fill().rows == 0
    with pytest.raises(StorageError, match="archive"):
        again.peek(1, 1, "archive")
    again.close()


def test_a_step_back_of_a_cursor_does_nothing(spool):
    spool.append(lines(1, 2, 3))
    spool.delete_through(2)
    spool.delete_through(1)
    assert waiting(spool) == lines(3)


def test_too_many_rows_cost_the_oldest_readings(path):
    spool = opened(path, max_rows=3)
    spool.append(lines(1), ALARM)
    spool.append(lines(2, 3, 4, 5))
    assert waiting(spool) == lines(1, 4, 5)
    assert spool.fill().evicted == {"reading": 2}
    spool.close()


def test_too_many_bytes_cost_the_oldest_readings(path):
    spool = opened(path, max_bytes=350)
    spool.append([b"a" * 100, b"b" * 100, b"c" * 100])
    spool.append([b"d" * 100])
    assert [line[:1] for line in waiting(spool)] == [b"b", b"c", b"d"]
    assert spool.fill().bytes == 300
    spool.close()


def test_eviction_goes_by_consequence_and_alarms_go_last(path):
    spool = opened(path, max_rows=2)
    spool.append(lines(1), FAULT)
    spool.append(lines(2), ESTIMATE)
    spool.append(lines(3))
    assert waiting(spool) == lines(1, 2)
    spool.append(lines(4), ALARM)
    assert waiting(spool) == lines(1, 4)
    spool.append(lines(5), ALARM)
    assert waiting(spool) == lines(4, 5)
    spool.append(lines(6), ALARM)
    assert waiting(spool) == lines(5, 6)
    assert spool.fill().evicted == {"reading": 1, "estimate": 1, "fault": 1, "alarm": 1}
    spool.close()


def test_a_large_eviction_is_whole(path):
    spool = opened(path, max_rows=5)
    spool.append([b"x"] * 4321)
    assert (spool.fill().rows, spool.fill().evicted) == (5, {"reading": 4316})
    assert [row.seq for row in spool.peek(10, 100)] == [4317, 4318, 4319, 4320, 4321]
    spool.close()


def test_losses_are_remembered_after_a_restart(path):
    spool = opened(path, max_rows=1)
    spool.append(lines(1, 2))
    spool.close()
    again = opened(path)
    assert again.fill().evicted == {"reading": 1}
    again.close()


def test_a_quarantined_line_is_skipped_and_kept(spool):
    spool.append(lines(1, 2, 3))
    poison = spool.peek(3, 1000)[1]
    spool.quarantine(poison.seq, poison.line, "field type conflict")
    assert waiting(spool) == lines(1, 3)
    spool.delete_through(3)
    assert spool.fill().rows == 0
    assert spool.quarantined() == [QuarantinedLine(2, lines(2)[0], "field type conflict")]
    assert spool.fill().quarantined == 1


def test_a_line_that_one_consumer_rejects_still_goes_to_the_other(path):
    spool = opened(path, consumers=("influx", "archive"))
    spool.append(lines(1))
    spool.quarantine(1, lines(1)[0], "no", "influx")
    assert waiting(spool, consumer="influx") == []
    assert waiting(spool, consumer="archive") == lines(1)
    spool.close()


def test_the_quarantine_is_bounded(spool, monkeypatch):
    monkeypatch.setattr("cbrn_gateway.store.spool._QUARANTINE_ROWS", 3)
    for seq in range(1, 8):
        spool.quarantine(seq, b"x", "no")
    assert [line.seq for line in spool.quarantined()] == [7, 6, 5]


def test_the_age_of_the_spool_is_that_of_its_oldest_line(spool):
    assert spool.fill().oldest_us is None
    spool.append(lines(1), stored_us=START_US)
    spool.append(lines(2), stored_us=START_US + 1)
    assert spool.fill().oldest_us == START_US
    spool.delete_through(1)
    assert spool.fill().oldest_us == START_US + 1


def test_a_reader_beside_the_writer_sees_what_is_committed(path, spool):
    reader = SpoolReader(path)
    with spool.database.transaction():
        spool.append(lines(1))
        assert waiting(reader) == []
    assert waiting(reader) == lines(1)
    reader.close()


def test_a_full_disk_refuses_and_recovers_with_right_counts(spool):
    connection = spool.database.connection
    spool.append(lines(1))
    fill = spool.fill()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError) as refused:
        spool.append([b"x" * 3000] * 20)
    assert is_disk_full(refused.value)
    assert (spool.fill(), waiting(spool)) == (fill, lines(1))
    connection.execute("PRAGMA max_page_count=100000")
    spool.append([b"x" * 3000] * 20)
    assert spool.fill().rows == 21


def test_counts_hold_after_a_kill(tmp_path, path, spool):
    spool.append(lines(1, 2, 3))
    spool.delete_through(1)
    with spool.database.transaction():
        spool.append(lines(4))
        copied = copy_as_after_kill(path, tmp_path / "killed")
    again = opened(copied)
    assert waiting(again) == lines(2, 3)
    assert again.fill().rows == 2
    again.close()
