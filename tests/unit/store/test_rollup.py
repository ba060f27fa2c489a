"""Roll-ups tell what the readings of five minutes amount to, and open no chunk for it."""

import math

import pytest
from samples.rolling import LATER_S, grown_old, roll
from samples.store_samples import START_US, estimate, reading

from cbrn_core.reading import Quality
from cbrn_core.units import Unit
from cbrn_gateway.store.roller import Roller
from cbrn_gateway.store.rollup import SLOT_US, Rollup
from cbrn_gateway.store.series import Series

KEY = ("st04", "cl2")
US = 1_000_000
SLOT_0_US = START_US // SLOT_US * SLOT_US
# START_US lies 100 s into its slot
NEXT_SLOT_S = 200


@pytest.fixture
def series(tmp_path):
    series = Series(tmp_path / "series.db")
    yield series
    series.close()


def spoil(series):
    """Make every blob unreadable: what is told now is told without them."""
    series.database.connection.execute("UPDATE chunks SET samples = x'00'")


@pytest.fixture(params=["in the head table", "rolled up"])
def settled(request, series):
    """Return what makes samples old, and rolls them up or not."""

    def settle(readings, estimates=()):
        grown_old(series, readings, estimates)
        if request.param == "rolled up":
            roll(Roller(series))
            spoil(series)

    return settle


def test_it_tells_figures_and_qualities_of_the_readings(series, settled):
    settled(
        [
            reading(0, 2.0),
            reading(1, None, quality=Quality.BAD),
            reading(2, 8.0, quality=Quality.UNCERTAIN),
            reading(3, -1.0),
        ],
        [estimate(0, 50.0), estimate(7, 90.0)],
    )
    (found,) = series.rollups(KEY)
    assert found == Rollup(
        t0_us=SLOT_0_US,
        first_us=START_US,
        last_us=START_US + 3 * US,
        n=3,
        least=-1.0,
        greatest=8.0,
        mean=3.0,
        unit=Unit.PPM,
        by_quality={Quality.GOOD: 2, Quality.UNCERTAIN: 1, Quality.BAD: 1, Quality.STALE: 0},
    )
    assert series.unreadable == 0


def test_without_a_value_there_are_no_figures_and_without_a_reading_nothing(series, settled):
    settled([reading(0, None, quality=Quality.STALE)], [estimate(NEXT_SLOT_S)])
    (found,) = series.rollups(KEY)
    assert (found.n, found.least, found.greatest, found.mean) == (0, None, None, None)
    assert found.by_quality[Quality.STALE] == 1
    assert series.rollups(("st04", "nh3")) == []


def test_slots_that_the_span_touches_come_whole_and_in_order(series, settled):
    settled([reading(second, float(second)) for second in (NEXT_SLOT_S, 0, NEXT_SLOT_S + 300, 1)])
    starts = [SLOT_0_US + slot * SLOT_US for slot in range(3)]
    assert [found.t0_us for found in series.rollups(KEY)] == starts
    until_us = START_US + (NEXT_SLOT_S + 1) * US
    found = series.rollups(KEY, START_US + US, until_us)
    assert [(one.t0_us, one.n) for one in found] == [(starts[0], 2), (starts[1], 1)]
    assert [one.t0_us for one in series.rollups(KEY, starts[0], starts[1])] == starts[:1]
    assert series.rollups(KEY, starts[1], starts[1]) == []
    assert len(series.rollups(KEY, -(2**70), 2**70)) == 3


def test_values_beyond_all_bounds_have_no_mean_rather_than_a_false_one(series, settled):
    settled([reading(0, math.inf), reading(1, -math.inf), reading(NEXT_SLOT_S, 1.7e308)])
    both, large = series.rollups(KEY)
    assert (both.least, both.greatest, both.mean) == (-math.inf, math.inf, None)
    assert large.mean == 1.7e308


def test_a_changed_unit_never_mixes_figures(series):
    grown_old(
        series,
        [reading(0, 5.0), reading(1, 5000.0, unit=Unit.PPB), reading(2, 6000.0, unit=Unit.PPB)],
    )
    before = series.rollups(KEY)
    roll(Roller(series))
    (found,) = series.rollups(KEY)
    assert [found] == before
    assert (found.unit, found.n, found.least, found.mean) == (Unit.PPB, 2, 5000.0, 5500.0)
    assert found.by_quality[Quality.GOOD] == 3


def test_rows_of_the_head_table_count_with_the_chunk_and_a_repeat_once(series):
    grown_old(series, [reading(0, 1.0), reading(10, 3.0)])
    roll(Roller(series))
    series.append([reading(10, 5.0), reading(20, 9.0)])
    (found,) = series.rollups(KEY)
    assert (found.n, found.least, found.greatest, found.mean) == (3, 1.0, 9.0, 5.0)


def test_rows_beside_the_chunk_count_without_opening_it(series):
    grown_old(series, [reading(0, 1.0), reading(10, 3.0)])
    roll(Roller(series))
    spoil(series)
    series.append([reading(20, 8.0)])
    (found,) = series.rollups(KEY)
    assert (found.n, found.mean, series.unreadable) == (3, 4.0, 0)


def test_of_a_chunk_that_must_be_opened_and_cannot_its_figures_count(series):
    grown_old(series, [reading(0, 1.0), reading(10, 3.0)])
    roll(Roller(series))
    spoil(series)
    series.append([reading(5, 8.0)])
    (found,) = series.rollups(KEY)
    assert (found.n, found.greatest) == (3, 8.0)
    assert series.unreadable == 2


def test_the_young_rows_are_told_too(series, settled):
    settled([reading(0)])
    assert [one.n for one in series.rollups(("young", "cl2"))] == [1]
    assert series.rollups(("young", "cl2"))[0].first_us == START_US + LATER_S * US
