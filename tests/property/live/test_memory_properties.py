"""However the journal answers: every alert gets out, and ends journalled in its newest version."""

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.alert_samples import site_model
from samples.examples import examples
from unit.alarms.conditions import POLICY, condition
from unit.alarms.square import at

from cbrn_core.alarm import Alarm
from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.machine import AlarmMachine
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live import outlets as module
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_gateway.sinks.live_queue import LiveQueue

PLACES = ("st05/cl2", "st06/cl2")

says = st.tuples(st.just("say"), st.sampled_from(PLACES), st.sampled_from([10, 20, 30, 40]))
moods = st.tuples(
    st.just("journal"), st.sampled_from(["answers", "hangs", "refuses"]), st.integers(1, 3)
)
waits = st.tuples(st.just("wait"), st.integers(1, 40), st.none())
stories = st.lists(st.one_of(says, says, moods, waits), max_size=20)


class ImpatientClock(ManualClock):
    """No wait takes any time."""

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002
        await asyncio.sleep(0)


class IdleWriter:
    """A store that nothing is written to here."""

    committed_row = 0


class World:
    """A machine, its outlets and a moody journal; `out` is all that left, in order."""

    def __init__(self) -> None:
        self.machine = AlarmMachine("gw1", POLICY)
        self.second = 0.0
        self.mood = asyncio.Event()
        self.mood.set()
        self.refusals = 0
        self.journal: dict[str, list[int]] = defaultdict(list)
        self.out: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        model = site_model()
        config = SiteConfig(path=Path("s"), data_dir=Path("kept"), model=model, policy=POLICY)
        live = LiveQueue(model, 1)
        self.outlets = Outlets(config, self, IdleWriter(), live, ImpatientClock())
        self.outlets.senders.append(lambda row: self.out[row.alarm_id].append((row.version, False)))
        self.outlets.on_refusing_journal = lambda _: None
        self.outlets.on_late = self.state_again

    async def append(self, entries):
        await self.mood.wait()
        if self.refusals:
            self.refusals -= 1
            raise StorageError("full")
        for entry in entries:
            self.journal[entry["id"]].append(entry["properties"]["version"])
            self.out[entry["id"]].append((entry["properties"]["version"], True))
        return entries

    def say(self, place: str, rank: int) -> None:
        self.second += 0.1
        said = condition(self.second, place=place, rank=rank)
        self.publish(self.machine.apply(said, at(self.second)))

    def state_again(self, told: Alarm) -> None:
        self.second += 0.1
        self.publish(self.machine.restate(told, at(self.second)))

    def publish(self, alarms: list[Alarm]) -> None:
        self.outlets.take(StepOutput(alarms=alarms))

    def is_at_rest(self) -> bool:
        """Return whether the last that left of every alarm is journalled, and nothing waits."""
        if self.outlets.is_marked or self.outlets.counters()["alerts_waiting"]:
            return False
        newest = {alarm.id: alarm.version for alarm in self.machine.open_alarms()}
        return newest == {alarm_id: versions[-1] for alarm_id, versions in self.journal.items()}

    def turn(self, mood: str, count: int) -> None:
        if mood == "hangs":
            self.mood.clear()
        else:
            self.mood.set()
            self.refusals = count if mood == "refuses" else 0


async def play(story) -> World:
    world = World()
    journalling = asyncio.create_task(world.outlets.journal_alerts())
    for kind, first, second in story:
        if kind == "say":
            world.say(first, second)
        elif kind == "journal":
            world.turn(first, second)
        else:
            for _ in range(first):
                await asyncio.sleep(0)
    world.turn("answers", 0)
    async with asyncio.timeout(10):
        while not (journalling.done() or world.is_at_rest()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    assert not journalling.done(), journalling.exception()
    journalling.cancel()
    await asyncio.wait({journalling})
    return world


@pytest.fixture(autouse=True, scope="module")
def _no_patience():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PATIENCE_S", 0.0)
        patch.setattr(module, "LOOK_EVERY_S", 1e-6)
        patch.setattr(module, "REMIND_EVERY_S", 0.0)
        yield


@examples(200)
@given(story=stories)
def test_the_journal_gets_every_version_once_and_in_order(story):
    world = asyncio.run(play(story))
    for versions in world.journal.values():
        assert versions == list(range(1, len(versions) + 1))


@examples(200)
@given(story=stories)
def test_what_went_out_from_memory_is_followed_by_a_journalled_higher_version(story):
    world = asyncio.run(play(story))
    for told in world.out.values():
        journalled = max(version for version, is_journalled in told if is_journalled)
        assert all(version < journalled for version, is_journalled in told if not is_journalled)
    newest = {alarm.id: alarm.version for alarm in world.machine.open_alarms()}
    assert {alarm_id: versions[-1] for alarm_id, versions in world.journal.items()} == newest
