"""Places for labels on a map: each near its point, none over another if that can be. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from math import cos, pi, sin
from typing import NamedTuple

from cbrn_gateway.demo.picture.svg import Box, Point

_OVERLAP_COST, _MARK_COST, _OUTSIDE_COST = 10.0, 100.0, 100.0
_DISTANCE_COST_PER_PX = 12.0
_GAPS = (13.0, 20.0, 30.0, 44.0, 62.0)
_DIRECTIONS = 16
_SWEEPS = 8


class Wish(NamedTuple):
    """A label of a size that belongs to a point."""

    anchor: Point
    width: float
    height: float


def place_labels(wishes: Sequence[Wish], marks: Iterable[Box], frame: Box) -> list[Box]:
    """Return a box for each wish: marks stay bare, little overlap, then the shortest way.

    Several orders of choosing are tried, since who comes first takes the best place.
    """
    kept = list(marks)
    everyone = range(len(wishes))
    orders = (
        sorted(everyone, key=lambda i: -wishes[i].height * wishes[i].width),
        sorted(everyone, key=lambda i: wishes[i].anchor),
        sorted(everyone, key=lambda i: (-wishes[i].anchor[0], wishes[i].anchor[1])),
        sorted(everyone, key=lambda i: (-wishes[i].anchor[1], wishes[i].anchor[0])),
        sorted(everyone, key=lambda i: wishes[i].anchor[1]),
    )
    tried = [_settled(wishes, order, kept, frame) for order in orders]
    return min(tried, key=lambda t: t[1])[0]


def _settled(
    wishes: Sequence[Wish], order: Sequence[int], marks: Sequence[Box], frame: Box
) -> tuple[list[Box], float]:
    """Return boxes and their cost: each chooses in turn until none moves."""
    boxes: dict[int, Box] = {}
    costs: dict[int, float] = {}
    for _ in range(_SWEEPS):
        moved = False
        for index in order:
            others = [box for other, box in boxes.items() if other != index]
            costs[index], best = _best(wishes[index], others, marks, frame)
            moved |= boxes.get(index) != best
            boxes[index] = best
        if not moved:
            break
    return [boxes[index] for index in range(len(wishes))], sum(costs.values())


def _best(wish: Wish, others: Sequence[Box], marks: Sequence[Box], frame: Box) -> tuple[float, Box]:
    def cost(box: Box, way_px: float) -> float:
        outside = box.width * box.height - box.overlap(frame)
        return (
            _OVERLAP_COST * sum(box.overlap(other) for other in others)
            + _MARK_COST * sum(box.overlap(mark) for mark in marks)
            + _OUTSIDE_COST * outside
            + _DISTANCE_COST_PER_PX * way_px
        )

    return min((cost(box, way_px), box) for box, way_px in _candidates(wish))


def _candidates(wish: Wish) -> Iterator[tuple[Box, float]]:
    """Yield boxes round the anchor, each with how far it is away."""
    for gap in _GAPS:
        for step in range(_DIRECTIONS):
            angle = 2 * pi * step / _DIRECTIONS
            x = wish.anchor[0] + cos(angle) * (gap + wish.width / 2)
            y = wish.anchor[1] - sin(angle) * (gap + wish.height / 2)
            yield Box(x - wish.width / 2, y - wish.height / 2, wish.width, wish.height), gap
