"""Devices, broker, subscriber and one gateway on one load, and what is counted in it."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from bench.bench_latency import mosquitto
from bench.gateway_runs import Factory
from bench.half_open import Proxy
from bench.meter import Meter, Record
from bench.modbus_field import WORD, FieldProcess, counter_at
from e2e.servers import free_port

PERIOD_S = 1.0
MISSED_AFTER = 1.5
"""Periods between two reads of one device from which on one of them was missed."""

PATIENCE_S = 120.0
LAST_READS_S = 2.0
"""Reads so shortly before the end may still be on their way."""

Reads = dict[int, list[float]]
Changes = set[tuple[int, int]]
"""(device, counter)"""

FoundT = TypeVar("FoundT")


class Rig:
    """All parts; the last device is a process of its own, the broker lies behind a proxy."""

    def __init__(self, folder: Path, factory: Factory, broker_port: int, devices: int) -> None:
        self.field = FieldProcess(0, devices - 1, folder)
        self.odd_one = FieldProcess(devices - 1, 1, folder)
        self.field.start()
        self.odd_one.start()
        proxy_port = free_port()
        self.proxy = Proxy(proxy_port, broker_port)
        self.proxy.start()
        run_folder = folder / "gateway"
        run_folder.mkdir()
        ports = [*self.field.ports, *self.odd_one.ports]
        self.gateway = factory(run_folder, ports, proxy_port)
        self.meter = Meter(broker_port, list(self.gateway.topics), self.gateway.answer)

    def close(self) -> None:
        self.gateway.end()
        self.meter.close()
        self.proxy.cut()
        self.field.kill()
        self.odd_one.kill()

    def records(self, since_s: float, until_s: float = float("inf")) -> list[Record]:
        heard = (h for h in self.meter.since(since_s) if h[0] < until_s)
        return [record for one in heard for record in self.gateway.records(one)]

    def reads(self) -> Reads:
        """Return when each device was read, by the devices."""
        return self.field.reads() | self.odd_one.reads()

    def reads_of_the_field(self) -> Reads:
        """Return the same without the odd one, which cannot answer while it hangs."""
        return self.field.reads()

    def first_s(self, since_s: float, device: int | None = None) -> float:
        """Return how long after a moment the first record (of a device) came.

        SystemExit where none comes.
        """

        def found() -> list[Record]:
            records = self.records(since_s)
            return [r for r in records if device is None or r.device == device]

        return self.wait_for(found, "a value")[0].at_s - since_s

    def wait_for(self, found: Callable[[], FoundT], what: str) -> FoundT:
        """Return what is found once it is there; SystemExit where it does not come."""
        thing = self.looked_for(found, PATIENCE_S)
        if thing is None:
            raise SystemExit(f"{self.gateway.name}: {what} did not come in {PATIENCE_S:g} s")
        return thing

    def looked_for(self, found: Callable[[], FoundT], seconds: float) -> FoundT | None:
        """Return what is found within so many seconds, None where nothing is."""
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.gateway.weigh()  # ends the bench with the log where the gateway has ended
            if thing := found():
                return thing
            time.sleep(0.05)
        return None


@contextmanager
def rig(factory: Factory, devices: int) -> Iterator[Rig]:
    with tempfile.TemporaryDirectory() as name, mosquitto(Path(name)) as port:
        made = Rig(Path(name), factory, port, devices)
        try:
            yield made
        finally:
            made.close()


def missed_periods(reads: Reads, begin_s: float, end_s: float) -> int:
    """Return how many periods of all devices brought no read."""
    missed = 0
    for times in reads.values():
        within = [t for t in times if begin_s <= t < end_s]
        edges = [begin_s, *within, end_s]
        missed += sum(_passed_over(later - earlier) for earlier, later in pairwise(edges))
    return missed


def changes_read(reads: Reads, begin_s: float, end_s: float) -> Changes:
    """Return what the devices were read as showing between two moments."""
    return {
        (device, counter_at(device, t) % WORD)
        for device, times in reads.items()
        for t in times
        if begin_s <= t < end_s
    }


def changes_in(records: Iterable[Record]) -> Changes:
    """Return what arrived."""
    return {(r.device, r.counter) for r in records if r.counter is not None}


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the sorted values stays within, 0 where there is none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _passed_over(gap_s: float) -> int:
    periods = gap_s / PERIOD_S
    return round(periods) - 1 if periods >= MISSED_AFTER else 0
