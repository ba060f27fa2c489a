"""Live readings and estimates on MQTT: short-lived, batched, lost rather than late."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence

from cbrn_core.clock import Clock
from cbrn_core.errors import InputError, Refused
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Purpose, Reading
from cbrn_core.times import US_PER_S
from cbrn_gateway.sinks.live_queue import LiveItem, LiveQueue
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import RefusedCallback, ignore_refusal
from cbrn_gateway.sinks.payloads import (
    ESTIMATE_SCHEMA,
    JSON,
    READINGS_SCHEMA,
    encode_estimates,
    encode_readings,
)
from cbrn_gateway.sinks.topics import Topics

_MOST_ITEMS = 500
_DRILL = frozenset({Purpose.EXERCISE, Purpose.TEST})


def live_messages(
    topics: Topics, epoch: int, items: Sequence[LiveItem], expiry_s: int
) -> list[Outgoing]:
    """Return one message per station for readings, per channel for estimates, in order.

    Raises:
        InputError: a station or channel that cannot be part of a topic.
    """
    readings: defaultdict[tuple[str, bool], list[tuple[int, Reading]]] = defaultdict(list)
    estimates: defaultdict[tuple[str, str, bool], list[Estimate]] = defaultdict(list)
    for entry in items:
        item = entry.item
        is_drill = item.purpose in _DRILL
        if isinstance(item, Estimate):
            estimates[item.station, item.channel, is_drill].append(item)
        else:
            readings[item.station, is_drill].append((entry.seq, item))
    messages = []
    for (station, is_drill), numbered in readings.items():
        payload = encode_readings(
            topics.gateway,
            epoch,
            numbered[0][0],
            numbered[-1][0],
            [reading for _, reading in numbered],
        )
        topic = topics.reading(station, exercise=is_drill)
        messages.append(_live(topic, payload, READINGS_SCHEMA, expiry_s))
    for (station, channel, is_drill), series in estimates.items():
        topic = topics.estimate(station, channel, exercise=is_drill)
        payload = encode_estimates(topics.gateway, series)
        messages.append(_live(topic, payload, ESTIMATE_SCHEMA, expiry_s))
    return messages


def _live(topic: str, payload: bytes, schema: str, expiry_s: int) -> Outgoing:
    return Outgoing(
        topic=topic,
        payload=payload,
        content_type=JSON,
        expiry_s=expiry_s,
        user=(("schema", schema),),
    )


class LivePublisher:
    """Publishes what the live queue holds; what waited longer than it lives is dropped.

    Args:
        interval_s: how long values are collected into one message.
        expiry_s: how long a value may be shown as live.
    """

    def __init__(
        self,
        queue: LiveQueue,
        topics: Topics,
        clock: Clock,
        counters: Counter[str],
        *,
        interval_s: float,
        expiry_s: int,
        on_refused: RefusedCallback = ignore_refusal,
    ) -> None:
        self._on_refused = on_refused
        self._queue = queue
        self._topics = topics
        self._clock = clock
        self._counters = counters
        self._interval_s = interval_s
        self._expiry_s = expiry_s

    async def run(self, link: MqttLink) -> None:
        """Publish until the connection fails; raises as `MqttLink.settle`."""
        while True:
            items = self._fresh(await self._queue.take(_MOST_ITEMS))
            try:
                messages = live_messages(self._topics, self._queue.epoch, items, self._expiry_s)
            except InputError:
                self._counters["live_unnameable"] += len(items)
                continue
            if messages:
                await self._tell(link, messages)
            if len(items) < _MOST_ITEMS:
                await asyncio.sleep(self._interval_s)

    async def _tell(self, link: MqttLink, messages: Sequence[Outgoing]) -> None:
        topic = messages[-1].topic
        try:
            await link.settle(link.post_together(messages), topic)
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._on_refused(topic, refused.reason_code)

    def _fresh(self, items: Sequence[LiveItem]) -> list[LiveItem]:
        oldest_us = self._clock.now().steady_us - self._expiry_s * US_PER_S
        fresh = [entry for entry in items if entry.item.received_us >= oldest_us]
        self._counters["live_expired"] += len(items) - len(fresh)
        return fresh
