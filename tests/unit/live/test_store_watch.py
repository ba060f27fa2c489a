"""A disk that does not answer is a technical alarm within ten seconds, also when all is quiet."""

import asyncio
import threading

import pytest
from unit.live.noticing import CONFIG, Gateway

from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.texts import describe
from cbrn_gateway.live.service import Answers
from cbrn_gateway.live.store_watch import LOOK_EVERY_S, PROBE_EVERY_S, WITHIN_S, StoreWatch
from cbrn_gateway.store import probe as probe_module
from cbrn_gateway.store.probe import Probe

MOST_S = 10.0


class Disk:
    """Answers at once, refuses, or not until it is let go."""

    def __init__(self):
        self.answers = asyncio.Event()
        self.answers.set()
        self.refuses = False

    async def ask(self):
        await self.answers.wait()
        if self.refuses:
            raise StorageError("no")


class Watched:
    """A watch over the journal's disk and the store's, on a clock turned by hand."""

    def __init__(self):
        self.gateway = Gateway()
        self.journal, self.store = Disk(), Disk()
        clock = self.gateway.clock
        answers = [
            Answers("the journal's writer", self.journal.ask, clock, WITHIN_S),
            Answers("the store's writer", self.store.ask, clock, WITHIN_S, PROBE_EVERY_S),
        ]
        self.watch = StoreWatch(answers, clock, self.gateway.notices)
        self.alarms = []

    async def lives(self, seconds):
        for _ in range(round(seconds / LOOK_EVERY_S)):
            await self.looks()
            self.alarms += self.gateway.alarms_after(LOOK_EVERY_S)

    async def looks(self):
        self.watch.look()
        for _ in range(5):
            await asyncio.sleep(0)

    def told(self):
        return [(a.condition.active, a.condition.level) for a in self.alarms]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["journal", "store"])
async def test_one_that_hangs_is_told_within_ten_seconds_and_its_end_too(name):
    watched = Watched()
    await watched.lives(20)
    assert watched.told() == []
    disk = getattr(watched, name)
    disk.answers.clear()
    await watched.lives(MOST_S)
    assert watched.told() == [(True, "disk does not answer")]
    assert name in watched.watch.worries()[0]
    await watched.lives(300)
    assert len(watched.told()) == 1, "it is told once, however long it lasts"
    disk.answers.set()
    await watched.lives(2)
    assert watched.told()[1:] == [(False, "disk does not answer")]
    assert watched.watch.worries() == []


@pytest.mark.asyncio
async def test_what_answers_slowly_is_not_told():
    watched = Watched()
    for _ in range(10):
        watched.store.answers.clear()
        await watched.lives(WITHIN_S - 1)
        watched.store.answers.set()
        await watched.lives(1)
    assert watched.told() == []


@pytest.mark.asyncio
async def test_a_process_that_was_given_no_time_is_not_told_of():
    watched = Watched()
    await watched.lives(3)
    for _ in range(10):
        watched.store.answers.clear()
        await watched.lives(1)
        watched.gateway.clock.advance(60)
        await watched.looks()
        watched.store.answers.set()
        await watched.lives(3)
    assert watched.told() == []


@pytest.mark.asyncio
async def test_a_disk_that_refuses_does_answer():
    watched = Watched()
    watched.store.refuses = True
    await watched.lives(60)
    assert watched.told() == []


@pytest.mark.asyncio
async def test_it_ends_after_a_restart_only_when_all_have_answered():
    before = Watched()
    before.store.answers.clear()
    await before.lives(MOST_S)
    later = Watched()
    later.gateway.pipeline.machine.rebuild(before.alarms)
    later.gateway.notices.adopt(later.gateway.pipeline.machine.open_alarms())
    later.store.answers.clear()
    await later.lives(3)
    assert later.told() == []
    later.store.answers.set()
    await later.lives(2)
    assert later.told() == [(False, "disk does not answer")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "the disk of this gateway does not answer (since "),
        ("nb", "disken i denne gatewayen svarer ikke (siden "),
        ("it", "il disco di questo gateway non risponde (dalle "),
    ],
)
async def test_it_is_said_in_plain_words_since_when(language, words):
    watched = Watched()
    watched.store.answers.clear()
    await watched.lives(MOST_S)
    said = describe(watched.alarms[0], CONFIG.model, language=language)
    assert words in said.text
    assert words.partition(" (")[0] in said.read_aloud


@pytest.mark.asyncio
async def test_the_probe_waits_for_the_disk_and_tells_its_refusal(tmp_path, monkeypatch):
    probe = Probe(tmp_path)
    await probe.ask()
    assert (tmp_path / "probe").stat().st_size == 1
    go = threading.Event()
    monkeypatch.setattr(probe_module.os, "fdatasync", lambda _: go.wait(60))
    asked = asyncio.ensure_future(probe.ask())
    await asyncio.wait({asked}, timeout=0.05)
    assert not asked.done()
    go.set()
    await asked

    def refused(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(probe_module.os, "fdatasync", refused)
    with pytest.raises(StorageError, match="Input/output"):
        await probe.ask()
    probe.close()
    probe._thread.join(10)
    assert not probe._thread.is_alive()
