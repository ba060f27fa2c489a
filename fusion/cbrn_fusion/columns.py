"""Columns of the lag group: what each row keeps, and the constants its model sets."""

from math import inf, sqrt

from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.models import WALK_TAU_S
from cbrn_fusion.rows import RowStore
from cbrn_fusion.story import LONG_AGO

C, Y, PCC, PCY, PYY, MEAN, Z_LAST, VARIANCE = range(8)
"""State, running mean of what was published, last reading, R."""

U, E, QCC, QCY, QYY, WEIGHT, SLOPE = range(8, 15)
"""Transition and weights of the trend, cached for the interval in KEY."""

GATE, TAU_RISE, Q, SIGMA, TAU_FALL, FLOOR = range(15, 21)
QUICK_COLUMNS = 21
"""Columns up to here are read for each sample."""

LSB2_12, R_FLOOR, FALLEN_FROM = range(21, 24)
FLOAT_COLUMNS = 24

TIME, COUNT, KEY, FIRST, BUSY, STEPPABLE, FALLEN_US = range(7)
"""KEY: the interval (and tendency) that the cached transition belongs to."""

UP_LAST, UP_BEFORE, DOWN_LAST, DOWN_BEFORE = range(7, 11)
"""COUNT at the last two exceedances of the gate to each side."""
INTEGER_COLUMNS = 11

UNSEEN = 2
"""BUSY of a row without a sample; 1 has a story, 0 takes the fast path."""

TREND_S = 30.0
"""Memory of the running mean, from which the trend follows."""

NEVER_US = -(1 << 62)


def fill_constants(store: RowStore) -> None:
    """Set the columns that follow from the models; every row starts unseen."""
    for row, model in enumerate(store.models):
        floats, integers = store.floats[:, row], store.integers[:, row]
        lag = model.kind is Kind.LAG
        floats[TAU_RISE] = model.tau_rise_s if lag else WALK_TAU_S
        floats[TAU_FALL] = model.fall_s if lag else WALK_TAU_S
        floats[GATE] = model.gate
        floats[FLOOR] = 0.0 if model.nonnegative else -inf
        floats[LSB2_12] = model.resolution**2 / 12
        floats[R_FLOOR] = model.variance_floor
        floats[FALLEN_FROM] = -inf
        integers[KEY] = -1
        integers[BUSY] = UNSEEN
        integers[STEPPABLE] = lag
        integers[FALLEN_US] = NEVER_US
        integers[UP_LAST : DOWN_BEFORE + 1] = LONG_AGO
    for row, model in enumerate(store.models):
        learnt = model.sigma is None
        set_variance(
            store, row, model.variance_floor if learnt else model.variance(model.sigma or 0.0)
        )


def set_variance(store: RowStore, row: int, R: float) -> None:
    """Set R of a row [unit²] and what follows from it."""
    n, model = store.rows, store.models[row]
    store.cells[VARIANCE * n + row] = R
    store.cells[SIGMA * n + row] = sqrt(R)
    store.cells[Q * n + row] = model.density(R)
    store.counters[KEY * n + row] = -1


def saturation_of(model: ChannelModel) -> float:
    """Return the reading from which the instrument says only "at least"."""
    if model.range is None:
        return inf
    low, high = model.range
    return low + 0.99 * (high - low)
