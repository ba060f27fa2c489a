"""Rows with and without a lag, as columns of one matrix: the fast path of the bank.

Each row is a two-state Kalman filter x = [c, y]; a walk is the limit τ → 0. Quiet rows of a
batch are advanced together; a row that is young, gated or in a manoeuvre is taken out and
treated alone (`thoughtful.py`). One sample alone takes the same arithmetic on floats, so
the cut of the samples into batches never shows.
"""

from collections.abc import Sequence
from math import inf, isnan, nan, sqrt

import numpy as np

from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.columns import (
    BUSY,
    COUNT,
    FIRST,
    FLOAT_COLUMNS,
    FLOOR,
    GATE,
    INTEGER_COLUMNS,
    KEY,
    LSB2_12,
    MEAN,
    PCC,
    PCY,
    PYY,
    QCC,
    QCY,
    QUICK_COLUMNS,
    QYY,
    R_FLOOR,
    SIGMA,
    SLOPE,
    TAU_FALL,
    TAU_RISE,
    TIME,
    TREND_S,
    VARIANCE,
    WEIGHT,
    Z_LAST,
    C,
    E,
    Q,
    U,
    Y,
    fill_constants,
)
from cbrn_fusion.models import lag_noise, lag_step
from cbrn_fusion.rows import RING, Rows, RowStore, Sweep, numbers_of, write_outcome
from cbrn_fusion.samples import (
    GREATEST_VALUE,
    LATEST_US,
    Floats,
    Integers,
    Outcome,
    Verdict,
)
from cbrn_fusion.thoughtful import Thoughtful

_QUIET = int(Verdict.QUIET)
_US = 1e6
_TREND_US = 30_000_000


class LagGroup:
    """Bank rows of kind walk and lag."""

    def __init__(self, models: Sequence[ChannelModel]) -> None:
        self.store = RowStore(models, FLOAT_COLUMNS, INTEGER_COLUMNS)
        fill_constants(self.store)
        self.thoughtful = Thoughtful(self.store)
        self._two_sided = any(m.kind is Kind.LAG and m.fall_s != m.tau_rise_s for m in models)
        self._clamped = any(m.nonnegative for m in models)

    @property
    def diverged(self) -> int:
        """Return how many rows were re-initialised because their covariance broke."""
        return self.thoughtful.diverged

    def applied(self, row: int) -> int:
        """Return how many samples the row has taken since it was (re)initialised."""
        return self.store.counters[COUNT * self.store.rows + row]

    def one(self, row: int, time_us: int, z: float, sigma: float, livetime_s: float) -> Outcome:
        """Apply one sample; `livetime_s` has no meaning here."""
        del livetime_s
        store = self.store
        n, cells, counters = store.rows, store.cells, store.counters
        if not (-GREATEST_VALUE < z < GREATEST_VALUE and 0 <= time_us < LATEST_US):
            return self.thoughtful.dropped(row, Verdict.NOT_FINITE)
        dt = time_us - counters[row]
        R = cells[VARIANCE * n + row] if isnan(sigma) else self._variance(row, sigma)
        if dt <= 0 or counters[BUSY * n + row]:
            return self.thoughtful.apply(row, time_us, z, R)
        self._refresh_one(row, dt)
        state = (
            cells[row],
            cells[Y * n + row],
            cells[PCC * n + row],
            cells[PCY * n + row],
            cells[PYY * n + row],
        )
        transition = (
            cells[U * n + row],
            cells[E * n + row],
            cells[QCC * n + row],
            cells[QCY * n + row],
            cells[QYY * n + row],
        )
        c, y, pcc, pcy, pyy, nu, nis = lag_step(state, transition, z, R)
        if not nis <= cells[GATE * n + row]:
            return self.thoughtful.apply(row, time_us, z, R)
        floor = cells[FLOOR * n + row]
        value = max(floor, c)
        above = value - cells[MEAN * n + row]
        cells[row] = c
        cells[Y * n + row] = y
        cells[PCC * n + row] = pcc
        cells[PCY * n + row] = pcy
        cells[PYY * n + row] = pyy
        cells[MEAN * n + row] += cells[WEIGHT * n + row] * above
        cells[Z_LAST * n + row] = z
        count = counters[COUNT * n + row]
        store.innovations[(count % RING) * n + row] = nu
        counters[row] = time_us
        counters[COUNT * n + row] = count + 1
        aged = time_us - counters[FIRST * n + row] >= _TREND_US
        trend = cells[SLOPE * n + row] * above if aged else nan
        return Outcome(value, sqrt(pcc), nis, trend, _QUIET, 0.0, cells[SIGMA * n + row])

    def sweep(self, rows: Rows, batch: Sweep) -> None:
        """Apply one sample to each of `rows`; those that need thought are taken one by one."""
        with np.errstate(all="ignore"):
            odd = self._advance_quiet(rows, batch)
        if odd.size:
            self._take_out(rows, batch, odd)

    def _advance_quiet(self, rows: Rows, batch: Sweep) -> Integers:
        store = self.store
        integers = store.integers
        f = _pick(store.floats[:QUICK_COLUMNS], rows)
        dt = batch.time_us - integers[TIME][rows]
        self._refresh(rows, f, dt)
        R = f[VARIANCE] if batch.sigma is None else self._variances(rows, f, batch.sigma)
        transition = (f[U], f[E], f[QCC], f[QCY], f[QYY])
        *state, nu, nis = lag_step((f[C], f[Y], f[PCC], f[PCY], f[PYY]), transition, batch.z, R)
        calm = nis <= f[GATE]
        calm &= integers[BUSY][rows] == 0
        calm &= dt > 0
        if batch.valid is not None:
            calm &= batch.valid
        c = state[0]
        value = np.where(c > f[FLOOR], c, f[FLOOR]) if self._clamped else c
        above = value - f[MEAN]
        mean = f[MEAN] + f[WEIGHT] * above
        trend = f[SLOPE] * above
        self._publish(rows, batch, (value, state[2], nis, trend))
        everything = (*state, mean, batch.z)
        if calm.all():
            self._commit(rows, everything, batch.time_us, nu)
            return np.empty(0, dtype=np.int64)
        odd = np.flatnonzero(~calm)
        self._commit_but(numbers_of(rows)[odd], rows, everything, batch.time_us, nu)
        return odd

    def _commit(
        self, rows: Rows, columns: tuple[Floats, ...], time_us: Integers, nu: Floats
    ) -> None:
        floats, integers = self.store.floats, self.store.integers
        for column, fresh in enumerate(columns):
            floats[column, rows] = fresh
        integers[TIME, rows] = time_us
        self._remember(rows, nu)

    def _commit_but(
        self,
        odd: Integers,
        rows: Rows,
        columns: tuple[Floats, ...],
        time_us: Integers,
        nu: Floats,
    ) -> None:
        """Commit all and put the odd rows back as they were: cheaper than choosing the others."""
        store = self.store
        place = store.integers[COUNT, odd] % RING
        floats, remembered = store.floats[: Z_LAST + 1, odd], store.ring[place, odd]
        integers = store.integers[: COUNT + 1, odd]
        self._commit(rows, columns, time_us, nu)
        store.floats[: Z_LAST + 1, odd] = floats
        store.integers[: COUNT + 1, odd] = integers
        store.ring[place, odd] = remembered

    def _publish(
        self, rows: Rows, batch: Sweep, columns: tuple[Floats, Floats, Floats, Floats]
    ) -> None:
        value, pcc, nis, trend = columns
        out, at = batch.out, batch.at
        aged = batch.time_us - self.store.integers[FIRST][rows] >= _TREND_US
        out.value[at] = value
        out.sigma[at] = np.sqrt(pcc)
        out.nis[at] = nis
        out.trend_per_min[at] = trend if aged.all() else np.where(aged, trend, nan)
        out.verdict[at] = _QUIET
        out.step_offset[at] = 0.0
        out.noise_sigma[at] = self.store.floats[SIGMA][rows]

    def _remember(self, rows: Rows, nu: Floats) -> None:
        counts = self.store.integers[COUNT]
        place = counts[rows] % RING
        if place.size == 0:
            return
        if isinstance(rows, slice) and (place == place[0]).all():
            self.store.ring[int(place[0]), rows] = nu
        else:
            self.store.ring[place, numbers_of(rows)] = nu
        counts[rows] += 1

    def _take_out(self, rows: Rows, batch: Sweep, odd: Integers) -> None:
        numbers = numbers_of(rows)[odd].tolist()
        places = numbers_of(batch.at)[odd].tolist()
        times = batch.time_us[odd].tolist()
        values = batch.z[odd].tolist()
        sigmas = [nan] * len(numbers) if batch.sigma is None else batch.sigma[odd].tolist()
        for place, row, time_us, z, sigma in zip(
            places, numbers, times, values, sigmas, strict=True
        ):
            write_outcome(batch.out, place, self.one(row, time_us, z, sigma, nan))

    def _refresh(self, rows: Rows, f: Floats, dt: Integers) -> None:
        """Bring the cached transition up to date where the interval or the tendency changed."""
        store = self.store
        key = dt
        if self._two_sided:
            falling = f[Y] - f[C] > f[SIGMA]
            key = dt * 2 + falling
        known = store.integers[KEY][rows]
        changed = np.flatnonzero(key != known)
        if changed.size == 0:
            return
        stale: Rows = slice(None) if changed.size == key.size else changed
        T = dt[stale] / _US
        tau_s = f[TAU_RISE][stale]
        if self._two_sided:
            tau_s = np.where(falling[stale], f[TAU_FALL][stale], tau_s)
        u = -np.expm1(-T / tau_s)
        weight = -np.expm1(-T / TREND_S)
        fresh = (u, 1.0 - u, *lag_noise(T, tau_s, u, f[Q][stale]), weight, 60.0 * weight / T)
        for column, values in enumerate(fresh, start=U):
            f[column, stale] = values
        store.integers[KEY, rows] = key
        if not isinstance(rows, slice):
            store.floats[U : SLOPE + 1, rows] = f[U : SLOPE + 1]

    def _refresh_one(self, row: int, dt: int) -> None:
        store = self.store
        n, cells = store.rows, store.cells
        key, tau_s = dt, cells[TAU_RISE * n + row]
        if self._two_sided:
            falling = cells[Y * n + row] - cells[row] > cells[SIGMA * n + row]
            key = dt * 2 + falling
            tau_s = cells[TAU_FALL * n + row] if falling else tau_s
        if store.counters[KEY * n + row] == key:
            return
        store.counters[KEY * n + row] = key
        T = dt / _US
        u = -float(np.expm1(-T / tau_s))
        weight = -float(np.expm1(-T / TREND_S))
        fresh = (u, 1.0 - u, *lag_noise(T, tau_s, u, cells[Q * n + row]), weight, 60.0 * weight / T)
        for column, figure in enumerate(fresh, start=U):
            cells[column * n + row] = figure

    def _variance(self, row: int, sigma: float) -> float:
        n, cells = self.store.rows, self.store.cells
        if not 0 < sigma < inf:
            return cells[VARIANCE * n + row]
        given = sigma * sigma + cells[LSB2_12 * n + row]
        floor = cells[R_FLOOR * n + row]
        return max(floor, given)

    def _variances(self, rows: Rows, f: Floats, sigma: Floats) -> Floats:
        given = sigma * sigma + self.store.floats[LSB2_12][rows]
        stated = (sigma > 0) & (sigma < inf)
        floor = self.store.floats[R_FLOOR][rows]
        credible = np.where(given > floor, given, floor)
        chosen: Floats = np.where(stated, credible, f[VARIANCE])
        return chosen


def _pick(columns: Floats, rows: Rows) -> Floats:
    return columns[:, rows] if isinstance(rows, slice) else columns.take(rows, axis=1)
