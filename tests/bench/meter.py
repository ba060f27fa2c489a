"""What arrives at a subscriber, of this gateway or of a peer, as one kind of record."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import paho.mqtt.client as paho

Heard = tuple[float, str, bytes]
"""(arrival UTC s, topic, payload)."""


class Record(NamedTuple):
    """One poll of one device as it arrived; `stamp_ms` is of the read, 16 bits of it."""

    at_s: float
    device: int
    counter: int | None
    stamp_ms: int | None
    values: int


class Meter:
    """Writes down every message with its time of arrival; reads them when it is asked.

    `answer` sees each message first and may publish: a stand-in for the far side of a peer.
    """

    def __init__(
        self, port: int, topics: list[str], answer: Callable[["Meter", str, bytes], None] | None
    ) -> None:
        self.heard: list[Heard] = []
        self._answer = answer
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="meter")
        self._client.on_connect = lambda client, *_: client.subscribe([(t, 1) for t in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, 1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def since(self, at_s: float) -> list[Heard]:
        return [heard for heard in list(self.heard) if heard[0] >= at_s]

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        self.heard.append((time.time(), message.topic, message.payload))
        if self._answer is not None:
            self._answer(self, message.topic, message.payload)


class _Row(msgspec.Struct):
    time: str
    channel: str
    value: float | None


class _Readings(msgspec.Struct):
    rows: list[_Row]


def our_records(heard: Heard) -> Iterator[Record]:
    """Yield the polls in a `cbrn-readings/1` of a Modbus device; rows of one have one time."""
    at_s, topic, payload = heard
    station = topic.rpartition("/")[2]
    if not station.startswith("st"):
        return
    polls: dict[str, dict[str, float | None]] = {}
    for row in msgspec.json.decode(payload, type=_Readings).rows:
        polls.setdefault(row.time, {})[row.channel] = row.value
    for poll in polls.values():
        yield _record(at_s, int(station.removeprefix("st")), poll)


def peer_records(heard: Heard) -> Iterator[Record]:
    """Yield the polls in a message of ThingsBoard's gateway API."""
    at_s, _, payload = heard
    for name, entries in msgspec.json.decode(payload).items():
        for entry in entries:
            yield _record(at_s, int(name.removeprefix("dev")), entry.get("values", entry))


def read_to_arrival_s(record: Record) -> float | None:
    """Return how long after the device's answer a record was there."""
    if record.stamp_ms is None:
        return None
    return (int(record.at_s * 1000) - record.stamp_ms) % 0x10000 / 1000


class Marks(msgspec.Struct):
    station: str | None
    channel: str | None
    state: str


class _Alert(msgspec.Struct):
    properties: Marks


def alert_marks(heard: Heard) -> Marks:
    return msgspec.json.decode(heard[2], type=_Alert).properties


def _record(at_s: float, device: int, values: dict[str, Any]) -> Record:
    counter, stamp = values.get("r0"), values.get("r4")
    return Record(
        at_s,
        device,
        None if counter is None else int(counter),
        None if stamp is None else int(stamp),
        len(values),
    )
