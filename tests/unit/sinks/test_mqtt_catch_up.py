"""A control room that lost entries of the log topic gets them again by asking, page by page."""

import asyncio
import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator
from samples.fake_link import FakeBroker, FakeLink, turns, turns_until
from samples.sink_samples import EPOCH, Entry, MemoryJournal, running

from cbrn_core.errors import Disconnected
from cbrn_gateway.schemas.generate import generate
from cbrn_gateway.sinks import mqtt_catch_up
from cbrn_gateway.sinks.mqtt_catch_up import (
    MOST_REQUESTS,
    PAGE_BYTES,
    PAGE_ROWS,
    PAUSE_S,
    CatchUp,
    asks_to_catch_up,
)
from cbrn_gateway.sinks.mqtt_client import Incoming
from cbrn_gateway.sinks.mqtt_inbound import Inbound
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
REPLY = TOPICS.reply("soc-1")


class RestlessClock:
    """Sleeps no time at all and writes down what it was asked for."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        await asyncio.sleep(0)


class ReadOnlyJournal(MemoryJournal):
    """Counts the readings; what would change it is an error."""

    def __init__(self, entries: int = 0) -> None:
        super().__init__()
        self.reads = 0
        for number in range(1, entries + 1):
            self.append(f"a{number}", 1)

    async def entries(self, after_seq=0, limit=1000):
        self.reads += 1
        return await super().entries(after_seq, limit)

    async def delivered(self, *_: object):
        raise AssertionError("a catch-up writes nothing")

    advance = delivered


class Desk:
    def __init__(self, entries: int = 0) -> None:
        self.journal = ReadOnlyJournal(entries)
        self.broker = FakeBroker()
        self.clock = RestlessClock()
        self.counters: Counter[str] = Counter()
        self.refusals = []
        self.catch_up = CatchUp(
            self.journal,
            "gw-01",
            self.clock,
            self.counters,
            on_refused=lambda *what: self.refusals.append(what),
        )

    def asks(self, topic: str | None = REPLY, **fields) -> dict | None:
        """Return the refusal that comes at once, None where it is taken."""
        answer = self.catch_up.take(command(**fields), topic, b"\x01")
        return None if answer is None else json.loads(answer)

    async def served(self, link: FakeLink | None = None) -> list[dict]:
        """Let everything that was taken be served; return what the broker has then."""
        async with running(self.catch_up.run(link or FakeLink(self.broker))) as (task,):
            await turns_until(lambda: not self.catch_up._requests or task.done())
            await turns()
        return self.said()

    def said(self, topic: str = REPLY) -> list[dict]:
        return [json.loads(payload) for payload in self.broker.payloads(topic)]


def command(**fields) -> bytes:
    wanted = {"schema": "cbrn-command/1", "verb": "catch_up", "actor": "anna", "seq_from": 1}
    return json.dumps(wanted | fields).encode()


def seqs(pages: list[dict]) -> list[int]:
    return [seq for page in pages for seq in range(page["seq_from"], page["seq_to"] + 1)]


@pytest.mark.asyncio
async def test_the_answer_comes_first_and_then_every_entry_to_the_byte_in_order():
    desk = Desk(200)
    assert desk.asks(seq_from=42, epoch=EPOCH, idempotency_key="k1") is None
    answer, *pages = await desk.served()
    assert (answer["schema"], answer["accepted"]) == ("cbrn-answer/1", True)
    assert (answer["verb"], answer["idempotency_key"]) == ("catch_up", "k1")
    assert seqs(pages) == list(range(42, 201))
    sent = b"".join(desk.broker.payloads(REPLY)[1:])
    assert all(row.body in sent for row in desk.journal.rows[41:])
    assert not any(row.body in sent for row in desk.journal.rows[40:41])
    assert [page["is_last"] for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1]["next_seq"] is None
    assert {message.correlation for message in desk.broker.received} == {b"\x01"}
    validator = Draft202012Validator(generate("cbrn-log-page/1"))
    for page in pages:
        validator.validate(page)


@pytest.mark.asyncio
async def test_only_up_to_the_entry_that_was_asked_for():
    desk = Desk(50)
    desk.asks(seq_from=10, seq_to=12)
    _, page = await desk.served()
    assert (page["seq_from"], page["seq_to"], len(page["rows"])) == (10, 12, 3)
    assert (page["next_seq"], page["is_last"]) == (None, True)
    assert (page["epoch"], page["head_seq"]) == (EPOCH, 50)


@pytest.mark.asyncio
async def test_who_lost_nothing_gets_an_empty_page():
    desk = Desk(5)
    desk.asks(seq_from=6)
    answer, page = await desk.served()
    assert answer["accepted"]
    assert (page["seq_from"], page["seq_to"], page["rows"]) == (6, 5, [])
    assert (page["next_seq"], page["is_last"]) == (None, True)


@pytest.mark.asyncio
async def test_pages_are_small_and_have_pauses_between_them():
    desk = Desk(300)
    desk.asks()
    pages = (await desk.served())[1:]
    assert len(pages) >= 300 / PAGE_ROWS
    largest = max(map(len, desk.broker.payloads(REPLY)))
    assert largest <= PAGE_BYTES + 1_000
    assert all(len(page["rows"]) <= PAGE_ROWS for page in pages)
    assert desk.clock.slept_s == [PAUSE_S] * len(pages)
    assert desk.journal.reads == len(pages)


@pytest.mark.asyncio
async def test_an_entry_larger_than_a_page_comes_alone():
    desk = Desk(1)
    desk.journal.append("big", 1, text="x" * 3 * PAGE_BYTES)
    desk.journal.append("after", 1)
    desk.asks()
    pages = (await desk.served())[1:]
    assert [(page["seq_from"], page["seq_to"]) for page in pages] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.asyncio
async def test_one_request_is_bounded_and_its_last_page_says_where_to_go_on(monkeypatch):
    monkeypatch.setattr(mqtt_catch_up, "PAGES_PER_REQUEST", 2)
    monkeypatch.setattr(mqtt_catch_up, "PAGE_ROWS", 3)
    desk = Desk(10)
    desk.asks()
    *_, last = await desk.served()
    assert (last["is_last"], last["next_seq"]) == (True, 7)
    desk.asks(seq_from=last["next_seq"])
    *_, last = await desk.served()
    assert (last["seq_to"], last["next_seq"]) == (10, None)


@pytest.mark.asyncio
async def test_several_are_served_in_turn():
    desk = Desk(3 * PAGE_ROWS)
    desk.asks(TOPICS.reply("soc-1"))
    desk.asks(TOPICS.reply("soc-2"))
    await desk.served()
    order = [message.topic[-1] for message in desk.broker.received]
    assert order.index("2") < len(order) - 1 - order[::-1].index("1")
    assert seqs(desk.said(TOPICS.reply("soc-2"))[1:]) == list(range(1, 3 * PAGE_ROWS + 1))


@pytest.mark.asyncio
async def test_a_flood_is_refused_without_a_look_at_the_journal():
    desk = Desk(10)
    for number in range(MOST_REQUESTS):
        assert desk.asks(TOPICS.reply(f"soc-{number}")) is None
    refused = [desk.asks(TOPICS.reply(f"other-{number}")) for number in range(1000)]
    assert all("too many" in answer["reason"] for answer in refused)
    again = desk.asks(TOPICS.reply("soc-0"))
    assert "under way" in again["reason"]
    assert desk.journal.reads == 0
    await desk.served()
    assert desk.asks(TOPICS.reply("soc-0")) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"seq_from": 12}, "the newest is 10"),
        ({"seq_from": 2**53 - 1}, "the newest is 10"),
        ({"epoch": EPOCH + 1}, f"of epoch {EPOCH} here"),
        ({"seq_from": 11, "epoch": 0}, f"of epoch {EPOCH} here"),
    ],
)
async def test_what_the_journal_does_not_hold_is_refused_with_the_reason(fields, why):
    desk = Desk(10)
    assert desk.asks(**fields) is None
    (answer,) = await desk.served()
    assert not answer["accepted"]
    assert why in answer["reason"]
    assert desk.counters["catch_ups_refused"] == 1


@pytest.mark.asyncio
async def test_the_epoch_is_that_of_the_first_entry_wanted_not_of_the_newest():
    desk = Desk(3)
    desk.journal.rows.append(Entry(4, None, None, b"{}", EPOCH + 9))
    desk.asks(seq_from=3, epoch=EPOCH)
    answer, page = await desk.served()
    assert answer["accepted"]
    assert (page["seq_to"], page["epoch"]) == (4, EPOCH + 9)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"seq_from": 0}, "seq_from"),
        ({"seq_from": -1}, "seq_from"),
        ({"seq_from": 2**53}, "seq_from"),
        ({"seq_from": 10**40}, "seq_from"),
        ({"seq_from": 1e300}, "seq_from"),
        ({"seq_from": "1; DROP TABLE entries"}, "seq_from"),
        ({"seq_from": True}, "seq_from"),
        ({"seq_from": [1]}, "seq_from"),
        ({"seq_from": None}, "seq_from"),
        ({"seq_to": 2**70}, "seq_to"),
        ({"seq_from": 5, "seq_to": 4}, "seq_to is before seq_from"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": {}}, "epoch"),
        ({"actor": ""}, "name of the person"),
        ({"actor": None}, "actor"),
        ({"schema": "cbrn-command/2"}, "schema"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_at_once(fields, why):
    desk = Desk(10)
    answer = desk.asks(**fields)
    assert not answer["accepted"]
    assert why in answer["reason"]
    assert len(answer["reason"]) < 300
    assert desk.catch_up._requests == {}


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b"\xff", b'{"verb":7}', b'{"verb":"ack"}', b'"catch_up"']
)
def test_other_commands_are_left_to_others(payload):
    assert not asks_to_catch_up(payload)


@pytest.mark.asyncio
async def test_a_journal_that_cannot_be_read_is_said_and_the_next_request_is_served():
    desk = Desk(3)
    desk.journal.fails = True
    desk.asks()
    (answer,) = await desk.served()
    assert (answer["accepted"], answer["reason"]) == (False, "the disk is gone")
    desk.journal.fails = False
    desk.asks()
    assert seqs((await desk.served())[2:]) == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_refused_place_of_answer_is_told_and_left():
    desk = Desk(3)
    desk.broker.codes[REPLY] = 135
    desk.asks()
    await desk.served()
    assert desk.refusals == [(REPLY, 135)]


@pytest.mark.asyncio
async def test_pages_that_nobody_listens_to_end_soon():
    desk = Desk(5 * PAGE_ROWS)
    desk.broker.codes[REPLY] = 16
    desk.asks()
    assert len(await desk.served()) == 2


@pytest.mark.asyncio
async def test_a_connection_that_ends_takes_its_requests_with_it():
    desk = Desk(5 * PAGE_ROWS)
    desk.asks()
    link = FakeLink(desk.broker, breaks_at=3)
    with pytest.raises(Disconnected):
        await desk.catch_up.run(link)
    before = len(desk.broker.received)
    await desk.served()
    assert len(desk.broker.received) == before
    assert desk.asks() is None


@pytest.mark.asyncio
async def test_an_acknowledgement_is_answered_while_history_is_being_sent():
    desk = Desk(20 * PAGE_ROWS)
    answered = []

    async def answer(asked):
        answered.append(len(desk.broker.received))
        return b"{}"

    inbound = Inbound(TOPICS, desk.counters, on_command=answer, catch_up=desk.catch_up)
    link = FakeLink(desk.broker)
    async with running(inbound.run(link), desk.catch_up.run(link)):
        for payload in (command(client="soc-1"), b'{"verb":"ack","actor":"soc-1"}'):
            await link.inbox.put(Incoming(topic=TOPICS.command, payload=payload, retained=False))
        await turns_until(lambda: answered)
        await turns_until(lambda: desk.said()[-1].get("is_last"))
    assert answered[0] < 5
    assert len(desk.said()) > 20
