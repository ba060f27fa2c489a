"""Where things are: positions, zones, stations, the site."""

import re
from enum import StrEnum
from math import cos, hypot, isfinite, radians
from typing import NamedTuple

import msgspec

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_M_PER_DEG_LAT = 111_132.0
_M_PER_DEG_LON_EQUATOR = 111_320.0


def is_id(text: str) -> bool:
    """Return whether `text` may name a thing: letters, digits, `_`, `-`; 1 to 64 of them."""
    return _ID.fullmatch(text) is not None


def is_place(lat: float, lon: float) -> bool:
    """Return whether degrees are on Earth; 0, 0 is the mark of a receiver without a fix."""
    return abs(lat) <= 90 and abs(lon) <= 180 and not (lat == 0 and lon == 0)


class Surroundings(StrEnum):
    """How built-up the square is; decides whether an area may be drawn (safety 4)."""

    CANYON = "canyon"
    SQUARE = "square"
    OPEN = "open"


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point: WGS 84 degrees, height above ground in metres."""

    lat: float
    lon: float
    height_m: float = 1.5

    def is_valid(self) -> bool:
        """Return whether this is a place on Earth."""
        return isfinite(self.height_m) and is_place(self.lat, self.lon)


class Fix(NamedTuple):
    """Where a mobile instrument was when it measured; `None` for what it did not say."""

    lat: float
    lon: float
    alt_m: float | None = None
    accuracy_m: float | None = None
    speed_m_s: float | None = None
    gnss_fix: bool | None = None


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a site used for alarms and steps; polygon of (lon, lat), first = last."""

    id: str
    name: str
    polygon: tuple[tuple[float, float], ...] = ()


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """The pole, box or person that carries devices; `position` is None only when mobile."""

    id: str
    name: str
    zone: str | None = None
    position: Position | None = None
    mobile: bool = False


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A square under watch."""

    id: str
    name: str
    timezone: str = "UTC"
    in_service: bool = False
    not_in_service_reason: str | None = None
    surroundings: Surroundings = Surroundings.CANYON
    standing_cordon_m: dict[str, float] = {}


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance between two (lat, lon) points in metres.

    Equirectangular: error below 1 mm at 1 km (reference science §5).
    """
    north_m = (b[0] - a[0]) * _M_PER_DEG_LAT
    east_m = (b[1] - a[1]) * _M_PER_DEG_LON_EQUATOR * cos(radians((a[0] + b[0]) / 2))
    return hypot(north_m, east_m)
