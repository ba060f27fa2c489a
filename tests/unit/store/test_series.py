import pytest
from samples.store_samples import FULL_READING, START_US, estimate, reading, readings_after

from cbrn_core.errors import StorageError
from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Purpose, Quality
from cbrn_core.units import Unit
from cbrn_gateway.store.database import is_disk_full
from cbrn_gateway.store.series import Series, SeriesReader, Snapshot
from cbrn_gateway.store.series_rows import SampleKind

KEY = ("st04", "cl2")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "series.db"


@pytest.fixture
def series(path):
    series = Series(path)
    yield series
    series.close()


def snapshot(last_row=0, **fields):
    named = {"journal_seq": 3, "config_hash": "c0ffee", "state": b"\x00bank"}
    return Snapshot(last_row=last_row, **(named | fields))


@pytest.mark.parametrize(
    "kept",
    [
        reading(),
        reading(value=None, quality=Quality.BAD, flags=(Flag.INSTRUMENT_FAULT,)),
        reading(raw=3),
        reading(raw=3.5),
        reading(raw=""),
        reading(device="d1"),
        FULL_READING,
    ],
)
def test_a_reading_comes_back_as_it_was(series, kept):
    series.append([kept])
    assert series.readings(KEY) == [kept]
    assert readings_after(series, 0) == [kept]


@pytest.mark.parametrize(
    "kept",
    [
        estimate(),
        estimate(flags=(Flag.DRIFT,), quality=Quality.UNCERTAIN, instrument_value=3.0),
        estimate(trend_per_min=0.2, purpose=Purpose.TEST, unit=Unit.MG_M3),
        estimate(fix=Fix(59.9, 10.7)),
    ],
)
def test_an_estimate_comes_back_as_it_was(series, kept):
    series.append([reading()], [kept])
    assert series.estimates(KEY) == [kept]


def test_a_reading_that_changes_device_and_unit_keeps_both(series):
    kept = [reading(0, device="old"), reading(1, device=None, unit=Unit.PPB), reading(2)]
    series.append(kept)
    assert series.readings(KEY) == kept


def test_a_repeat_overwrites_itself(series):
    series.append([reading(1, 1.0), reading(1, 2.0)])
    series.append([reading(1, 3.0)])
    assert [r.value for r in series.readings(KEY)] == [3.0]
    assert series.counts() == {KEY: 1}


def test_a_reading_and_its_estimate_stand_side_by_side(series):
    series.append([reading(1, 3.0)], [estimate(1, 2.5)])
    assert series.counts() == {KEY: 1}
    assert series.counts(SampleKind.ESTIMATE) == {KEY: 1}


def test_a_range_is_ordered_by_time_and_half_open(series):
    series.append([reading(s) for s in (5, 1, 3, 2, 4)])
    found = series.readings(KEY, START_US + 2_000_000, START_US + 5_000_000)
    assert [r.time_us - START_US for r in found] == [2_000_000, 3_000_000, 4_000_000]
    assert len(series.readings(KEY, limit=2)) == 2
    assert series.readings(("st04", "nh3")) == []


def test_equal_channel_names_of_two_stations_are_two_channels(series):
    series.append([reading(0, 1.0), reading(0, 2.0, station="st05")])
    assert [r.value for r in series.readings(("st05", "cl2"))] == [2.0]


def test_last_values_are_the_newest_by_time_of_every_channel(series):
    series.append([reading(5, 5.0), reading(2, 2.0), reading(1, 9.0, channel="nh3")])
    series.append([], [estimate(4, 4.0), estimate(3, 3.0)])
    assert [(r.channel, r.value) for r in series.last_readings()] == [("cl2", 5.0), ("nh3", 9.0)]
    assert [e.value for e in series.last_estimates()] == [4.0]


def test_rows_rise_and_never_repeat(path, series):
    series.append([reading(0), reading(1)], [estimate(0)])
    assert series.last_row() == 3
    series.close()
    again = Series(path)
    again.append([reading(1, 7.0)])
    assert again.last_row() == 4
    again.close()


def test_catching_up_yields_what_came_after_a_row_in_the_order_it_came(series):
    series.append([reading(0), reading(9)], [estimate(0)])
    cursor = series.last_row()
    later = [reading(4), reading(2), FULL_READING]
    series.append(later, [estimate(4)])
    assert readings_after(series, cursor) == later


def test_catching_up_goes_over_many_pages(series, monkeypatch):
    monkeypatch.setattr("cbrn_gateway.store.series_reader._PAGE_ROWS", 7)
    kept = [reading(s) for s in range(50)]
    series.append(kept, [estimate(s) for s in range(50)])
    assert readings_after(series, 0) == kept


def test_a_snapshot_comes_back_and_the_newest_counts(path, series):
    assert series.load_snapshot() is None
    series.save_snapshot(snapshot(1))
    series.save_snapshot(snapshot(2, state=b"newer"))
    reader = SeriesReader(path)
    assert reader.load_snapshot() == snapshot(2, state=b"newer")
    reader.close()


def test_rows_after_a_snapshot_never_fall_behind_it(path, series):
    series.save_snapshot(snapshot(500))
    series.append([reading()])
    assert series.last_row() == 501
    assert readings_after(series, 500) == [reading()]


@pytest.mark.parametrize(
    "odd",
    [
        reading(time_us=2**63),
        reading(received_us=-(2**70)),
        reading(raw="\ud800"),
        reading(raw=["not", "a", "number"]),
        reading(raw=2**64),
        reading(time_us=None),
        reading(station="\udcff"),
        reading(seq=2**200),
    ],
)
def test_a_reading_that_no_row_can_hold_costs_only_itself(series, odd):
    series.append([reading(0), odd, reading(1)], [estimate(0)])
    assert series.readings(KEY) == [reading(0), reading(1)]
    assert series.estimates(KEY) == [estimate(0)]
    assert series.unwritable == 1


def test_a_row_of_a_newer_program_is_skipped_and_counted(series):
    series.append([reading(0), reading(1), reading(2), reading(3)])
    connection = series.database.connection
    connection.execute("UPDATE head SET quality = 9 WHERE row = 1")
    connection.execute("UPDATE head SET flags = 'bewitched' WHERE row = 2")
    connection.execute("UPDATE head SET extra = x'c1' WHERE row = 3")
    assert series.readings(KEY) == [reading(3)]
    assert series.unreadable == 3


def test_a_channel_that_was_rolled_back_is_made_again(series):
    def failing():
        with series.database.transaction():
            series.append([reading()])
            raise StorageError("the disk went away")

    with pytest.raises(StorageError, match="went away"):
        failing()
    series.append([reading(1, station="st09"), reading(2)])
    assert series.readings(KEY) == [reading(2)]
    assert series.readings(("st09", "cl2")) == [reading(1, station="st09")]


def test_a_full_disk_refuses_and_recovers(series):
    connection = series.database.connection
    series.append([reading()])
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    many = [reading(s) for s in range(2000)]
    with pytest.raises(StorageError) as refused:
        series.append(many)
    assert is_disk_full(refused.value)
    assert series.readings(KEY) == [reading()]
    connection.execute("PRAGMA max_page_count=100000")
    series.append(many)
    assert series.counts() == {KEY: 2000}


def test_no_number_is_none_and_never_a_number(series):
    series.append([reading(value=float("nan")), reading(1, value=float("inf"))])
    assert [r.value for r in series.readings(KEY)] == [None, float("inf")]
