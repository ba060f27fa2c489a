"""The sink over a database in memory that stores what is good and refuses what is not."""

from collections.abc import Sequence

import pytest
from samples.fake_link import turns, turns_until
from samples.sink_samples import T0_US, MemorySpool, running

from cbrn_core.clock import ManualClock
from cbrn_core.errors import Disconnected, PoisonBatch, Refused
from cbrn_gateway.sinks import influx
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_client import TryLater
from cbrn_gateway.sinks.influx_settings import InfluxSettings


class Database:
    """Stores the good lines of a request and answers 400 when there was a bad one."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.requests: list[Sequence[bytes]] = []
        self.failures: list[Exception] = []
        self.takes_nothing = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def write(self, lines: Sequence[bytes]) -> None:
        self.requests.append(lines)
        if self.failures:
            raise self.failures.pop(0)
        good = [line for line in lines if not line.startswith(b"bad") and not self.takes_nothing]
        self.stored += good
        if len(good) < len(lines):
            raise PoisonBatch("partial write: dropped")

    def points(self) -> list[bytes]:
        return [line for line in self.stored if not line.startswith(b"health")]


class Desk:
    def __init__(self, monkeypatch, lines=(), **settings) -> None:
        self.database = Database()
        self.spool = MemorySpool(lines)
        self.refusals = []
        self.slept = []
        self.is_held = False
        self.clock = ManualClock(T0_US, self._gate)
        monkeypatch.setattr(influx, "InfluxLink", lambda *_: self.database)
        self.sink = InfluxSink(
            InfluxSettings(url="http://db", **settings),
            self.spool,
            self.clock,
            is_held=lambda: self.is_held,
            on_refused=lambda *what: self.refusals.append(what),
        )

    def _gate(self):
        import asyncio

        event = asyncio.Event()
        return event.wait(), event.set


def lines_of(count: int, first: int = 0) -> list[bytes]:
    return [b"m v=%d.0 %d" % (number, number) for number in range(first, first + count)]


@pytest.mark.asyncio
async def test_what_was_stored_is_deleted_from_the_spool(monkeypatch):
    desk = Desk(monkeypatch, lines_of(25), batch_rows=10)
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(25)
    assert [len(request) for request in desk.database.requests] == [10, 10, 5]


@pytest.mark.asyncio
async def test_new_lines_go_out_when_the_sink_is_woken(monkeypatch):
    desk = Desk(monkeypatch)
    async with running(desk.sink.run()):
        await turns()
        desk.spool.append(lines_of(3))
        desk.sink.wake()
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(3)


@pytest.mark.asyncio
async def test_bad_lines_are_set_aside_with_the_reason_and_the_others_stored(monkeypatch):
    good = lines_of(50)
    mixed = [*good[:7], b"bad 1", *good[7:31], b"bad 2", b"bad 3", *good[31:], b"bad 4"]
    desk = Desk(monkeypatch, mixed)
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert set(desk.database.points()) == set(good)
    assert {seq: line for seq, (line, _) in desk.spool.quarantined.items()} == {
        8: b"bad 1",
        33: b"bad 2",
        34: b"bad 3",
        54: b"bad 4",
    }
    assert all("partial write" in reason for _, reason in desk.spool.quarantined.values())
    assert desk.sink.counters["influx_quarantined"] == 4


@pytest.mark.asyncio
async def test_a_database_that_takes_no_line_at_all_does_not_empty_the_spool(monkeypatch):
    desk = Desk(monkeypatch, lines_of(20))
    desk.database.takes_nothing = True
    with pytest.raises(Refused) as refused:
        await desk.sink.run()
    assert refused.value.reason_code == 400
    assert len(desk.spool.rows) == 20
    assert desk.spool.quarantined == {}
    assert desk.refusals == [("http://db cbrn", 400)]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [401, 403, 404])
async def test_a_closed_door_stops_the_sink_is_reported_and_nothing_is_discarded(monkeypatch, code):
    desk = Desk(monkeypatch, lines_of(5))
    desk.database.failures = [Refused(code, "no")]
    with pytest.raises(Refused):
        await desk.sink.run()
    assert len(desk.spool.rows) == 5
    assert desk.refusals == [("http://db cbrn", code)]
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(5)


@pytest.mark.asyncio
async def test_a_lost_connection_keeps_everything(monkeypatch):
    desk = Desk(monkeypatch, lines_of(5))
    desk.database.failures = [Disconnected("gone")]
    with pytest.raises(Disconnected):
        await desk.sink.run()
    assert len(desk.spool.rows) == 5


@pytest.mark.asyncio
async def test_a_break_amid_a_bad_batch_loses_nothing_and_sets_the_same_line_aside(monkeypatch):
    desk = Desk(monkeypatch, [*lines_of(4), b"bad", *lines_of(3, 4)])
    real_write = desk.database.write
    count = 0

    async def breaks_at_the_fourth(lines):
        nonlocal count
        count += 1
        if count == 4:
            raise Disconnected("gone")
        await real_write(lines)

    desk.database.write = breaks_at_the_fourth
    with pytest.raises(Disconnected):
        await desk.sink.run()
    assert len(desk.spool.rows) == 8
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert set(desk.database.points()) == set(lines_of(7))
    assert list(desk.spool.quarantined) == [5]


@pytest.mark.asyncio
async def test_the_wish_of_an_overloaded_database_is_honoured_by_the_next_run(monkeypatch):
    desk = Desk(monkeypatch, lines_of(5))
    desk.database.failures = [TryLater("busy", 30.0)]
    with pytest.raises(TryLater) as busy:
        await desk.sink.run()
    assert busy.value.retry_after_s == 30.0
    async with running(desk.sink.run()):
        await turns()
        assert len(desk.database.requests) == 1
        desk.clock.advance(29.0)
        await turns()
        assert len(desk.database.requests) == 1
        desk.clock.advance(1.0)
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(5)


@pytest.mark.asyncio
async def test_in_a_backlog_the_newest_lines_go_ahead(monkeypatch):
    desk = Desk(monkeypatch, lines_of(30), batch_rows=10)
    desk.sink.offer_live([b"m v=29.0 29"])
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.requests[0] == [b"m v=29.0 29"]
    assert desk.database.requests[1] == lines_of(10)
    assert desk.sink.counters["influx_live_rows"] == 1


@pytest.mark.asyncio
async def test_without_a_backlog_nothing_is_sent_twice(monkeypatch):
    desk = Desk(monkeypatch, lines_of(5))
    desk.sink.offer_live(lines_of(5))
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(5)


@pytest.mark.asyncio
async def test_live_lines_are_bounded_and_a_bad_one_is_only_counted(monkeypatch):
    desk = Desk(monkeypatch, lines_of(30), batch_rows=10, live_rows=3)
    desk.sink.offer_live([*lines_of(2, 28), b"bad"])
    desk.sink.offer_live(lines_of(1, 30))
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.requests[0] == [*lines_of(1, 29), b"bad", *lines_of(1, 30)]
    assert desk.sink.counters["influx_live_rejected"] == 1
    assert desk.spool.quarantined == {}


@pytest.mark.asyncio
async def test_lines_with_times_of_a_clock_that_is_held_back_for_are_never_shown_early(monkeypatch):
    desk = Desk(monkeypatch, lines_of(30), batch_rows=10)
    desk.sink.offer_live(lines_of(1, 28))
    desk.is_held = True
    desk.sink.offer_live(lines_of(1, 29))
    desk.is_held = False
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.stored == lines_of(30)


@pytest.mark.asyncio
async def test_an_attempt_in_vain_costs_none_of_the_newest_lines(monkeypatch):
    desk = Desk(monkeypatch, lines_of(30), batch_rows=10, live_rows=3)
    desk.sink.offer_live(lines_of(2, 27))
    desk.database.failures = [Disconnected("gone")]
    with pytest.raises(Disconnected):
        await desk.sink.run()
    desk.sink.offer_live(lines_of(2, 29))
    async with running(desk.sink.run()):
        await turns_until(lambda: not desk.spool.rows)
    assert desk.database.requests[1] == lines_of(3, 28)
