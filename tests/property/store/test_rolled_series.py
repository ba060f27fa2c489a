"""A series answers alike whether and how far its old rows are rolled up into chunks."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.store_samples import START_US, estimate, reading

from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Purpose, Quality
from cbrn_core.units import Unit
from cbrn_gateway.store import roller as roller_module
from cbrn_gateway.store import series_reader
from cbrn_gateway.store.roller import Roller
from cbrn_gateway.store.rollup import SLOT_US
from cbrn_gateway.store.series import Series, SeriesReader, Snapshot
from cbrn_gateway.store.series_rows import SampleKind

US = 1_000_000
KEYS = [("st1", "cl2"), ("st2", "cl2")]
SLOT_START_US = START_US // SLOT_US * SLOT_US

seconds = st.integers(0, 4) | st.integers(298, 302) | st.integers(0, 900)
units = st.sampled_from([Unit.PPM, Unit.PPM, Unit.PPB])
numbers = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1.25])
flags = st.sampled_from([(), (Flag.LATE,), (Flag.DRIFT, Flag.NO_FIX)])
shared = {
    "station": st.sampled_from(["st1", "st2"]),
    "unit": units,
    "quality": st.sampled_from(Quality),
    "flags": flags,
    "fix": st.none() | st.just(Fix(59.9, 10.7)),
    "time_us": seconds.map(lambda second: SLOT_START_US + second * US),
}
readings = st.builds(
    reading,
    value=numbers,
    raw=st.none() | st.just("x"),
    device=st.none() | st.just("d1"),
    purpose=st.none() | st.sampled_from(Purpose),
    **shared,
)
estimates = st.builds(
    estimate, value=numbers.map(lambda value: value or 0.0), instrument_value=numbers, **shared
)
batches = st.tuples(
    st.just("append"),
    st.sampled_from([1, 200, 700, 4000]),
    st.lists(readings, max_size=5),
    st.lists(estimates, max_size=4),
)
acts = st.lists(
    batches
    | st.tuples(st.just("snapshot"))
    | st.tuples(st.just("roll"), st.integers(1, 12))
    | st.tuples(st.just("roll"), st.just(60))
    | st.tuples(st.just("kill")),
    max_size=14,
)


@pytest.fixture(scope="module", autouse=True)
def small_pieces():
    """Bounds so small that few rows go over all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roller_module, "_CHUNK_ROWS", 3)
        patch.setattr(roller_module, "_PLANNED_ROWS", 7)
        patch.setattr(roller_module, "_SCANNED_NUMBERS", 4)
        patch.setattr(roller_module, "_DELETED_ROWS", 2)
        patch.setattr(roller_module, "AIMED_STEP_S", -1.0)
        patch.setattr(series_reader, "_PAGE_ROWS", 3)
        patch.setattr(series_reader, "_WINDOW_ROWS", 5)
        yield


class Twins:
    """Two stores of the same samples; only one is rolled up."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rolled.db"
        self.plain = Series(folder / "plain.db")
        self.rolled = Series(self.path)
        self.roller = Roller(self.rolled)
        self.arrived_us = START_US
        self.newest = 0

    def do(self, name, *what) -> None:
        getattr(self, name)(*what)

    def append(self, later_s, some_readings, some_estimates) -> None:
        self.arrived_us += later_s * US
        arrived = {"received_us": self.arrived_us}
        given_readings = [msgspec.structs.replace(r, **arrived) for r in some_readings]
        # estimates follow their readings as the pipeline's do
        own = [
            estimate(station=r.station, time_us=r.time_us, unit=r.unit, **arrived)
            for r in given_readings
            if r.value == 1.25
        ]
        given_estimates = own + [msgspec.structs.replace(e, **arrived) for e in some_estimates]
        numbered = [*enumerate(given_estimates + given_readings, self.newest + 1)]
        cut = len(given_estimates)
        for series in (self.plain, self.rolled):
            series.append_numbered(numbered[cut:], numbered[:cut])
        self.newest += len(numbered)

    def snapshot(self) -> None:
        taken = Snapshot(journal_seq=0, last_row=self.newest, config_hash="", state=b"")
        self.plain.save_snapshot(taken)
        self.rolled.save_snapshot(taken)

    def roll(self, steps) -> None:
        for _ in range(steps):
            self.roller.step()
        assert (self.roller.refused, self.roller.stuck) == (0, 0)

    def kill(self) -> None:
        self.rolled.close()
        self.rolled = Series(self.path)
        self.roller = Roller(self.rolled)

    def close(self) -> None:
        self.plain.close()
        self.rolled.close()


def answers(series: SeriesReader, newest: int) -> dict:
    """Return everything that a store can be asked, but the roll-ups."""
    told = {
        "last": (series.last_readings(), series.last_estimates()),
        "counts": [series.counts(kind) for kind in SampleKind],
        "unreadable": series.unreadable,
    }
    for key in KEYS:
        told[key] = (series.readings(key), series.estimates(key))
        told[key, "first"] = (series.readings(key, limit=4), series.estimates(key, limit=2))
        middle = (SLOT_START_US + 2 * US, SLOT_START_US + 299 * US)
        told[key, "middle"] = (series.readings(key, *middle), series.estimates(key, *middle))
    for row in range(0, newest, 3):
        pages = list(series.samples_after(row))
        told["after", row] = [sample for page, _ in pages for sample in page]
        told["estimates after", row] = [sample for _, page in pages for sample in page]
    return told


def alike(rollup) -> dict:
    """Return a roll-up to compare: the mean of means differs in its last digits."""
    fields = msgspec.structs.asdict(rollup)
    if rollup.mean is None:
        return fields
    return fields | {"mean": pytest.approx(rollup.mean, rel=1e-9, abs=1e-6)}


def assert_alike(twins: Twins) -> None:
    reader = SeriesReader(twins.path)
    expected = answers(twins.plain, twins.newest)
    assert answers(twins.rolled, twins.newest) == expected
    assert answers(reader, twins.newest) == expected
    # an estimate that came for a reading in a chunk stands in a row of its own
    assert twins.plain.last_row() <= reader.last_row() <= twins.newest
    assert twins.plain.latest_received_us() <= reader.latest_received_us() <= twins.arrived_us
    for key in KEYS:
        bounds = (SLOT_START_US + 10 * US, SLOT_START_US + 301 * US)
        for since_until in ((), bounds):
            plain = twins.plain.rollups(key, *since_until)
            found = [msgspec.structs.asdict(r) for r in reader.rollups(key, *since_until)]
            assert found == [alike(rollup) for rollup in plain]
    assert reader.unreadable == 0
    reader.close()


@given(acts)
@examples(150)
def test_every_answer_is_the_same_however_far_it_is_rolled_up(given_acts):
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        for act in given_acts:
            twins.do(*act)
        assert_alike(twins)
        twins.close()


few_seconds = st.integers(0, 2).map(lambda second: SLOT_START_US + second * US)
of_few_seconds = {"station": st.just("st1"), "time_us": few_seconds}
few_readings = st.lists(st.builds(reading, value=numbers, **of_few_seconds), max_size=3)
few_estimates = st.lists(st.builds(estimate, trend_per_min=numbers, **of_few_seconds), max_size=3)


@given(
    few_readings,
    few_estimates,
    st.lists(st.tuples(st.integers(0, 12), few_readings, few_estimates), max_size=4),
    st.booleans(),
)
@examples(200)
def test_what_is_being_rolled_up_may_be_written_again(readings, estimates, repeats, is_finished):
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        twins.append(1, readings, estimates)
        twins.append(4000, [reading(5000)], [])
        for steps, repeated_readings, repeated_estimates in repeats:
            twins.snapshot()
            twins.roll(steps)
            twins.append(1, repeated_readings, repeated_estimates)
        if is_finished:
            twins.snapshot()
            twins.append(7200, [reading(9000)], [])
            twins.roll(60)
        assert_alike(twins)
        twins.close()


@given(st.lists(batches, min_size=1, max_size=4))
@examples(50)
def test_in_the_end_only_young_rows_are_left_in_the_head_table(backlog):
    with tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        for act in backlog:
            twins.do(*act)
        twins.snapshot()
        twins.append(7200, [reading(10_000)], [])
        twins.roll(400)
        left = twins.rolled.database.connection.execute("SELECT COUNT(*) FROM head").fetchone()
        assert left == (1,)
        assert_alike(twins)
        twins.close()
