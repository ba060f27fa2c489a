"""Alerts on MQTT: newest version only, never backwards, retained while open.

A broker may lose or resurrect retained messages when it dies, so each new connection
states the open alerts again and clears those that this process saw close. Consumers
know a repeated message by alarm id and version.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from cbrn_core.errors import CbrnError, InputError, Refused, StorageError
from cbrn_gateway.sinks.alert_messages import AlertMessages, alert_messages
from cbrn_gateway.sinks.mqtt_client import NO_MATCHING_SUBSCRIBERS, MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import (
    ALERTS_CONSUMER,
    AlertOutbox,
    AlertRow,
    LogRow,
    RefusedCallback,
    ignore_refusal,
)
from cbrn_gateway.sinks.topics import Topics
from cbrn_gateway.sinks.waiting import run_until_one_fails, wait_for_wake

ValueT = TypeVar("ValueT")

PAYLOAD_FORMAT_INVALID = 153
"""MQTT 5 §2.4; reported for an alert that cannot even be read here."""
_WINDOW = 8
_CLOSED_REMEMBERED = 512
_VERSIONS_REMEMBERED = 4096


class AlertVersion(NamedTuple):
    """One alert version that did not come from the journal."""

    seq: int
    alarm_id: str
    version: int
    body: bytes


class _Posted(NamedTuple):
    row: AlertRow
    messages: AlertMessages
    alert: tuple[asyncio.Future[int], ...]
    cap: tuple[asyncio.Future[int], ...]


class AlertPublisher:
    """Tells MQTT the newest version of each alarm; outlives its connections.

    Args:
        render_cap: returns the same alert as CAP, None where it has none; its failure is
            counted and never stops the alert.
        refused_retry_s: how long a version that the broker refused rests in the outbox.
    """

    def __init__(
        self,
        outbox: AlertOutbox,
        topics: Topics,
        counters: Counter[str],
        *,
        on_refused: RefusedCallback = ignore_refusal,
        render_cap: Callable[[bytes], bytes | None] | None = None,
        refused_retry_s: float = 30.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._topics = topics
        self._counters = counters
        self._on_refused = on_refused
        self._render_cap = render_cap
        self._refused_retry_s = refused_retry_s
        self._monotonic_s = monotonic_s
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._unjournalled: dict[str, AlertRow] = {}
        self._only_here: dict[str, AlertRow] = {}
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._closed: OrderedDict[str, tuple[Outgoing, ...]] = OrderedDict()
        self._resting: dict[str, tuple[int, float]] = {}
        self._told_here: OrderedDict[str, int] = OrderedDict()

    def wake(self) -> None:
        """Say that the outbox has something new; call it on the event loop."""
        self._wake.set()

    def send_unjournalled(self, row: AlertRow) -> None:
        """Send an alert that the journal could not take (safety 18); its seq is not used.

        It stays in memory, and is stated again on a new connection, until a newer version
        has come from the journal.
        """
        waiting = self._unjournalled.get(row.alarm_id)
        if waiting is None or waiting.version < row.version:
            self._unjournalled[row.alarm_id] = row
        self._urgent.set()

    async def run(self, link: MqttLink) -> None:
        """Publish until the connection fails; raises as `MqttLink.settle`.

        Two lanes: what is not journalled never waits for a journal that does not answer.
        """
        self._told_here.clear()
        await run_until_one_fails(self._tell_unjournalled(link), self._tell_journalled(link))

    async def _tell_unjournalled(self, link: MqttLink) -> None:
        again = [row for row in self._only_here.values() if not self._is_behind(row)]
        for start in range(0, len(again), _WINDOW):
            await self._tell(link, again[start : start + _WINDOW], [])
        while True:
            told: list[AlertRow] = []
            try:
                tried = await self._tell(link, self._ready(self._unjournalled.values()), told)
            finally:
                self._forget_unjournalled(told)
            if not tried and not told:
                await wait_for_wake(self._urgent)

    async def _tell_journalled(self, link: MqttLink) -> None:
        cleared = stated = False
        while True:
            if await self._round(link):
                continue
            if not cleared:
                await self._clear_closed(link)
                cleared = True
            if not stated:
                stated = await self._state_again(link)
            await wait_for_wake(self._wake)

    async def _round(self, link: MqttLink) -> bool:
        """Publish one window of what waits; return whether there may be more to do now."""
        told: list[AlertRow] = []
        tried = retired = False
        try:
            tried = await self._tell(link, self._ready(await self._pending()), told)
        finally:
            retired = await self._retire(told)
        return tried or retired

    async def _pending(self) -> Sequence[AlertRow]:
        try:
            return await self._outbox.pending_newest(ALERTS_CONSUMER, _WINDOW + len(self._resting))
        except StorageError:
            self._counters["mqtt_store_errors"] += 1
            return ()

    async def _retire(self, rows: Sequence[AlertRow]) -> bool:
        if not rows:
            return False
        for row in rows:
            if row.alarm_id in self._only_here:
                self._forget_overtaken(row)
        try:
            await self._outbox.delivered(ALERTS_CONSUMER, [row.seq for row in rows])
        except StorageError:
            self._counters["mqtt_store_errors"] += 1
            return False
        return True

    def _forget_unjournalled(self, rows: Iterable[AlertRow]) -> None:
        for row in rows:
            if row.version >= self._sent.get(row.alarm_id, row.version):
                self._only_here[row.alarm_id] = row
            if self._unjournalled[row.alarm_id].version <= row.version:
                del self._unjournalled[row.alarm_id]

    def _forget_overtaken(self, journalled: AlertRow) -> None:
        if journalled.version >= self._only_here[journalled.alarm_id].version:
            del self._only_here[journalled.alarm_id]

    def _ready(self, rows: Iterable[AlertRow]) -> list[AlertRow]:
        """Return the rows that are not resting after a refusal."""
        now_s = self._monotonic_s()
        ready = []
        for row in rows:
            version, until_s = self._resting.get(row.alarm_id, (-1, 0.0))
            if row.version != version or now_s >= until_s:
                ready.append(row)
        return ready

    async def _tell(self, link: MqttLink, rows: Sequence[AlertRow], told: list[AlertRow]) -> bool:
        """Publish the first window of rows of different alarms, in order.

        Adds each row that arrived to `told`; returns whether anything was tried.
        """
        posted: list[_Posted] = []
        tried = False
        for row in rows[:_WINDOW]:
            if self._is_behind(row):
                self._counters["mqtt_alerts_overtaken"] += 1
                told.append(row)
                continue
            tried = True
            sent = self._post(link, row)
            if sent is not None:
                posted.append(sent)
        for sent in posted:
            await self._settle(link, sent, told)
        return tried

    def _is_behind(self, row: AlertRow) -> bool:
        """Return whether a newer version was sent, or this one arrived on this connection."""
        newest_sent = self._sent.get(row.alarm_id, row.version)
        return row.version < newest_sent or row.version <= self._told_here.get(row.alarm_id, -1)

    def _post(self, link: MqttLink, row: AlertRow) -> _Posted | None:
        try:
            messages = alert_messages(self._topics, row.alarm_id, row.body, self._cap(row.body))
        except InputError:
            self._counters["mqtt_alerts_unreadable"] += 1
            self._rest(row, f"alert/{row.alarm_id[:64]}", PAYLOAD_FORMAT_INVALID)
            return None
        _remember(self._sent, row.alarm_id, row.version, _VERSIONS_REMEMBERED)
        return _Posted(
            row,
            messages,
            tuple(link.post(message) for message in messages.alert),
            tuple(link.post(message) for message in messages.cap),
        )

    async def _settle(self, link: MqttLink, sent: _Posted, told: list[AlertRow]) -> None:
        topic = sent.messages.alert[0].topic
        try:
            codes = [await link.settle(outcome, topic) for outcome in sent.alert]
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._rest(sent.row, topic, refused.reason_code)
            return
        if codes[0] == NO_MATCHING_SUBSCRIBERS:
            self._counters["mqtt_nobody_listening"] += 1
        self._counters["mqtt_alerts_delivered"] += 1
        self._note_told(sent)
        told.append(sent.row)
        await self._settle_cap(link, sent)

    async def _settle_cap(self, link: MqttLink, sent: _Posted) -> None:
        for message, outcome in zip(sent.messages.cap, sent.cap, strict=True):
            try:
                await link.settle(outcome, message.topic)
            except Refused as refused:
                self._counters["mqtt_cap_refused"] += 1
                self._on_refused(message.topic, refused.reason_code)

    def _note_told(self, sent: _Posted) -> None:
        alarm_id = sent.row.alarm_id
        _remember(self._told_here, alarm_id, sent.row.version, _VERSIONS_REMEMBERED)
        self._resting.pop(alarm_id, None)
        if sent.messages.is_open:
            self._closed.pop(alarm_id, None)
        else:
            _remember(self._closed, alarm_id, sent.messages.clearing, _CLOSED_REMEMBERED)

    def _rest(self, row: AlertRow, topic: str, reason_code: int) -> None:
        until_s = self._monotonic_s() + self._refused_retry_s
        self._resting[row.alarm_id] = (row.version, until_s)
        self._on_refused(topic, reason_code)

    async def _state_again(self, link: MqttLink) -> bool:
        """State what the broker should hold; return whether the journal could be asked."""
        rows: Sequence[LogRow] = ()
        asked = True
        try:
            rows = await self._outbox.open_alerts()
        except StorageError:
            self._counters["mqtt_store_errors"] += 1
            asked = False
        stated: list[AlertRow] = [
            AlertVersion(row.seq, row.alarm_id, row.version, row.body)
            for row in rows
            if row.alarm_id is not None and row.version is not None
        ]
        ready = [row for row in self._ready(stated) if not self._is_behind(row)]
        for start in range(0, len(ready), _WINDOW):
            await self._tell(link, ready[start : start + _WINDOW], [])
        self._counters["mqtt_alerts_stated_again"] += len(ready)
        return asked

    async def _clear_closed(self, link: MqttLink) -> None:
        for message in [message for clearing in self._closed.values() for message in clearing]:
            try:
                await link.publish(message)
            except Refused as refused:
                self._counters["mqtt_refused"] += 1
                self._on_refused(message.topic, refused.reason_code)

    def _cap(self, body: bytes) -> bytes | None:
        if self._render_cap is None:
            return None
        try:
            return self._render_cap(body)
        except CbrnError:
            self._counters["mqtt_cap_failed"] += 1
            return None


def _remember(kept: OrderedDict[str, ValueT], key: str, value: ValueT, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
