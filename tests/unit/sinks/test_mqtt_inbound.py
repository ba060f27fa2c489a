from collections import Counter

import pytest
from samples.fake_link import FakeBroker, FakeLink, turns, turns_until
from samples.sink_samples import running

from cbrn_core.errors import CommandRefused, InputError
from cbrn_gateway.sinks.mqtt_client import Incoming
from cbrn_gateway.sinks.mqtt_inbound import LONGEST_PAYLOAD_BYTES, Inbound, answer_topic
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
ASK = b'{"schema":"cbrn-command/1","verb":"ack","actor":"anna","client":"soc-1"}'


class Desk:
    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.link = FakeLink(self.broker)
        self.counters: Counter[str] = Counter()
        self.asked = []
        self.external = []
        self.refusals = []
        self.inbound = Inbound(
            TOPICS,
            self.counters,
            on_command=self._answer,
            on_external=self._take,
            on_refused=lambda *what: self.refusals.append(what),
        )

    async def _answer(self, asked):
        self.asked.append(asked)
        if b"refuse" in asked.payload:
            raise CommandRefused("no")
        return b'{"accepted":true}'

    async def _take(self, tool, payload):
        if payload == b"bad":
            raise InputError("bad")
        self.external.append((tool, payload))

    async def arrives(self, **fields):
        message = {"topic": TOPICS.command, "payload": ASK, "retained": False} | fields
        async with running(self.inbound.run(self.link)):
            await self.link.inbox.put(Incoming(**message))
            await turns_until(self.link.inbox.empty)
            await turns()


@pytest.mark.asyncio
async def test_an_answer_goes_to_the_response_topic_with_the_correlation():
    desk = Desk()
    await desk.arrives(response_topic="soc/answers", correlation=b"\x01\x02")
    (answer,) = desk.broker.received
    assert (answer.topic, answer.payload, answer.qos) == ("soc/answers", b'{"accepted":true}', 1)
    assert answer.correlation == b"\x01\x02"
    assert not answer.retain
    assert desk.asked[0].payload == ASK


@pytest.mark.asyncio
async def test_without_a_response_topic_the_answer_goes_to_the_named_client():
    desk = Desk()
    await desk.arrives()
    assert desk.broker.received[0].topic == TOPICS.reply("soc-1")


def test_the_actor_stands_in_for_the_client():
    message = Incoming(topic=TOPICS.command, payload=b'{"actor":"anna"}', retained=False)
    assert answer_topic(TOPICS, message) == TOPICS.reply("anna")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"actor":7}', b'{"actor":"a b"}', b"\xff", b"null"]
)
async def test_a_command_without_an_address_is_still_handed_on(payload):
    desk = Desk()
    await desk.arrives(payload=payload)
    assert desk.asked[0].payload == payload
    assert desk.broker.received == []
    assert desk.counters["answers_without_address"] == 1


@pytest.mark.asyncio
async def test_an_operator_cannot_have_an_alert_forged_through_the_response_topic():
    desk = Desk()
    await desk.arrives(response_topic=TOPICS.alert("a1"))
    assert desk.broker.received == []
    assert desk.counters["answers_without_address"] == 1


@pytest.mark.asyncio
async def test_a_retained_command_is_not_carried_out():
    desk = Desk()
    await desk.arrives(retained=True)
    assert desk.asked == []
    assert desk.counters["inbound_retained"] == 1


@pytest.mark.asyncio
async def test_a_payload_without_end_is_dropped_and_counted():
    desk = Desk()
    await desk.arrives(payload=b"x" * (LONGEST_PAYLOAD_BYTES + 1))
    assert desk.asked == []
    assert desk.counters["inbound_too_long"] == 1


@pytest.mark.asyncio
async def test_a_command_that_raises_does_not_end_the_connection():
    desk = Desk()
    async with running(desk.inbound.run(desk.link)) as tasks:
        await desk.link.inbox.put(Incoming(topic=TOPICS.command, payload=b"refuse", retained=False))
        await desk.link.inbox.put(Incoming(topic=TOPICS.command, payload=ASK, retained=False))
        await turns_until(lambda: desk.broker.received)
        assert not tasks[0].done()
    assert desk.counters["commands_failed"] == 1


@pytest.mark.asyncio
async def test_messages_of_tools_are_handed_on_with_their_name_and_bad_ones_counted():
    desk = Desk()
    topic = f"{TOPICS.base}/external/cam-3"
    await desk.arrives(topic=topic, payload=b"good")
    await desk.arrives(topic=topic, payload=b"bad")
    await desk.arrives(topic=f"{TOPICS.base}/other")
    assert desk.external == [("cam-3", b"good")]
    assert desk.counters["external_rejected"] == 1
    assert desk.counters["inbound_unexpected"] == 1


@pytest.mark.asyncio
async def test_a_refused_subscription_is_reported_and_the_other_one_stands():
    desk = Desk()
    desk.broker.codes[TOPICS.command] = 135
    async with running(desk.inbound.run(desk.link)):
        await turns_until(lambda: desk.broker.subscriptions)
    assert desk.refusals == [(TOPICS.command, 135)]
    assert desk.broker.subscriptions == [TOPICS.external_filter]


@pytest.mark.asyncio
async def test_a_refused_subscription_is_asked_for_again_until_it_is_granted():
    desk = Desk()
    desk.inbound._refused_retry_s = 0.0
    desk.broker.codes[TOPICS.command] = 135
    async with running(desk.inbound.run(desk.link)):
        await turns_until(lambda: len(desk.refusals) >= 3)
        del desk.broker.codes[TOPICS.command]
        await turns_until(lambda: TOPICS.command in desk.broker.subscriptions)
        told = len(desk.refusals)
        await turns()
        assert len(desk.refusals) == told
        await desk.link.inbox.put(Incoming(topic=TOPICS.command, payload=ASK, retained=False))
        await turns_until(lambda: desk.asked)


@pytest.mark.asyncio
async def test_a_refused_answer_is_reported():
    desk = Desk()
    desk.broker.codes[TOPICS.reply("soc-1")] = 135
    await desk.arrives()
    assert desk.refusals == [(TOPICS.reply("soc-1"), 135)]
