"""Samples of lag rows that need thought: the first ones, the gated, the late, the moving."""

from math import expm1, isnan, nan, sqrt

from cbrn_core.errors import DivergedFilter
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.columns import (
    BUSY,
    COUNT,
    DOWN_BEFORE,
    DOWN_LAST,
    FALLEN_FROM,
    FALLEN_US,
    FIRST,
    FLOOR,
    GATE,
    MEAN,
    PCC,
    PYY,
    SIGMA,
    STEPPABLE,
    TAU_FALL,
    TAU_RISE,
    TIME,
    TREND_S,
    UNSEEN,
    UP_BEFORE,
    UP_LAST,
    VARIANCE,
    Z_LAST,
    Q,
    saturation_of,
    set_variance,
)
from cbrn_fusion.learning import FIRST_GUESS, SETTLE_SAMPLES, Learning
from cbrn_fusion.manoeuvre import Advance, advance
from cbrn_fusion.rows import RING, RowStore
from cbrn_fusion.samples import Outcome, Verdict
from cbrn_fusion.story import Row, Sample, State, Story

LATE_SAMPLES = 5
"""So many samples in a row, in order among themselves but before the last, are a clock that
was set back: the row goes on from there instead of falling silent."""

_LEARNABLE = (Verdict.QUIET, Verdict.SETTLING)


class Thoughtful:
    """The slow path over the columns of a lag group."""

    def __init__(self, store: RowStore) -> None:
        self.diverged = 0
        self._store = store

    def dropped(self, row: int, verdict: Verdict) -> Outcome:
        """Return the estimate as it stands; the sample is not applied."""
        if self._counter(BUSY, row) == UNSEEN:
            return Outcome(nan, nan, nan, nan, verdict, 0.0, self._cell(SIGMA, row))
        story = self._store.stories.get(row)
        value = self._cell(0, row) if story is None else story.published
        return self._outcome(row, value, nan, nan, verdict)

    def apply(self, row: int, time_us: int, z: float, R: float) -> Outcome:
        """Apply one finite sample to a row that is unseen, busy, gated or asked too early."""
        if self._counter(BUSY, row) == UNSEEN:
            return self._first(row, time_us, z, R)
        story = self._store.stories.get(row)
        if story is None:
            story = Story(published=self._cell(0, row))
        if time_us <= self._counter(TIME, row) and not self._set_back(row, story, time_us):
            self._keep(row, story)
            return self.dropped(row, Verdict.OUT_OF_ORDER)
        story.late = 0
        stated = self._cell(VARIANCE, row) != R
        view = self._row(row, stated=stated)
        stood = story.step is not None
        sample = Sample(time_us, z, R)
        try:
            result = advance(view, story, sample)
        except DivergedFilter:
            self.diverged += 1
            return self._first(row, time_us, z, R)
        trend = self._commit(row, view, sample, result)
        if story.step is not None and not stood:
            self._store.cells[MEAN * self._store.rows + row] += story.step.offset
        if stated and view.count >= SETTLE_SAMPLES:
            story.learning = None
        elif story.learning is not None and not stated and result.verdict in _LEARNABLE:
            self._learn(row, story, story.learning, abs(z - self._cell(Z_LAST, row)))
        self._set_cell(Z_LAST, row, z)
        self._keep(row, story)
        return self._outcome(row, result.published, result.nis, trend, result.verdict)

    def _first(self, row: int, time_us: int, z: float, R: float) -> Outcome:
        store, model = self._store, self._store.models[row]
        for column, figure in ((TIME, time_us), (FIRST, time_us), (COUNT, 0)):
            store.counters[column * store.rows + row] = figure
        view = self._row(row, stated=False)
        story = Story(published=z)
        if model.sigma is None or (model.kind is Kind.LAG and model.gate < float("inf")):
            story.learning = Learning()
        sample = Sample(time_us, z, R)
        self._set_cell(MEAN, row, z)
        self._commit(row, view, sample, Advance(view.settled(z, R), 0.0, 0.0, Verdict.SETTLING, z))
        self._set_cell(Z_LAST, row, z)
        self._keep(row, story)
        return self._outcome(row, z, 0.0, nan, Verdict.SETTLING)

    def _set_back(self, row: int, story: Story, time_us: int) -> bool:
        """Return whether late samples show a clock that was set back, and follow it then."""
        if time_us == self._counter(TIME, row):
            return False
        story.late = story.late + 1 if time_us > story.late_us else 1
        story.late_us = time_us
        if story.late < LATE_SAMPLES:
            return False
        period_us = max(1, seconds_to_us(self._store.models[row].period_s))
        story.evidence = None
        n, counters = self._store.rows, self._store.counters
        counters[TIME * n + row] = time_us - period_us
        counters[FIRST * n + row] = time_us
        return True

    def _commit(self, row: int, view: Row, sample: Sample, result: Advance) -> float:
        """Write the posterior back; return the trend per minute, NaN while it is unknown."""
        store = self._store
        n, cells, counters = store.rows, store.cells, store.counters
        T = max(sample.time_us - view.time_us, 1) / US_PER_S
        for column, figure in enumerate(result.state):
            cells[column * n + row] = figure
        weight = -expm1(-T / TREND_S)
        above = max(result.published, cells[FLOOR * n + row]) - cells[MEAN * n + row]
        cells[MEAN * n + row] += weight * above
        cells[FALLEN_FROM * n + row] = view.fallen_from
        counters[FALLEN_US * n + row] = view.fallen_us
        for column, count in enumerate((*view.ups, *view.downs), start=UP_LAST):
            counters[column * n + row] = count
        store.innovations[(view.count % RING) * n + row] = result.nu
        counters[TIME * n + row] = sample.time_us
        counters[COUNT * n + row] = view.count + 1
        aged = sample.time_us - counters[FIRST * n + row] >= TREND_S * US_PER_S
        return 60.0 * weight / T * above if aged else nan

    def _learn(self, row: int, story: Story, learning: Learning, difference: float) -> None:
        model = self._store.models[row]
        anew = learning.add(difference)
        done = learning.complete if model.sigma is None else learning.exhausted
        enough = len(learning.differences) + 1 >= FIRST_GUESS
        if model.sigma is None and enough and (anew or done):
            self._rescale(row, learning.variance(model))
        if done:
            sigma = self._cell(SIGMA, row)
            if learning.repeats(sigma, model.resolution):
                self._store.counters[STEPPABLE * self._store.rows + row] = 0
            story.learning = None

    def _rescale(self, row: int, R: float) -> None:
        n, cells = self._store.rows, self._store.cells
        ratio = R / cells[VARIANCE * n + row]
        for column in range(PCC, PCC + 3):
            cells[column * n + row] *= ratio
        set_variance(self._store, row, R)

    def _row(self, row: int, *, stated: bool) -> Row:
        model: ChannelModel = self._store.models[row]
        f = self._store.floats[:, row].tolist()
        i = self._store.integers[:, row].tolist()
        return Row(
            state=State(*f[: PYY + 1]),
            time_us=i[TIME],
            z_last=f[Z_LAST],
            count=i[COUNT],
            R=f[VARIANCE],
            q=f[Q],
            gate=f[GATE],
            tau_rise_s=f[TAU_RISE],
            tau_fall_s=f[TAU_FALL],
            saturation=saturation_of(model),
            clamped=model.range[0] if model.range is not None else 0.0,
            dead_band=model.lod or 0.0,
            fallen_from=f[FALLEN_FROM],
            fallen_us=i[FALLEN_US],
            steppable=i[STEPPABLE] == 1,
            sigma_known=model.sigma is not None or stated,
            resolution=model.resolution,
            ups=(i[UP_LAST], i[UP_BEFORE]),
            downs=(i[DOWN_LAST], i[DOWN_BEFORE]),
        )

    def _keep(self, row: int, story: Story) -> None:
        """Put the story back, or let the row return to the fast path."""
        store = self._store
        if story.over:
            store.stories.pop(row, None)
            store.counters[BUSY * store.rows + row] = 0
        else:
            store.stories[row] = story
            store.counters[BUSY * store.rows + row] = 1

    def _outcome(
        self, row: int, value: float, nis: float, trend: float, verdict: Verdict
    ) -> Outcome:
        story = self._store.stories.get(row)
        offset = story.step.offset if story is not None and story.step is not None else 0.0
        floor = self._cell(FLOOR, row)
        return Outcome(
            value if value > floor or isnan(value) else floor,
            sqrt(self._cell(PCC, row)),
            nis,
            trend,
            verdict,
            offset,
            self._cell(SIGMA, row),
        )

    def _cell(self, column: int, row: int) -> float:
        return self._store.cells[column * self._store.rows + row]

    def _set_cell(self, column: int, row: int, figure: float) -> None:
        self._store.cells[column * self._store.rows + row] = figure

    def _counter(self, column: int, row: int) -> int:
        return self._store.counters[column * self._store.rows + row]
