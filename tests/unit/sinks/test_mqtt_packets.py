"""What leaves as one piece is, octet for octet, what paho would have sent one by one."""

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cbrn_gateway.sinks.mqtt_packets import packed_properties, publish_octets

USER = (("schema", "cbrn-readings/1"),)


def by_paho(topic, payload, *, retain, protocol, properties):
    """Return what paho would write to its socket."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=protocol)
    written = []
    client._sock = object()
    client._packet_queue = lambda _command, octets, *_: written.append(bytes(octets))
    client._send_publish(1, topic.encode(), payload, 0, retain, properties=properties)
    client._sock = None
    return written[0]


@pytest.mark.parametrize("payload", [b"", b"{}", b"x" * 127, b"x" * 128, b"y" * 20_000])
@pytest.mark.parametrize("retain", [False, True])
def test_a_packet_of_mqtt_5_is_that_of_paho(payload, retain):
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 30
    properties.UserProperty = list(USER)
    expected = by_paho(
        "cbrn/v1/å/reading/st01",
        payload,
        retain=retain,
        protocol=paho.MQTTv5,
        properties=properties,
    )
    packed = packed_properties("application/json", 30, USER)
    octets = publish_octets("cbrn/v1/å/reading/st01", payload, retain=retain, properties=packed)
    assert octets == expected


def test_a_packet_of_mqtt_3_1_1_has_no_properties():
    expected = by_paho("a/b", b"{}", retain=False, protocol=paho.MQTTv311, properties=None)
    assert publish_octets("a/b", b"{}", retain=False, properties=None) == expected


def test_a_message_without_anything_to_say_of_itself_has_empty_properties():
    expected = by_paho("a", b"1", retain=False, protocol=paho.MQTTv5, properties=None)
    packed = packed_properties(None, None, ())
    assert publish_octets("a", b"1", retain=False, properties=packed) == expected


def test_a_topic_that_no_packet_can_carry_is_refused():
    with pytest.raises(ValueError, match="topic"):
        publish_octets("x" * 70_000, b"", retain=False, properties=None)
