"""The hash chain of the journal: who changes one entry breaks every later one. Pure.

`hash` = lower-case hex SHA-256 over the RFC 8785 canonical JSON of the whole entry
without `hash` and `signature`. The chain's fields lie in `properties` of a GeoJSON
Feature (an alert), at the top level of any other entry.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_gateway.store.canonical_json import canonical_json

GENESIS_HASH = "0" * 64
JOURNALLED = "journalled"
_UNHASHED = ("hash", "signature")
_LARGEST_EXACT = 2**53 - 1

Entry = Mapping[str, Any]


class Chain:
    """The end of a chain, where the next entry is tied on.

    `seq` and `prev_hash` are those of the newest entry; 0 and 64 zeros when there is none.
    """

    __slots__ = ("epoch", "prev_hash", "seq")

    def __init__(self, epoch: int, seq: int = 0, prev_hash: str = GENESIS_HASH) -> None:
        self.epoch = epoch
        self.seq = seq
        self.prev_hash = prev_hash

    def seal(self, entry: Entry) -> dict[str, Any]:
        """Return a copy of `entry` with its place in the chain; the chain moves on.

        Raises:
            StorageError: the entry has no canonical JSON (a number that is not finite or
                beyond 2^53, text that is not Unicode …); the chain stays where it is.
        """
        sealed = dict(entry)
        fields = sealed
        if is_alert(entry):
            fields = sealed["properties"] = dict(chain_fields(entry))
        fields.update(
            epoch=self.epoch, seq=self.seq + 1, prev_hash=self.prev_hash, journal=JOURNALLED
        )
        digest = entry_hash(sealed)
        fields["hash"] = digest
        self.seq += 1
        self.prev_hash = digest
        return sealed


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found.

    Attributes:
        entries: how many verify, counted from the first; later ones were not judged.
        epochs: in order; more than one says that the journal was restored in between.
        bad_seq: the first entry that does not verify or is missing, where there is one.
        problem: what is wrong with it, in plain words; None when all is well.
    """

    entries: int
    first_seq: int | None
    last_seq: int | None
    epochs: tuple[int, ...]
    ok: bool
    bad_seq: int | None = None
    problem: str | None = None

    def __str__(self) -> str:
        span = "" if self.first_seq is None else f", {self.first_seq} to {self.last_seq}"
        restored = "" if len(self.epochs) <= 1 else f", restored {len(self.epochs) - 1} times"
        verified = f"{self.entries} entries verify{span}{restored}"
        if self.ok:
            return verified
        return f"NOT INTACT at entry {self.bad_seq}: {self.problem}. Before it {verified}."


def is_alert(entry: Entry) -> bool:
    """Return whether an entry is an alert: a GeoJSON Feature."""
    return entry.get("type") == "Feature"


def chain_fields(entry: Entry) -> Mapping[str, Any]:
    """Return the object of an entry that carries epoch, seq, prev_hash and hash.

    Raises:
        StorageError: a Feature without properties.
    """
    if not is_alert(entry):
        return entry
    properties = entry.get("properties")
    if not isinstance(properties, Mapping):
        raise StorageError("an alert without properties cannot be journalled")
    return properties


def canonical(entry: Entry) -> bytes:
    """Return the RFC 8785 canonical JSON of an entry; raises StorageError if it has none."""
    try:
        return canonical_json(dict(entry))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(f"an entry has no canonical JSON: {error}") from error


def decode(body: bytes) -> dict[str, Any]:
    """Return the entry that `canonical` wrote; numbers beyond 2^53 come back as floats.

    Raises:
        StorageError: not a JSON object.
    """
    try:
        entry = json.loads(body, parse_int=_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"an entry is no JSON: {error}") from error
    if not isinstance(entry, dict):
        raise StorageError("an entry is no JSON object")
    return entry


def entry_hash(entry: Entry) -> str:
    """Return the hash that an entry must carry; raises StorageError."""
    hashed = dict(entry)
    if is_alert(entry):
        hashed["properties"] = _without_hash(chain_fields(entry))
    else:
        hashed = _without_hash(hashed)
    return hashlib.sha256(canonical(hashed)).hexdigest()


def check_link(entry: Entry, previous: Entry | None) -> None:
    """Check that an entry is whole and follows `previous`, which was checked before.

    Without `previous` only entry 1 must start from 64 zeros; an entry from the middle
    is judged by its own hash alone.

    Raises:
        ChainBroken: `seq` is where the chain breaks.
    """
    before = None if previous is None else _link(previous, at_seq=0)
    _follow(entry, before, expected_seq=None if before is None else before.seq + 1)


def verify_entries(entries: Iterable[Entry], *, from_start: bool = True) -> VerifyReport:
    """Judge entries in the order of seq, up to the first that does not verify.

    `from_start` demands that the first is entry 1; without it any part of a journal
    may be judged.
    """
    tally = _Tally()
    try:
        for entry in entries:
            tally.add(entry, from_start=from_start)
    except ChainBroken as error:
        return tally.report(error)
    return tally.report(None)


class _Link(msgspec.Struct, frozen=True):
    epoch: int
    seq: int
    prev_hash: str
    hash: str


class _Tally:
    """Running state of a verification; holds one link at a time."""

    def __init__(self) -> None:
        self._link: _Link | None = None
        self._count = 0
        self._first_seq: int | None = None
        self._epochs: list[int] = []

    def add(self, entry: Entry, *, from_start: bool) -> None:
        expected_seq = 1 if from_start else None
        if self._link is not None:
            expected_seq = self._link.seq + 1
        self._link = _follow(entry, self._link, expected_seq)
        if self._first_seq is None:
            self._first_seq = self._link.seq
        if self._link.epoch not in self._epochs[-1:]:
            self._epochs.append(self._link.epoch)
        self._count += 1

    def report(self, error: ChainBroken | None) -> VerifyReport:
        return VerifyReport(
            entries=self._count,
            first_seq=self._first_seq,
            last_seq=None if self._link is None else self._link.seq,
            epochs=tuple(self._epochs),
            ok=error is None,
            bad_seq=None if error is None else error.seq,
            problem=None if error is None else str(error),
        )


def _number(digits: str) -> int | float:
    """Canonical JSON writes a float of 1e20 as an integer, which has no canonical JSON."""
    number = int(digits)
    return number if abs(number) <= _LARGEST_EXACT else float(digits)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _without_hash(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in _UNHASHED}


def _link(entry: Entry, at_seq: int) -> _Link:
    try:
        return msgspec.convert(dict(chain_fields(entry)), _Link)
    except (msgspec.ValidationError, StorageError) as error:
        raise ChainBroken(at_seq, f"entry {at_seq} is no journal entry: {error}") from error


def _follow(entry: Entry, before: _Link | None, expected_seq: int | None) -> _Link:
    """Return the link of an entry that is whole and stands where it should."""
    link = _link(entry, expected_seq or 0)
    _check_content(entry, link, link.seq if expected_seq is None else expected_seq)
    if expected_seq is not None and link.seq != expected_seq:
        raise ChainBroken(expected_seq, _gap(expected_seq, link.seq))
    if before is None:
        if link.seq == 1 and link.prev_hash != GENESIS_HASH:
            raise ChainBroken(1, "entry 1 does not start from 64 zeros")
        return link
    if link.epoch < before.epoch:
        raise ChainBroken(
            link.seq, f"entry {link.seq} goes back from epoch {before.epoch} to {link.epoch}"
        )
    if link.prev_hash != before.hash:
        raise ChainBroken(
            link.seq,
            f"entry {link.seq} does not follow entry {before.seq}: one of them was replaced",
        )
    return link


def _check_content(entry: Entry, link: _Link, at_seq: int) -> None:
    try:
        right_hash = entry_hash(entry)
    except StorageError as error:
        raise ChainBroken(at_seq, f"entry {at_seq} is no journal entry: {error}") from error
    if link.hash != right_hash:
        raise ChainBroken(
            at_seq, f"entry {at_seq} was changed: its hash does not match its content"
        )


def _gap(expected: int, found: int) -> str:
    if found < expected:
        return f"entry {expected} is missing: {found} comes again"
    missing = (
        f"entry {expected} is"
        if found == expected + 1
        else f"entries {expected} to {found - 1} are"
    )
    return f"{missing} missing: {found} comes next"
