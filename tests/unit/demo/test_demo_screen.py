"""What goes to which stream."""

import json

import pytest

from cbrn_gateway.demo.news import Card
from cbrn_gateway.demo.screen import Screen

CARD = Card(
    1,
    "PRIORITY 1  EXERCISE  specific, new alarm",
    "EXERCISE – st05 reads as chlorine 4.4 ± 0.1 ppm.",
    (("where", "st05 Tram stop, zone Market"), ("first", "Keep people away. " * 12)),
)


def no_pipe():
    raise AssertionError("nothing was broken")


def show(**how):
    with Screen(on_broken_pipe=no_pipe, **how) as screen:
        screen.say("what runs where")
        screen.record({"id": "ä", "properties": {}})
        screen.alert(CARD, 31.04)
        screen.progress(20.0, 90.0, "363 readings")
        screen.table("Alarms", ("alarm", "level"), [("abc", "IDLH")])


def test_people_read_everything_on_standard_output(capsys):
    show(as_json=False, quiet=False)
    output, errors = capsys.readouterr()
    assert errors == ""
    for part in ("what runs where", "■ 1", "[31.0 s]", "363 readings", "IDLH"):
        assert part in output
    assert '"id"' not in output
    assert "\x1b" not in output


def test_headless_is_alerts_and_nothing_else(capsys):
    show(as_json=False, quiet=True)
    output, errors = capsys.readouterr()
    assert output.split()[:4] == ["■", "1", "PRIORITY", "1"]
    assert "where    st05 Tram stop, zone Market" in output
    assert not any(part in output + errors for part in ("what runs", "363 readings", "IDLH"))


def test_json_alone_is_on_standard_output(capsys):
    show(as_json=True, quiet=False)
    output, errors = capsys.readouterr()
    assert [json.loads(line)["id"] for line in output.splitlines()] == ["ä"]
    assert "what runs where" in errors
    assert "Keep people away." in errors


def test_headless_json_is_json_and_nothing_else(capsys):
    show(as_json=True, quiet=True)
    output, errors = capsys.readouterr()
    assert (json.loads(output)["id"], errors) == ("ä", "")


def test_a_warning_is_heard_even_when_headless(capsys):
    with Screen(as_json=True, quiet=True, on_broken_pipe=no_pipe) as screen:
        screen.warn("mosquitto does not start")
    assert capsys.readouterr() == ("", "mosquitto does not start\n")


def test_long_words_are_folded_beside_their_label(capsys):
    show(as_json=False, quiet=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    first = next(i for i, line in enumerate(lines) if line.startswith("     first    Keep"))
    assert lines[first + 1].startswith(" " * 14)


@pytest.mark.parametrize(("elapsed_s", "is_shown"), [(3.0, False), (15.0, True)])
def test_progress_is_a_plain_line_now_and_then_where_no_terminal_is(capsys, elapsed_s, is_shown):
    with Screen(as_json=False, quiet=False, on_broken_pipe=no_pipe) as screen:
        screen.progress(elapsed_s, 90.0, "some words")
        screen.progress(elapsed_s + 1, 90.0, "some words")
    assert capsys.readouterr().out.count("some words") == int(is_shown)
