"""What people are told in a terminal, and what not again."""

import copy

import pytest

from cbrn_gateway.alarms.lint import lint
from cbrn_gateway.demo.news import NEW, Newsroom, card, where
from cbrn_gateway.demo.tally import Tally

ALERT = {
    "id": "a1",
    "geometry": {"type": "Point", "coordinates": [10.0001437, 60.0004049]},
    "properties": {
        "station": "st05",
        "zone": "middle",
        "kind": "specific",
        "hazard": "chemical",
        "purpose": "exercise",
        "state": "unack",
        "priority": 1,
        "scope": "station",
        "corroboration": "single",
        "certainty": "possible",
        "level": "AEGL-2 10-min concentration (momentary)",
        "value": 4.4,
        "version": 1,
        "raised_at": "2026-06-01T12:00:00.000Z",
        "text": "EXERCISE – st05 reads as chlorine 4.4 ± 0.1 ppm and rising; above the AEGL-2 "
        "10-min concentration (momentary). One station, one technology. Instrument shows 1.4 ppm; "
        "expected final value 4.4 ± 0.1 ppm. MEASURED HERE, source unknown: st05. Certainty: "
        "possible. Since 14:00:00 +02:00 (12:00:00Z).",
        "actions": [{"step": 1, "text": "Keep people away from st05; move crosswind."}],
    },
}


def alert(**changes):
    changed = copy.deepcopy(ALERT)
    changed["properties"] |= changes
    return changed


def test_an_alarm_is_news_once_while_only_its_value_moves():
    room = Newsroom()
    assert room.news(alert()) == NEW
    assert room.news(alert(value=8.8, version=2)) is None
    assert room.news(alert(value=1.1, version=3)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"priority": 2}, "priority 1 → 2"),
        ({"level": None}, "level AEGL-2 10-min concentration (momentary) → none"),
        ({"scope": "zone", "certainty": "probable"}, "scope station → zone; certainty possible → "),
        ({"state": "rtn_unack"}, "state not acknowledged → reading back, not acknowledged"),
    ],
)
def test_a_change_of_kind_is_news_and_says_what_changed(changes, words):
    room = Newsroom()
    room.news(alert())
    assert room.news(alert(**changes)).startswith(words)


def test_a_diagnostic_is_never_news():
    assert Newsroom().news(alert(priority="D")) is None


def test_two_alarms_are_told_each():
    room = Newsroom()
    room.news(alert())
    assert room.news(alert() | {"id": "a2"}) == NEW


def test_a_card_says_what_where_how_sure_since_when_and_what_to_do_first(demo_site):
    told = card(alert(), NEW, demo_site().model)
    lines = dict(told.lines)
    assert told.heading == "PRIORITY 1  EXERCISE  specific, new alarm"
    assert told.what.startswith("EXERCISE – st05 reads as chlorine 4.4 ± 0.1 ppm and rising;")
    assert lines["reads"] == "Instrument shows 1.4 ppm; expected final value 4.4 ± 0.1 ppm"
    assert lines["where"] == "st05 Tram stop, zone Market, lat 60.000405 lon 10.000144"
    assert lines["sure"].startswith("possible (one station, one technology)")
    assert lines["since"] == "14:00:00 +02:00 (12:00:00Z)"
    assert lines["first"] == "Keep people away from st05; move crosswind."
    assert [v for text in (told.heading, told.what, *lines.values()) for v in lint(text)] == []


def test_a_real_alarm_is_told_as_actual(demo_site):
    assert "  ACTUAL  " in card(alert(purpose="actual"), NEW, demo_site().model).heading


def test_an_alarm_of_the_site_is_told_as_of_the_whole_site(demo_site):
    whole = alert(station=None, zone=None, hazard="technical")
    assert where(whole, demo_site().model) == "Example square, the whole site"
    assert "sure" not in dict(card(whole, NEW, demo_site().model).lines)


def test_a_mobile_alarm_is_told_with_the_place_of_its_measurement(demo_site):
    words = where(alert(station="mob01", zone=None), demo_site().model)
    assert words == "mob01 Patrol, lat 60.000405 lon 10.000144"


def test_the_first_priority_1_alarm_is_kept_with_its_time_though_it_changes():
    tally = Tally()
    tally.take_alert(alert(priority=3) | {"id": "other"}, 12.0)
    tally.take_alert(alert(), 31.0)
    tally.take_alert(alert(version=2), 40.0)
    assert (tally.first_priority_1.after_s, tally.versions, tally.open_count(1)) == (31.0, 3, 1)


def test_alarms_are_listed_worst_first_and_diagnostics_not_at_all():
    tally = Tally()
    for number, priority in enumerate((3, "D", 1, 2)):
        tally.take_alert(alert(priority=priority) | {"id": f"a{number}"}, 1.0)
    assert [a["properties"]["priority"] for a in tally.told_alerts()] == [1, 2, 3]
    assert tally.worst_at("st05")["properties"]["priority"] == 1
    assert tally.worst_at("st06") is None


def test_an_ended_alarm_no_longer_colours_its_station():
    tally = Tally()
    tally.take_alert(alert(state="normal"), 1.0)
    assert tally.worst_at("st05") is None
    assert tally.open_count(1) == 0
