"""Operators' commands, from MQTT or the local door: into the pipeline, and its answer back."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from cbrn_core.alarm import Command
from cbrn_core.clock import Clock
from cbrn_gateway.pipeline.pipeline import Answer, Ordered
from cbrn_gateway.sinks.mqtt_inbound import Asked
from cbrn_gateway.wire import CATCH_UP, AnswerMessage, CommandMessage

_NOT_FOR_THE_MACHINE = frozenset({"schema", "client", "epoch", "seq_from", "seq_to"})


class Operators:
    """Gives commands to the pipeline by `put` and waits for what became of them."""

    def __init__(self, gateway: str, clock: Clock, put: Callable[[Ordered], None]) -> None:
        self._gateway = gateway
        self._clock = clock
        self._put = put
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    async def obey(self, command: Command) -> Answer:
        """Give the pipeline a command; return what became of it."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[id(command)] = waiting
        try:
            self._put(Ordered(self._clock.now().steady_us, command))
            return await waiting
        finally:
            del self._waiting[id(command)]

    def settle(self, answers: Iterable[Answer]) -> None:
        """Tell those who wait what the pipeline answered."""
        for answer in answers:
            waiting = self._waiting.get(id(answer.command))
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def answer_asked(self, asked: Asked) -> bytes:
        """Answer a command that came by MQTT."""
        return await self.answer_line(asked.payload)

    async def answer_line(self, line: bytes) -> bytes:
        """Answer one `cbrn-command/1` with one `cbrn-answer/1`; never raises for bad input."""
        try:
            message = msgspec.json.decode(line, type=CommandMessage)
        except msgspec.DecodeError as error:
            return self._refusal(f"not a command: {error}")
        if message.verb == CATCH_UP:
            return self._refusal(f"{CATCH_UP} is asked for by MQTT")
        if message.alarm_id is None:
            return self._refusal(f"not a command: {message.verb} needs an alarm_id")
        fields = msgspec.structs.asdict(message)
        wanted = {name: fields[name] for name in fields.keys() - _NOT_FOR_THE_MACHINE}
        answer = await self.obey(Command(**wanted))
        return msgspec.json.encode(
            AnswerMessage(
                gateway=self._gateway,
                accepted=answer.refusal is None,
                reason=answer.refusal,
                verb=message.verb,
                alarm_id=message.alarm_id,
                version=message.version,
                idempotency_key=message.idempotency_key,
            )
        )

    def _refusal(self, reason: str) -> bytes:
        refused = AnswerMessage(gateway=self._gateway, accepted=False, reason=reason)
        return msgspec.json.encode(refused)
