import json

import pytest
from samples.sink_samples import alert_body

from cbrn_core.errors import InputError
from cbrn_gateway.sinks.alert_messages import alert_messages
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
ALERT = "cbrn/v1/harbour-city/fish-market/alert/a1"


@pytest.mark.parametrize(
    "state", ["unack", "ack", "rtn_unack", "latched", "shelved", "suppressed", "out_of_service"]
)
def test_an_open_alert_is_one_retained_message_that_never_expires(state):
    body = alert_body("a1", 3, state=state)
    messages = alert_messages(TOPICS, "a1", body)
    (message,) = messages.alert
    assert (message.topic, message.payload, message.qos, message.retain) == (ALERT, body, 1, True)
    assert message.expiry_s is None
    assert message.content_type == "application/json"
    assert message.user == (("schema", "cbrn-alert/1"),)
    assert messages.is_open


def test_the_last_version_goes_plain_and_then_the_retained_one_is_taken_away():
    body = alert_body("a1", 9, state="normal")
    last, clearing = alert_messages(TOPICS, "a1", body).alert
    assert (last.payload, last.retain, last.qos) == (body, False, 1)
    assert (clearing.payload, clearing.retain, clearing.qos) == (b"", True, 1)
    assert last.topic == clearing.topic == ALERT


@pytest.mark.parametrize("purpose", ["exercise", "test"])
def test_a_drill_lives_in_the_exercise_branch_and_says_so(purpose):
    (message,) = alert_messages(TOPICS, "a1", alert_body("a1", 1, purpose=purpose)).alert
    assert message.topic == "cbrn/v1/harbour-city/fish-market/exercise/alert/a1"
    assert ("purpose", purpose) in message.user


def test_an_unknown_or_absent_purpose_is_treated_as_real():
    (message,) = alert_messages(TOPICS, "a1", alert_body("a1", 1, purpose="rehearsal")).alert
    assert message.topic == ALERT
    feature = json.loads(alert_body("a1", 1))
    del feature["properties"]["purpose"]
    (message,) = alert_messages(TOPICS, "a1", json.dumps(feature).encode()).alert
    assert message.topic == ALERT


def test_cap_stands_beside_the_alert_and_goes_with_it():
    opened = alert_messages(TOPICS, "a1", alert_body("a1", 1), b"<alert/>")
    (cap,) = opened.cap
    assert (cap.topic, cap.retain, cap.content_type) == (
        f"{ALERT}/cap",
        True,
        "application/cap+xml",
    )
    closed = alert_messages(TOPICS, "a1", alert_body("a1", 2, state="normal"), b"<alert/>")
    last, clearing = closed.cap
    assert (last.payload, last.retain) == (b"<alert/>", False)
    assert (clearing.payload, clearing.retain) == (b"", True)
    assert [message.topic for message in closed.clearing] == [ALERT, f"{ALERT}/cap"]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b'{"properties":{}}', b"\xff\xfe", b"{" * 5000]
)
def test_what_is_not_an_alert_is_an_input_error(body):
    with pytest.raises(InputError):
        alert_messages(TOPICS, "a1", body)


def test_an_id_that_is_no_id_is_an_input_error():
    with pytest.raises(InputError):
        alert_messages(TOPICS, "../log/gw-01", alert_body("a1", 1))
