"""Gathers a picture's scene from a run as it stands."""

import time
from typing import Any
from zoneinfo import ZoneInfo

from cbrn_core.site_model import SiteModel
from cbrn_core.times import local_then_utc, us_to_datetime
from cbrn_gateway.demo.news import STATE_WORDS, where
from cbrn_gateway.demo.picture.scene import AlarmLine, Extent, Scene
from cbrn_gateway.demo.picture.stations import metres, station_mark_of, wind_now
from cbrn_gateway.demo.picture.truth import clouds_of, true_marks
from cbrn_gateway.demo.tally import Tally
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.square import Square

_NS_PER_US = 1000
_MARGIN_M = 8.0
_REACH_M = 24.0
"""How far outside of the square the picture goes for what lies there."""
_MOST_ALARMS = 8


def scene_of(model: SiteModel, square: SimulatedSquare, tally: Tally) -> Scene:
    """Return the square as it is at this moment."""
    now_us = time.time_ns() // _NS_PER_US
    elapsed_s = square.elapsed_s()
    local = us_to_datetime(now_us).astimezone(ZoneInfo(model.site.timezone))
    truth = square.truth()
    plane = square.scenario.square
    extent = _extent(plane, square)
    told = tally.told_alerts()
    return Scene(
        title=plane.name,
        subtitle=(
            f"scenario {truth.scenario}, seed {truth.seed}, {elapsed_s:.0f} s after its start"
        ),
        drawn_at=f"{local:%Y-%m-%d} {local_then_utc(now_us, ZoneInfo(model.site.timezone))}",
        extent=extent,
        zones=tuple(
            (zone.name, tuple(metres(plane, lat, lon) for lon, lat in zone.polygon))
            for zone in model.zones.values()
        ),
        stations=tuple(
            station_mark_of(station, model, square, tally, now_us) for station in model.stations
        ),
        wind=wind_now(tally, model, now_us),
        clouds=tuple(clouds_of(square, extent, elapsed_s)),
        truths=tuple(true_marks(square, elapsed_s)),
        alarms=tuple(_alarm(alert, model) for alert in told[:_MOST_ALARMS]),
        more_alarms=max(0, len(told) - _MOST_ALARMS),
    )


def _alarm(alert: dict[str, Any], model: SiteModel) -> AlarmLine:
    told = alert["properties"]
    first, _, _ = told["text"].partition(". ")
    place = where(alert, model).partition(", lat")[0]
    certainty = "" if told["hazard"] == "technical" else f"; certainty {told['certainty']}"
    return AlarmLine(
        priority=told["priority"],
        headline=f"{place}: {STATE_WORDS.get(told['state'], told['state'])}{certainty}",
        detail=first.rstrip(".") + ".",
    )


def _extent(plane: Square, square: SimulatedSquare) -> Extent:
    east = [0.0, plane.width_m]
    north = [0.0, plane.depth_m]
    for release in square.scenario.releases:
        east.append(min(max(release.point.east_m, -_REACH_M), plane.width_m + _REACH_M))
        north.append(min(max(release.point.north_m, -_REACH_M), plane.depth_m + _REACH_M))
    return Extent(
        min(east) - _MARGIN_M, min(north) - _MARGIN_M, max(east) + _MARGIN_M, max(north) + _MARGIN_M
    )
