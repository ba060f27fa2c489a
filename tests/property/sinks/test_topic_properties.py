import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import InputError
from cbrn_core.place import is_id
from cbrn_gateway.sinks.alert_messages import alert_messages
from cbrn_gateway.sinks.mqtt_client import Incoming
from cbrn_gateway.sinks.mqtt_inbound import answer_topic
from cbrn_gateway.sinks.mqtt_log import log_message
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
hostile = st.text(st.one_of(st.sampled_from("/+#$\0 .-_aZ9"), st.characters()), max_size=80)


@given(text=hostile)
def test_no_text_forges_a_level_of_a_topic(text):
    assume(not is_id(text))
    for build in (TOPICS.alert, TOPICS.reading, TOPICS.wearer, TOPICS.reply, TOPICS.canary):
        with pytest.raises(InputError):
            build(text)


@given(text=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_every_id_is_one_level(text):
    assert TOPICS.alert(text) == f"{TOPICS.base}/alert/{text}"
    assert TOPICS.external_tool(f"{TOPICS.base}/external/{text}") == text


@examples(2000)
@given(topic=st.one_of(hostile, hostile.map(lambda tail: f"{TOPICS.base}/{tail}")))
def test_no_response_topic_reaches_into_our_tree_but_for_the_reply_branch(topic):
    if TOPICS.may_answer_on(topic):
        assert not topic.startswith("cbrn/") or topic.startswith(f"{TOPICS.command}/reply/")
        assert not set(topic) & set("+#\0")


@examples(2000)
@given(payload=st.binary(max_size=200), response=st.one_of(st.none(), hostile))
def test_any_command_bytes_have_an_address_or_none(payload, response):
    message = Incoming(
        topic=TOPICS.command, payload=payload, retained=False, response_topic=response
    )
    topic = answer_topic(TOPICS, message)
    assert topic is None or TOPICS.may_answer_on(topic)


@examples(2000)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_logged_as_they_are_and_are_an_alert_or_an_input_error(body):
    assert log_message(TOPICS, body).payload == body
    with pytest.raises(InputError):
        alert_messages(TOPICS, "a1", body)
