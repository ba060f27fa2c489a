"""CPU per row of the stores beside bare append + fdatasync, in the same run.

Runnable: ``python tests/bench/bench_store.py [--json]``. CPU by process_time (all threads),
so that other load does not count. One sample = one reading, its estimate and its line of
line protocol: three rows.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples.alert_samples import MODEL, alarm
from samples.store_samples import EPOCH, estimate, reading

from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.store.chain import Chain, canonical
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import Series, SeriesReader
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

CHANNELS = 500
SECONDS = 60
ROUNDS = 5
BAR_US_PER_ROW = 10.0
ALERTS = 200


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
    start = process_time()
    for _ in range(ALERTS):
        canonical(chain.seal(entry))
    return (process_time() - start) / ALERTS * 1e6


def measure() -> dict[str, float]:
    """Return every figure; medians over the rounds."""
    work = batches()
    writer, bare = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            bare.append(bare_us(Path(name), work))
            writer.append(asyncio.run(writer_us(Path(name), work)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sync_ms = bare_sync_ms(folder)
        return {
            "row_us": statistics.median(writer),
            "bare_row_us": statistics.median(bare),
            "bare_sync_p50_ms": sync_ms,
            "seal_us": seal_us(),
            **asyncio.run(journal_ms(folder)),
        }


def main() -> int:
    """Print the figures; exit 1 when a row costs more than its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    figures = measure()
    if as_json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:20} {figure:10.3f}")
        print(f"bar: {BAR_US_PER_ROW} us of CPU per row")
    return 0 if figures["row_us"] <= BAR_US_PER_ROW else 1


if __name__ == "__main__":
    sys.exit(main())
