"""Names, zones and commissioned backgrounds of the demo's square: what a city would write."""

from math import sqrt
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cbrn_core.channel import Background
from cbrn_core.place import Zone
from cbrn_sim.fittings import GmcFitting
from cbrn_sim.instruments.gmc_memory import cpm_per_usv_h
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.square import Point, Square

CITY = "demo"
SITE = "square"
GATEWAY = "demo"
SITE_NAME = "Example square"
_TIMEZONE = "Europe/Oslo"
_S_PER_MIN = 60.0
_COMMISSIONED_FROM, _COMMISSIONED_UNTIL = "2026-05-01", "2026-05-08"
"""Days of a measurement that was never made: like all of this square, made up."""
_ZONE_NAMES = (("south", "Quay side"), ("middle", "Market"), ("north", "Arcade"))
"""From south to north, a third of the square each."""

_STATION_NAMES = {
    "st01": "Quay west",
    "st02": "Quay steps",
    "st03": "Quay crane",
    "st04": "Quay east",
    "st05": "Tram stop",
    "st06": "Fountain",
    "st07": "Bandstand",
    "st08": "East gate",
    "st09": "Library door",
    "st10": "Arcade west",
    "st11": "Arcade clock",
    "st12": "Arcade east",
    "mast": "Wind mast",
    "mast2": "Wind mast west",
    "mob01": "Patrol",
}


class Commissioned(NamedTuple):
    """What commissioning found for one counter: background in cps, dose rate per cps."""

    background: Background
    usv_h_per_cps: float


def zones_of(square: Square) -> tuple[Zone, ...]:
    """Return the zones of a square as closed rings of (lon, lat)."""
    depth_m = square.depth_m / len(_ZONE_NAMES)
    return tuple(
        Zone(id=zone, name=name, polygon=_strip(square, row * depth_m, (row + 1) * depth_m))
        for row, (zone, name) in enumerate(_ZONE_NAMES)
    )


def zone_at(square: Square, point: Point) -> str:
    """Return the zone of a point; the nearest for one outside of the square."""
    row = int(point.north_m * len(_ZONE_NAMES) / square.depth_m)
    return _ZONE_NAMES[min(max(row, 0), len(_ZONE_NAMES) - 1)][0]


def station_name(station_id: str) -> str:
    """Return what people call a station; its id where nobody named it."""
    return _STATION_NAMES.get(station_id, station_id)


def timezone() -> str:
    """Return the square's time zone; UTC on a machine without a time zone database."""
    try:
        ZoneInfo(_TIMEZONE)
    except (ZoneInfoNotFoundError, OSError):
        return "UTC"
    return _TIMEZONE


def commissioned(scenario: Scenario, fitting: GmcFitting) -> Commissioned:
    """Return what a long measurement without any source would have found."""
    dose_usv_h = scenario.background_usv_h.get(
        fitting.station_id, scenario.ordinary_background_usv_h
    )
    cps_per_usv_h = cpm_per_usv_h(fitting.dialect) / _S_PER_MIN
    rate_cps = dose_usv_h * cps_per_usv_h
    background = Background(
        value=rate_cps,
        # Counts of one second scatter by the square root of their mean.
        sigma=sqrt(rate_cps),
        since=_COMMISSIONED_FROM,
        until=_COMMISSIONED_UNTIL,
    )
    return Commissioned(background, 1.0 / cps_per_usv_h)


def _strip(square: Square, from_m: float, to_m: float) -> tuple[tuple[float, float], ...]:
    corners = ((0.0, from_m), (square.width_m, from_m), (square.width_m, to_m), (0.0, to_m))
    places = [square.position(Point(east_m, north_m)) for east_m, north_m in corners]
    ring = [(place.lon, place.lat) for place in places]
    return (*ring, ring[0])
