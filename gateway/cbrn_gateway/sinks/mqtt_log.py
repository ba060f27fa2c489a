"""The journal on MQTT: every entry strictly by seq, one in flight.

The log topic carries every entry, drills too: gaps are judged here by seq, and a drill
left out would look like a loss. Each entry of a drill says so in its own `purpose` and in
the user property of that name; only alert, reading and estimate topics of a drill live in
the exercise branch.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from cbrn_core.errors import Refused, StorageError
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import (
    LOG_CONSUMER,
    LogOutbox,
    LogRow,
    RefusedCallback,
    ignore_refusal,
)
from cbrn_gateway.sinks.payloads import JSON
from cbrn_gateway.sinks.topics import Topics
from cbrn_gateway.sinks.waiting import wait_for_wake

_BATCH = 32


class _Marks(msgspec.Struct, frozen=True):
    schema: str | None = None
    purpose: str | None = None


class _Entry(msgspec.Struct, frozen=True):
    schema: str | None = None
    properties: _Marks = _Marks()


_ENTRY = msgspec.json.Decoder(_Entry)


def log_message(topics: Topics, body: bytes) -> Outgoing:
    """Return the message of one journal entry; what cannot be read is sent as it is."""
    try:
        entry = _ENTRY.decode(body)
    except msgspec.DecodeError:
        entry = _Entry()
    schema = entry.schema or entry.properties.schema
    purpose = entry.properties.purpose
    user = (("schema", schema), ("purpose", None if purpose == "actual" else purpose))
    return Outgoing(
        topic=topics.log,
        payload=body,
        qos=1,
        content_type=JSON,
        user=tuple((name, text) for name, text in user if text is not None),
    )


class LogPublisher:
    """Tells the log topic every journal entry; outlives its connections."""

    def __init__(
        self,
        outbox: LogOutbox,
        topics: Topics,
        counters: Counter[str],
        *,
        on_refused: RefusedCallback = ignore_refusal,
        refused_retry_s: float = 30.0,
    ) -> None:
        self._outbox = outbox
        self._topics = topics
        self._counters = counters
        self._on_refused = on_refused
        self._refused_retry_s = refused_retry_s
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that the journal has something new; call it on the event loop."""
        self._wake.set()

    async def run(self, link: MqttLink) -> None:
        """Publish until the connection fails; raises as `MqttLink.settle`."""
        while True:
            try:
                rows = await self._outbox.pending_in_order(LOG_CONSUMER, _BATCH)
                went_on = await self._tell(link, rows)
            except StorageError:
                self._counters["mqtt_store_errors"] += 1
                went_on = False
            except Refused as refused:
                self._counters["mqtt_refused"] += 1
                self._on_refused(self._topics.log, refused.reason_code)
                await asyncio.sleep(self._refused_retry_s)
                continue
            if not went_on:
                await wait_for_wake(self._wake)

    async def _tell(self, link: MqttLink, rows: Sequence[LogRow]) -> bool:
        """Publish the rows in order; note how far it came, whatever happens."""
        through: int | None = None
        try:
            for row in rows:
                await link.publish(log_message(self._topics, row.body))
                through = row.seq
                self._counters["mqtt_log_delivered"] += 1
        finally:
            if through is not None:
                await self._outbox.advance(LOG_CONSUMER, through)
        return bool(rows)
