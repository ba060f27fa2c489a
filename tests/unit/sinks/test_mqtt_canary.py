"""The proof of the paths to the control rooms, with a broker in memory and a clock by hand."""

import asyncio
import json
from collections import Counter

import pytest
from samples.fake_link import FakeBroker, FakeLink, turns
from samples.sink_samples import running

from cbrn_core.clock import ManualClock
from cbrn_gateway.schemas import load_schema
from cbrn_gateway.sinks.mqtt_canary import PATIENCE_S, PERIOD_S, Canary
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
NOW_US = 1_780_000_000_000_000


def gate():
    future = asyncio.get_running_loop().create_future()
    return future, lambda: future.done() or future.set_result(None)


class Paths:
    """Two control rooms and a broker that hands canaries back when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_US, gate)
        self.broker = FakeBroker()
        self.link = FakeLink(self.broker)
        self.counters: Counter[str] = Counter()
        self.proven = []
        self.refusals = []
        self.canary = Canary(
            ("a", "b"),
            TOPICS,
            self.clock,
            self.counters,
            on_refused=lambda *what: self.refusals.append(what),
            on_proven=self.proven.append,
        )

    def up(self):
        return running(self.canary.run(self.link))

    async def pass_s(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await turns()

    def sent(self, soc: str) -> list[bytes]:
        return self.broker.payloads(TOPICS.canary(soc))

    def returns(self, soc: str) -> bool:
        return self.canary.take(TOPICS.canary(soc), self.sent(soc)[-1])

    def unproven(self) -> dict[str, str]:
        return dict(self.canary.unproven())


@pytest.mark.asyncio
async def test_a_canary_a_minute_and_path_with_its_round_trip():
    paths = Paths()
    async with paths.up():
        for minute in range(1, 4):
            await turns()
            assert [len(paths.sent(soc)) for soc in "ab"] == [minute, minute]
            await paths.pass_s(0.25)
            assert paths.returns("a")
            assert paths.returns("b")
            assert paths.unproven() == {}
            await paths.pass_s(PERIOD_S - 0.25)
    assert paths.proven == ["a", "b"] * 3
    assert (paths.counters["canary_a_ms"], paths.counters["canary_a_proven"]) == (250, 3)
    numbers = [json.loads(payload)["number"] for payload in paths.sent("a")]
    assert numbers == sorted(set(numbers))


@pytest.mark.asyncio
async def test_what_does_not_come_back_within_ten_seconds_is_not_proven():
    paths = Paths()
    async with paths.up():
        await turns()
        paths.returns("a")
        await paths.pass_s(PATIENCE_S)
        assert paths.unproven() == {}
        await paths.pass_s(0.1)
        assert paths.unproven() == {"b": "its canary did not come back within 10 s"}
        paths.returns("b")
        assert paths.proven == ["a"], "too late is not proven"
        await paths.pass_s(PERIOD_S)
        paths.returns("b")
        assert paths.proven == ["a", "b"]
        assert "b" not in paths.unproven()


@pytest.mark.asyncio
async def test_without_a_connection_the_proof_runs_out():
    paths = Paths()
    async with paths.up():
        await turns()
        paths.returns("a")
        paths.returns("b")
    await paths.pass_s(PERIOD_S + PATIENCE_S)
    assert paths.unproven() == {}
    await paths.pass_s(1)
    assert set(paths.unproven()) == {"a", "b"}


@pytest.mark.asyncio
async def test_a_refused_canary_is_told_with_its_reason_and_forgotten_when_it_is_allowed():
    paths = Paths()
    paths.broker.codes[TOPICS.canary("b")] = 135
    async with paths.up():
        await turns()
        paths.returns("a")
        assert paths.refusals == [(TOPICS.canary("b"), 135)]
        assert paths.unproven() == {"b": "the broker refuses its canary, reason 135"}
        del paths.broker.codes[TOPICS.canary("b")]
        await paths.pass_s(PERIOD_S)
        paths.returns("b")
        assert "b" not in paths.unproven()
    assert paths.counters["mqtt_refused"] == 1


@pytest.mark.asyncio
async def test_only_the_canary_that_is_out_counts():
    paths = Paths()
    async with paths.up():
        await turns()
        first = paths.sent("a")[-1]
        foreign = json.dumps(json.loads(first) | {"gateway": "gw-02"}).encode()
        other = json.dumps(json.loads(first) | {"soc": "b"}).encode()
        topic = TOPICS.canary("a")
        for payload in (foreign, other, b"", b"[]", b"\xff", b'{"schema":"cbrn-canary/1"}'):
            assert paths.canary.take(topic, payload)
        assert paths.proven == []
        await paths.pass_s(PERIOD_S)
        assert paths.canary.take(topic, first), "an old one is ours and proves nothing"
        assert paths.proven == []
        paths.returns("a")
        paths.returns("a")
        assert paths.proven == ["a"]
    assert not paths.canary.take(TOPICS.command, first)
    assert paths.counters["canary_unreadable"] == 4


@pytest.mark.asyncio
async def test_each_connection_subscribes_before_it_sends():
    paths = Paths()
    for _ in range(2):
        paths.broker.subscriptions.clear()
        async with paths.up():
            await turns()
            assert paths.broker.subscriptions == [TOPICS.canary("a"), TOPICS.canary("b")]


@pytest.mark.asyncio
async def test_the_payload_is_that_of_its_schema():
    import jsonschema

    paths = Paths()
    async with paths.up():
        await turns()
    jsonschema.validate(json.loads(paths.sent("a")[0]), load_schema("cbrn-canary/1"))
