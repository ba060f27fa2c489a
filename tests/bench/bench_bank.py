"""Updates per second of the bank against filterpy objects, in the same run.

One update = one sample of one sensor, with NIS and gate in the bank and without the gate in
filterpy (it has none). CPU by process_time; of all rounds the fastest tenth counts, each
long enough to hold its share of gated samples. Also: what small batches cost, as live.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
from filterpy.kalman import KalmanFilter

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, best, run

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.models import lag2
from cbrn_fusion.samples import OneSample, Samples

TAU_S = 13.0288344571
SIGMA_PPM = 0.2
START_US = 1_700_000_000_000_000
BARS = {1_000: 5e6, 10_000: 1e7}
WARM_UP_TICKS = 70
ROUNDS = 25
PER_ROUND = 30
SMALL = 300


def bank_of(count: int) -> Bank:
    return Bank(
        [
            ChannelModel(key=str(i), kind=Kind.LAG, tau_rise_s=TAU_S, sigma=SIGMA_PPM)
            for i in range(count)
        ]
    )


def ticks(count: int, *, jitter: bool, seed: int = 1) -> Iterator[Samples]:
    rng = np.random.default_rng(seed)
    slot = np.arange(count)
    time_us = START_US
    while True:
        times_us = np.full(count, time_us)
        if jitter:
            times_us = times_us + rng.integers(0, 50_000, count)
        yield Samples(slot, times_us, SIGMA_PPM * rng.standard_normal(count))
        time_us += 1_000_000


def bank_rate(count: int, *, jitter: bool) -> float:
    """Return updates per second of CPU time."""
    bank = bank_of(count)
    work = ticks(count, jitter=jitter)
    for _ in range(WARM_UP_TICKS):
        bank.submit(next(work))
    costs = []
    for _ in range(ROUNDS):
        chunk = [next(work) for _ in range(PER_ROUND)]
        start = process_time()
        for samples in chunk:
            bank.submit(samples)
        costs.append(process_time() - start)
    return count * PER_ROUND / best(costs)


def filterpy_rate(count: int) -> float:
    F, Q = lag2(1.0, TAU_S, SIGMA_PPM**2)
    filters = []
    for _ in range(count):
        kf = KalmanFilter(dim_x=2, dim_z=1)
        kf.F, kf.Q = F.copy(), Q.copy()
        kf.H = np.array([[0.0, 1.0]])
        kf.R = np.array([[SIGMA_PPM**2]])
        filters.append(kf)
    rng = np.random.default_rng(1)
    costs = []
    for _ in range(max(2, 20_000 // count)):
        values = (SIGMA_PPM * rng.standard_normal(count)).tolist()
        start = process_time()
        for kf, z in zip(filters, values, strict=True):
            kf.predict()
            kf.update(z)
        costs.append(process_time() - start)
    return count / best(costs)


def small_us(size: int) -> float:
    """Return µs of CPU time per sample of batches of `size` out of 50 rows, irregular times."""
    bank = bank_of(50)
    rng = np.random.default_rng(2)
    place = 0
    costs = []
    for timed in [False] * (1 + WARM_UP_TICKS * 50 // (size * SMALL)) + [True] * ROUNDS:
        chunk = []
        for _ in range(SMALL):
            places = range(place, place + size)
            jitter_us = rng.integers(0, 5_000, size).tolist()
            values = (SIGMA_PPM * rng.standard_normal(size)).tolist()
            times_us = [START_US + p * 20_000 + j for p, j in zip(places, jitter_us, strict=True)]
            slots = [p % 50 for p in places]
            unstated = [float("nan")] * size
            chunk.append(list(map(OneSample, slots, times_us, values, unstated, unstated)))
            place += size
        start = process_time()
        for samples in chunk:
            bank.take(samples)
        if timed:
            costs.append((process_time() - start) / (SMALL * size) * 1e6)
    return best(costs)


def measure(_: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    for count, bar in BARS.items():
        head = f"{count} rows"
        figures += [
            Figure(
                name=f"{head}, {times} intervals",
                value=bank_rate(count, jitter=times == "irregular"),
                unit="updates/s",
                bar=bar,
                at_least=True,
            )
            for times in ("equal", "irregular")
        ]
        oracle = filterpy_rate(count)
        figures += [
            Figure(name=f"{head}, filterpy", value=oracle, unit="updates/s", note="peer"),
            Figure(name=f"{head}, ratio", value=figures[-2].value / oracle, unit="times"),
        ]
    figures += [
        Figure(name=f"batches of {size}", value=small_us(size), unit="µs/sample")
        for size in (1, 5, 10, 50)
    ]
    return figures


if __name__ == "__main__":
    sys.exit(run("bank", __doc__ or "", measure))
