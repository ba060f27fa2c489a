"""The simulation's truth, which nothing of the gateway sees: sources, ways, clouds."""

import numpy as np

from cbrn_core.agents import extreme_limit, priority_1_limit
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit
from cbrn_gateway.demo.picture.contours import Grid, contours
from cbrn_gateway.demo.picture.scene import Cloud, Extent, TrueMark
from cbrn_gateway.demo.picture.stations import metres, plain_name
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.square import Point

_GRID_STEP_M = 2.5
_BREATHING_M = 1.5


def clouds_of(square: SimulatedSquare, extent: Extent, elapsed_s: float) -> list[Cloud]:
    """Return where each agent is above its levels now, at breathing height."""
    clouds = []
    for agent in dict.fromkeys(release.agent for release in square.scenario.releases):
        grid = _concentrations(square, agent, extent, elapsed_s)
        name = plain_name(Quantity(agent))
        limits = ((priority_1_limit(agent), False), (extreme_limit(agent), True))
        for limit, is_extreme in limits:
            if limit is None or limit.value is None or limit.unit is not Unit.PPM:
                continue
            rings = tuple(tuple(ring) for ring in contours(grid, limit.value))
            minutes = "" if limit.duration_min is None else f" {limit.duration_min:.0f} min"
            words = f"{name} above {limit.value:g} ppm ({limit.name}{minutes})"
            if rings:
                clouds.append(Cloud(words, is_extreme, rings))
    return clouds


def _concentrations(square: SimulatedSquare, agent: str, extent: Extent, elapsed_s: float) -> Grid:
    columns = int((extent.east_m - extent.west_m) / _GRID_STEP_M) + 1
    rows = int((extent.north_m - extent.south_m) / _GRID_STEP_M) + 1
    values = np.array(
        [
            [
                square.world.concentration_ppm(
                    agent,
                    Point(
                        extent.west_m + column * _GRID_STEP_M,
                        extent.south_m + row * _GRID_STEP_M,
                        _BREATHING_M,
                    ),
                    elapsed_s,
                )
                for column in range(columns)
            ]
            for row in range(rows)
        ]
    )
    return Grid(extent.west_m, extent.south_m, _GRID_STEP_M, values)


def true_marks(square: SimulatedSquare, elapsed_s: float) -> list[TrueMark]:
    """Return every release and every source, where it is now and how it moves."""
    truth, plane = square.truth(), square.scenario.square
    marks = []
    for release in truth.releases:
        rate = "" if release.rate_g_s is None else f" {release.rate_g_s:g} g/s"
        goes_on = release.end_s > elapsed_s
        span = f"from {release.start_s:.0f} s on" if goes_on else f"until {release.end_s:.0f} s"
        words = (f"{plain_name(Quantity(release.agent))}{rate}", f"released {span}")
        marks.append(TrueMark(words, metres(plane, release.lat, release.lon)))
    for source, carried in zip(truth.sources, square.world.point_sources, strict=True):
        here = carried.path.at(elapsed_s)
        points = [(t_s, metres(plane, lat, lon)) for t_s, lat, lon in source.track]
        who = source.carried_by or "source"
        strength = f"{source.usv_h_at_1_m:.0f} µSv/h at 1 m"
        place = points[0][1] if here is None else (here.east_m, here.north_m)
        state = "is here" if here is not None else f"comes at {points[0][0]:.0f} s"
        if elapsed_s > points[-1][0]:
            state, place = "has left", points[-1][1]
        walked = (*(p for t_s, p in points if t_s <= elapsed_s), place)
        ahead = (place, *(p for t_s, p in points if t_s > elapsed_s))
        words = (f"{who} with {source.nuclide}", f"{strength}, {state}")
        marks.append(TrueMark(words, place, walked, ahead))
    return marks
