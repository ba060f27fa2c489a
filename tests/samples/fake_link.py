"""A broker and its connection in memory: what a publisher of the MQTT sink sees of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from cbrn_core.errors import Disconnected, Refused
from cbrn_gateway.sinks.mqtt_client import Incoming, Outgoing


class FakeBroker:
    """Keeps retained messages and everything that came, in order."""

    def __init__(self) -> None:
        self.received: list[Outgoing] = []
        self.retained: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}
        self.subscriptions: list[str] = []

    def take(self, message: Outgoing) -> int:
        code = self.codes.get(message.topic, 0)
        if code >= 128:
            return code
        self.received.append(message)
        if message.retain:
            self.retained[message.topic] = message.payload
            if not message.payload:
                del self.retained[message.topic]
        return code

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.received if message.topic == topic]


class FakeLink:
    """One connection; breaks before post number `breaks_at`, whose message may still arrive.

    `arrives` says whether the message that broke it reached the broker.
    """

    def __init__(
        self, broker: FakeBroker, *, breaks_at: int | None = None, arrives: bool = False
    ) -> None:
        self.broker = broker
        self.inbox: asyncio.Queue[Incoming] = asyncio.Queue()
        self._posts_left = breaks_at
        self._arrives = arrives
        self._broken = False

    def post(self, message: Outgoing) -> asyncio.Future[int]:
        outcome = asyncio.get_running_loop().create_future()
        if self._broken:
            raise Disconnected("broken before")
        if self._posts_left == 0:
            self._broken = True
            if self._arrives:
                self.broker.take(message)
            return outcome
        if self._posts_left is not None:
            self._posts_left -= 1
        outcome.set_result(self.broker.take(message))
        return outcome

    def post_together(self, messages: Sequence[Outgoing]) -> asyncio.Future[int]:
        assert all(message.qos == 0 for message in messages)
        return [self.post(message) for message in messages][-1]

    async def settle(self, outcome: asyncio.Future[int], topic: str) -> int:
        await asyncio.sleep(0)
        if not outcome.done():
            raise Disconnected("broken on the way")
        code = outcome.result()
        if code >= 128:
            raise Refused(code, topic)
        return code

    async def publish(self, message: Outgoing) -> int:
        return await self.settle(self.post(message), message.topic)

    async def subscribe(self, topic: str, qos: int = 1) -> int:
        code = self.broker.codes.get(topic, qos)
        if code >= 128:
            raise Refused(code, topic)
        self.broker.subscriptions.append(topic)
        return code

    async def incoming(self) -> AsyncIterator[Incoming]:
        while True:
            yield await self.inbox.get()


async def turns(count: int = 100) -> None:
    """Let everything that can go on go on, without waiting for time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def turns_until(condition: Callable[[], object], most: int = 20_000) -> None:
    for _ in range(most):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came about")
