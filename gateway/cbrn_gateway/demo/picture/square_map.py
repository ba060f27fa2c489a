"""The map of the picture: zones, truth, stations and their readings, to one scale. Pure."""

from typing import NamedTuple

from cbrn_gateway.demo.picture.labels import Wish, place_labels
from cbrn_gateway.demo.picture.marks import (
    INK,
    PAPER,
    TRUTH,
    measured_ring,
    source_mark,
    station_mark,
)
from cbrn_gateway.demo.picture.scene import Cloud, Place, Scene, StationMark, TrueMark
from cbrn_gateway.demo.picture.svg import Box, Point, clean, element, polyline, text, width_of

_HEAD, _VALUE, _SMALL = 12.5, 12.5, 10.5
_PAD = 5.0
_STATION_REACH = 15.0
_ZONE_FILLS = ("#f3f5f8", "#e7ebf0")
_BELOW = "#5a626c"


class Frame(NamedTuple):
    """Where the plane lies on the page: the box, and pixels per metre."""

    box: Box
    west_m: float
    north_m: float
    px_per_m: float

    def at(self, place: Place) -> Point:
        """Return a place in pixels."""
        return (
            self.box.x + (place[0] - self.west_m) * self.px_per_m,
            self.box.y + (self.north_m - place[1]) * self.px_per_m,
        )


class Note(NamedTuple):
    """A card beside a mark: (words, size, weight, colour) of each line."""

    anchor: Point
    lines: tuple[tuple[str, float, str, str], ...]
    edge: str

    @property
    def size(self) -> tuple[float, float]:
        """Return about how wide and high it is."""
        widest = max(
            width_of(words, size, is_bold=weight == "bold") for words, size, weight, _ in self.lines
        )
        return widest + 2 * _PAD, sum(size * 1.25 for _, size, _, _ in self.lines) + 2 * _PAD


def frame_of(scene: Scene, box: Box) -> Frame:
    """Return the frame that fits the scene's width; its height follows from the scale."""
    extent = scene.extent
    px_per_m = box.width / (extent.east_m - extent.west_m)
    height = (extent.north_m - extent.south_m) * px_per_m
    return Frame(Box(box.x, box.y, box.width, height), extent.west_m, extent.north_m, px_per_m)


def square_map(scene: Scene, frame: Frame) -> str:
    """Return the whole map."""
    box = frame.box
    notes = [_station_note(station, frame) for station in scene.stations]
    notes += [_truth_note(t, frame) for t in scene.truths]
    zone_names, zone_boxes = _zone_names(scene, frame)
    taken = [_around(note.anchor) for note in notes] + zone_boxes
    boxes = place_labels([Wish(n.anchor, *n.size) for n in notes], taken, box)
    return element(
        "g",
        element("rect", x=box.x, y=box.y, width=box.width, height=box.height, fill="#d9dde3"),
        element(
            "g",
            *(_zone(i, ring, frame) for i, (_, ring) in enumerate(scene.zones)),
            *(_cloud(cloud, frame) for cloud in scene.clouds),
            *(_way(truth, frame) for truth in scene.truths),
            zone_names,
            *(_leader(note, at) for note, at in zip(notes, boxes, strict=True)),
            *(_card(note, at) for note, at in zip(notes, boxes, strict=True)),
            *(source_mark(*frame.at(truth.place)) for truth in scene.truths),
            *(_station(station, frame) for station in scene.stations),
            clip_path="url(#map)",
        ),
        element(
            "rect",
            x=box.x,
            y=box.y,
            width=box.width,
            height=box.height,
            fill="none",
            stroke=INK,
            stroke_width=1.5,
        ),
    )


def definitions(frame: Frame) -> str:
    """Return the hatching of the simulated cloud and the edge of the map."""
    box = frame.box
    return element(
        "defs",
        element(
            "clipPath",
            element("rect", x=box.x, y=box.y, width=box.width, height=box.height),
            id="map",
        ),
        _hatching("cloud", 9, 1.6),
        _hatching("core", 5, 1.8),
    )


def _hatching(name: str, step: float, width: float) -> str:
    line = element("path", d=f"M0 0V{step}", stroke=TRUTH, stroke_width=width, stroke_opacity=0.55)
    return element(
        "pattern",
        line,
        id=name,
        width=step,
        height=step,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def _zone(index: int, ring: tuple[Place, ...], frame: Frame) -> str:
    return element(
        "path",
        d=polyline(map(frame.at, ring), is_closed=True),
        fill=_ZONE_FILLS[index % 2],
        stroke="#7d8792",
        stroke_width=1.2,
        stroke_dasharray="2 4",
    )


def _zone_names(scene: Scene, frame: Frame) -> tuple[str, list[Box]]:
    """Return each zone's name in its south-east corner, and the boxes that they take."""
    drawn, boxes = [], []
    for name, ring in scene.zones:
        words = f"zone {name}"
        corners = [frame.at(place) for place in ring]
        x, y = max(c[0] for c in corners) - 6, max(c[1] for c in corners) - 7
        drawn.append(
            text(x, y, words, size=13, text_anchor="end", fill="#4a535e", font_style="italic")
        )
        width = width_of(words, 13)
        boxes.append(Box(x - width, y - 13, width, 16))
    return "".join(drawn), boxes


def _cloud(cloud: Cloud, frame: Frame) -> str:
    d = "".join(polyline(map(frame.at, ring), is_closed=True) for ring in cloud.rings)
    return element(
        "path",
        d=d,
        fill="url(#core)" if cloud.is_extreme else "url(#cloud)",
        fill_rule="evenodd",
        stroke=TRUTH,
        stroke_width=2.2 if cloud.is_extreme else 1.6,
        stroke_dasharray=None if cloud.is_extreme else "7 4",
    )


def _way(truth: TrueMark, frame: Frame) -> str:
    parts = []
    for places, dashes in ((truth.walked, None), (truth.ahead, "3 7")):
        if len(places) > 1:
            parts.append(
                element(
                    "path",
                    d=polyline(map(frame.at, places), is_closed=False),
                    fill="none",
                    stroke=TRUTH,
                    stroke_width=3,
                    stroke_dasharray=dashes,
                )
            )
    return "".join(parts)


def _station(station: StationMark, frame: Frame) -> str:
    x, y = frame.at(station.place)
    ring = measured_ring(x, y) if station.priority == 1 else ""
    return element(
        "g",
        element("title", clean(f"{station.id} {station.name}")),
        ring,
        station_mark(x, y, station.priority),
        id=f"station-{station.id}",
    )


def _station_note(station: StationMark, frame: Frame) -> Note:
    head = f"{station.id} {station.name}"
    lines = [(head, _HEAD, "bold", INK)]
    for line in station.lines:
        lines.append((line.value, _VALUE, "normal", INK))
        lines.append((line.quality, _SMALL, "normal", _BELOW if line.is_good else "#9a4a00"))
    return Note(frame.at(station.place), tuple(lines), "#aab2bc")


def _truth_note(truth: TrueMark, frame: Frame) -> Note:
    lines = [("simulation truth", _SMALL, "normal", TRUTH)]
    lines.append((truth.words[0], _HEAD, "bold", TRUTH))
    lines += [(words, _SMALL + 1, "normal", TRUTH) for words in truth.words[1:]]
    return Note(frame.at(truth.place), tuple(lines), TRUTH)


def _around(anchor: Point) -> Box:
    reach = _STATION_REACH
    return Box(anchor[0] - reach, anchor[1] - reach, 2 * reach, 2 * reach)


def _card(note: Note, at: Box) -> str:
    y = at.y + _PAD
    rows = []
    for words, size, weight, colour in note.lines:
        y += size * 1.25
        rows.append(
            text(at.x + _PAD, y - size * 0.28, words, size=size, font_weight=weight, fill=colour)
        )
    back = element(
        "rect",
        x=at.x,
        y=at.y,
        width=at.width,
        height=at.height,
        rx=4,
        fill=PAPER,
        fill_opacity=0.9,
        stroke=note.edge,
        stroke_width=1,
    )
    return element("g", back, *rows)


def _leader(note: Note, at: Box) -> str:
    """Return a thin line from a mark to its card."""
    x = min(max(note.anchor[0], at.x), at.x + at.width)
    y = min(max(note.anchor[1], at.y), at.y + at.height)
    return element(
        "path",
        d=polyline((note.anchor, (x, y)), is_closed=False),
        stroke=note.edge,
        stroke_width=1.2,
    )
