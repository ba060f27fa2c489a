"""Alerts reach the journal in order and complete, also when the journalling is ended half way."""

import asyncio
from pathlib import Path

import pytest
from samples.alert_samples import alarm, condition, site_model

from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.policy import load_policy
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live import outlets as module
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_gateway.sinks.live_queue import LiveQueue


class SlowJournal:
    """Takes entries only while `open`; knows a version that it has."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = asyncio.Event()
        self.versions: list[int] = []
        self.refusals = 0

    async def append(self, entries):
        self.asked.set()
        await self.open.wait()
        if self.refusals:
            self.refusals -= 1
            raise StorageError("the disk is full")
        for entry in entries:
            version = entry["properties"]["version"]
            if version not in self.versions:
                self.versions.append(version)
        return entries


class ImpatientClock(ManualClock):
    """No wait takes any time."""

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002
        await asyncio.sleep(0)


class IdleWriter:
    """A store that nothing is written to here."""

    committed_row = 0


def outlets(journal: SlowJournal) -> Outlets:
    model = site_model()
    config = SiteConfig(
        path=Path("site.toml"), data_dir=Path("kept"), model=model, policy=load_policy("default-1")
    )
    return Outlets(config, journal, IdleWriter(), LiveQueue(model, 1), ImpatientClock())


def version(number: int) -> StepOutput:
    return StepOutput(alarms=[alarm(condition(), version=number)])


async def cancelled(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.asyncio
async def test_what_a_cancellation_met_half_way_is_journalled_at_the_end():
    journal = SlowJournal()
    out = outlets(journal)
    out.take(version(1))
    out.take(version(2))
    first = asyncio.create_task(out.journal_alerts())
    await journal.asked.wait()
    await cancelled(first)

    journal.open.set()
    last = asyncio.create_task(out.journal_alerts())
    async with asyncio.timeout(5):
        await out.drain()
    await cancelled(last)
    assert journal.versions == [1, 2]


@pytest.mark.asyncio
async def test_a_refusal_is_tried_again_before_anything_newer():
    journal = SlowJournal()
    out = outlets(journal)
    refused = []
    out.on_refusing_journal = refused.append
    journal.refusals = 2
    journal.open.set()
    heard = []
    out.listeners.append(lambda alert: heard.append(alert["properties"]["version"]))
    out.take(version(1))
    out.take(version(2))
    task = asyncio.create_task(out.journal_alerts())
    async with asyncio.timeout(5):
        await out.drain()
    await cancelled(task)
    assert journal.versions == heard == [1, 2]
    assert len(refused) == 2


@pytest.mark.asyncio
async def test_an_alarm_with_a_fact_that_cannot_be_written_goes_out_without_it():
    journal = SlowJournal()
    journal.open.set()
    out = outlets(journal)
    heard = []
    out.listeners.append(heard.append)
    unwritable = alarm(condition(facts={"level_rank": 20, "bars": 2**70}))
    out.take(StepOutput(alarms=[unwritable]))
    out.take(version(2))
    task = asyncio.create_task(out.journal_alerts())
    async with asyncio.timeout(5):
        await out.drain()
    await cancelled(task)
    assert journal.versions == [1, 2]
    assert heard[0]["properties"]["priority"] == 1


@pytest.mark.asyncio
async def test_without_alerts_there_is_nothing_to_wait_for():
    async with asyncio.timeout(5):
        await outlets(SlowJournal()).drain()


@pytest.mark.asyncio
async def test_what_cannot_be_rendered_at_all_goes_out_in_fixed_words_and_is_told(monkeypatch):
    monkeypatch.setattr(module, "render_alert", broken_renderer)
    journal = SlowJournal()
    journal.open.set()
    out = outlets(journal)
    heard, incomplete = [], []
    out.listeners.append(heard.append)
    out.on_incomplete = incomplete.append
    out.take(version(1))
    out.take(version(2))
    task = asyncio.create_task(out.journal_alerts())
    async with asyncio.timeout(5):
        await out.drain()
    await cancelled(task)
    assert [alert["properties"]["version"] for alert in heard] == journal.versions == [1, 2]
    assert heard[0]["properties"]["priority"] == 1
    assert "could not be written" in heard[0]["properties"]["text"]
    assert [alarm.version for alarm in incomplete] == [1, 2]
    assert out.counters()["alerts_incomplete"] == 2


@pytest.mark.asyncio
async def test_an_alarm_that_nothing_can_write_mutes_no_other_and_is_counted_and_told(monkeypatch):
    monkeypatch.setattr(module, "render_alert", broken_renderer)
    monkeypatch.setattr(module, "least_alert", broken_renderer)
    out = outlets(SlowJournal())
    incomplete = []
    out.on_incomplete = incomplete.append
    out.take(version(1))
    async with asyncio.timeout(5):
        task = asyncio.create_task(out.journal_alerts())
        await out.drain()
    await cancelled(task)
    assert out.counters()["alerts_unwritable"] == 1
    assert len(incomplete) == 1


def broken_renderer(*_: object):
    raise KeyError("a word is missing")
