"""What arrives by MQTT: operators' commands and the messages of other tools.

Payloads are handed on as bytes; who reads them checks them against their schema.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from cbrn_core.errors import CbrnError, InputError, Refused
from cbrn_gateway.sinks.mqtt_canary import Canary
from cbrn_gateway.sinks.mqtt_catch_up import CatchUp, asks_to_catch_up
from cbrn_gateway.sinks.mqtt_client import Incoming, MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import RefusedCallback, ignore_refusal
from cbrn_gateway.sinks.payloads import JSON
from cbrn_gateway.sinks.topics import Topics
from cbrn_gateway.sinks.waiting import run_until_one_fails
from cbrn_gateway.wire import ANSWER_SCHEMA

LONGEST_PAYLOAD_BYTES = 262_144
_ANSWER_EXPIRY_S = 300
_LOG = logging.getLogger(__name__)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it arrived; the asker's topic and mark are already checked."""

    payload: bytes
    response_topic: str | None = None
    correlation: bytes | None = None


CommandCallback = Callable[[Asked], Awaitable[bytes]]
"""Returns the `cbrn-answer/1` payload; a refused command is an answer, not an error."""
ExternalCallback = Callable[[str, bytes], Awaitable[None]]
"""Takes (tool, payload) of the external topic; raises InputError for what it rejects."""


class _Asker(msgspec.Struct, frozen=True):
    client: str | None = None
    actor: str | None = None


_ASKER = msgspec.json.Decoder(_Asker)


def answer_topic(topics: Topics, message: Incoming) -> str | None:
    """Return where the answer goes, None where there is no place that is allowed.

    MQTT 5: the response topic. MQTT 3.1.1 knows none: `…/command/reply/{client}`, where
    the command names its `client`, else its `actor`.
    """
    if message.response_topic is not None:
        return message.response_topic if topics.may_answer_on(message.response_topic) else None
    try:
        asker = _ASKER.decode(message.payload)
        return topics.reply(asker.client or asker.actor or "")
    except (msgspec.DecodeError, InputError):
        return None


class Inbound:
    """Subscribes and hands on; one message after the other, in the order they came."""

    def __init__(
        self,
        topics: Topics,
        counters: Counter[str],
        *,
        on_command: CommandCallback | None = None,
        on_external: ExternalCallback | None = None,
        on_refused: RefusedCallback = ignore_refusal,
        canary: Canary | None = None,
        catch_up: CatchUp | None = None,
        refused_retry_s: float = 30.0,
    ) -> None:
        self._topics = topics
        self._counters = counters
        self._on_command = on_command
        self._on_external = on_external
        self._on_refused = on_refused
        self._canary = canary
        self._catch_up = catch_up
        self._refused_retry_s = refused_retry_s
        self.asked = asyncio.Event()
        """Set once the broker has answered every subscription of this connection."""

    async def run(self, link: MqttLink) -> None:
        """Read until the connection ends; raises Disconnected then."""
        self.asked.clear()
        await run_until_one_fails(self._subscribe(link), self._read(link))

    async def _read(self, link: MqttLink) -> None:
        async for message in link.incoming():
            await self._take(link, message)

    async def _subscribe(self, link: MqttLink) -> None:
        """Subscribe to everything; what is refused is asked for, and told, again and again."""
        command = None if self._on_command is None else self._topics.command
        external = None if self._on_external is None else self._topics.external_filter
        wanted = [topic for topic in (command, external) if topic is not None]
        while True:
            wanted = [topic for topic in wanted if not await self._is_granted(link, topic)]
            self.asked.set()
            if not wanted:
                return
            await asyncio.sleep(self._refused_retry_s)

    async def _is_granted(self, link: MqttLink, topic: str) -> bool:
        try:
            await link.subscribe(topic)
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._on_refused(topic, refused.reason_code)
            return False
        return True

    async def _take(self, link: MqttLink, message: Incoming) -> None:
        if len(message.payload) > LONGEST_PAYLOAD_BYTES:
            self._counters["inbound_too_long"] += 1
        elif message.retained:
            # a retained command would be carried out again at every connection
            self._counters["inbound_retained"] += 1
        elif message.topic == self._topics.command and self._on_command is not None:
            await self._answer(link, message, self._on_command)
        else:
            await self._hand_on(message)

    async def _answer(self, link: MqttLink, message: Incoming, on_command: CommandCallback) -> None:
        self._counters["commands"] += 1
        topic = answer_topic(self._topics, message)
        payload = await self._said_to(message, topic, on_command)
        if payload is None:
            return
        if topic is None:
            self._counters["answers_without_address"] += 1
            return
        answer = Outgoing(
            topic=topic,
            payload=payload,
            qos=1,
            content_type=JSON,
            expiry_s=_ANSWER_EXPIRY_S,
            correlation=message.correlation,
            user=(("schema", ANSWER_SCHEMA),),
        )
        try:
            await link.publish(answer)
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._on_refused(topic, refused.reason_code)

    async def _said_to(
        self, message: Incoming, topic: str | None, on_command: CommandCallback
    ) -> bytes | None:
        """Return the answer, None where there is none or where it comes otherwise."""
        if self._catch_up is not None and asks_to_catch_up(message.payload):
            return self._catch_up.take(message.payload, topic, message.correlation)
        asked = Asked(
            payload=message.payload, response_topic=topic, correlation=message.correlation
        )
        try:
            return await on_command(asked)
        except CbrnError as error:
            self._counters["commands_failed"] += 1
            _LOG.warning("a command was not answered: %s", error)
            return None

    async def _hand_on(self, message: Incoming) -> None:
        if self._canary is not None and self._canary.take(message.topic, message.payload):
            return
        tool = self._topics.external_tool(message.topic)
        if tool is None or self._on_external is None:
            self._counters["inbound_unexpected"] += 1
            return
        self._counters["external_messages"] += 1
        try:
            await self._on_external(tool, message.payload)
        except CbrnError as error:
            self._counters["external_rejected"] += 1
            _LOG.info("message of %s rejected: %s", tool, error)
