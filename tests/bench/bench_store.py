"""CPU per row of the stores, and of sealing an alert, beside bare append and fdatasync.

CPU by process_time (all threads), so that other load counts little. One sample = one
reading, its estimate and its line of line protocol: three rows. Rolling up: readings of two
decimals with noise, and estimates of all digits, at 1 Hz.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import rfc8785

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, best, run
from samples.alert_samples import MODEL, alarm
from samples.store_samples import EPOCH, START_US, estimate, reading

from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.store.chain import Chain, canonical
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.roller import STEP_PAUSE_S, Roller
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_reader import SeriesReader, Snapshot
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

CHANNELS = 500
SECONDS = 60
ROUNDS = 5
BAR_US_PER_ROW = 10.0
BAR_SEAL_US = 250.0
ALERTS = 200
ROLLED_CHANNELS = 50
ROLLED_S = 600
BAR_CHUNK_BYTES = 45.0
BAR_ROLLED_PER_S = 20_000.0


def batches() -> list[Batch]:
    """Return one batch per second of 500 channels at 1 Hz."""
    made = []
    for second in range(SECONDS):
        names = [(f"st{c // 4:03}", f"ch{c % 4}") for c in range(CHANNELS)]
        made.append(
            Batch(
                readings=[reading(second, 1.5, s, c, device=f"d-{c}") for s, c in names],
                estimates=[estimate(second, 1.4, s, c) for s, c in names],
                lines={
                    Consequence.READING: [
                        b"chemical,city=oslo,site=radhus,station=%s,channel=%s value=1.5,"
                        b"sigma=0.1,quality=0i 1780000000000000000" % (s.encode(), c.encode())
                        for s, c in names
                    ]
                },
            )
        )
    return made


async def writer_us(folder: Path, work: list[Batch]) -> float:
    """Return µs of CPU per row through the writer, commits included."""
    series = Series(folder / "series.db")
    spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10**7, max_bytes=10**10)
    failed: list[Exception] = []
    writer = Writer(series, spool, on_error=failed.append)
    start = process_time()
    for batch in work:
        writer.submit(batch)
        await writer.flush()
    cpu_s = process_time() - start
    await writer.close()
    reader = SeriesReader(folder / "series.db")
    stored = sum(reader.counts().values())
    reader.close()
    if failed or stored != CHANNELS * SECONDS:
        raise SystemExit(f"only {stored} readings stored, {failed}")
    return cpu_s / (3 * CHANNELS * SECONDS) * 1e6


def bare_us(folder: Path, work: list[Batch]) -> float:
    """Return µs of CPU per row of an append-only file, three rows a sample, one sync a batch."""
    row = b"x" * 107
    start = process_time()
    with (folder / "bare.log").open("ab", buffering=0) as file:
        for batch in work:
            file.write(b"".join([row for _ in range(3 * len(batch.readings))]))
            os.fdatasync(file.fileno())
    return (process_time() - start) / (3 * CHANNELS * SECONDS) * 1e6


async def journal_ms(folder: Path) -> dict[str, float]:
    """Return latencies of an alert from append to durable, one after the other."""
    path = folder / "journal.db"
    journal = Journal.open(path, epoch=EPOCH, consumers=[Consumer("mqtt", View.NEWEST)])
    latencies_s = []
    for version in range(1, ALERTS + 1):
        entry = render_alert(alarm(version=version), MODEL)
        start = perf_counter()
        await journal.append([entry])
        latencies_s.append(perf_counter() - start)
    await journal.close()
    latencies_s.sort()
    return {
        "alert_p50_ms": statistics.median(latencies_s) * 1e3,
        "alert_p99_ms": latencies_s[int(0.99 * ALERTS)] * 1e3,
    }


def bare_sync_ms(folder: Path) -> float:
    """Return the median latency of appending an alert's bytes to a file and syncing it."""
    body = canonical(Chain(EPOCH).seal(render_alert(alarm(), MODEL)))
    latencies_s = []
    with (folder / "bare.log").open("ab", buffering=0) as file:
        for _ in range(ALERTS):
            start = perf_counter()
            file.write(body)
            os.fdatasync(file.fileno())
            latencies_s.append(perf_counter() - start)
    return statistics.median(latencies_s) * 1e3


def seal_us() -> float:
    """Return µs of CPU to seal one real alert and write its canonical JSON."""
    entry, chain = render_alert(alarm(), MODEL), Chain(EPOCH)
    return cost_us(lambda: canonical(chain.seal(entry)))


def noisy_samples(second: int, noise: random.Random) -> tuple[list[Reading], list[Estimate]]:
    """Return what fifty channels say in one second, as instruments and filters do."""
    readings, estimates = [], []
    for number in range(ROLLED_CHANNELS):
        name, value = f"st{number:03}", round(1.5 + noise.gauss(0, 0.05), 2)
        time_us = START_US + second * 1_000_000 + noise.randrange(3_000)
        at = {"time_us": time_us, "received_us": time_us + noise.randrange(3_000)}
        readings.append(reading(value=value, station=name, **at))
        shown = {"nis": noise.random(), "instrument_value": value, "sigma": noise.random()}
        shown["trend_per_min"] = noise.gauss(0, 0.1)
        estimates.append(estimate(value=value + noise.gauss(0, 0.01), station=name, **at, **shown))
    return readings, estimates


def rolled(folder: Path) -> dict[str, float]:
    """Return bytes of a sample before and after it is rolled up, and what that costs."""
    series, noise = Series(folder / "series.db"), random.Random(1)
    empty_bytes = used_bytes(series)
    for second in range(ROLLED_S):
        series.append(*noisy_samples(second, noise))
    series.save_snapshot(
        Snapshot(journal_seq=0, last_row=series.last_row(), config_hash="", state=b"")
    )
    head_bytes = used_bytes(series) - empty_bytes
    series.append([reading(10 * ROLLED_S)])
    roller = Roller(series)
    start = process_time()
    roller.step()
    while roller.wait_s() <= STEP_PAUSE_S:
        roller.step()
    cpu_s = process_time() - start
    samples = ROLLED_S * ROLLED_CHANNELS
    if roller.rolled != samples:
        raise SystemExit(f"only {roller.rolled} samples were rolled up")
    chunk_bytes = used_bytes(series) - empty_bytes
    series.close()
    return {
        "head_bytes": head_bytes / samples,
        "chunk_bytes": chunk_bytes / samples,
        "per_s": samples / cpu_s,
        "longest_ms": float(roller.longest_ms),
    }


def used_bytes(series: Series) -> int:
    connection = series.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return (pages - unused) * page_bytes


def cost_us(action: Callable[[], object]) -> float:
    costs = []
    for _ in range(ALERTS // 10):
        start = process_time()
        for _ in range(20):
            action()
        costs.append((process_time() - start) / 20 * 1e6)
    return best(costs)


def measure(_: argparse.Namespace) -> list[Figure]:
    work = batches()
    writer, bare = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            bare.append(bare_us(Path(name), work))
            writer.append(asyncio.run(writer_us(Path(name), work)))
    with tempfile.TemporaryDirectory() as name:
        sync_ms = bare_sync_ms(Path(name))
        journal = asyncio.run(journal_ms(Path(name)))
        rolls = rolled(Path(name))
    entry = Chain(EPOCH).seal(render_alert(alarm(), MODEL))
    return [
        Figure(name="a row stored", value=best(writer), unit="µs", bar=BAR_US_PER_ROW),
        Figure(name="a row appended to a bare file", value=best(bare), unit="µs", note="limit"),
        Figure(
            name="a sample in the head table", value=rolls["head_bytes"], unit="B", note="before"
        ),
        Figure(
            name="a sample in a chunk", value=rolls["chunk_bytes"], unit="B", bar=BAR_CHUNK_BYTES
        ),
        Figure(
            name="samples rolled up",
            value=rolls["per_s"],
            unit="/s CPU",
            bar=BAR_ROLLED_PER_S,
            at_least=True,
        ),
        Figure(name="the longest step of it", value=rolls["longest_ms"], unit="ms"),
        Figure(name="an alert sealed", value=seal_us(), unit="µs", bar=BAR_SEAL_US),
        Figure(
            name="one canonical JSON of it by the library",
            value=cost_us(lambda: rfc8785.dumps(entry)),
            unit="µs",
            note="peer",
        ),
        Figure(name="an alert durable, median", value=journal["alert_p50_ms"], unit="ms"),
        Figure(name="an alert durable, p99", value=journal["alert_p99_ms"], unit="ms"),
        Figure(name="bare append and fdatasync, median", value=sync_ms, unit="ms", note="limit"),
    ]


if __name__ == "__main__":
    sys.exit(run("store", __doc__ or "", measure))
