"""Geometry of an alert: where it was measured, never null, never the estimated source."""

from cbrn_core.alarm import Condition
from cbrn_core.place import Zone
from cbrn_core.site_model import SiteModel
from cbrn_gateway.wire import (
    Geometry,
    GeometryCollection,
    LonLat,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    Ring,
)

_DECIMALS = 7
_LEAST_RING = 4


def alert_geometry(condition: Condition, model: SiteModel) -> Geometry:
    """Return the stations that take part → zone polygon → site (all zones, else all stations).

    The alarm's own station comes first, then those of its evidence; a station that saw
    nothing is never drawn. Where nothing has a place (a site of mobile stations that
    never had a fix) the collection is empty.
    """
    candidates = (_measured_at(condition, model), _zone(condition, model))
    return next((found for found in candidates if found is not None), None) or _site(model)


def _measured_at(condition: Condition, model: SiteModel) -> Point | MultiPoint | None:
    points: list[LonLat] = []
    if condition.place is not None:
        lat, lon, _ = condition.place
        points.append(_lon_lat(lon, lat))
    own = () if condition.place is not None else (condition.station,)
    for name in dict.fromkeys((*own, *(item.station for item in condition.evidence))):
        station = model.stations.get(name or "")
        if station is not None and station.position is not None:
            points.append(_lon_lat(station.position.lon, station.position.lat))
    if not points:
        return None
    return Point(points[0]) if len(points) == 1 else MultiPoint(tuple(points))


def _zone(condition: Condition, model: SiteModel) -> Polygon | None:
    station = model.stations.get(condition.station or "")
    name = condition.zone or (None if station is None else station.zone)
    zone = model.zones.get(name or "")
    if zone is None or not _has_area(zone):
        return None
    return Polygon((_ring(zone),))


def _site(model: SiteModel) -> Geometry:
    rings = tuple((_ring(zone),) for zone in model.zones.values() if _has_area(zone))
    if len(rings) == 1:
        return Polygon(rings[0])
    if rings:
        return MultiPolygon(rings)
    positions = [s.position for s in model.stations.values() if s.position is not None]
    points = tuple(_lon_lat(position.lon, position.lat) for position in positions)
    if len(points) == 1:
        return Point(points[0])
    return MultiPoint(points) if points else GeometryCollection()


def _has_area(zone: Zone) -> bool:
    return len(zone.polygon) >= _LEAST_RING - 1


def _ring(zone: Zone) -> Ring:
    ring = tuple(_lon_lat(lon, lat) for lon, lat in zone.polygon)
    return ring if ring[0] == ring[-1] else (*ring, ring[0])


def _lon_lat(lon: float, lat: float) -> LonLat:
    return (round(lon, _DECIMALS), round(lat, _DECIMALS))
