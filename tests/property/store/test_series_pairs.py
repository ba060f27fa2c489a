"""Readings and estimates share rows; whatever comes, each is kept as if it were alone."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples.store_samples import START_US, estimate, reading

from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Purpose, Quality
from cbrn_core.units import Unit
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_rows import SampleKind

seconds = st.integers(0, 3)
stations = st.sampled_from(["st1", "st2"])
numbers = st.floats(allow_nan=False, allow_infinity=False, width=16)
arrivals = st.integers(START_US, START_US + 3)
fixes = st.none() | st.just(Fix(59.9, 10.7)) | st.just(Fix(59.9, 10.8, 4.0))
flags = st.sampled_from([(), (Flag.LATE,), (Flag.DRIFT, Flag.NO_FIX)])
readings = st.builds(
    reading,
    seconds,
    numbers,
    stations,
    received_us=arrivals,
    unit=st.sampled_from([Unit.PPM, Unit.PPB]),
    quality=st.sampled_from(Quality),
    flags=flags,
    device=st.none() | st.just("d1"),
    fix=fixes,
    purpose=st.none() | st.sampled_from(Purpose),
    raw=st.none() | numbers | st.just("\ud800"),
)
estimates = st.builds(
    estimate,
    seconds,
    numbers,
    stations,
    received_us=arrivals,
    unit=st.sampled_from([Unit.PPM, Unit.PPB]),
    quality=st.sampled_from(Quality),
    flags=flags,
    instrument_value=st.none() | numbers,
    trend_per_min=st.none() | numbers,
    fix=fixes,
    purpose=st.sampled_from(Purpose),
)
batches = st.lists(
    st.tuples(st.lists(readings, max_size=5), st.lists(estimates, max_size=5)), max_size=5
)


def identity(sample):
    return (*sample.key, sample.time_us)


@given(batches)
def test_every_reading_and_every_estimate_is_the_last_of_its_time(given_batches):
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder) / "series.db")
        kept_readings, kept_estimates, unwritable = {}, {}, 0
        for batch_readings, batch_estimates in given_batches:
            series.append(batch_readings, batch_estimates)
            good = [r for r in batch_readings if r.raw != "\ud800"]
            unwritable += len(batch_readings) - len(good)
            kept_readings |= {identity(r): r for r in good}
            kept_estimates |= {identity(e): e for e in batch_estimates}
        for station in ("st1", "st2"):
            key = (station, "cl2")
            of_readings = sorted(i for i in kept_readings if i[:2] == key)
            of_estimates = sorted(i for i in kept_estimates if i[:2] == key)
            assert series.readings(key) == [kept_readings[i] for i in of_readings]
            assert series.estimates(key) == [kept_estimates[i] for i in of_estimates]
            assert series.counts().get(key, 0) == len(of_readings)
            assert series.counts(SampleKind.ESTIMATE).get(key, 0) == len(of_estimates)
        pages = list(series.samples_after(0))
        assert {identity(r): r for page, _ in pages for r in page} == kept_readings
        assert {identity(e): e for _, page in pages for e in page} == kept_estimates
        assert (series.unwritable, series.unreadable) == (unwritable, 0)
        series.close()


@given(batches, st.integers(0, 5))
def test_a_reading_stored_later_has_a_later_row(given_batches, snapshot_at):
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder) / "series.db")
        row, later = 0, {}
        for number, (batch_readings, batch_estimates) in enumerate(given_batches):
            if number == snapshot_at:
                row, later = series.last_row(), {}
            series.append(batch_readings, batch_estimates)
            later |= {identity(r): r for r in batch_readings if r.raw != "\ud800"}
        found = [r for page, _ in series.samples_after(row) for r in page]
        assert {identity(r): r for r in found} == later
        assert len(found) == len(later)
        series.close()
