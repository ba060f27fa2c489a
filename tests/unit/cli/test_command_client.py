"""MQTT 3.1.1 knows no response topic: a command names the client that waits for its answer."""

import asyncio

import msgspec
import pytest
from jsonschema import Draft202012Validator

from cbrn_core.clock import ManualClock
from cbrn_gateway.live.operators import Operators
from cbrn_gateway.pipeline.pipeline import Answer
from cbrn_gateway.schemas import load_schema
from cbrn_gateway.wire import AnswerMessage, CommandMessage

WISH = CommandMessage(verb="ack", actor="B", alarm_id="x", client="soc-1")


def test_a_client_may_be_named_and_need_not_be():
    judge = Draft202012Validator(load_schema("cbrn-command/1"))
    assert judge.is_valid(msgspec.to_builtins(WISH))
    assert judge.is_valid(msgspec.to_builtins(msgspec.structs.replace(WISH, client=None)))
    plain = {"schema": "cbrn-command/1", "verb": "ack", "actor": "B", "alarm_id": "x"}
    assert judge.is_valid(plain)
    assert msgspec.convert(plain, CommandMessage).client is None
    assert not judge.is_valid(plain | {"client": 7})


@pytest.mark.asyncio
async def test_the_machine_is_not_told_which_client_asked():
    given = asyncio.get_running_loop().create_future()
    operators = Operators("gw", ManualClock(), given.set_result)
    asking = asyncio.create_task(operators.answer_line(msgspec.json.encode(WISH)))
    async with asyncio.timeout(5):
        command = (await given).command
    assert (command.verb, command.actor, command.alarm_id) == ("ack", "B", "x")
    operators.settle([Answer(command, None)])
    answer = msgspec.json.decode(await asking, type=AnswerMessage)
    assert answer.accepted
