"""Which MQTT messages tell one alert version: pure.

Order at the end of an alarm: first its last version (state normal) as a plain message,
right behind it an empty retained message, which takes the open alert off the broker.
Whoever subscribes in between still sees the alarm as open, never as gone without a word;
whoever subscribes later sees nothing, as it should be. An empty payload therefore means
"no longer open".

Alerts carry no message expiry: a retained open alert must outlive a cut link; that its
gateway is offline is said by the retained status.
"""

from typing import NamedTuple

import msgspec

from cbrn_core.errors import InputError
from cbrn_gateway.sinks.mqtt_client import Outgoing
from cbrn_gateway.sinks.payloads import CAP_XML, JSON
from cbrn_gateway.sinks.topics import Topics

_NORMAL = "normal"
_DRILL = frozenset({"exercise", "test"})


class AlertMarks(msgspec.Struct, frozen=True):
    """What the way of an alert depends on; an absent purpose is actual."""

    state: str
    purpose: str = "actual"
    schema: str = "cbrn-alert/1"

    @property
    def is_open(self) -> bool:
        """Return whether the alarm still stands."""
        return self.state != _NORMAL

    @property
    def is_drill(self) -> bool:
        """Return whether it lives in the exercise branch; an unknown purpose does not."""
        return self.purpose in _DRILL

    @property
    def user(self) -> tuple[tuple[str, str], ...]:
        """Return the user properties of its messages."""
        purpose = () if self.purpose == "actual" else (("purpose", self.purpose),)
        return (("schema", self.schema), *purpose)


class _Alert(msgspec.Struct, frozen=True):
    properties: AlertMarks


class AlertMessages(NamedTuple):
    """The messages of one alert version, in order; CAP may fail without harm to the alert."""

    is_open: bool
    alert: tuple[Outgoing, ...]
    cap: tuple[Outgoing, ...]
    clearing: tuple[Outgoing, ...]


_ALERT = msgspec.json.Decoder(_Alert)


def read_marks(body: bytes) -> AlertMarks:
    """Return the marks of an alert.

    Raises:
        InputError: not an alert.
    """
    try:
        return _ALERT.decode(body).properties
    except msgspec.DecodeError as error:
        raise InputError(f"not an alert: {error}") from None


def alert_messages(
    topics: Topics, alarm_id: str, body: bytes, cap: bytes | None = None
) -> AlertMessages:
    """Return what to publish for one version of an alarm.

    Raises:
        InputError: `body` is not an alert, or the id cannot be part of a topic.
    """
    marks = read_marks(body)
    topic = topics.alert(alarm_id, exercise=marks.is_drill)
    cap_topic = topics.alert_cap(alarm_id, exercise=marks.is_drill)
    alert = Outgoing(
        topic=topic,
        payload=body,
        qos=1,
        retain=marks.is_open,
        content_type=JSON,
        user=marks.user,
    )
    clearing = (_clearing(topic), _clearing(cap_topic))
    twin: tuple[Outgoing, ...] = ()
    if cap is not None:
        twin = (_cap(cap_topic, cap, marks),)
        if not marks.is_open:
            twin += clearing[1:]
    return AlertMessages(
        is_open=marks.is_open,
        alert=(alert,) if marks.is_open else (alert, clearing[0]),
        cap=twin,
        clearing=clearing if twin else clearing[:1],
    )


def _cap(topic: str, payload: bytes, marks: AlertMarks) -> Outgoing:
    user = tuple(pair for pair in marks.user if pair[0] != "schema")
    return Outgoing(
        topic=topic, payload=payload, qos=1, retain=marks.is_open, content_type=CAP_XML, user=user
    )


def _clearing(topic: str) -> Outgoing:
    return Outgoing(topic=topic, payload=b"", qos=1, retain=True)
