"""The picture of the square: well formed, complete, and careful with its words."""

import re
import xml.etree.ElementTree as ET

import pytest

from cbrn_gateway.alarms.lint import lint
from cbrn_gateway.demo.picture.page import square_picture
from cbrn_gateway.demo.picture.scene import (
    AlarmLine,
    Cloud,
    Extent,
    Line,
    Scene,
    StationMark,
    TrueMark,
    WindNow,
)
from cbrn_gateway.demo.picture.svg import clean, element, width_of, wrapped

SVG = "{http://www.w3.org/2000/svg}"


def station(number, priority=None, **changes):
    """Return a station of a row."""
    fields = {
        "id": f"st{number:02d}",
        "name": "Tram stop",
        "place": (35.0 * number, 45.0),
        "priority": priority,
        "mobile": False,
        "lines": (Line("chlorine below 0.1 ppm", "good, 1 s old", is_good=True),),
    }
    return StationMark(**(fields | changes))


def scene(**changes):
    """Return a square with one alarm of each priority."""
    fields = {
        "title": "Example square (fictional)",
        "subtitle": "scenario square, seed 1, 90 s after its start",
        "drawn_at": "2026-06-01 14:01:30 +02:00 (12:01:30Z)",
        "extent": Extent(-24.0, -8.0, 128.0, 98.0),
        "zones": (("Market", ((0.0, 30.0), (120.0, 30.0), (120.0, 60.0), (0.0, 60.0))),),
        "stations": (station(0), station(1, 1), station(2, 2), station(3, 3)),
        "wind": WindNow(264.0, "wind 2.1 m/s from 264° at mast, 1 s old"),
        "clouds": (
            Cloud("chlorine above 2.8 ppm (AEGL-2 10 min)", False, (((0, 0), (9, 0), (9, 9)),)),
        ),
        "truths": (
            TrueMark(("chlorine 14 g/s", "released from 16 s on"), (-16.0, 36.0)),
            TrueMark(
                ("visitor with Cs-137", "is here"), (5, 6), ((-9, 6), (5, 6)), ((5, 6), (9, 6))
            ),
        ),
        "alarms": (AlarmLine(1, "st01 Tram stop: not acknowledged", "st01 reads as chlorine."),),
        "more_alarms": 0,
    }
    return Scene(**(fields | changes))


def parsed(drawn):
    return ET.fromstring(square_picture(drawn))


def said(drawn):
    """Return every text that the picture shows or reads out."""
    return [
        node.text or "" for name in ("text", "title") for node in parsed(drawn).iter(SVG + name)
    ]


def test_the_picture_is_one_svg_that_scales_and_needs_nothing_else():
    root = parsed(scene())
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox").startswith("0 0 900 ")
    assert root.get("width") == "100%"
    text = square_picture(scene())
    assert "href" not in text
    assert "<script" not in text
    assert re.findall(r"url\((?!#)", text) == []


def test_every_reference_inside_the_picture_has_its_target():
    text = square_picture(scene())
    names = {node.get("id") for node in ET.fromstring(text).iter()} - {None}
    assert set(re.findall(r"url\(#(\w+)\)", text)) <= names


def test_every_station_is_there_with_its_readings_quality_and_age():
    drawn = scene()
    ids = {node.get("id") for node in parsed(drawn).iter()}
    words = said(drawn)
    for mark in drawn.stations:
        assert f"station-{mark.id}" in ids
        assert f"{mark.id} {mark.name}" in words
        for line in mark.lines:
            assert line.value in words
            assert line.quality in words


@pytest.mark.parametrize(
    ("priority", "shape", "figure"),
    [(1, "rect", "1"), (2, "polygon", "2"), (3, "circle", "3"), (None, "circle", None)],
)
def test_a_priority_is_told_by_shape_and_figure_not_by_colour_alone(priority, shape, figure):
    root = parsed(scene(stations=(station(1, priority),)))
    (mark,) = [node for node in root.iter() if node.get("id") == "station-st01"]
    assert mark.find(f"{SVG}{shape}") is not None
    figures = [node.text for node in mark.iter(f"{SVG}text")]
    assert figures == ([] if figure is None else [figure])


def test_no_alarm_is_not_green():
    colours = re.findall(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", square_picture(scene()))
    greens = [c for c in colours if int(c[1], 16) > int(c[0], 16) + 40 > int(c[2], 16)]
    assert greens == []


def test_it_says_exercise_local_time_scale_north_wind_and_whose_truth_it_is():
    words = "\n".join(said(scene()))
    for part in (
        "EXERCISE – every instrument is simulated",
        "14:01:30 +02:00 (12:01:30Z)",
        "one field is 10 m",
        "N",
        "wind 2.1 m/s from 264° at mast",
        "SIMULATION TRUTH – the gateway does not see it",
        "true cloud: chlorine above 2.8 ppm",
        "zone Market",
        "MEASURED HERE, source unknown",
    ):
        assert part in words
    assert words.count("simulation truth") == len(scene().truths)


def test_the_picture_says_no_banned_word_and_no_bare_nothing():
    figures = {"1", "2", "3"}
    assert [v for words in said(scene()) if words not in figures for v in lint(words)] == []


@pytest.mark.parametrize("name", ["<script>", 'a"b&c', "ÆØÅ 😀", "\x00\x1b\ud800", "]]>", "--"])
def test_any_name_is_written_as_text(name):
    drawn = scene(title=name, stations=(station(1, 1, name=name),))
    shown = "".join(said(drawn))
    assert name in shown or "\ufffd" in shown


def test_a_square_without_wind_clouds_truth_or_alarms_is_drawn_too():
    words = said(scene(wind=None, clouds=(), truths=(), alarms=(), stations=()))
    assert "wind: not measured" in words
    assert "none was raised in this run" in words


def test_a_long_list_of_alarms_makes_the_page_longer_and_says_how_many_are_left_out():
    many = tuple(AlarmLine(1, f"alarm {i}", "words " * 60) for i in range(8))
    long, short = scene(alarms=many, more_alarms=5), scene()
    heights = [float(parsed(s).get("viewBox").split()[3]) for s in (long, short)]
    assert heights[0] > heights[1]
    assert "and 5 more in alerts.jsonl" in said(long)


def test_attributes_and_words_are_escaped():
    assert element("a", clean("<&>"), b_c='"<') == "<a b-c='\"&lt;'>&lt;&amp;&gt;</a>"
    assert element("a", x=1.0, y=None) == '<a x="1"/>'


def test_words_are_broken_at_the_width():
    lines = wrapped("one two three four", 10, width_of("one two", 10))
    assert lines == ["one two", "three", "four"]
    assert wrapped("unbreakable", 10, 1) == ["unbreakable"]
