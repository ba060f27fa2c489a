"""Radiation background of a station: what a level is compared with.

Fixed station: the commissioned value, else the median of its first 600 s outside events,
which then stands. Mobile station: its own running median of 15 min. Samples under the
event mask never enter, so that a source cannot become its own background.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from math import isfinite, nan
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cbrn_core.errors import FusionError, ShapeError
from cbrn_core.times import seconds_to_us
from cbrn_fusion.samples import Floats, Integers

LEARNING_US = seconds_to_us(600)
MOBILE_WINDOW_S = 900.0
LEAST_SAMPLES = 10
MOST_SAMPLES = 20_000
"""Bound of memory per station: 22 samples a second over 15 minutes."""

SNAPSHOT_SCHEMA = "cbrn-background/1"
_QUARTILES_TO_SIGMA = 1.349
_LONGEST_STEP_US = seconds_to_us(60)
_LATE_SAMPLES = 5


class Basis(StrEnum):
    """Where a background comes from."""

    COMMISSIONED = "commissioned"
    LEARNT = "learnt"
    """The median of the first 600 s; the level says "background not commissioned"."""
    RUNNING = "running"
    UNKNOWN = "unknown"
    """Fewer than ten quiet samples so far."""


class BackgroundModel(msgspec.Struct, frozen=True, kw_only=True):
    """One station; `commissioned` and `sigma` in the channel's unit."""

    key: str
    commissioned: float | None = None
    sigma: float | None = None
    mobile: bool = False

    def __post_init__(self) -> None:
        if self.commissioned is not None and not (
            isfinite(self.commissioned) and self.commissioned >= 0
        ):
            raise FusionError(f"{self.key}: a background is finite and not negative")


class Background(NamedTuple):
    """Background and the spread of single readings about it; NaN while unknown."""

    value: float
    sigma: float
    basis: Basis


class BackgroundBatch(NamedTuple):
    """Background after each sample, shape (n,); `settled` where it will not move by itself."""

    value: Floats
    sigma: Floats
    settled: NDArray[np.bool_]


class _Memory(msgspec.Struct):
    """Quiet samples of one station, at times of its own clock `quiet_us` that stops in events."""

    times_us: list[int] = msgspec.field(default_factory=list)
    values: list[float] = msgspec.field(default_factory=list)
    quiet_us: int = 0
    last_us: int | None = None
    late: int = 0
    frozen: tuple[float, float] | None = None


class _Snapshot(msgspec.Struct):
    schema: str
    memories: dict[str, tuple[BackgroundModel, _Memory]]


class RunningMedian:
    """Median of the samples of a window, by a sorted list beside the queue.

    An insertion costs one bisection and one shift of memory; at most MOST_SAMPLES stay.
    """

    def __init__(self, window_s: float | None) -> None:
        self._window_us = None if window_s is None else seconds_to_us(window_s)
        self._queue: deque[tuple[int, float]] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, time_us: int, value: float) -> None:
        """Take one finite value; those older than the window, and beyond the bound, leave."""
        self._queue.append((time_us, value))
        insort(self._sorted, value)
        while len(self._queue) > MOST_SAMPLES or (
            self._window_us is not None and self._queue[0][0] <= time_us - self._window_us
        ):
            _, old = self._queue.popleft()
            del self._sorted[bisect_left(self._sorted, old)]

    def quantile(self, share: float) -> float:
        """Return the linearly interpolated quantile; NaN of nothing."""
        count = len(self._sorted)
        if count == 0:
            return nan
        place = share * (count - 1)
        low = int(place)
        high = min(low + 1, count - 1)
        return self._sorted[low] + (place - low) * (self._sorted[high] - self._sorted[low])

    def items(self) -> list[tuple[int, float]]:
        """Return (time, value) in order of arrival."""
        return list(self._queue)


class _Station:
    """Background of one station."""

    def __init__(self, model: BackgroundModel) -> None:
        self.model = model
        self.median = RunningMedian(MOBILE_WINDOW_S if model.mobile else None)
        self.memory = _Memory()
        self._known: Background | None = None

    def add(self, time_us: int, value: float, *, event: bool) -> None:
        memory = self.memory
        if not isfinite(value) or self.settled or self._late(time_us):
            return
        elapsed_us = 0 if memory.last_us is None else time_us - memory.last_us
        memory.last_us = time_us
        if event:
            return
        self._known = None
        mobile = self.model.mobile
        memory.quiet_us += elapsed_us if mobile else min(elapsed_us, _LONGEST_STEP_US)
        self.median.add(memory.quiet_us, value)
        learnt = memory.quiet_us >= LEARNING_US and len(self.median) >= LEAST_SAMPLES
        if learnt and not mobile:
            memory.frozen = (self.median.quantile(0.5), self._spread())
            self.median = RunningMedian(None)

    def _late(self, time_us: int) -> bool:
        """Return whether the sample is not later than the last, and the clock was not set back."""
        memory = self.memory
        if memory.last_us is None or time_us > memory.last_us:
            memory.late = 0
            return False
        memory.late += 1
        if memory.late >= _LATE_SAMPLES:
            memory.last_us = time_us
            memory.late = 0
        return True

    @property
    def settled(self) -> bool:
        return self.model.commissioned is not None or self.memory.frozen is not None

    @property
    def background(self) -> Background:
        if self._known is None:
            self._known = self._background()
        return self._known

    def _background(self) -> Background:
        model, memory = self.model, self.memory
        if model.commissioned is not None:
            sigma = nan if model.sigma is None else model.sigma
            return Background(model.commissioned, sigma, Basis.COMMISSIONED)
        if memory.frozen is not None:
            return Background(*memory.frozen, Basis.LEARNT)
        if len(self.median) < LEAST_SAMPLES:
            return Background(nan, nan, Basis.UNKNOWN)
        basis = Basis.RUNNING if model.mobile else Basis.LEARNT
        return Background(self.median.quantile(0.5), self._spread(), basis)

    def _spread(self) -> float:
        return (self.median.quantile(0.75) - self.median.quantile(0.25)) / _QUARTILES_TO_SIGMA

    def freeze(self) -> _Memory:
        items = self.median.items()
        self.memory.times_us = [time_us for time_us, _ in items]
        self.memory.values = [value for _, value in items]
        return self.memory

    def thaw(self, memory: _Memory) -> None:
        self.memory = memory
        self._known = None
        self.median = RunningMedian(MOBILE_WINDOW_S if self.model.mobile else None)
        for time_us, value in zip(memory.times_us, memory.values, strict=True):
            self.median.add(time_us, value)


class BackgroundBank:
    """Backgrounds of all radiation stations; `models[slot]` is the model of a slot."""

    def __init__(self, models: Sequence[BackgroundModel]) -> None:
        self._stations = [_Station(model) for model in models]

    def submit(
        self, slot: Integers, time_us: Integers, value: Floats, event: NDArray[np.bool_]
    ) -> BackgroundBatch:
        """Take samples in arrival order; return the background after each.

        Args:
            slot: station, shape (n,).
            time_us: measured at; a sample not later than the one before it is ignored.
            value: reading, in the unit of the background; not finite: ignored.
            event: True while an event is open at the station: the sample is not used.

        Raises:
            ShapeError: arrays of unequal length, or an unknown slot.
        """
        if not len(slot) == len(time_us) == len(value) == len(event):
            raise ShapeError("slot, time_us, value and event need one equal length")
        if len(slot) and not 0 <= int(np.min(slot)) <= int(np.max(slot)) < len(self._stations):
            raise ShapeError(f"a slot lies outside of 0 … {len(self._stations) - 1}")
        rows: list[tuple[float, float, bool]] = []
        for place, when_us, reading, masked in zip(
            np.asarray(slot).tolist(),
            np.asarray(time_us).tolist(),
            np.asarray(value).tolist(),
            np.asarray(event).tolist(),
            strict=True,
        ):
            background = self.add(place, when_us, reading, event=masked)
            settled = self._stations[place].settled
            rows.append((background.value, background.sigma, settled))
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
        return BackgroundBatch(table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1)

    def add(self, slot: int, time_us: int, value: float, *, event: bool) -> Background:
        """Take one sample of a known station: `submit` for plain numbers."""
        station = self._stations[slot]
        station.add(time_us, value, event=event)
        return station.background

    def background(self, slot: int) -> Background:
        """Return the background of a station as it stands."""
        return self._stations[slot].background

    def is_settled(self, slot: int) -> bool:
        """Return whether the background of a station will not move by itself any more."""
        return self._stations[slot].settled

    def snapshot(self) -> bytes:
        """Return the whole state."""
        memories = {s.model.key: (s.model, s.freeze()) for s in self._stations}
        return msgspec.msgpack.encode(_Snapshot(SNAPSHOT_SCHEMA, memories))

    def restore(self, state: bytes) -> int:
        """Take over the stations whose key and model are equal; return how many.

        Raises:
            ShapeError: not a snapshot of backgrounds.
        """
        try:
            snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
        except msgspec.DecodeError as error:
            raise ShapeError(f"not a snapshot of backgrounds: {error}") from error
        if snapshot.schema != SNAPSHOT_SCHEMA:
            raise ShapeError(f"a snapshot of schema {snapshot.schema!r} cannot be restored")
        taken = 0
        for station in self._stations:
            model, memory = snapshot.memories.get(station.model.key, (None, None))
            if memory is None or model != station.model:
                continue
            if len(memory.times_us) != len(memory.values):
                raise ShapeError("a background has not one time per value")
            station.thaw(memory)
            taken += 1
        return taken
