"""CPU per reading from the bytes of a serial port to committed rows, stage by stage.

One turn = the readings of `GATHER_S`, as the daemon gathers them; a commit follows every
`COMMIT_S` of readings, as live. CPU time of both threads, so that other load counts little.
The turns follow one another at once; "paced" waits between them as live does, so that
caches are cold: what other programs leave of them is in that figure. Beside it in the same
run: the bare JSON of the same readings, and a bare SQLite insert of the same rows into the
same tables.
"""

import argparse
import asyncio
import gc
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from threading import enumerate as threads
from time import clock_gettime, monotonic, process_time, pthread_getcpuclockid, thread_time

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, best, run
from bench.square_load import START_US, frames, site_config

from cbrn_core.clock import Now
from cbrn_core.errors import StorageError
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_drivers import serial_driver
from cbrn_drivers.catalogue import load_driver
from cbrn_gateway.live.daemon import GATHER_S
from cbrn_gateway.pipeline.pipeline import Pipeline, StepOutput
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.store.series import SERIES_LAYOUT, Series
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import COMMIT_S, Batch, Writer

BAR_US = 60.0
TURN_US = seconds_to_us(GATHER_S)
ROWS_PER_READING = 4
SETTLE_S = 300
ROUNDS = 12
STAGES = ("codec and driver", "pipeline", "live queue", "line protocol", "stores")
Costs = dict[str, list[float]]


class FedPort:
    """A serial port that gives what was put in; never waits."""

    def __init__(self) -> None:
        self.chunk = b""

    async def read(self, _timeout_s: float) -> bytes:
        return self.chunk

    async def write(self, _request: bytes) -> None:
        return

    async def close(self) -> None:
        return


class TurnedClock:
    """Shows what it was set to, as cheaply as the machine's clock."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def now(self) -> Now:
        return Now(self.now_us, self.now_us)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(f"nothing here waits {seconds} s")


class Square:
    """The parts of a daemon, turned by hand."""

    def __init__(self, instruments: int, folder: Path, *, paced: bool = False) -> None:
        self.config = site_config(instruments, folder)
        self.clock = TurnedClock(START_US)
        self.pipeline = Pipeline(self.config.model, self.config.policy)
        self.pipeline.start(START_US)
        self.lines = LineWriter(self.config.model)
        self.live = LiveQueue(self.config.model, START_US // US_PER_S)
        self.source = frames(instruments)
        self.failed: list[StorageError] = []
        self.commit_rows = max(1, round(ROWS_PER_READING * instruments * COMMIT_S))
        self.row = 0
        self.writer = Writer(
            Series(folder / "series.db"),
            Spool(folder / "spool.db", epoch=1, max_rows=10**7, max_bytes=10**10),
            on_error=self.failed.append,
            interval_s=COMMIT_S if paced else 3600.0,
            commit_rows=self.commit_rows,
        )
        (thread,) = (t for t in threads() if t.name == "store-writer")
        self.writer_clock = pthread_getcpuclockid(thread.ident or 0)
        self.ports: list[FedPort] = []
        self.streams: list[AsyncIterator[Sequence[Reading]]] = []

    async def connect(self) -> None:
        async def open_port(_: object) -> FedPort:
            self.ports.append(FedPort())
            return self.ports[-1]

        serial_driver.open_port = open_port
        for device in self.config.model.devices.values():
            driver = load_driver(device.driver).open_bus([device], self.clock)
            self.streams.append((await driver.__aenter__()).batches())

    async def settle(self) -> None:
        """Run until filters and rules know their channels; nothing is timed or stored."""
        until_us = START_US + SETTLE_S * US_PER_S
        while self.clock.now_us < until_us:
            self.pipeline.step(*await self.heard(US_PER_S))

    async def heard(self, span_us: int) -> tuple[int, list[Reading]]:
        """Return the readings that the next `span_us` bring, through port and driver."""
        until_us = self.clock.now_us + span_us
        readings: list[Reading] = []
        for time_us, index, frame in self.source:
            self.clock.now_us = time_us
            self.ports[index].chunk = frame
            readings += await anext(self.streams[index])
            if time_us >= until_us:
                break
        return self.clock.now_us, readings

    async def turn(self, costs: dict[str, float]) -> StepOutput:
        """One turn of the daemon; adds the CPU seconds of each stage of this thread."""
        # what the frames cost to make is not the gateway's
        made = [next(self.source) for _ in range(self.readings_per_turn)]
        marks = [thread_time()]
        readings: list[Reading] = []
        for time_us, index, frame in made:
            self.clock.now_us = time_us
            self.ports[index].chunk = frame
            readings += await anext(self.streams[index])
        marks.append(thread_time())
        out = self.pipeline.step(self.clock.now_us, readings)
        marks.append(thread_time())
        self.live.offer(out.readings)
        self.live.offer(out.estimates)
        marks.append(thread_time())
        lines = {
            Consequence.READING: [x for r in out.readings if (x := self.lines.reading(r))],
            Consequence.ESTIMATE: [x for e in out.estimates if (x := self.lines.estimate(e))],
        }
        marks.append(thread_time())
        self.row = self.writer.submit(Batch(out.readings, out.estimates, lines, START_US))
        marks.append(thread_time())
        for stage, (start, end) in zip(STAGES, pairwise(marks), strict=True):
            costs[stage] += end - start
        return out

    async def committed(self, *, paced: bool) -> None:
        """Wait for the commit that the last turn has brought about, where it has."""
        waiting = self.writer.counters()
        rows = waiting["series_waiting"] + waiting["spool_waiting"]
        if not paced and rows >= self.commit_rows:
            await self.until_committed()

    async def until_committed(self) -> None:
        # the writer tells nobody of a commit, and asking it to would cost what is measured
        for _ in range(10_000):
            if self.writer.committed_row >= self.row:
                return
            await asyncio.sleep(0.001)
        raise SystemExit("the writer does not commit")

    @property
    def readings_per_turn(self) -> int:
        return max(1, len(self.ports) * TURN_US // US_PER_S)


async def measured(
    instruments: int, folder: Path, *, paced: bool = False
) -> tuple[Costs, list[StepOutput]]:
    """Return µs per reading by stage, one number per second, and what was put out."""
    square = Square(instruments, folder, paced=paced)
    await square.connect()
    await square.settle()
    gc.freeze()  # as `run` does
    costs: Costs = defaultdict(list)
    outputs: list[StepOutput] = []
    due_s = monotonic()
    for _ in range(ROUNDS):
        spent: dict[str, float] = defaultdict(float)
        before_s = clock_gettime(square.writer_clock)
        for _ in range(instruments // square.readings_per_turn):
            if paced:
                due_s += square.readings_per_turn / instruments
                await asyncio.sleep(due_s - monotonic())
            outputs.append(await square.turn(spent))
            await square.committed(paced=paced)
        spent["stores"] += clock_gettime(square.writer_clock) - before_s
        for stage in STAGES:
            costs[stage].append(spent[stage] / instruments * 1e6)
    await square.writer.close()
    if square.failed or any(out.alarms for out in outputs):
        raise SystemExit("the store refused, or clean air alarmed: not what is to be measured")
    return costs, outputs


def bare_json_us(outputs: Sequence[StepOutput]) -> float:
    encode = msgspec.json.Encoder().encode
    samples = [s for out in outputs for s in (*out.readings, *out.estimates)]
    readings = sum(len(out.readings) for out in outputs)
    costs = []
    for _ in range(ROUNDS):
        start = process_time()
        for sample in samples:
            encode(sample)
        costs.append((process_time() - start) / readings * 1e6)
    return best(costs)


def bare_sqlite_us(folder: Path) -> float:
    """Return µs per reading of inserting the stored rows again, in commits of one second."""
    source = sqlite3.connect(folder / "series.db")
    rows = source.execute("SELECT * FROM head ORDER BY row").fetchall()
    columns = [c[1] for c in source.execute("PRAGMA table_info(head)")]
    readings = source.execute("SELECT COUNT(quality) FROM head").fetchone()[0]
    spooled = sqlite3.connect(folder / "spool.db").execute("SELECT line FROM lines").fetchall()
    costs = []
    for turn in range(5):
        bare = sqlite3.connect(folder / f"bare-{turn}.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = NORMAL")
        for statement in SERIES_LAYOUT.schema.split(";"):
            bare.execute(statement)
        bare.execute("CREATE TABLE lines (seq INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB)")
        marks = ", ".join("?" * len(columns))
        start = process_time()
        for at in range(0, len(rows), 1000):
            bare.execute("BEGIN")
            bare.executemany(f"INSERT INTO head VALUES ({marks})", rows[at : at + 1000])
            bare.executemany("INSERT INTO lines (line) VALUES (?)", spooled[at : at + 1000])
            bare.execute("COMMIT")
        costs.append((process_time() - start) / readings * 1e6)
        bare.close()
    return min(costs)


def measure(_: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    for rate in (20, 200, 2000):
        figures += figures_at(rate)
    with tempfile.TemporaryDirectory() as name:
        costs, _outputs = asyncio.run(measured(200, Path(name), paced=True))
    return [*figures, total("200 readings/s, paced", costs)]


def figures_at(rate: int) -> list[Figure]:
    head = f"{rate} readings/s"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs, outputs = asyncio.run(measured(rate, folder))
        figures = [total(head, costs, BAR_US if rate >= 200 else None)]
        figures += [
            Figure(name=f"{head}: {stage}", value=best(costs[stage]), unit="µs/reading")
            for stage in STAGES
        ]
        if rate == 200:
            limits = {
                "bare JSON of reading and estimate": bare_json_us(outputs),
                "bare SQLite insert of the rows": bare_sqlite_us(folder),
            }
            figures += [
                Figure(name=f"{head}: {what}", value=us, unit="µs/reading", note="limit")
                for what, us in limits.items()
            ]
    return figures


def total(name: str, costs: Costs, bar: float | None = None) -> Figure:
    rounds = [sum(parts) for parts in zip(*costs.values(), strict=True)]
    return Figure(name=name, value=best(rounds), unit="µs/reading", bar=bar)


if __name__ == "__main__":
    sys.exit(run("pipeline", __doc__ or "", measure))
