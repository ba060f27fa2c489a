"""People and vehicles that move through the square."""

from itertools import pairwise
from math import hypot

import msgspec

from cbrn_sim.world.square import Point


class Waypoint(msgspec.Struct, frozen=True):
    """Where somebody is at a moment of the scenario."""

    t_s: float
    point: Point


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A way through the square, straight and steady between waypoints.

    Attributes:
        waypoints: in order of time, at least one.
        repeats: after the last waypoint it starts again at the first (patrol).
        stays: it rests at its first and last waypoint before and after; else it is gone.
    """

    waypoints: tuple[Waypoint, ...]
    repeats: bool = False
    stays: bool = False

    def at(self, t_s: float) -> Point | None:
        """Return the place at `t_s`; None while nobody is there."""
        first, last = self.waypoints[0], self.waypoints[-1]
        if self.repeats and last.t_s > first.t_s:
            t_s = first.t_s + (t_s - first.t_s) % (last.t_s - first.t_s)
        if not first.t_s <= t_s <= last.t_s:
            ends = first.point if t_s < first.t_s else last.point
            return ends if self.stays else None
        for here, there in pairwise(self.waypoints):
            if t_s <= there.t_s:
                return _between(here, there, t_s)
        return last.point


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who walks and may carry a source.

    `carries_usv_h_at_1_m` is the source's strength at one metre; 0 for nothing.
    """

    id: str
    path: Path
    carries_usv_h_at_1_m: float = 0.0
    nuclide: str | None = None


def walk(
    start_s: float, speed_m_s: float, corners: tuple[Point, ...], *, repeats: bool = False
) -> Path:
    """Return the path of a walk at constant speed from corner to corner."""
    waypoints = [Waypoint(start_s, corners[0])]
    for here, there in pairwise(corners):
        leg_m = hypot(there.east_m - here.east_m, there.north_m - here.north_m)
        waypoints.append(Waypoint(waypoints[-1].t_s + leg_m / speed_m_s, there))
    return Path(waypoints=tuple(waypoints), repeats=repeats)


def _between(here: Waypoint, there: Waypoint, t_s: float) -> Point:
    span_s = there.t_s - here.t_s
    share = (t_s - here.t_s) / span_s if span_s > 0 else 1.0
    return Point(*(a + (b - a) * share for a, b in zip(here.point, there.point, strict=True)))
