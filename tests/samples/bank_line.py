"""Feeds a bank the way a test reads: values in, one second apart, arrays out."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.samples import EstimateBatch, Samples

START_US = 1_700_000_000_000_000
TAU_30_S = 13.0288344571


class Line:
    """One channel after another in one bank, each row fed the same instants."""

    def __init__(self, model: ChannelModel, rows: int = 1, period_s: float = 1.0) -> None:
        import msgspec

        self.bank = Bank([msgspec.structs.replace(model, key=f"row{i}") for i in range(rows)])
        self.rows = rows
        self.period_us = round(period_s * 1e6)
        self.tick = 0

    def feed(self, table: Sequence[float] | np.ndarray) -> EstimateBatch:
        """Submit values of shape (ticks,) or (ticks, rows); every array out is (ticks, rows)."""
        values = np.asarray(table, dtype=float)
        values = values.reshape(len(values), -1)
        if values.shape[1] == 1:
            values = np.repeat(values, self.rows, axis=1)
        batches = []
        for row in values:
            time_us = np.full(self.rows, START_US + self.tick * self.period_us)
            batches.append(self.bank.submit(Samples(np.arange(self.rows), time_us, row)))
            self.tick += 1
        return EstimateBatch(*(np.stack(arrays) for arrays in zip(*batches, strict=True)))


@pytest.fixture
def line() -> Callable[..., Line]:
    return Line


@pytest.fixture
def chlorine() -> ChannelModel:
    """An electrochemical cell: T90 30 s, noise 0.2 ppm, q 0.04 ppm²/s."""
    return ChannelModel(key="cl2", kind=Kind.LAG, tau_rise_s=TAU_30_S, sigma=0.2)


def lag_response(exposure: float, tau_s: float, ticks: int, onset_s: float = 0.0) -> np.ndarray:
    """Reading of a first-order lag under an exposure held from `onset_s`, at 1, 2 … ticks s."""
    age_s = np.maximum(np.arange(1, ticks + 1) - onset_s, 0.0)
    return exposure * -np.expm1(-age_s / tau_s)


@pytest.fixture
def response() -> Callable[..., np.ndarray]:
    return lag_response


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    def draw(ticks: int, rows: int = 1, sigma: float = 0.2, seed: int = 7) -> np.ndarray:
        return sigma * np.random.default_rng(seed).standard_normal((ticks, rows))

    return draw
