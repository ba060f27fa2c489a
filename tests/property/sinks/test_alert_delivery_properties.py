"""Whatever breaks and whenever: every alarm's newest version arrives, none goes backwards."""

import asyncio
import json
from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.fake_link import FakeBroker, FakeLink, turns, turns_until
from samples.sink_samples import MemoryJournal, alert_body, running

from cbrn_core.errors import Disconnected
from cbrn_gateway.sinks.mqtt_alerts import AlertPublisher, AlertVersion
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
ALARMS = ("a1", "a2", "a3")

changes = st.tuples(
    st.just("change"), st.sampled_from(ALARMS), st.sampled_from(["unack", "ack", "normal"])
)
unjournalled = st.tuples(st.just("unjournalled"), st.sampled_from(ALARMS), st.just("unack"))
breaks = st.tuples(st.just("break"), st.integers(0, 6), st.booleans())
broker_deaths = st.tuples(st.just("broker dies"), st.booleans(), st.none())
restarts = st.tuples(st.just("gateway restarts"), st.none(), st.none())
stories = st.lists(
    st.one_of(changes, changes, unjournalled, breaks, broker_deaths, restarts), max_size=14
)


class World:
    """Journal and broker outlive everything; the publisher dies with its gateway."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.broker = FakeBroker()
        self.versions: Counter[str] = Counter()
        self.old_retained: dict[str, bytes] = {}
        self.lost_knowledge = False
        self.restart()

    def restart(self) -> None:
        self.publisher = AlertPublisher(self.journal, TOPICS, Counter())

    def change(self, alarm_id: str, state: str) -> None:
        self.versions[alarm_id] += 1
        self.journal.append(alarm_id, self.versions[alarm_id], state=state)

    def send_unjournalled(self, alarm_id: str) -> None:
        self.versions[alarm_id] += 1
        version = self.versions[alarm_id]
        body = alert_body(alarm_id, version, journal="pending")
        self.publisher.send_unjournalled(AlertVersion(0, alarm_id, version, body))
        # the journalled copy follows as the next version
        self.change(alarm_id, "unack")

    async def connect_until_broken(self, breaks_at: int, arrives: bool) -> None:
        link = FakeLink(self.broker, breaks_at=breaks_at, arrives=arrives)
        async with running(self.publisher.run(link)) as (task,):
            await turns(60)
            if task.done():
                assert isinstance(task.exception(), Disconnected)

    async def settle(self) -> None:
        async with running(self.publisher.run(FakeLink(self.broker))):
            await turns_until(lambda: not self.journal.outbox)
            await turns(200)


async def play(story) -> World:
    world = World()
    for kind, first, second in story:
        if kind == "change":
            world.change(first, second)
        elif kind == "unjournalled":
            world.send_unjournalled(first)
        elif kind == "break":
            await world.connect_until_broken(first, second)
        elif kind == "broker dies":
            world.broker.retained = {} if first else dict(world.broker.retained)
        else:
            world.restart()
    await world.settle()
    return world


def told(world: World) -> dict[str, list[int]]:
    versions = defaultdict(list)
    for message in world.broker.received:
        if message.payload:
            feature = json.loads(message.payload)
            versions[feature["id"]].append(feature["properties"]["version"])
    return versions


@examples(300)
@given(story=stories)
def test_no_alarm_ever_goes_backwards_and_each_ends_at_its_newest_version(story):
    world = asyncio.run(play(story))
    for alarm_id, versions in told(world).items():
        assert versions == sorted(versions)
        assert versions[-1] == world.versions[alarm_id]
    assert set(told(world)) == set(world.versions)


@examples(300)
@given(story=stories)
def test_a_late_subscriber_finds_exactly_the_open_alerts_in_their_newest_version(story):
    world = asyncio.run(play(story))
    newest = {entry.alarm_id: entry for entry in world.journal.rows}
    is_open = {
        alarm_id: json.loads(entry.body)["properties"]["state"] != "normal"
        for alarm_id, entry in newest.items()
    }
    expected = {
        TOPICS.alert(alarm_id): entry.body
        for alarm_id, entry in newest.items()
        if is_open[alarm_id]
    }
    assert world.broker.retained == expected
