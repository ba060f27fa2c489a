"""Columns of numbers for the rows of one group, and how they survive a restart."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import msgspec
import numpy as np

from cbrn_core.errors import ShapeError
from cbrn_fusion.channel_model import ChannelModel
from cbrn_fusion.samples import EstimateBatch, Floats, Integers, Outcome
from cbrn_fusion.story import Story

RING = 64
"""Innovations remembered per row."""

Rows = slice | Integers
"""Rows of a group: a contiguous run, or their numbers."""


FigureT = TypeVar("FigureT", int, float)


class Cells(Protocol[FigureT]):
    """A flat view of columns, one number at a time."""

    def __getitem__(self, place: int) -> FigureT:
        """Return one number."""
        ...

    def __setitem__(self, place: int, figure: FigureT) -> None:
        """Set one number."""
        ...


class Group(Protocol):
    """Rows of one kind; rows are independent of each other."""

    store: "RowStore"

    @property
    def diverged(self) -> int:
        """Return how many rows were re-initialised because their covariance broke."""
        ...

    def applied(self, row: int) -> int:
        """Return how many samples the row has taken."""
        ...

    def one(self, row: int, time_us: int, z: float, sigma: float, livetime_s: float) -> Outcome:
        """Apply one sample."""
        ...

    def sweep(self, rows: Rows, batch: "Sweep") -> None:
        """Apply one sample to each of `rows` (distinct), bit-equal to `one` on each."""
        ...


class Sweep(msgspec.Struct):
    """One sample for each of several rows, and where their estimates go.

    Attributes:
        valid: False where value or time is not a measurement; None = all are.
        at: positions of the samples in `out`.
    """

    time_us: Integers
    z: Floats
    sigma: Floats | None
    livetime_s: Floats | None
    valid: np.ndarray[tuple[int], np.dtype[np.bool_]] | None
    out: EstimateBatch
    at: Rows


class Frozen(msgspec.Struct):
    """Snapshot of one group: columns as bytes, in the order of `keys`."""

    keys: list[str]
    hashes: list[str]
    floats: bytes
    integers: bytes
    ring: bytes
    stories: dict[int, Story]


class RowStore:
    """Float and integer columns of shape (columns, rows), innovations (64, rows), stories.

    `cells` and `counters` are the same memory as `floats` and `integers`, flat: reading one
    number through a memoryview costs a third of reading it through numpy.
    """

    def __init__(self, models: Sequence[ChannelModel], floats: int, integers: int) -> None:
        self.models = list(models)
        self.hashes = [model.hash() for model in self.models]
        self.rows = len(self.models)
        self.floats: Floats = np.zeros((floats, self.rows))
        self.integers: Integers = np.zeros((integers, self.rows), dtype=np.int64)
        self.ring: Floats = np.zeros((RING, self.rows))
        self.stories: dict[int, Story] = {}
        self.cells = cast("Cells[float]", self.floats.reshape(-1).data)
        self.counters = cast("Cells[int]", self.integers.reshape(-1).data)
        self.innovations = cast("Cells[float]", self.ring.reshape(-1).data)

    def freeze(self) -> Frozen:
        """Return everything as a snapshot."""
        return Frozen(
            keys=[model.key for model in self.models],
            hashes=self.hashes,
            floats=self.floats.tobytes(),
            integers=self.integers.tobytes(),
            ring=self.ring.tobytes(),
            stories=self.stories,
        )

    def thaw(self, frozen: Frozen) -> int:
        """Take over the rows with equal key and model; return how many.

        Raises:
            ShapeError: the snapshot's arrays do not fit its keys.
        """
        count = len(frozen.keys)
        _check_size(frozen.floats, self.floats.shape[0], count)
        _check_size(frozen.integers, self.integers.shape[0], count)
        _check_size(frozen.ring, RING, count)
        if count == 0:
            return 0
        floats = np.frombuffer(frozen.floats).reshape(-1, count)
        integers = np.frombuffer(frozen.integers, dtype=np.int64).reshape(-1, count)
        ring = np.frombuffer(frozen.ring).reshape(RING, count)
        if len(frozen.hashes) != count:
            raise ShapeError("the snapshot has not one hash per key")
        where = dict(zip(frozen.keys, range(count), strict=True))
        taken = 0
        for row, model in enumerate(self.models):
            old = where.get(model.key)
            if old is None or frozen.hashes[old] != self.hashes[row]:
                continue
            self.floats[:, row] = floats[:, old]
            self.integers[:, row] = integers[:, old]
            self.ring[:, row] = ring[:, old]
            self.stories.pop(row, None)
            if old in frozen.stories:
                self.stories[row] = frozen.stories[old]
            taken += 1
        return taken


def write_outcome(out: EstimateBatch, place: int, outcome: Outcome) -> None:
    """Write one row's estimate to its place in the batch."""
    out.value[place] = outcome.value
    out.sigma[place] = outcome.sigma
    out.nis[place] = outcome.nis
    out.trend_per_min[place] = outcome.trend_per_min
    out.verdict[place] = outcome.verdict
    out.step_offset[place] = outcome.step_offset
    out.noise_sigma[place] = outcome.noise_sigma


def numbers_of(rows: Rows) -> Integers:
    """Return the rows or places as numbers."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def _check_size(packed: bytes, columns: int, rows: int) -> None:
    if len(packed) != columns * rows * 8:
        raise ShapeError(f"a snapshot column block has {len(packed)} bytes")
