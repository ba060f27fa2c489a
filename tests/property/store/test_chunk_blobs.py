"""A chunk's blob gives back what went in, to the bit; any other bytes are a typed error."""

import tempfile
import zlib
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.any_samples import any_estimates, any_float, any_readings, i64, texts
from samples.examples import examples

from cbrn_core.errors import InputError
from cbrn_gateway.store.chunk_columns import MOST_ROWS, pack, unpack
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_rows import SELECT_SAMPLES

CHANNEL_ID = 3
COLUMNS = 21


def exact(rows) -> str:
    """Return rows so that 0.0, -0.0 and 0 differ."""
    return repr([tuple(row) for row in rows])


@given(st.lists(any_readings, max_size=12), st.lists(any_estimates, max_size=12))
@examples(200)
def test_whatever_a_series_holds_comes_back_from_a_blob_as_it_was(readings, estimates):
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder) / "series.db")
        series.append(readings, estimates)
        stored = series.database.connection.execute(SELECT_SAMPLES).fetchall()
        series.close()
    by_channel = defaultdict(list)
    for row in stored:
        by_channel[row[1]].append(row)
    for channel_id, rows in by_channel.items():
        assert exact(unpack(pack(rows), channel_id)) == exact(rows)


def columns_of(values, rows):
    """Columns as instruments make them: constant, absent, a few values, decimals, anything."""
    return st.one_of(
        values.map(lambda value: [value] * rows),
        st.lists(values, min_size=rows, max_size=rows),
        st.lists(values, min_size=1, max_size=3).flatmap(
            lambda few: st.lists(st.sampled_from(few), min_size=rows, max_size=rows)
        ),
    )


decimals = st.integers(-(10**6), 10**6).map(lambda number: number / 100)
real = st.none() | decimals | any_float
text, blob = st.none() | texts, st.none() | st.binary(max_size=9)
anything = real | texts | i64 | st.binary(max_size=9)
whole = st.none() | st.integers(0, 3) | i64
kinds = (
    [i64, st.just(CHANNEL_ID), i64, i64, real, real, anything, whole, text, real, real, blob]
    + [real] * 5
    + [whole, text, whole, blob]
)


@st.composite
def rows(draw):
    count = draw(st.integers(1, 40))
    return list(zip(*(draw(columns_of(kind, count)) for kind in kinds), strict=True))


@given(rows())
@examples(200)
def test_any_rows_come_back_as_they_were(given_rows):
    assert exact(unpack(pack(given_rows), CHANNEL_ID)) == exact(given_rows)


nested = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | any_float | blob | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=3),
)
columns = st.one_of(
    st.tuples(st.just(0), nested),
    st.tuples(st.just(1), st.binary(max_size=2), st.integers(0, 3), st.binary(max_size=24)),
    st.tuples(st.just(2), st.binary(max_size=2), st.integers(0, 9), st.binary(max_size=24)),
    st.tuples(st.just(3), st.binary(max_size=2), st.binary(max_size=24)),
    st.tuples(st.just(4), st.lists(nested, max_size=3), st.binary(max_size=3)),
    st.tuples(st.just(5), st.lists(nested, max_size=3)),
    st.tuples(st.just(6), st.integers(-1, 22)),
)
sound = st.sampled_from([(0, 1), (1, b"", 1, bytes(8)), (0, None)])
bodies = st.one_of(
    st.binary(max_size=60),
    nested.map(msgspec.msgpack.encode),
    st.tuples(st.integers(-1, 3), st.lists(columns | sound, min_size=20, max_size=20)).map(
        msgspec.msgpack.encode
    ),
)


@st.composite
def altered(draw):
    """A real blob in which a few bytes are others, before or after compression."""
    whole_blob = pack(draw(rows()))
    is_inside = draw(st.booleans())
    changed = bytearray(zlib.decompress(whole_blob[1:]) if is_inside else whole_blob)
    for _ in range(draw(st.integers(1, 3))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return whole_blob[:1] + zlib.compress(changed) if is_inside else bytes(changed)


@given(st.binary(max_size=60) | bodies.map(lambda body: b"\x01" + zlib.compress(body)) | altered())
@examples(1000)
def test_any_bytes_are_rows_or_a_typed_error(given_bytes):
    try:
        found = unpack(given_bytes, CHANNEL_ID)
    except InputError:
        return
    assert 0 < len(found) <= MOST_ROWS
    for row in found:
        assert len(row) == COLUMNS
        assert {type(value) for value in (row[0], row[2], row[3])} == {int}
        assert {type(value) for value in row} <= {type(None), int, float, str, bytes}
        assert all(-(2**63) <= value < 2**63 for value in row if type(value) is int)


def test_a_blob_that_swells_costs_bounded_memory():
    swollen = b"\x01" + zlib.compress(bytes(70 * 1024 * 1024), 9)
    with pytest.raises(InputError, match="end"):
        unpack(swollen, CHANNEL_ID)


def test_deeply_nested_bytes_are_an_error():
    with pytest.raises(InputError):
        unpack(b"\x01" + zlib.compress(b"\x91" * 100_000), CHANNEL_ID)
