"""Old rows are rolled up into chunks in small steps; nothing is lost, doubled or hurried."""

import sqlite3

import pytest
from samples.rolling import LATER_S, grown_old, remember, roll
from samples.store_samples import START_US, copy_as_after_kill, estimate, reading

from cbrn_core.units import Unit
from cbrn_gateway.store import roller as module
from cbrn_gateway.store.roller import LOOK_EVERY_S, STEP_PAUSE_S, Roller
from cbrn_gateway.store.rollup import SLOT_US
from cbrn_gateway.store.series import Series, SeriesReader
from cbrn_gateway.store.series_rows import SampleKind

KEY = ("st04", "cl2")
US = 1_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "series.db"


@pytest.fixture
def series(path):
    series = Series(path)
    yield series
    series.close()


class Watch:
    """A clock that shows `per_look_s` more at each look."""

    def __init__(self, per_look_s=0.0):
        self.now_s = 0.0
        self.per_look_s = per_look_s

    def __call__(self):
        self.now_s += self.per_look_s
        return self.now_s


def in_head(series):
    rows = series.database.connection.execute("SELECT time_us FROM head ORDER BY row")
    return [(time_us - START_US) // US for (time_us,) in rows]


def chunks(series):
    query = "SELECT rows FROM chunks ORDER BY channel_id, first_us"
    return [rows for (rows,) in series.database.connection.execute(query)]


def test_old_rows_become_chunks_of_aligned_five_minutes(series):
    kept = [reading(second) for second in range(900)]
    grown_old(series, kept, [estimate(second) for second in range(900)])
    roller = Roller(series)
    roll(roller)
    slots = [r.time_us // SLOT_US for r in kept]
    assert chunks(series) == [slots.count(slot) for slot in sorted(set(slots))]
    assert in_head(series) == [LATER_S]
    assert roller.rolled == 900
    assert series.readings(KEY) == kept
    assert series.counts()[KEY] == series.counts(SampleKind.ESTIMATE)[KEY] == 900


def test_without_a_snapshot_and_behind_it_nothing_is_rolled_up(series):
    series.append([reading(second) for second in range(10)])
    series.append([reading(LATER_S)])
    roll(Roller(series))
    assert chunks(series) == []
    remember(series, row=4)
    roll(Roller(series))
    assert chunks(series) == [4]
    assert in_head(series) == [*range(4, 10), LATER_S]


def test_what_arrived_in_the_last_ten_minutes_stays_whatever_time_it_tells(series):
    old_time = [reading(second, received_us=START_US + 6900 * US) for second in range(5)]
    grown_old(series, old_time)
    roll(Roller(series))
    assert chunks(series) == []


def test_a_slot_that_is_not_over_waits_and_one_far_ahead_waits_an_hour(series):
    # START_US lies 100 s into a slot; the newest row arrives at 7200.25 s
    over_s = 6500
    around = [reading(over_s + second) for second in range(-3, 3)]
    ahead = [reading(10**6, received_us=START_US + 3000 * US)]
    less_long_ahead = [reading(2 * 10**6, received_us=START_US + 4000 * US)]
    grown_old(series, ahead + less_long_ahead + around)
    roll(Roller(series))
    assert in_head(series) == [2 * 10**6, over_s, over_s + 1, over_s + 2, LATER_S]


def test_what_may_still_be_moved_is_not_rolled_up(series):
    grown_old(series, [reading(second) for second in range(10)])
    through = 6
    roller = Roller(series, through_row=lambda: through)
    roll(roller)
    assert in_head(series) == [6, 7, 8, 9, LATER_S]
    through = None
    roll(roller)
    assert in_head(series) == [LATER_S]


def test_while_it_is_held_no_new_plan_begins_and_a_begun_one_ends(series, monkeypatch):
    monkeypatch.setattr(module, "AIMED_STEP_S", -1.0)
    monkeypatch.setattr(module, "_PLANNED_ROWS", 1)
    monkeypatch.setattr(module, "_SCANNED_NUMBERS", 5)
    grown_old(series, [reading(second) for second in range(10)])
    roller = Roller(series)
    roller.step()
    roller.hold()
    assert roller.is_busy
    roll(roller)
    assert not roller.is_busy
    assert in_head(series) == [*range(5, 10), LATER_S]
    roller.go_on()
    roll(roller)
    assert in_head(series) == [LATER_S]


def test_a_step_ends_with_the_first_piece_of_work_after_its_time(series):
    grown_old(series, [reading(0, station=f"st{number}") for number in range(50)])
    watch = Watch(per_look_s=2 * module.AIMED_STEP_S)
    roller = Roller(series, monotonic_s=watch)
    # a piece for what there is, one for each chunk, one for what goes, one for the end
    assert roll(roller) == 53
    assert roller.longest_ms == pytest.approx(4 * module.AIMED_STEP_S * 1000)


def test_a_backlog_does_not_wait_for_the_next_look(series, monkeypatch):
    monkeypatch.setattr(module, "_PLANNED_ROWS", 10)
    monkeypatch.setattr(module, "_SCANNED_NUMBERS", 10)
    grown_old(series, [reading(second) for second in range(35)])
    watch = Watch()
    roller = Roller(series, monotonic_s=watch)
    waits = []
    for _ in range(5):
        roller.step()
        waits.append(roller.wait_s())
    assert waits == [STEP_PAUSE_S] * 3 + [LOOK_EVERY_S] * 2
    assert in_head(series) == [LATER_S]


def test_after_a_kill_at_any_step_nothing_is_lost_or_double(series, path, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AIMED_STEP_S", -1.0)
    monkeypatch.setattr(module, "_CHUNK_ROWS", 3)
    monkeypatch.setattr(module, "_DELETED_ROWS", 3)
    kept = [reading(second) for second in range(20)]
    grown_old(series, kept, [estimate(second) for second in range(20)])
    roller = Roller(series)
    for step in range(40):
        roller.step()
        left = Series(copy_as_after_kill(path, tmp_path / str(step)))
        for _ in range(2):
            assert left.readings(KEY) == kept
            assert left.counts()[KEY] == left.counts(SampleKind.ESTIMATE)[KEY] == 20
            roll(Roller(left))
        assert in_head(left) == [LATER_S]
        left.close()
    assert roller.rolled == 20


def test_a_repeat_wins_over_the_chunk_and_is_merged_with_it(series):
    grown_old(series, [reading(0, 1.0), reading(1, 1.0)], [estimate(0, 1.0), estimate(1, 1.0)])
    roll(Roller(series))
    series.append([reading(0, 2.0), reading(2, 2.0)], [estimate(1, 2.0)])
    for _ in range(2):
        assert [r.value for r in series.readings(KEY)] == [2.0, 1.0, 2.0]
        assert [e.value for e in series.estimates(KEY)] == [1.0, 2.0]
        assert series.counts()[KEY] == 3
        grown_old(series, [])
        series.append([reading(2 * LATER_S, station="young")])
        roll(Roller(series))
    assert chunks(series) == [3]


@pytest.mark.parametrize("steps", range(1, 6))
def test_an_estimate_that_comes_for_a_row_being_rolled_up_is_kept(series, monkeypatch, steps):
    monkeypatch.setattr(module, "AIMED_STEP_S", -1.0)
    grown_old(series, [reading(0), reading(1)], [estimate(0, 1.0)])
    roller = Roller(series)
    for _ in range(steps):
        roller.step()
    series.append([], [estimate(0, 7.0), estimate(1, 8.0)])
    roll(roller)
    assert [e.value for e in series.estimates(KEY)] == [7.0, 8.0]
    assert series.readings(KEY) == [reading(0), reading(1)]


def test_a_full_disk_refuses_a_step_and_costs_nothing(series):
    kept = [reading(second, raw="x" * (second % 900)) for second in range(2000)]
    grown_old(series, kept)
    connection = series.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    roller = Roller(series, monotonic_s=lambda: 0.0)  # all in one step, however slow the machine
    roller.step()
    assert roller.refused == 1
    assert not roller.is_busy
    assert series.readings(KEY) == kept
    connection.execute("PRAGMA max_page_count=100000")
    roll(roller)
    assert in_head(series) == [LATER_S]
    assert series.readings(KEY) == kept


def test_a_damaged_chunk_is_counted_and_the_others_are_read(series, path):
    grown_old(series, [reading(second) for second in range(900)])
    roll(Roller(series))
    series.database.connection.execute("UPDATE chunks SET samples = x'0102' WHERE id = 2")
    reader = SeriesReader(path)
    assert len(reader.readings(KEY)) == 600
    assert reader.unreadable == 300
    assert [r.time_us for r in reader.last_readings()] == [
        START_US + 899 * US,
        START_US + LATER_S * US,
    ]
    reader.close()


def test_a_late_row_of_a_damaged_chunk_stays_beside_it(series):
    grown_old(series, [reading(0), reading(5)])
    roll(Roller(series))
    series.database.connection.execute("UPDATE chunks SET samples = 'text'")
    late = reading(3, received_us=START_US)
    series.append([late])
    grown_old(series, [])
    roller = Roller(series)
    roll(roller)
    assert roller.stuck == 1
    assert series.readings(KEY) == [late]


def test_a_chunk_with_other_times_than_it_should_have_is_unreadable(series):
    grown_old(series, [reading(0), reading(5)])
    roll(Roller(series))
    series.database.connection.execute("UPDATE chunks SET last_us = last_us + 1")
    assert series.readings(KEY) == []
    assert series.unreadable == 2


def test_chunks_stay_bounded_however_fast_a_channel_is(series, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ROWS", 10)
    kept = [reading(time_us=START_US + n * 100_000, received_us=START_US) for n in range(995)]
    grown_old(series, kept)
    roll(Roller(series))
    assert max(chunks(series)) <= 10
    assert len(chunks(series)) == 100
    assert series.readings(KEY) == kept


def older_file(path, rows):
    """Write a file as layout 2 was, without the table of chunks."""
    series = Series(path)
    grown_old(series, rows)
    series.close()
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("DROP TABLE chunks")
    file.execute("PRAGMA user_version = 2")
    file.close()


def test_a_file_of_the_older_layout_is_upgraded_in_place(tmp_path):
    path = tmp_path / "older.db"
    kept = [reading(second) for second in range(30)]
    older_file(path, kept)
    upgraded = Series(path)
    assert upgraded.readings(KEY) == kept
    assert upgraded.load_snapshot().last_row == 30
    roll(Roller(upgraded))
    assert in_head(upgraded) == [LATER_S]
    assert upgraded.readings(KEY) == kept
    upgraded.close()
    again = Series(path)
    assert again.readings(KEY) == kept
    again.close()


def test_a_reader_takes_the_older_layout_and_sees_the_chunks_once_they_come(tmp_path):
    path = tmp_path / "older.db"
    kept = [reading(second) for second in range(30)]
    older_file(path, kept)
    reader = SeriesReader(path)
    assert reader.readings(KEY) == kept
    assert reader.counts()[KEY] == reader.rollups(KEY)[0].n == 30
    upgraded = Series(path)
    roll(Roller(upgraded))
    assert reader.readings(KEY) == kept
    assert reader.counts()[KEY] == reader.rollups(KEY)[0].n == 30
    upgraded.close()
    reader.close()


def test_a_unit_that_a_channel_changes_to_stays_with_its_readings(series):
    kept = [reading(0), reading(1, unit=Unit.PPB, device="new"), reading(2)]
    grown_old(series, kept)
    roll(Roller(series))
    assert series.readings(KEY) == kept
