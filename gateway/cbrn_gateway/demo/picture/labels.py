"""Places for labels on a map: each near its point, none over another if that can be. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from math import cos, pi, sin
from typing import NamedTuple

from cbrn_gateway.demo.picture.svg import Box, Point

_OVERLAP_COST, _OUTSIDE_COST = 10.0, 100.0
_DISTANCE_COST_PER_PX = 12.0
_GAPS = (13.0, 20.0, 30.0, 44.0, 62.0)
_DIRECTIONS = 16
_SWEEPS = 8


class Wish(NamedTuple):
    """A label of a size that belongs to a point."""

    anchor: Point
    width: float
    height: float


def place_labels(wishes: Sequence[Wish], taken: Iterable[Box], frame: Box) -> list[Box]:
    """Return a box for each wish: little overlap first, then the shortest way.

    The largest choose first; then each chooses again in turn until none moves.
    """
    kept = list(taken)
    boxes: dict[int, Box] = {}
    order = sorted(range(len(wishes)), key=lambda i: -wishes[i].height * wishes[i].width)
    for _ in range(_SWEEPS):
        moved = False
        for index in order:
            others = kept + [box for other, box in boxes.items() if other != index]
            best = _best(wishes[index], others, frame)
            moved |= boxes.get(index) != best
            boxes[index] = best
        if not moved:
            break
    return [boxes[index] for index in range(len(wishes))]


def _best(wish: Wish, others: Sequence[Box], frame: Box) -> Box:
    def cost(candidate: tuple[Box, float]) -> float:
        box, way_px = candidate
        covered = sum(box.overlap(other) for other in others)
        outside = box.width * box.height - box.overlap(frame)
        return _OVERLAP_COST * covered + _OUTSIDE_COST * outside + _DISTANCE_COST_PER_PX * way_px

    return min(_candidates(wish), key=cost)[0]


def _candidates(wish: Wish) -> Iterator[tuple[Box, float]]:
    """Yield boxes round the anchor, each with how far it is away."""
    for gap in _GAPS:
        for step in range(_DIRECTIONS):
            angle = 2 * pi * step / _DIRECTIONS
            x = wish.anchor[0] + cos(angle) * (gap + wish.width / 2)
            y = wish.anchor[1] - sin(angle) * (gap + wish.height / 2)
            yield Box(x - wish.width / 2, y - wish.height / 2, wish.width, wish.height), gap
