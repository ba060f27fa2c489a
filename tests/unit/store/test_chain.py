import copy
import hashlib
import json

import pytest
from samples.alert_samples import MODEL, alarm
from samples.store_samples import EPOCH, alert, event

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_gateway.alarms.render import mark_pending, render_alert
from cbrn_gateway.store.chain import (
    GENESIS_HASH,
    Chain,
    canonical,
    check_link,
    decode,
    entry_hash,
    verify_entries,
)


def independent_hash(entry, fields):
    """The contract in other words: ASCII keys, so json's order is the canonical one."""
    stripped = copy.deepcopy(entry)
    for name in ("hash", "signature"):
        (stripped["properties"] if fields == "properties" else stripped).pop(name, None)
    text = json.dumps(stripped, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed_chain(count=6):
    chain = Chain(EPOCH)
    return [
        chain.seal(alert(version=n) if n % 2 else event(f"note {n}")) for n in range(1, count + 1)
    ]


def test_an_alert_carries_its_place_in_properties():
    sealed = Chain(EPOCH).seal(alert())
    assert sealed["properties"]["epoch"] == EPOCH
    assert sealed["properties"]["seq"] == 1
    assert sealed["properties"]["prev_hash"] == "0" * 64
    assert sealed["properties"]["journal"] == "journalled"
    assert sealed["properties"]["hash"] == independent_hash(sealed, "properties")
    assert "seq" not in sealed


def test_any_other_entry_carries_its_place_at_the_top():
    sealed = Chain(EPOCH).seal(event())
    assert (sealed["epoch"], sealed["seq"], sealed["prev_hash"]) == (EPOCH, 1, GENESIS_HASH)
    assert sealed["journal"] == "journalled"
    assert sealed["hash"] == independent_hash(sealed, "top")


def test_a_known_entry_has_the_hash_computed_by_hand():
    sealed = Chain(0).seal({"b": 1.0, "a": "é"})
    text = '{"a":"é","b":1,"epoch":0,"journal":"journalled","prev_hash":"' + "0" * 64 + '","seq":1}'
    assert sealed["hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_numbers_and_keys_follow_the_canonical_form_of_rfc_8785():
    entry = {"\U0001f600": 1, "\ufb33": 2, "x": [1e21, 1e20, 0.000001, 1e-7, -0.0, 4.50, 1e-27]}
    written = '{"x":[1e+21,100000000000000000000,0.000001,1e-7,0,4.5,1e-27],"😀":1,"\ufb33":2}'
    assert canonical(entry).decode() == written


def test_each_entry_names_the_hash_before_it():
    entries = sealed_chain()
    hashes = [e.get("properties", e)["hash"] for e in entries]
    before = [e.get("properties", e)["prev_hash"] for e in entries]
    assert before == [GENESIS_HASH, *hashes[:-1]]


def test_sealing_leaves_the_given_entry_alone():
    given = alert()
    untouched = copy.deepcopy(given)
    Chain(EPOCH).seal(given)
    assert given == untouched


def test_a_pending_alert_is_sealed_as_journalled():
    pending = mark_pending(render_alert(alarm(), MODEL))
    assert pending["properties"]["journal"] == "pending"
    sealed = Chain(EPOCH).seal(pending)["properties"]
    assert (sealed["journal"], sealed["seq"], sealed["prev_hash"]) == ("journalled", 1, "0" * 64)


def test_a_real_alert_verifies_after_it_went_through_any_json_writer():
    sealed = Chain(EPOCH).seal(render_alert(alarm(), MODEL))
    check_link(json.loads(json.dumps(sealed, indent=1)), None)


def test_a_signature_beside_the_hash_does_not_change_it():
    sealed = Chain(EPOCH).seal(alert())
    sealed["properties"]["signature"] = "later"
    check_link(sealed, None)


def test_large_numbers_come_back_so_that_the_hash_holds():
    sealed = Chain(EPOCH).seal(alert(value=1e20))
    check_link(decode(canonical(sealed)), None)


@pytest.mark.parametrize(
    "entry",
    [
        alert(value=float("nan")),
        alert(value=float("inf")),
        alert(value=2**53),
        event(text="\ud800"),
        event(facts={1: "a key that is no text"}),
        event(facts=object()),
        {"type": "Feature", "id": "a", "properties": None},
    ],
)
def test_an_entry_without_canonical_json_is_refused_and_the_chain_stays(entry):
    chain = Chain(EPOCH)
    with pytest.raises(StorageError):
        chain.seal(entry)
    assert (chain.seq, chain.prev_hash) == (0, GENESIS_HASH)


def test_an_entry_nested_without_end_is_refused():
    entry = event()
    entry["facts"] = entry
    with pytest.raises(StorageError):
        Chain(EPOCH).seal(entry)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"a":NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(StorageError):
        decode(body)


def test_an_untouched_chain_verifies():
    report = verify_entries(iter(sealed_chain()))
    assert report.ok
    assert (report.entries, report.first_seq, report.last_seq) == (6, 1, 6)
    assert report.epochs == (EPOCH,)
    assert str(report) == "6 entries verify, 1 to 6"


def test_an_empty_journal_verifies():
    assert verify_entries([]).ok


def test_a_changed_entry_is_named():
    entries = sealed_chain()
    entries[2]["properties"]["value"] = 0.1
    report = verify_entries(entries)
    assert (report.ok, report.bad_seq, report.entries) == (False, 3, 2)
    assert "entry 3 was changed" in str(report)


def test_a_removed_entry_is_named():
    entries = sealed_chain()
    del entries[2]
    report = verify_entries(entries)
    assert (report.bad_seq, report.problem) == (3, "entry 3 is missing: 4 comes next")


def test_removed_first_entries_are_named():
    report = verify_entries(sealed_chain()[2:])
    assert (report.bad_seq, report.problem) == (1, "entries 1 to 2 are missing: 3 comes next")


def test_a_part_of_a_journal_can_be_judged_alone():
    report = verify_entries(sealed_chain()[2:], from_start=False)
    assert (report.ok, report.first_seq, report.last_seq) == (True, 3, 6)


def test_a_repeated_entry_is_named():
    entries = sealed_chain()
    report = verify_entries([*entries[:3], entries[2]])
    assert (report.bad_seq, report.problem) == (4, "entry 4 is missing: 3 comes again")


def test_an_entry_rewritten_with_a_right_hash_breaks_the_next_link():
    entries = sealed_chain()
    entries[2]["properties"]["value"] = 0.1
    entries[2]["properties"]["hash"] = entry_hash(entries[2])
    report = verify_entries(entries)
    assert (report.bad_seq, report.entries) == (4, 3)
    assert report.problem == "entry 4 does not follow entry 3: one of them was replaced"


def test_a_restored_journal_shows_its_epochs():
    first = Chain(EPOCH)
    entries = [first.seal(event("a"))]
    second = Chain(EPOCH + 60, first.seq, first.prev_hash)
    entries.append(second.seal(event("b")))
    report = verify_entries(entries)
    assert report.epochs == (EPOCH, EPOCH + 60)
    assert str(report) == "2 entries verify, 1 to 2, restored 1 times"


def test_an_epoch_that_goes_back_breaks_the_chain():
    first = Chain(EPOCH)
    one = first.seal(event("a"))
    two = Chain(EPOCH - 1, first.seq, first.prev_hash).seal(event("b"))
    with pytest.raises(ChainBroken) as broken:
        check_link(two, one)
    assert broken.value.seq == 2


def test_a_first_entry_must_start_from_zeros():
    with pytest.raises(ChainBroken):
        check_link(Chain(EPOCH, 0, "1" * 64).seal(event()), None)


@pytest.mark.parametrize("entry", [{}, {"type": "Feature"}, {"seq": "1"}, {"seq": 1.5}])
def test_what_is_no_entry_breaks_the_chain_with_a_typed_error(entry):
    with pytest.raises(ChainBroken):
        check_link(entry, sealed_chain()[0])
