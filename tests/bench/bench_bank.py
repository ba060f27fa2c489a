"""Updates per second of the bank against filterpy objects, in the same run.

Runnable: ``python tests/bench/bench_bank.py [--json]``. CPU time by process_time, median of
several rounds; one update = one sample of one sensor, with NIS and gate in the bank and
without the gate in filterpy (it has none). Also: µs per submit of small batches.
"""

import argparse
import json
import statistics
import sys
from time import process_time

import numpy as np
from filterpy.kalman import KalmanFilter

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.models import lag2
from cbrn_fusion.samples import Samples

TAU_S = 13.0288344571
SIGMA_PPM = 0.2
START_US = 1_700_000_000_000_000
BARS = {1_000: 5e6, 10_000: 1e7}
WARM_UP_TICKS = 70


def bank_of(count: int) -> Bank:
    return Bank(
        [
            ChannelModel(key=str(i), kind=Kind.LAG, tau_rise_s=TAU_S, sigma=SIGMA_PPM)
            for i in range(count)
        ]
    )


def ticks(count: int, number: int, *, jitter: bool, seed: int = 1) -> list[Samples]:
    rng = np.random.default_rng(seed)
    slot = np.arange(count)
    made = []
    for k in range(number):
        time_us = np.full(count, START_US + k * 1_000_000)
        if jitter:
            time_us = time_us + rng.integers(0, 50_000, count)
        made.append(Samples(slot, time_us, SIGMA_PPM * rng.standard_normal(count)))
    return made


def bank_rate(count: int, *, jitter: bool, rounds: int, per_round: int) -> float:
    """Return updates per second of CPU time, median over the rounds."""
    bank = bank_of(count)
    work = ticks(count, WARM_UP_TICKS + rounds * per_round, jitter=jitter)
    for samples in work[:WARM_UP_TICKS]:
        bank.submit(samples)
    rates = []
    for r in range(rounds):
        chunk = work[WARM_UP_TICKS + r * per_round :][:per_round]
        start = process_time()
        for samples in chunk:
            bank.submit(samples)
        rates.append(count * per_round / (process_time() - start))
    return statistics.median(rates)


def filterpy_rate(count: int, rounds: int = 3) -> float:
    F, Q = lag2(1.0, TAU_S, SIGMA_PPM**2)
    filters = []
    for _ in range(count):
        kf = KalmanFilter(dim_x=2, dim_z=1)
        kf.F, kf.Q = F.copy(), Q.copy()
        kf.H = np.array([[0.0, 1.0]])
        kf.R = np.array([[SIGMA_PPM**2]])
        filters.append(kf)
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(rounds):
        values = (SIGMA_PPM * rng.standard_normal(count)).tolist()
        start = process_time()
        for kf, z in zip(filters, values, strict=True):
            kf.predict()
            kf.update(z)
        rates.append(count / (process_time() - start))
    return statistics.median(rates)


def submit_us(batch: int, rounds: int = 9, per_round: int = 300) -> float:
    """Return µs of CPU time per submit of a batch of `batch` rows out of 50, irregular times."""
    bank = bank_of(50)
    rng = np.random.default_rng(2)
    work = []
    order = np.arange((WARM_UP_TICKS * 50 + rounds * per_round * batch) // batch * batch)
    for places in np.split(order, len(order) // batch):
        time_us = START_US + places * 20_000 + rng.integers(0, 5_000, batch)
        work.append(Samples(places % 50, time_us, SIGMA_PPM * rng.standard_normal(batch)))
    warm, timed = work[: -rounds * per_round], work[-rounds * per_round :]
    for samples in warm:
        bank.submit(samples)
    costs = []
    for r in range(rounds):
        chunk = timed[r * per_round : (r + 1) * per_round]
        start = process_time()
        for samples in chunk:
            bank.submit(samples)
        costs.append((process_time() - start) / per_round * 1e6)
    return statistics.median(costs)


def measure() -> dict[str, object]:
    rates = []
    for count, bar in BARS.items():
        regular = bank_rate(count, jitter=False, rounds=9, per_round=30)
        irregular = bank_rate(count, jitter=True, rounds=9, per_round=30)
        oracle = filterpy_rate(count)
        rates.append(
            {
                "rows": count,
                "bank_per_s": regular,
                "bank_irregular_per_s": irregular,
                "filterpy_per_s": oracle,
                "ratio": regular / oracle,
                "bar_per_s": bar,
                "meets_bar": regular >= bar,
            }
        )
    small = {str(batch): submit_us(batch) for batch in (1, 10, 50)}
    return {"rates": rates, "submit_us": small, "numpy": np.__version__}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    result = measure()
    if not arguments.json:
        print(
            f"{'rows':>7} {'bank/s':>10} {'irregular/s':>12} {'filterpy/s':>11} {'ratio':>7}  bar"
        )
        for rate in result["rates"]:
            print(
                f"{rate['rows']:>7} {rate['bank_per_s']:>10.2e}"
                f" {rate['bank_irregular_per_s']:>12.2e} {rate['filterpy_per_s']:>11.2e}"
                f" {rate['ratio']:>7.0f}  {rate['bar_per_s']:.0e}"
                f" {'met' if rate['meets_bar'] else 'MISSED'}"
            )
        for batch, cost in result["submit_us"].items():
            print(f"submit of {batch:>3} samples: {cost:7.1f} µs = {cost / int(batch):.1f} µs each")
    print(json.dumps(result))
    return 0 if all(rate["meets_bar"] for rate in result["rates"]) else 1


if __name__ == "__main__":
    sys.exit(main())
