import asyncio
import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator
from samples.fake_link import FakeBroker, FakeLink, turns
from samples.sink_samples import running

from cbrn_core.clock import ManualClock
from cbrn_gateway.schemas import load_schema
from cbrn_gateway.sinks.mqtt_coverage import LOOK_EVERY_S, TELL_EVERY_S, CoveragePublisher
from cbrn_gateway.sinks.payloads import CoverageRow
from cbrn_gateway.sinks.topics import Topics

pytestmark = pytest.mark.asyncio
TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
NOW_US = 1_780_000_000_000_000


def gate():
    future = asyncio.get_running_loop().create_future()
    return future, lambda: future.done() or future.set_result(None)


def row(ability: str, *because: str) -> CoverageRow:
    return CoverageRow(
        zone="quay", agent="cl2", ability=ability, watching=1, fitted=2, because=because
    )


class Site:
    def __init__(self) -> None:
        self.rows = [row("can")]
        self.clock = ManualClock(NOW_US, gate)
        self.broker = FakeBroker()
        self.publisher = CoveragePublisher(lambda: self.rows, TOPICS, self.clock, Counter())

    def up(self):
        return running(self.publisher.run(FakeLink(self.broker)))

    async def pass_s(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await turns()

    def told(self) -> list[dict]:
        return [json.loads(payload) for payload in self.broker.payloads(TOPICS.coverage)]


async def test_it_is_told_at_the_connection_and_once_more_each_minute():
    site = Site()
    async with site.up():
        await turns()
        assert [said["rows"][0]["ability"] for said in site.told()] == ["can"]
        await site.pass_s(LOOK_EVERY_S)
        assert len(site.told()) == 1
        for _ in range(round(TELL_EVERY_S / LOOK_EVERY_S)):
            await site.pass_s(LOOK_EVERY_S)
        assert len(site.told()) == 2


async def test_a_zone_that_goes_blind_is_told_at_once_with_the_reason():
    site = Site()
    async with site.up():
        await turns()
        site.rows = [row("cannot", "st1/cl2: silent")]
        await site.pass_s(LOOK_EVERY_S)
    said = site.told()[-1]
    assert said["rows"][0]["because"] == ["st1/cl2: silent"]
    Draft202012Validator(load_schema("cbrn-coverage/1")).validate(said)


async def test_a_site_without_sensors_says_nothing_more_than_that():
    site = Site()
    site.rows = []
    async with site.up():
        await turns()
        for _ in range(round(2 * TELL_EVERY_S / LOOK_EVERY_S)):
            await site.pass_s(LOOK_EVERY_S)
    assert [said["rows"] for said in site.told()] == [[]]
