"""Stand-ins for the stores and small builders for tests of the sinks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from cbrn_core.channel import Channel, Device
from cbrn_core.clock import Now
from cbrn_core.errors import CbrnError, StorageError
from cbrn_core.place import Position, Site, Station, Zone
from cbrn_core.protocols import Sink
from cbrn_core.quantities import Quantity
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339
from cbrn_core.units import Unit

T0_US = 1_780_000_000_000_000
EPOCH = 1_780_000_000


class Entry(NamedTuple):
    seq: int
    alarm_id: str | None
    version: int | None
    body: bytes
    epoch: int = EPOCH


class End(NamedTuple):
    epoch: int
    seq: int


class MemoryJournal:
    """The journal's outbox as its protocols promise, in memory."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.outbox: dict[str, Entry] = {}
        self.cursor = 0
        self.fails = False
        self.delivered_seqs: list[int] = []

    def append(self, alarm_id: str, version: int, *, state: str = "unack", **more) -> Entry:
        return self.append_body(
            alarm_id, version, alert_body(alarm_id, version, state=state, **more)
        )

    def append_body(self, alarm_id: str | None, version: int | None, body: bytes) -> Entry:
        entry = Entry(len(self.rows) + 1, alarm_id, version, body)
        self.rows.append(entry)
        if alarm_id is not None:
            self.outbox[alarm_id] = entry
        return entry

    @property
    def has_delivered_all(self) -> bool:
        return not self.outbox and self.cursor == len(self.rows)

    async def pending_newest(self, consumer: str, limit: int = 100) -> Sequence[Entry]:
        self._check()
        assert consumer == "mqtt"
        by_rank = sorted(self.outbox.values(), key=lambda entry: (_priority(entry), entry.seq))
        return by_rank[:limit]

    async def delivered(self, consumer: str, seqs: Sequence[int]) -> None:
        self._check()
        assert consumer == "mqtt"
        self.delivered_seqs += seqs
        self.outbox = {k: e for k, e in self.outbox.items() if e.seq not in seqs}

    async def open_alerts(self) -> Sequence[Entry]:
        self._check()
        newest = {entry.alarm_id: entry for entry in self.rows if entry.alarm_id is not None}
        return [e for e in newest.values() if json.loads(e.body)["properties"]["state"] != "normal"]

    async def pending_in_order(self, consumer: str, limit: int = 100) -> Sequence[Entry]:
        self._check()
        assert consumer == "mqtt-log"
        return self.rows[self.cursor : self.cursor + limit]

    async def entries(self, after_seq: int = 0, limit: int = 1000) -> Sequence[Entry]:
        self._check()
        return [entry for entry in self.rows if entry.seq > after_seq][:limit]

    async def head(self) -> End:
        self._check()
        newest = self.rows[-1] if self.rows else Entry(0, None, None, b"")
        return End(newest.epoch, newest.seq)

    async def advance(self, consumer: str, seq: int) -> None:
        self._check()
        assert consumer == "mqtt-log"
        assert seq >= self.cursor
        self.cursor = seq

    def _check(self) -> None:
        if self.fails:
            raise StorageError("the disk is gone")


class Line(NamedTuple):
    seq: int
    line: bytes


class MemorySpool:
    """The spool as its protocol promises, in memory."""

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        self.rows: list[Line] = []
        self.quarantined: dict[int, tuple[bytes, str]] = {}
        self._next_seq = 1
        self.append(lines)

    def append(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self.rows.append(Line(self._next_seq, line))
            self._next_seq += 1

    async def peek_lines(self, limit_rows: int, limit_bytes: int) -> Sequence[Line]:
        batch: list[Line] = []
        size_bytes = 0
        for row in self.rows[:limit_rows]:
            size_bytes += len(row.line)
            if batch and size_bytes > limit_bytes:
                break
            batch.append(row)
        return batch

    async def delete_lines_through(self, seq: int) -> None:
        self.rows = [row for row in self.rows if row.seq > seq]

    async def quarantine_line(self, seq: int, line: bytes, reason: str) -> None:
        self.quarantined[seq] = (line, reason)


class LoopClock:
    """A clock that runs with the machine's; for tests over real sockets."""

    def __init__(self) -> None:
        self._start_s = asyncio.get_running_loop().time()

    def now(self) -> Now:
        passed_us = round((asyncio.get_running_loop().time() - self._start_s) * 1e6)
        return Now(T0_US + passed_us, T0_US + passed_us)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def alert_body(
    alarm_id: str,
    version: int,
    *,
    state: str = "unack",
    priority: int | str = 1,
    purpose: str = "actual",
    **more,
) -> bytes:
    properties = {
        "schema": "cbrn-alert/1",
        "gateway": "gw-01",
        "city": "harbour-city",
        "site": "fish-market",
        "zone": None,
        "station": "st01",
        "channel": "cl2",
        "seq": version,
        "version": version,
        "kind": "specific",
        "agent": "cl2",
        "purpose": purpose,
        "state": state,
        "priority": priority,
        "certainty": "possible",
        "level": "AEGL-2 10-min concentration (momentary)",
        "value": 4.5,
        "changed_at": format_rfc3339(T0_US),
    } | more
    feature = {
        "type": "Feature",
        "id": alarm_id,
        "geometry": {"type": "Point", "coordinates": [10.75, 59.91]},
        "properties": properties,
    }
    return json.dumps(feature).encode()


def site_model() -> SiteModel:
    channels = (
        ("st01", "cl2", Quantity.CL2, Unit.PPM),
        ("st01", "h2s", Quantity.H2S, Unit.PPB),
        ("st01", "gamma", Quantity.GAMMA_DOSE_RATE, Unit.USV_H),
        ("st01", "wind", Quantity.WIND_SPEED, Unit.KM_H),
        ("st02", "cl2", Quantity.CL2, Unit.PPM),
        ("w01", "pulse", Quantity.HEART_RATE, Unit.BPM),
        ("w01", "co", Quantity.CO, Unit.PPM),
    )
    table = {
        (station, name): Channel(
            station=station, id=name, device=f"d-{station}", quantity=q, unit=u
        )
        for station, name, q, u in channels
    }
    return SiteModel(
        gateway="gw-01",
        city="harbour-city",
        site=Site(id="fish-market", name="Fish market"),
        zones={"north": Zone(id="north", name="North")},
        stations={
            "st01": Station(id="st01", name="1", zone="north", position=Position(59.91, 10.75)),
            "st02": Station(id="st02", name="2", position=Position(59.92, 10.76)),
            "w01": Station(id="w01", name="wearer", mobile=True),
        },
        devices={
            name: Device(
                id=name, station=name[2:], driver="external", profile=None, bus=name, channels=()
            )
            for name in ("d-st01", "d-st02", "d-w01")
        },
        channels=table,
        config_hash="0" * 64,
    )


def reading(station: str = "st01", channel: str = "cl2", **more) -> Reading:
    fields = {"time_us": T0_US, "received_us": T0_US, "value": 1.5, "unit": Unit.PPM} | more
    return Reading(station=station, channel=channel, **fields)


@asynccontextmanager
async def running(*jobs) -> Iterator[list[asyncio.Task]]:
    """Run coroutines beside the test; an error of one is raised at the end."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class RestartedSink:
    """A sink that is run again after each error, as the supervisor does; its errors are kept."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.errors: list[CbrnError] = []

    @asynccontextmanager
    async def up(self) -> AsyncIterator[asyncio.Task]:
        async with running(self._supervise()) as (task,):
            yield task

    async def _supervise(self) -> None:
        while True:
            try:
                await self.sink.run()
            except CbrnError as error:
                self.errors.append(error)
                await asyncio.sleep(0.05)


async def until(condition: Callable[[], object], at_most_s: float = 15.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    async with asyncio.timeout(at_most_s):
        while not condition():  # noqa: ASYNC110 - the other side is a process of its own
            await asyncio.sleep(0.01)


def _priority(entry: Entry) -> int:
    try:
        priority = json.loads(entry.body)["properties"]["priority"]
    except (ValueError, KeyError):
        return 1
    return 4 if priority == "D" else int(priority)
