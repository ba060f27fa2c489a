import json
import math
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples.any_samples import any_readings, texts
from samples.store_samples import EPOCH, readings_after

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_gateway.store.chain import (
    Chain,
    canonical,
    chain_fields,
    check_link,
    decode,
    verify_entries,
)
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool

floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | texts
documents = st.dictionaries(
    texts.filter(lambda key: key not in {"type", "signature"}),
    st.recursive(
        scalars, lambda x: st.lists(x, max_size=4) | st.dictionaries(texts, x, max_size=4)
    ),
    max_size=6,
)


@given(documents)
def test_canonical_json_is_json_and_reads_back_as_itself(document):
    body = canonical(document)
    assert canonical(decode(body)) == body
    # as any reader of JSON numbers sees it: 57613358563817460 is the float 5.761335856381746e16
    read = json.loads(body, parse_int=float)
    assert read == json.loads(json.dumps(document), parse_int=float)


@given(st.lists(documents, min_size=1, max_size=6), st.data())
def test_any_changed_field_of_any_entry_is_found(given_entries, data):
    chain = Chain(EPOCH)
    entries = [chain.seal(entry) for entry in given_entries]
    assert verify_entries(entries).ok
    at = data.draw(st.integers(0, len(entries) - 1))
    key = data.draw(st.sampled_from(sorted(entries[at])))
    changed = decode(canonical(entries[at]))
    if data.draw(st.booleans()):
        del changed[key]
    else:
        changed[key] = [changed[key]]
    report = verify_entries([*entries[:at], changed, *entries[at + 1 :]])
    assert (report.ok, report.bad_seq, report.entries) == (False, at + 1, at)


@given(st.binary(max_size=60) | documents.map(canonical))
def test_any_bytes_are_an_entry_or_a_typed_error(body):
    try:
        entry = decode(body)
    except StorageError:
        return
    try:
        check_link(entry, None)
    except ChainBroken:
        return
    assert chain_fields(entry)["hash"]


@given(
    st.dictionaries(
        st.sampled_from(["type", "properties", "epoch", "seq", "prev_hash", "hash"]),
        st.sampled_from(
            ["Feature", "0" * 64, 1, -1, 2**70, 1.5, None, {}, {"seq": 1}, [], math.nan]
        ),
    )
)
def test_any_shape_of_entry_is_judged_with_a_typed_error(entry):
    report = verify_entries([entry])
    assert not report.ok
    assert report.problem


@given(st.lists(st.lists(any_readings, max_size=6), max_size=4))
def test_any_readings_come_back_as_they_were_the_last_of_each_time(batches):
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder) / "series.db")
        last = {}
        for batch in batches:
            series.append(batch)
            for reading in batch:
                identity = (*reading.key, reading.time_us)
                last.pop(identity, None)
                last[identity] = reading
        assert readings_after(series, 0) == list(last.values())
        assert sum(series.counts().values()) == len(last)
        assert series.unwritable == 0
        series.close()


steps = st.one_of(
    st.tuples(
        st.just("append"),
        st.sampled_from(Consequence),
        st.lists(st.binary(min_size=1, max_size=30), max_size=5),
    ),
    st.tuples(st.just("deliver"), st.integers(1, 6)),
    st.tuples(st.just("restart")),
)


@given(st.lists(steps, max_size=25), st.integers(1, 12), st.integers(10, 200))
def test_the_spool_is_bounded_and_loses_by_consequence_only_and_counted(steps, max_rows, max_bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool.db"
        spool = Spool(path, epoch=EPOCH, max_rows=max_rows, max_bytes=max_bytes)
        kept, evicted, seq = [], {}, 0
        for step in steps:
            if step[0] == "append":
                for line in step[2]:
                    seq += 1
                    kept.append((step[1], seq, line))
                spool.append(step[2], step[1])
                while len(kept) > max_rows or sum(len(k[2]) for k in kept) > max_bytes:
                    victim = min(kept, key=lambda k: (-k[0], k[1]))
                    kept.remove(victim)
                    name = victim[0].name.lower()
                    evicted[name] = evicted.get(name, 0) + 1
            elif step[0] == "deliver":
                batch = spool.peek(step[1], 10**9)
                assert [(row.seq, row.line) for row in batch] == [k[1:] for k in kept[: step[1]]]
                if batch:
                    spool.delete_through(batch[-1].seq)
                    kept = kept[step[1] :]
            else:
                spool.close()
                spool = Spool(path, epoch=0, max_rows=max_rows, max_bytes=max_bytes)
            fill = spool.fill()
            assert (fill.rows, fill.bytes) == (len(kept), sum(len(k[2]) for k in kept))
            assert fill.evicted == evicted
        spool.close()
