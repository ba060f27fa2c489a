"""The bank: every channel's filter, in groups of one kind, fed with samples in arrival order.

A channel's estimates depend on its own samples and their order alone: any cut of the same
samples into batches gives bit-identical estimates. Small batches are taken sample by
sample, large ones in rounds of at most one sample per row.
"""

from collections.abc import Sequence
from math import nan

import msgspec
import numpy as np

from cbrn_core.errors import ShapeError
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.counts_group import CountsGroup
from cbrn_fusion.lag_group import LagGroup
from cbrn_fusion.rows import RING, Frozen, Group, Rows, Sweep, numbers_of, write_outcome
from cbrn_fusion.samples import (
    GREATEST_VALUE,
    LATEST_US,
    EstimateBatch,
    Floats,
    Integers,
    OneSample,
    Outcome,
    Samples,
)

SNAPSHOT_SCHEMA = "cbrn-bank/1"
_ONE_BY_ONE = 11
"""Below it the fixed cost of a sweep is more than that of taking each sample alone."""

_PLAIN_ONE_BY_ONE = 48
"""Likewise for plain numbers, which need no arrays then."""

_OUTCOME = msgspec.structs.fields(Outcome)


class _Snapshot(msgspec.Struct):
    schema: str
    groups: list[Frozen]


class Bank:
    """Filters of all channels; `models[slot]` is the model of a slot.

    Attributes:
        groups: lag and walk rows, then counting rows.
    """

    def __init__(self, models: Sequence[ChannelModel]) -> None:
        keys = {model.key for model in models}
        if len(keys) != len(models):
            raise ShapeError("two models of a bank have the same key")
        counting = np.array([model.kind is Kind.COUNTS for model in models], dtype=bool)
        self._group_of = counting.astype(np.int64)
        self._row_of = np.where(counting, np.cumsum(counting), np.cumsum(~counting)) - 1
        self._places = list(zip(self._group_of.tolist(), self._row_of.tolist(), strict=True))
        self.groups: tuple[Group, ...] = (
            LagGroup([m for m in models if m.kind is not Kind.COUNTS]),
            CountsGroup([m for m in models if m.kind is Kind.COUNTS]),
        )
        self._uniform = bool((~counting).all())

    def __len__(self) -> int:
        return len(self._places)

    def submit(self, samples: Samples) -> EstimateBatch:
        """Return one estimate per sample, in order.

        Raises:
            ShapeError: arrays of unequal length, or a slot that the bank does not have.
        """
        checked = self._checked(samples)
        if checked.slot.size < _ONE_BY_ONE:
            return self._one_by_one(checked)
        out = _empty(checked)
        valid = (np.abs(checked.value) < GREATEST_VALUE) & (checked.time_us >= 0)
        valid &= checked.time_us < LATEST_US
        known = None if valid.all() else valid
        for places in _rounds(checked.slot):
            self._round(checked, known, out, places)
        return out

    def take(self, samples: Sequence[OneSample]) -> list[Outcome]:
        """Return one estimate per sample, in order: `submit` for plain numbers, bit-equal to it.

        Raises:
            ShapeError: a slot that the bank does not have.
        """
        if len(samples) >= _PLAIN_ONE_BY_ONE:
            batch = self.submit(_as_arrays(samples))
            return list(map(Outcome, *(column.tolist() for column in _columns(batch))))
        outcomes: list[Outcome] = []
        for s in samples:
            if not 0 <= s.slot < len(self._places):
                raise ShapeError(f"a slot lies outside of 0 … {len(self) - 1}")
            group, row = self._places[s.slot]
            outcome = self.groups[group].one(row, s.time_us, float(s.value), s.sigma, s.livetime_s)
            outcomes.append(outcome)
        return outcomes

    def innovations(self, slot: int) -> Floats:
        """Return the last (at most 64) innovations of a row, oldest first, in its unit."""
        group, row = self._places[slot]
        store = self.groups[group].store
        count = self.groups[group].applied(row)
        order = np.arange(max(0, count - RING), count) % RING
        remembered: Floats = store.ring[order, row]
        return remembered

    @property
    def diverged(self) -> int:
        """Return how many rows were re-initialised because their covariance broke."""
        return sum(group.diverged for group in self.groups)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        groups = [group.store.freeze() for group in self.groups]
        return msgspec.msgpack.encode(_Snapshot(SNAPSHOT_SCHEMA, groups))

    def restore(self, state: bytes) -> int:
        """Take over the rows whose key and model are equal; return how many.

        Raises:
            ShapeError: not a snapshot of a bank.
        """
        try:
            snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
        except msgspec.DecodeError as error:
            raise ShapeError(f"not a snapshot of a bank: {error}") from error
        if snapshot.schema != SNAPSHOT_SCHEMA or len(snapshot.groups) != len(self.groups):
            raise ShapeError(f"a snapshot of schema {snapshot.schema!r} cannot be restored")
        return sum(
            group.store.thaw(frozen)
            for group, frozen in zip(self.groups, snapshot.groups, strict=True)
        )

    def _checked(self, samples: Samples) -> Samples:
        slot = np.asarray(samples.slot, dtype=np.int64)
        time_us = np.asarray(samples.time_us, dtype=np.int64)
        value = np.ascontiguousarray(samples.value, dtype=np.float64)
        sigma = _optional(samples.sigma)
        livetime_s = _optional(samples.livetime_s)
        shape = slot.shape
        if len(shape) != 1 or time_us.shape != shape or value.shape != shape:
            raise ShapeError("slot, time_us and value need one equal length")
        for array in (sigma, livetime_s):
            if array is not None and array.shape != shape:
                raise ShapeError("sigma and livetime_s need the length of value")
        if slot.size and not 0 <= int(slot.min()) <= int(slot.max()) < len(self):
            raise ShapeError(f"a slot lies outside of 0 … {len(self) - 1}")
        return Samples(slot, time_us, value, sigma, livetime_s)

    def _one_by_one(self, samples: Samples) -> EstimateBatch:
        count = samples.slot.size
        unstated = [nan] * count
        outcomes: list[Outcome] = []
        for slot, time_us, z, sigma, livetime_s in zip(
            samples.slot.tolist(),
            samples.time_us.tolist(),
            samples.value.tolist(),
            unstated if samples.sigma is None else samples.sigma.tolist(),
            unstated if samples.livetime_s is None else samples.livetime_s.tolist(),
            strict=True,
        ):
            group, row = self._places[slot]
            outcomes.append(self.groups[group].one(row, time_us, z, sigma, livetime_s))
        rows = [msgspec.structs.astuple(outcome) for outcome in outcomes]
        table = np.array(rows, dtype=np.float64).reshape(count, len(_OUTCOME)).T.copy()
        value, sigma_out, nis, trend, verdict, offset, noise = table
        return EstimateBatch(
            slot=samples.slot,
            value=value,
            sigma=sigma_out,
            nis=nis,
            instrument_value=samples.value,
            trend_per_min=trend,
            verdict=verdict.astype(np.int8),
            step_offset=offset,
            noise_sigma=noise,
        )

    def _round(
        self, samples: Samples, valid: np.ndarray | None, out: EstimateBatch, places: Rows
    ) -> None:
        """Apply one sample to each of several distinct slots."""
        if self._uniform and (isinstance(places, slice) or places.size >= _ONE_BY_ONE):
            self._sweep(0, samples, valid, out, places)
            return
        numbers = numbers_of(places)
        if numbers.size < _ONE_BY_ONE:
            self._alone(samples, out, numbers)
            return
        kinds = self._group_of[samples.slot[numbers]]
        for group in range(len(self.groups)):
            chosen = numbers[kinds == group]
            if chosen.size:
                self._sweep(group, samples, valid, out, chosen)

    def _alone(self, samples: Samples, out: EstimateBatch, places: Integers) -> None:
        for place in places.tolist():
            group, row = self._places[int(samples.slot[place])]
            outcome = self.groups[group].one(
                row,
                int(samples.time_us[place]),
                float(samples.value[place]),
                nan if samples.sigma is None else float(samples.sigma[place]),
                nan if samples.livetime_s is None else float(samples.livetime_s[place]),
            )
            write_outcome(out, place, outcome)

    def _sweep(
        self,
        group: int,
        samples: Samples,
        valid: np.ndarray | None,
        out: EstimateBatch,
        places: Rows,
    ) -> None:
        rows = _run(self._row_of[samples.slot[places]])
        sweep = Sweep(
            time_us=samples.time_us[places],
            z=samples.value[places],
            sigma=None if samples.sigma is None else samples.sigma[places],
            livetime_s=None if samples.livetime_s is None else samples.livetime_s[places],
            valid=None if valid is None else valid[places],
            out=out,
            at=places,
        )
        self.groups[group].sweep(rows, sweep)


def _rounds(slot: Integers) -> list[Rows]:
    """Return positions grouped so that no group has a slot twice and order is kept."""
    if bool((slot[1:] > slot[:-1]).all()):
        return [slice(0, slot.size)]
    order = np.argsort(slot, kind="stable")
    ordered = slot[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.append(starts, slot.size))
    rank = np.empty(slot.size, dtype=np.int64)
    rank[order] = np.arange(slot.size) - np.repeat(starts, lengths)
    if int(lengths.max()) == 1:
        return [slice(0, slot.size)]
    by_rank = np.argsort(rank, kind="stable")
    cuts = np.cumsum(np.bincount(rank))[:-1]
    return list(np.split(by_rank, cuts))


def _run(rows: Integers) -> Rows:
    """Return a slice where the rows are a contiguous ascending run."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first == rows.size - 1 and bool((rows[1:] - rows[:-1] == 1).all()):
        return slice(first, last + 1)
    return rows


def _as_arrays(samples: Sequence[OneSample]) -> Samples:
    return Samples(
        np.array([s.slot for s in samples], dtype=np.int64),
        np.array([s.time_us for s in samples], dtype=np.int64),
        np.array([s.value for s in samples], dtype=np.float64),
        np.array([s.sigma for s in samples], dtype=np.float64),
        np.array([s.livetime_s for s in samples], dtype=np.float64),
    )


def _columns(batch: EstimateBatch) -> tuple[np.ndarray, ...]:
    """Return the columns of a batch in the order of `Outcome`."""
    return (
        batch.value,
        batch.sigma,
        batch.nis,
        batch.trend_per_min,
        batch.verdict,
        batch.step_offset,
        batch.noise_sigma,
    )


def _optional(array: Floats | None) -> Floats | None:
    return None if array is None else np.ascontiguousarray(array, dtype=np.float64)


def _empty(samples: Samples) -> EstimateBatch:
    table = np.empty((6, samples.slot.size))
    return EstimateBatch(
        slot=samples.slot,
        value=table[0],
        sigma=table[1],
        nis=table[2],
        instrument_value=samples.value,
        trend_per_min=table[3],
        verdict=np.empty(samples.slot.size, dtype=np.int8),
        step_offset=table[4],
        noise_sigma=table[5],
    )
