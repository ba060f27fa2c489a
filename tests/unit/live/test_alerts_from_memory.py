"""An alert that the journal does not take goes out from memory, and once more when it has it."""

import asyncio
import sqlite3
from itertools import count
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from samples.alert_samples import alarm, condition, site_model

from cbrn_core.alarm import AlarmState, Priority
from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.policy import load_policy
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live import outlets as module
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.live.pending import PendingAlerts, WaitingAlert
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_gateway.schemas.generate import generate
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.store.database import storage_errors


class Journal:
    """Answers only while `answers` is set; refuses as often as it is told to."""

    def __init__(self):
        self.answers = asyncio.Event()
        self.answers.set()
        self.refusals = []
        self.versions = []
        self.group_sizes = []

    async def append(self, entries):
        self.group_sizes.append(len(entries))
        await self.answers.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        self.versions += [entry["properties"]["version"] for entry in entries]
        return [e | {"properties": e["properties"] | {"journal": "journalled"}} for e in entries]


class ImpatientClock(ManualClock):
    """No wait takes any time."""

    async def sleep(self, seconds):  # noqa: ARG002
        await asyncio.sleep(0)


class IdleWriter:
    """A store that nothing is written to here."""

    committed_row = 0


class Square:
    """Outlets with everything that leaves them."""

    def __init__(self):
        self.journal = Journal()
        model = site_model()
        config = SiteConfig(
            path=Path("site.toml"),
            data_dir=Path("kept"),
            model=model,
            policy=load_policy("default-1"),
        )
        live = LiveQueue(model, 1)
        self.outlets = Outlets(config, self.journal, IdleWriter(), live, ImpatientClock())
        self.sent, self.heard, self.told, self.late = [], [], [], []
        self.outlets.senders.append(self.sent.append)
        self.outlets.listeners.append(self.heard.append)
        self.outlets.on_refusing_journal = self.told.append
        self.outlets.on_late = self.late.append

    def publishes(self, *versions):
        self.outlets.take(StepOutput(alarms=[alarm(condition(), version=v) for v in versions]))

    def versions_heard(self):
        return [(a["properties"]["version"], a["properties"]["journal"]) for a in self.heard]

    async def __aenter__(self):
        self._task = asyncio.create_task(self.outlets.journal_alerts())
        return self

    async def __aexit__(self, *error):
        self._task.cancel()
        await asyncio.wait({self._task})


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


def full():
    """Return the error of a real full disk."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count=1")
    try:
        with storage_errors(Path("journal.db")):
            connection.execute("CREATE TABLE t (x)")
    except StorageError as error:
        return error
    finally:
        connection.close()
    raise AssertionError("it fits")


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.02)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(module, "REMIND_EVERY_S", 0.01)


@pytest.mark.asyncio
async def test_a_journal_that_answers_in_time_leaves_nothing_to_send_from_memory():
    async with Square() as square:
        square.publishes(1, 2)
        await square.outlets.drain()
        assert square.versions_heard() == [(1, "journalled"), (2, "journalled")]
        assert square.sent == square.late == square.told == []


@pytest.mark.asyncio
async def test_what_a_hung_journal_does_not_take_in_time_goes_out_from_memory():
    async with Square() as square:
        square.journal.answers.clear()
        square.publishes(1)
        await until(lambda: square.sent)
        (row,) = square.sent
        assert (row.version, square.versions_heard()) == (1, [(1, "pending")])
        assert "does not answer" in str(square.told[0])
        Draft202012Validator(generate("cbrn-alert/1")).validate(square.heard[0])
        # from now on nothing waits for the journal, not even for its patience
        square.publishes(2)
        assert [row.version for row in square.sent] == [1, 2]

        square.journal.answers.set()
        await square.outlets.drain()
        assert square.journal.versions == [1, 2]
        assert [late.version for late in square.late] == [2]
        assert square.versions_heard() == [(1, "pending"), (2, "pending")]
        square.publishes(3)
        await square.outlets.drain()
        assert square.versions_heard()[-1] == (3, "journalled")
        assert len(square.sent) == 2
        assert square.outlets.counters()["alerts_from_memory"] == 2


@pytest.mark.asyncio
async def test_a_refused_alert_goes_out_from_memory_at_once():
    async with Square() as square:
        square.journal.refusals = [StorageError("worn out")] * 3
        square.publishes(1)
        await square.outlets.drain()
        assert [row.version for row in square.sent] == [1]
        assert len(square.told) == 3
        assert [late.version for late in square.late] == [1]


@pytest.mark.asyncio
async def test_a_full_disk_gives_room_first_and_then_takes_the_alert():
    async with Square() as square:
        square.journal.refusals = [full()]

        async def made_room(is_full):
            return is_full

        square.outlets.make_room = made_room
        square.publishes(1)
        await square.outlets.drain()
        assert square.sent == []
        assert square.versions_heard() == [(1, "journalled")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "asked"), [(sqlite3.SQLITE_IOERR_WRITE, [False]), (sqlite3.SQLITE_IOERR_READ, [])]
)
async def test_a_write_that_a_quota_may_have_refused_asks_for_room_as_well(code, asked):
    async with Square() as square:
        cause = sqlite3.OperationalError("disk I/O error")
        cause.sqlite_errorcode = code
        refusal = StorageError("refused")
        refusal.__cause__ = cause
        square.journal.refusals = [refusal]
        heard = []

        async def made_room(is_full):
            heard.append(is_full)
            return True

        square.outlets.make_room = made_room
        square.publishes(1)
        await square.outlets.drain()
        assert heard == asked


@pytest.mark.asyncio
async def test_a_ballast_that_cannot_be_released_does_not_hold_the_alert_up():
    async with Square() as square:
        square.journal.refusals = [full()]
        square.outlets.make_room = lambda _: asyncio.Event().wait()
        square.publishes(1)
        await square.outlets.drain()
        assert [row.version for row in square.sent] == [1]


@pytest.mark.asyncio
async def test_after_a_refusal_alerts_are_tried_one_by_one_then_together_again():
    async with Square() as square:
        square.journal.refusals = [StorageError("too much at once")]
        square.publishes(*range(1, 9))
        await square.outlets.drain()
        assert square.journal.versions == list(range(1, 9))
        assert square.journal.group_sizes == [8, 1, 2, 4, 1]


@pytest.mark.asyncio
async def test_a_newer_version_that_the_journal_took_in_time_needs_no_copy():
    pending = PendingAlerts()
    first, second = (WaitingAlert(alarm(condition(), version=v), {}, 0.0) for v in (1, 2))
    first.from_memory = True
    pending.put([first, second])
    pending.journalled(pending.head())
    assert pending.take_owed() == []


def many(pending, versions, **fields):
    for version in versions:
        message = {"properties": {"version": version}}
        pending.put([WaitingAlert(alarm(version=version, **fields), message, 0.0)])
        list(pending.send_from_memory())


def test_memory_is_bounded_and_the_newest_versions_stay():
    pending = PendingAlerts(most=10)
    numbers = count(1)
    many(pending, (next(numbers) for _ in range(30)), id="one")
    left = [waiting.alarm.version for waiting in pending.head()]
    assert left == list(range(21, 31))
    assert pending.counters["alerts_left_out_superseded"] == 20


def test_when_all_are_newest_the_least_urgent_go_first_and_ended_ones_before_them():
    pending = PendingAlerts(most=3)
    urgent = condition(priority=Priority.P1)
    low = condition(priority=Priority.P3)
    for name, cond, state in (
        ("low", low, AlarmState.UNACK),
        ("ended", urgent, AlarmState.NORMAL),
        ("u1", urgent, AlarmState.UNACK),
        ("u2", urgent, AlarmState.UNACK),
        ("u3", urgent, AlarmState.UNACK),
    ):
        many(pending, [1], id=name, cond=cond, state=state)
    assert [waiting.alarm.id for waiting in pending.head()] == ["u1", "u2", "u3"]
    assert pending.counters["alerts_left_out_no_room"] == 2


def test_what_is_being_written_is_never_left_out():
    pending = PendingAlerts(most=2)
    many(pending, [1, 2], id="one")
    group = pending.head()
    many(pending, [3, 4, 5], id="one")
    assert pending.head()[:2] == group
    pending.journalled(group)
    assert [waiting.alarm.version for waiting in pending.head()] == []
