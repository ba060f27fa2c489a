"""What goes into the bank and what comes out: arrays in arrival order."""

from enum import IntEnum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GREATEST_VALUE = 1e15
"""A reading beyond it is no measurement of anything and is dropped like NaN."""

LATEST_US = 1 << 62
"""Times from 0 to here; the difference of two never overflows an int64."""


class Verdict(IntEnum):
    """What the bank thinks of one sample."""

    SETTLING = 0
    """Too young to be judged, or its noise is still being learnt."""
    QUIET = 1
    GATED = 2
    """Suspected outlier: applied with R inflated by NIS/gate, never dropped."""
    SPIKE = 3
    """This sample returned: the one before it was a spike of one sample."""
    MANOEUVRE = 4
    """Two samples agree that something moves; its shape is not confirmed."""
    GAS = 5
    """The rise has the lag's shape, or is unclear: unclear is gas."""
    STEP = 6
    """A step that the lag cannot produce stands."""
    OUT_OF_ORDER = 7
    """Not later than the sample before it: dropped, not applied."""
    NOT_FINITE = 8
    """NaN, infinite or absurd value or time: dropped, not applied."""


class Samples(NamedTuple):
    """Readings in arrival order; several of one slot are taken one after the other.

    Attributes:
        slot: row of the bank, int64, shape (n,).
        time_us: measured at, int64, shape (n,).
        value: reading, shape (n,); for `counts` the rate, counts ÷ live time.
        sigma: noise of the reading; where it is not positive and finite the model's is used;
            None = the model's throughout.
        livetime_s: live time of a counting reading, NaN = the interval; None = all NaN.
    """

    slot: Integers
    time_us: Integers
    value: Floats
    sigma: Floats | None = None
    livetime_s: Floats | None = None


class OneSample(msgspec.Struct, frozen=True, gc=False):
    """One reading as plain numbers, in the order of `Samples`; NaN = not stated."""

    slot: int
    time_us: int
    value: float
    sigma: float
    livetime_s: float


class EstimateBatch(NamedTuple):
    """One estimate per sample, in the same order; all arrays have shape (n,).

    Attributes:
        value: posterior mean of the concentration or rate, capped while a manoeuvre is
            not confirmed; NaN only for a row that never had a valid sample.
        sigma: one standard deviation of it.
        nis: normalised innovation squared before any inflation; NaN where not applied.
            For `counts`: Pearson's figure, and beyond 6.63 upwards the squared normal
            quantile of the exact predictive tail.
        instrument_value: the reading itself.
        trend_per_min: slope of `value` over the last ~30 s; NaN before 30 s of history.
        verdict: `Verdict` codes, int8.
        step_offset: height of the step that stands, else 0; the channel is judged on
            `value - step_offset`.
        noise_sigma: √R of the row, learnt or given.
    """

    slot: Integers
    value: Floats
    sigma: Floats
    nis: Floats
    instrument_value: Floats
    trend_per_min: Floats
    verdict: NDArray[np.int8]
    step_offset: Floats
    noise_sigma: Floats


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One sample's estimate as plain floats, in the order of `EstimateBatch`."""

    value: float
    sigma: float
    nis: float
    trend_per_min: float
    verdict: int
    step_offset: float
    noise_sigma: float
