"""PUBLISH packets of QoS 0 in octets: hundreds a second leave as one piece.

paho makes a lock, an event, two objects of properties and a system call of every message.
Source: MQTT 5.0 §3.3 and §2.1.4, MQTT 3.1.1 §3.3 (OASIS).
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import pack

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PUBLISH_QOS_0 = 0x30
RETAIN = 0x01
LARGEST_LENGTH = 268_435_455

User = tuple[tuple[str, str], ...]


def publish_octets(topic: str, payload: bytes, *, retain: bool, properties: bytes | None) -> bytes:
    """Return one packet; `properties` with their length, None with MQTT 3.1.1.

    Raises:
        ValueError: a topic or a payload that is too long.
    """
    name = topic.encode()
    if len(name) > 0xFFFF:
        raise ValueError("the topic is longer than 65535 bytes")
    described = properties or b""
    length = 2 + len(name) + len(described) + len(payload)
    first = PUBLISH_QOS_0 | (RETAIN if retain else 0)
    head = bytes((first,)) + _variable_length(length) + pack(">H", len(name))
    return b"".join((head, name, described, payload))


@lru_cache(maxsize=64)
def packed_properties(content_type: str | None, expiry_s: int | None, user: User) -> bytes:
    """Return the properties of a message that answers none; few differ."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    describe(properties, content_type, expiry_s, user)
    octets: bytes = properties.pack()  # type: ignore[no-untyped-call]
    return octets


def describe(
    properties: Properties,
    content_type: str | None,
    expiry_s: int | None,
    user: Iterable[tuple[str, str]],
) -> None:
    """Say what a payload is and how long it lives."""
    if content_type is not None:
        properties.ContentType = content_type
        properties.PayloadFormatIndicator = 1
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if pairs := list(user):
        properties.UserProperty = pairs


def _variable_length(length: int) -> bytes:
    if length > LARGEST_LENGTH:
        raise ValueError("the message is longer than 256 MB")
    octets = bytearray()
    while True:
        length, low = divmod(length, 128)
        octets.append(low | (0x80 if length else 0))
        if not length:
            return bytes(octets)
