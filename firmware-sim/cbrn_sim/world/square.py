"""The square: a local plane in metres (east, north, height) about an origin."""

from math import cos, hypot, radians
from typing import NamedTuple

import msgspec

from cbrn_core.place import Position

# Metres per degree on the equirectangular plane; error below 1 mm at 1 km.
M_PER_DEG_LAT = 111_132.0
M_PER_DEG_LON_EQUATOR = 111_320.0


class Point(NamedTuple):
    """A place in the square: metres east and north of the origin, metres above ground."""

    east_m: float
    north_m: float
    height_m: float = 1.5

    def distance_m(self, other: "Point") -> float:
        """Return the straight distance, height included."""
        return hypot(
            self.east_m - other.east_m,
            self.north_m - other.north_m,
            self.height_m - other.height_m,
        )


class StationPlace(msgspec.Struct, frozen=True):
    """Where a station stands."""

    id: str
    point: Point


class Square(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle with its south-west corner at the origin, and the stations in it."""

    name: str
    origin_lat: float
    origin_lon: float
    width_m: float
    depth_m: float
    stations: tuple[StationPlace, ...]

    def point_of(self, station_id: str) -> Point:
        """Return where a station stands; KeyError for an unknown one."""
        for place in self.stations:
            if place.id == station_id:
                return place.point
        raise KeyError(station_id)

    def nearest_station(self, point: Point) -> str:
        """Return the id of the station closest to `point` on the ground."""
        return min(
            self.stations,
            key=lambda place: hypot(
                place.point.east_m - point.east_m, place.point.north_m - point.north_m
            ),
        ).id

    def position(self, point: Point) -> Position:
        """Return a point of the plane as WGS 84 degrees."""
        m_per_deg_lon = M_PER_DEG_LON_EQUATOR * cos(radians(self.origin_lat))
        return Position(
            lat=self.origin_lat + point.north_m / M_PER_DEG_LAT,
            lon=self.origin_lon + point.east_m / m_per_deg_lon,
            height_m=point.height_m,
        )

    def point_at(self, lat: float, lon: float) -> Point:
        """Return a place in WGS 84 degrees as a point of the plane, on the ground."""
        m_per_deg_lon = M_PER_DEG_LON_EQUATOR * cos(radians(self.origin_lat))
        return Point(
            (lon - self.origin_lon) * m_per_deg_lon, (lat - self.origin_lat) * M_PER_DEG_LAT, 0.0
        )
