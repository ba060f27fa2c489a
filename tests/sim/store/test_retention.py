"""Series and spool keep what they may, and what must go goes in steps that hold nothing up."""

import asyncio

import pytest
from samples.rolling import grown_old, roll
from samples.store_samples import EPOCH, START_US, reading

from cbrn_gateway.store import retention as module
from cbrn_gateway.store import roller as roller_module
from cbrn_gateway.store import series as series_module
from cbrn_gateway.store import spool as spool_module
from cbrn_gateway.store.retention import LONGEST_STEP_S, LOOK_EVERY_S, Keep, Retention
from cbrn_gateway.store.roller import Roller
from cbrn_gateway.store.series import Series, Snapshot
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

DAY_S = 86_400
US = 1_000_000


@pytest.fixture
def series(tmp_path, monkeypatch):
    monkeypatch.setattr(series_module, "_KEPT_ROWS", 5)
    store = Series(tmp_path / "series.db")
    yield store
    store.close()


@pytest.fixture
def spool(tmp_path):
    store = Spool(tmp_path / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    yield store
    store.close()


class Watch:
    """A clock that a test turns by hand."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def retention(series, spool, watch, days_later=0.0, **keep):
    return Retention(
        series,
        spool,
        Keep(**keep),
        wall_us=lambda: START_US + int(days_later * DAY_S * US),
        monotonic_s=watch,
    )


def until_done(kept, watch, most=1000):
    """Step until nothing more is taken; return how many steps it took."""
    for steps in range(most):
        kept.step()
        if kept.wait_s() >= LOOK_EVERY_S:
            return steps
        watch.now_s += kept.wait_s()
    raise AssertionError("it never ends")


def times_s(series):
    return [r.time_us // US - START_US // US for r in series.readings(("st04", "cl2"))]


def test_readings_older_than_they_may_be_go_and_younger_stay(series, spool):
    watch = Watch()
    series.append([reading(n * 3600) for n in range(100)])
    until_done(retention(series, spool, watch, days_later=3, series_days=2), watch)
    assert times_s(series) == [n * 3600 for n in range(24, 100)]
    assert series.retired == 24


def test_too_many_bytes_cost_the_oldest_readings(series, spool):
    watch = Watch()
    series.append([reading(n, raw="x" * 200) for n in range(5000)])
    until_done(retention(series, spool, watch, series_bytes=500_000), watch)
    left = times_s(series)
    assert left == list(range(5000 - len(left), 5000))
    assert 500 < len(left) < 2500
    assert series.retired == 5000 - len(left)


def test_what_a_restart_hears_again_is_never_taken(series, spool):
    watch = Watch()
    series.append([reading(n) for n in range(100)])
    snapshot = Snapshot(journal_seq=0, last_row=40, config_hash="", state=b"")
    series.save_snapshot(snapshot)
    until_done(retention(series, spool, watch, days_later=999, series_days=1), watch)
    assert times_s(series) == list(range(40, 100))
    assert series.last_row() == 100


def test_the_newest_are_never_taken(series, spool):
    watch = Watch()
    series.append([reading(n) for n in range(100)])
    until_done(retention(series, spool, watch, days_later=999, series_days=1), watch)
    assert times_s(series) == list(range(95, 100))
    series.append([reading(200)])
    assert series.last_row() == 101


def rolled_up(series, readings):
    """Store samples as chunks, and a few young rows."""
    grown_old(series, readings)
    series.append([reading(40_000_000 + n, station="young") for n in range(6)])
    roll(Roller(series))


def spans_h(series):
    rows = series.database.connection.execute("SELECT first_us FROM chunks ORDER BY first_us")
    return [(first_us - START_US) // (3600 * US) for (first_us,) in rows]


def test_chunks_older_than_they_may_be_go_and_count_by_their_rows(series, spool):
    watch = Watch()
    rolled_up(series, [reading(n * 1800) for n in range(200)])
    assert len(spans_h(series)) == 200
    until_done(retention(series, spool, watch, days_later=3, series_days=2), watch)
    assert times_s(series) == [n * 1800 for n in range(48, 200)]
    assert series.retired == 48


def test_age_is_by_arrival_whatever_time_a_wrong_clock_tells(series, spool):
    watch = Watch()
    late = [reading(-n * 86_400, received_us=START_US + 2 * DAY_S * US) for n in range(3)]
    ahead = [reading(10**9 + n * 600, received_us=START_US) for n in range(3)]
    rolled_up(series, ahead + late)
    until_done(retention(series, spool, watch, days_later=2.5, series_days=1), watch)
    assert series.readings(("st04", "cl2"), -(2**62)) == late[::-1]


def test_too_many_bytes_cost_the_oldest_chunks_and_the_file_stays_bounded(series, spool):
    watch = Watch()
    kept = retention(series, spool, watch, series_bytes=400_000)
    roller, pages = Roller(series), []
    for day in range(12):
        times = range(day * 10_000, (day + 1) * 10_000)
        series.append([reading(second, 1.0 / (second + 1)) for second in times])
        snapshot = Snapshot(journal_seq=0, last_row=series.last_row(), config_hash="", state=b"")
        series.save_snapshot(snapshot)
        roll(roller)
        until_done(kept, watch)
        pages.append(series.database.connection.execute("PRAGMA page_count").fetchone()[0])
    left = times_s(series)
    assert left == list(range(120_000 - len(left), 120_000))
    assert 20_000 < len(left) < 110_000
    assert series.retired == 120_000 - len(left)
    assert max(pages[6:]) <= max(pages[:6]) * 1.05, "pages that fell free are used again"


def test_chunks_are_retired_a_few_at_a_time(series, spool):
    watch = Watch()
    rolled_up(series, [reading(n * 600) for n in range(100)])
    kept = retention(series, spool, watch, days_later=999, series_days=1)
    kept.step()
    assert series.retired == 10
    until_done(kept, watch)
    assert spans_h(series) == []


def test_while_rows_are_rolled_up_none_goes_for_its_bytes(series, spool, monkeypatch):
    monkeypatch.setattr(roller_module, "AIMED_STEP_S", -1.0)
    watch = Watch()
    grown_old(series, [reading(n) for n in range(6000)])
    roller = Roller(series, monotonic_s=watch)
    kept = Retention(series, spool, Keep(series_bytes=400_000), roller=roller, monotonic_s=watch)
    watch.now_s = kept.wait_s()
    steps = until_done(kept, watch)
    assert steps > 20
    assert roller.rolled == 6000
    assert series.retired == 0
    assert times_s(series) == list(range(6000))


def test_where_the_disk_refuses_to_roll_up_the_oldest_go(series, spool):
    watch = Watch()
    grown_old(series, [reading(n, raw="x" * 50) for n in range(6000)])
    connection = series.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    roller = Roller(series, monotonic_s=watch)
    kept = Retention(series, spool, Keep(series_bytes=400_000), roller=roller, monotonic_s=watch)
    for _ in range(200):
        watch.now_s += max(0.0, kept.wait_s())
        kept.step()
    assert roller.refused > 0
    assert series.retired > 1000


def test_old_lines_go_by_age_and_alarms_stay(spool, series):
    watch = Watch()
    for consequence in Consequence:
        spool.append([b"old"] * 30, consequence, stored_us=START_US)
        spool.append([b"new"] * 10, consequence, stored_us=START_US + 2 * DAY_S * US)
    until_done(retention(series, spool, watch, days_later=2.5, spool_days=1), watch)
    assert spool.fill().evicted == {"fault": 30, "estimate": 30, "reading": 30}
    assert spool.evicted["reading"] == 30
    assert spool.fill().rows == 4 * 10 + 30


def test_without_limits_nothing_goes(series, spool):
    watch = Watch()
    series.append([reading(n) for n in range(100)])
    until_done(retention(series, spool, watch, days_later=9999), watch)
    assert len(times_s(series)) == 100
    assert series.retired == 0


def test_a_slow_disk_gets_smaller_steps(series, spool, monkeypatch):
    watch = Watch()
    series.append([reading(n) for n in range(1000)])
    kept = retention(series, spool, watch, days_later=9, series_days=1)
    asked = []
    real = series.retire

    def slow(before_us, most_bytes, most_rows):
        asked.append(most_rows)
        watch.now_s += 2 * LONGEST_STEP_S
        return real(before_us, most_bytes, most_rows)

    monkeypatch.setattr(series, "retire", slow)
    until_done(kept, watch)
    assert asked[:4] == [200, 100, 50, 25]
    assert min(asked) == 10


def test_a_lowered_bound_does_not_hold_a_commit_up(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "_EVICTED_AT_ONCE", 100)
    path = tmp_path / "spool.db"
    large = Spool(path, epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    large.append([b"x"] * 1000)
    large.close()
    small = Spool(path, epoch=EPOCH, max_rows=200, max_bytes=10**9)
    rows = []
    for _ in range(12):
        small.append([b"y"])
        rows.append(small.fill().rows)
    assert rows[:3] == [901, 802, 703]
    assert rows[-1] == 200
    small.close()


@pytest.mark.asyncio
async def test_the_writer_takes_away_between_commits(tmp_path, monkeypatch):
    monkeypatch.setattr(series_module, "_KEPT_ROWS", 5)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(module, "STEP_PAUSE_S", 0.0)
    series = Series(tmp_path / "series.db")
    series.append([reading(n) for n in range(3000)])
    spool = Spool(tmp_path / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    keep = Keep(series_days=1.0)
    writer = Writer(series, spool, on_error=lambda _: None, interval_s=0.001, keep=keep)
    async with asyncio.timeout(30):
        while writer.counters()["series_retired"] < 2995:
            writer.submit(Batch(readings=[reading(5_000_000)]))
            await writer.flush()
    assert writer.counters()["retention_refused"] == 0
    await writer.close()


@pytest.mark.asyncio
async def test_what_may_not_be_stored_is_counted_by_name(tmp_path):
    series = Series(tmp_path / "series.db")
    spool = Spool(tmp_path / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    writer = Writer(series, spool, on_error=lambda _: None, interval_s=0.001)
    lines = {Consequence.READING: [b"r"], Consequence.ALARM: [b"a"]}
    writer.shed(frozenset({"reading"}))
    writer.submit(Batch(readings=[reading(1), reading(2)], lines=lines))
    assert await writer.flush() == 2
    writer.shed(frozenset())
    writer.submit(Batch(readings=[reading(3)]))
    await writer.flush()
    counters = writer.counters()
    assert counters["series_unstored_reading"] == 2
    assert counters["spool_unstored_reading"] == 1
    assert times_s(series) == [3]
    assert [line.line for line in spool.peek(10, 100)] == [b"a"]
    await writer.close()
