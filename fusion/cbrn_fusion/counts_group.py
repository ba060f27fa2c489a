"""Counting rows: Gamma-Poisson filters with a fading memory and an exact predictive test.

The rate has a Gamma(a, b seconds) belief; over an interval T both fade by exp(−T/memory),
and N counts in a live time L make it (a + N, b + L). Before each update the counts are
compared with their negative binomial prediction. One sample with p < 1e-6 enters clipped;
a second one to the same side makes the filter forget what was before the two, so that a
true rise is followed within three samples however long the memory.
"""

from collections.abc import Sequence
from math import ceil, exp, expm1, floor, inf, nan, sqrt
from statistics import NormalDist

import msgspec

from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_fusion.channel_model import ChannelModel
from cbrn_fusion.counting import negative_binomial_head, negative_binomial_tail
from cbrn_fusion.rows import RING, Rows, RowStore, Sweep, numbers_of, write_outcome
from cbrn_fusion.samples import GREATEST_VALUE, LATEST_US, Outcome, Verdict

A, B, MEAN, HELD_COUNTS, HELD_S = range(5)
TIME, FIRST, COUNT, PENDING, HOT, LATE, LATE_US = range(7)
"""PENDING: +1 or −1 after one improbable sample; HOT: samples since a confirmed rise."""

IMPROBABLE = 1e-6
LEAST_SHAPE = 0.5
"""Jeffreys' half count: a never fades below it, so zero counts never mean a zero rate."""

_EXACT_FROM = 6.634897
"""χ² of one degree of freedom at 99 %: beyond it Pearson's figure is replaced."""

_CLIP_SIGMA = 4.75
_HOT_SAMPLES = 20
_LATE_SAMPLES = 5
_TREND_S = 30.0
_LEAST_P = 1e-300
_NORMAL = NormalDist()


class _Look(msgspec.Struct, frozen=True, gc=False):
    """Counts of one row in live time L [s], T seconds after the look before."""

    row: int
    time_us: int
    T: float
    L: float
    counts: float


class CountsGroup:
    """Bank rows of kind counts; the value is the rate, counts ÷ live time."""

    def __init__(self, models: Sequence[ChannelModel]) -> None:
        self.store = RowStore(models, 5, 7)
        self.diverged = 0

    def applied(self, row: int) -> int:
        """Return how many samples the row has taken."""
        return self._counter(COUNT, row)

    def sweep(self, rows: Rows, batch: Sweep) -> None:
        """Apply one sample to each of `rows`."""
        places, numbers = numbers_of(batch.at).tolist(), numbers_of(rows).tolist()
        times, values = batch.time_us.tolist(), batch.z.tolist()
        unstated = [nan] * len(places)
        livetimes = unstated if batch.livetime_s is None else batch.livetime_s.tolist()
        for place, row, time_us, z, livetime_s in zip(
            places, numbers, times, values, livetimes, strict=True
        ):
            write_outcome(batch.out, place, self.one(row, time_us, z, nan, livetime_s))

    def one(self, row: int, time_us: int, z: float, sigma: float, livetime_s: float) -> Outcome:
        """Apply one sample; the noise of counts follows from them, `sigma` is not used."""
        del sigma
        if not (-GREATEST_VALUE < z < GREATEST_VALUE and 0 <= time_us < LATEST_US):
            return self._stands(row, Verdict.NOT_FINITE)
        count = self._counter(COUNT, row)
        if count and time_us <= self._counter(TIME, row) and not self._set_back(row, time_us):
            return self._stands(row, Verdict.OUT_OF_ORDER)
        self._put(LATE, row, 0)
        T = self.store.models[row].period_s
        if count:
            T = (time_us - self._counter(TIME, row)) / US_PER_S
        L = livetime_s if 0 < livetime_s < inf else T
        look = _Look(row, time_us, T, L, _whole(max(z, 0.0) * L))
        if count == 0:
            self._put(FIRST, row, time_us)
            self._set(MEAN, row, look.counts / L)
            self._believe(row, look.counts + LEAST_SHAPE, L)
            return self._published(look, 0.0, Verdict.SETTLING, inf)
        return self._update(look)

    def _update(self, look: _Look) -> Outcome:
        row, L, counts = look.row, look.L, look.counts
        a, b = self._cell(A, row), self._cell(B, row)
        before = a / b
        fading = exp(-look.T / self.store.models[row].memory_s)
        a, b = max(a * fading, LEAST_SHAPE), max(b * fading, 1e-9)
        mean = a / b * L
        spread = sqrt(mean * (1 + L / b))
        nis, p = surprise(counts, a, b, L)
        side = 1 if counts > mean else -1
        self._innovation(row, (counts - mean) / L)
        cap = inf
        if p < IMPROBABLE and self.store.models[row].gate < inf:
            verdict = self._improbable(row, counts, L, side)
            if verdict is Verdict.GATED:
                clipped = max(0.0, mean + side * _CLIP_SIGMA * spread)
                self._believe(row, a + clipped, b + L)
            cap = max(counts / L, before)
        else:
            verdict = self._calm(row, counts=counts, L=L)
            self._believe(row, a + counts, b + L)
        return self._published(look, nis, verdict, cap)

    def _improbable(self, row: int, counts: float, L: float, side: int) -> Verdict:
        """Hold the first improbable sample; at the second start anew from both."""
        if self._counter(COUNT, row) < 2:
            self._put(COUNT, row, 0)
            self._believe(row, counts + LEAST_SHAPE, L)
            return Verdict.SETTLING
        if self._counter(PENDING, row) != side:
            self._put(PENDING, row, side)
            self._set(HELD_COUNTS, row, counts)
            self._set(HELD_S, row, L)
            return Verdict.GATED
        held, held_s = self._cell(HELD_COUNTS, row), self._cell(HELD_S, row)
        self._believe(row, max(held + counts, LEAST_SHAPE), held_s + L)
        self._put(PENDING, row, 0)
        self._put(HOT, row, _HOT_SAMPLES if side > 0 else 0)
        return Verdict.MANOEUVRE

    def _calm(self, row: int, *, counts: float, L: float) -> Verdict:
        pending, hot = self._counter(PENDING, row), self._counter(HOT, row)
        if hot:
            self._put(PENDING, row, 0)
            self._put(HOT, row, hot - 1)
            return Verdict.GAS
        if pending:
            self._put(PENDING, row, 0)
            held = self._cell(HELD_COUNTS, row) / self._cell(HELD_S, row)
            before = self._cell(A, row) / self._cell(B, row)
            returned = abs(counts / L - before) < abs(held - before) / 2
            return Verdict.SPIKE if returned else Verdict.QUIET
        return Verdict.SETTLING if self._counter(COUNT, row) < 2 else Verdict.QUIET

    def _set_back(self, row: int, time_us: int) -> bool:
        """Return whether late samples show a clock that was set back, and follow it then."""
        if time_us == self._counter(TIME, row):
            return False
        in_order = time_us > self._counter(LATE_US, row)
        late = self._counter(LATE, row) + 1 if in_order else 1
        self._put(LATE, row, late)
        self._put(LATE_US, row, time_us)
        if late < _LATE_SAMPLES:
            return False
        period_us = max(1, seconds_to_us(self.store.models[row].period_s))
        self._put(TIME, row, time_us - period_us)
        self._put(FIRST, row, time_us)
        return True

    def _published(self, look: _Look, nis: float, verdict: Verdict, cap: float) -> Outcome:
        row, time_us, T, L = look.row, look.time_us, look.T, look.L
        n, cells, counters = self.store.rows, self.store.cells, self.store.counters
        counters[TIME * n + row] = time_us
        counters[COUNT * n + row] += 1
        a, b, mean = cells[A * n + row], cells[B * n + row], cells[MEAN * n + row]
        value = min(a / b, cap)
        weight = -expm1(-T / _TREND_S)
        above = value - mean
        cells[MEAN * n + row] = mean + weight * above
        aged = time_us - counters[FIRST * n + row] >= _TREND_S * US_PER_S
        trend = 60.0 * weight / T * above if aged else nan
        sigma = sqrt(a) / b
        return Outcome(value, sigma, nis, trend, verdict, 0.0, sqrt(value / L))

    def _stands(self, row: int, verdict: Verdict) -> Outcome:
        if self._counter(COUNT, row) == 0:
            return Outcome(nan, nan, nan, nan, verdict, 0.0, nan)
        a, b = self._cell(A, row), self._cell(B, row)
        noise = sqrt(a / b / self.store.models[row].period_s)
        return Outcome(a / b, sqrt(a) / b, nan, nan, verdict, 0.0, noise)

    def _innovation(self, row: int, nu: float) -> None:
        place = self._counter(COUNT, row) % RING
        self.store.innovations[place * self.store.rows + row] = nu

    def _believe(self, row: int, a: float, b: float) -> None:
        self._set(A, row, a)
        self._set(B, row, b)

    def _cell(self, column: int, row: int) -> float:
        return self.store.cells[column * self.store.rows + row]

    def _set(self, column: int, row: int, figure: float) -> None:
        self.store.cells[column * self.store.rows + row] = figure

    def _counter(self, column: int, row: int) -> int:
        return self.store.counters[column * self.store.rows + row]

    def _put(self, column: int, row: int, figure: int) -> None:
        self.store.counters[column * self.store.rows + row] = figure


def surprise(counts: float, a: float, b_s: float, livetime_s: float) -> tuple[float, float]:
    """Return (NIS, p) of `counts` in `livetime_s` when the rate is Gamma(a, b seconds).

    Up to the 99 % point the NIS is Pearson's (N − mean)²/variance and p is 1; beyond it p is
    the exact negative binomial tail on that side and the NIS its squared normal quantile
    (0 where p ≥ ½), so that one gate serves all channels.
    """
    mean = a / b_s * livetime_s
    nis = (counts - mean) * (counts - mean) / (mean * (1 + livetime_s / b_s))
    if nis <= _EXACT_FROM:
        return nis, 1.0
    if counts > mean:
        p = negative_binomial_tail(ceil(counts), a, b_s, livetime_s)
    else:
        p = negative_binomial_head(floor(counts), a, b_s, livetime_s)
    quantile = _NORMAL.inv_cdf(min(max(p, _LEAST_P), 0.5))
    return quantile * quantile, p


def _whole(counts: float) -> float:
    """Return the nearest whole number where a rate times its live time only just misses it."""
    nearest = floor(counts + 0.5)
    return float(nearest) if abs(counts - nearest) < 1e-6 * max(1.0, counts) else counts
