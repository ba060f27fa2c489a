"""What operators ask is refused with a reason before it reaches the pipeline, or put there."""

import json

import pytest

from cbrn_core.clock import ManualClock
from cbrn_gateway.live.operators import Operators


async def answer_to(**fields) -> tuple[dict, list]:
    put = []
    operators = Operators("gw-01", ManualClock(0), put.append)
    line = json.dumps({"schema": "cbrn-command/1", "actor": "anna"} | fields).encode()
    return json.loads(await operators.answer_line(line)), put


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", ["ack", "shelve", "", "nonsense"])
async def test_an_order_without_an_alarm_reaches_nothing(verb):
    answer, put = await answer_to(verb=verb)
    assert not answer["accepted"]
    assert f"{verb} needs an alarm_id" in answer["reason"]
    assert put == []


@pytest.mark.asyncio
async def test_pages_of_the_journal_are_asked_for_by_mqtt_only():
    answer, put = await answer_to(verb="catch_up", seq_from=1)
    assert not answer["accepted"]
    assert "by MQTT" in answer["reason"]
    assert put == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fields",
    [{"verb": 7}, {"verb": "ack", "alarm_id": []}, {"verb": "ack", "seq_from": 0}, {}],
)
async def test_what_is_no_command_is_refused_with_the_place(fields):
    answer, put = await answer_to(**fields)
    assert answer["reason"].startswith("not a command")
    assert put == []
