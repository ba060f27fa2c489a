import pytest

from cbrn_core.errors import InputError
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="oslo", site="square", gateway="gw-01")
BASE = "cbrn/v1/oslo/square"


def test_topics_are_those_of_the_contract():
    assert TOPICS.reading("st01") == f"{BASE}/reading/st01"
    assert TOPICS.estimate("st01", "cl2") == f"{BASE}/estimate/st01/cl2"
    assert TOPICS.zone_estimate("north", "cl2") == f"{BASE}/zone/north/cl2"
    assert TOPICS.alert("abc") == f"{BASE}/alert/abc"
    assert TOPICS.alert_cap("abc") == f"{BASE}/alert/abc/cap"
    assert TOPICS.log == f"{BASE}/log/gw-01"
    assert TOPICS.command == f"{BASE}/command"
    assert TOPICS.reply("soc-1") == f"{BASE}/command/reply/soc-1"
    assert TOPICS.external_filter == f"{BASE}/external/+"
    assert TOPICS.wearer("red-7") == f"{BASE}/wearer/red-7"
    assert TOPICS.medic("red-7") == f"{BASE}/medic/red-7"
    assert TOPICS.coverage == f"{BASE}/coverage"
    assert TOPICS.canary("soc-1") == f"{BASE}/canary/soc-1"
    assert TOPICS.status == "cbrn/v1/oslo/gateway/gw-01/status"


def test_exercise_traffic_lives_in_its_own_branch():
    assert TOPICS.alert("abc", exercise=True) == f"{BASE}/exercise/alert/abc"
    assert TOPICS.reading("st01", exercise=True) == f"{BASE}/exercise/reading/st01"
    assert TOPICS.estimate("s", "c", exercise=True) == f"{BASE}/exercise/estimate/s/c"


@pytest.mark.parametrize("bad", ["", "a/b", "+", "#", "a b", "å", "x" * 65, "a\n", "$SYS", "a\x00"])
def test_what_is_not_an_id_never_becomes_a_level(bad):
    with pytest.raises(InputError):
        TOPICS.alert(bad)
    with pytest.raises(InputError):
        TOPICS.estimate("st01", bad)
    with pytest.raises(InputError):
        Topics(city="oslo", site=bad, gateway="gw-01")


def test_the_tool_of_an_external_topic_is_read_back():
    assert TOPICS.external_tool(f"{BASE}/external/cam-3") == "cam-3"
    assert TOPICS.external_tool(f"{BASE}/external/a/b") is None
    assert TOPICS.external_tool(f"{BASE}/command") is None
    assert TOPICS.external_tool("external/cam-3") is None


@pytest.mark.parametrize(
    "topic", [f"{BASE}/command/reply/soc-1", f"{BASE}/command/reply/soc-1/7", "soc/answers/17"]
)
def test_answers_may_go_to_the_reply_branch_and_outside_our_tree(topic):
    assert TOPICS.may_answer_on(topic)


@pytest.mark.parametrize(
    "topic",
    [
        f"{BASE}/alert/abc",
        f"{BASE}/log/gw-01",
        f"{BASE}/command",
        f"{BASE}/command/reply/",
        f"{BASE}/command/reply/a/../../alert",
        "cbrn/v1/other/site/command/reply/x",
        "cbrn",
        "$SYS/x",
        "/cbrn/v1",
        "a/+/b",
        "a/#",
        "",
        "x" * 257,
        "a\x00",
    ],
)
def test_an_asker_cannot_have_the_gateway_publish_anywhere_else(topic):
    assert not TOPICS.may_answer_on(topic)
