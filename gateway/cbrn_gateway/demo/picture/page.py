"""The page round the map: banner, title, scale, legend, alarms. Upright, as phones are. Pure."""

from collections.abc import Iterator

from cbrn_gateway.demo.picture.marks import (
    INK,
    PAPER,
    TRUTH,
    arrow,
    measured_ring,
    source_mark,
    station_mark,
)
from cbrn_gateway.demo.picture.scene import Scene
from cbrn_gateway.demo.picture.square_map import Frame, definitions, frame_of, square_map
from cbrn_gateway.demo.picture.svg import FONT, Box, clean, element, text, width_of, wrapped

WIDTH = 900.0
_EDGE = 18.0
_BANNER = 44.0
_MAP_TOP = 122.0
_MUTED = "#4a535e"
_PRIORITY_WORDS = ((1, "priority 1"), (2, "priority 2"), (3, "priority 3"), (None, "no alarm"))
_FOOT = (
    "MEASURED HERE, source unknown. Whatever line is drawn: outside the line is not safe.",
    "Not a certified gas-safety, dosimetry or medical device; it does not replace them.",
)


def square_picture(scene: Scene) -> str:
    """Return the whole picture as one SVG document."""
    frame = frame_of(scene, Box(_EDGE, _MAP_TOP, WIDTH - 2 * _EDGE, 1.0))
    below = frame.box.y + frame.box.height
    legend, legend_end = _legend(scene, below + 82)
    alarms, alarms_end = _alarms(scene, legend_end + 14)
    height = alarms_end + 60
    body = (
        element("title", clean(f"EXERCISE – {scene.title}, {scene.drawn_at}")),
        definitions(frame),
        element("rect", x=0, y=0, width=WIDTH, height=height, fill=PAPER),
        *_head(scene),
        square_map(scene, frame),
        *_scale_row(scene, frame, below),
        legend,
        alarms,
        *_foot(height),
    )
    svg = element(
        "svg",
        *body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width="100%",
        font_family=FONT,
        fill=INK,
        role="img",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def _head(scene: Scene) -> Iterator[str]:
    yield element("rect", x=0, y=0, width=WIDTH, height=_BANNER, fill="#ffd400")
    yield element("rect", x=0, y=_BANNER, width=WIDTH, height=3, fill=INK)
    yield text(
        WIDTH / 2,
        30,
        "EXERCISE – every instrument is simulated – EXERCISE",
        size=20,
        font_weight="bold",
        text_anchor="middle",
    )
    yield text(_EDGE, 80, scene.title, size=25, font_weight="bold")
    yield text(_EDGE, 106, scene.subtitle, size=15, fill=_MUTED)
    yield text(WIDTH - _EDGE, 106, scene.drawn_at, size=15, text_anchor="end", fill=_MUTED)


def _scale_row(scene: Scene, frame: Frame, below: float) -> Iterator[str]:
    """Yield scale bar, north arrow and wind under the map."""
    y = below + 30
    length = 40 * frame.px_per_m
    for part, fill in ((0, INK), (1, PAPER), (2, INK), (3, PAPER)):
        yield element(
            "rect",
            x=_EDGE + part * length / 4,
            y=y - 6,
            width=length / 4,
            height=8,
            fill=fill,
            stroke=INK,
            stroke_width=1,
        )
    yield text(_EDGE, y + 20, "to scale: one field is 10 m, the bar 40 m", size=13, fill=_MUTED)
    yield arrow(WIDTH * 0.44, y, 180.0, 40, stroke=INK, stroke_width=3)
    yield text(WIDTH * 0.44 + 14, y + 6, "N", size=18, font_weight="bold")
    if scene.wind is None:
        yield text(WIDTH * 0.52, y + 6, "wind: not measured", size=15)
        return
    yield arrow(WIDTH * 0.55, y, scene.wind.from_deg, 46, stroke="#0072b2", stroke_width=4)
    yield text(WIDTH * 0.55 + 34, y + 6, scene.wind.words, size=15, font_weight="bold")


def _legend(scene: Scene, top: float) -> tuple[str, float]:
    """Return the legend, and where it ends."""
    middle = WIDTH * 0.485
    measured = [_title(_EDGE, top, "What the gateway measured")]
    x = _EDGE + 14
    for priority, words in _PRIORITY_WORDS:
        measured.append(station_mark(x, top + 26, priority, size=9))
        measured.append(text(x + 15, top + 31, words, size=14))
        x += 27 + width_of(words, 14)
    y = top + 60
    measured.append(measured_ring(_EDGE + 14, y - 4, size=7))
    measured.append(text(_EDGE + 38, y, "priority 1 measured here (worst open alarm)", size=14))
    measured.append(
        text(_EDGE, y + 24, "estimate ± 1 sigma; under it the instrument, quality, age", size=14)
    )
    x = middle + 20
    truth = [_title(x, top, "SIMULATION TRUTH – the gateway does not see it", TRUTH)]
    y = top + 31
    truth += [source_mark(x + 12, y - 5, size=7), text(x + 34, y, "true source", size=14)]
    truth.append(_line_sample(x + 140, y - 5, None))
    truth.append(text(x + 180, y, "way walked,", size=14))
    truth.append(_line_sample(x + 282, y - 5, "3 7"))
    truth.append(text(x + 322, y, "to come", size=14))
    for cloud in scene.clouds:
        y += 26
        fill, dashes = ("core", None) if cloud.is_extreme else ("cloud", "7 4")
        truth.append(
            element(
                "rect",
                x=x,
                y=y - 13,
                width=28,
                height=17,
                fill=f"url(#{fill})",
                stroke=TRUTH,
                stroke_width=1.6,
                stroke_dasharray=dashes,
            )
        )
        truth.append(text(x + 34, y, f"true cloud: {cloud.words}", size=14))
    return element("g", *measured, *truth), max(top + 92, y + 14)


def _line_sample(x: float, y: float, dashes: str | None) -> str:
    return element(
        "path",
        d=f"M{x:.1f} {y:.1f}h34",
        stroke=TRUTH,
        stroke_width=3,
        stroke_dasharray=dashes,
    )


def _alarms(scene: Scene, top: float) -> tuple[str, float]:
    """Return the list of alarms, and where it ends."""
    parts = [_title(_EDGE, top + 12, "Alarms of this run (newest version of each)")]
    y = top + 38
    if not scene.alarms:
        parts.append(text(_EDGE, y, "none was raised in this run", size=15))
    for alarm in scene.alarms:
        parts.append(station_mark(_EDGE + 12, y - 5, alarm.priority, size=10))
        parts.append(text(_EDGE + 36, y, alarm.headline, size=15, font_weight="bold"))
        for line in wrapped(alarm.detail, 13.5, WIDTH - 2 * _EDGE - 36):
            y += 18
            parts.append(text(_EDGE + 36, y, line, size=13.5))
        y += 27
    if scene.more_alarms:
        parts.append(text(_EDGE + 36, y, f"and {scene.more_alarms} more in alerts.jsonl", size=14))
        y += 22
    return element("g", *parts), y


def _foot(height: float) -> Iterator[str]:
    yield element("rect", x=_EDGE, y=height - 54, width=WIDTH - 2 * _EDGE, height=1, fill=_MUTED)
    for row, words in enumerate(_FOOT):
        yield text(_EDGE, height - 34 + row * 18, words, size=11.5, fill=_MUTED)


def _title(x: float, y: float, words: str, colour: str = INK) -> str:
    return text(x, y, words, size=15, font_weight="bold", fill=colour)
