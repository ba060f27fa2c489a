"""Geometry of an alert: where it was measured, never null, never the estimated source."""

from cbrn_core.alarm import Condition, Scope
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
    """Return station point → zone polygon → site (all zones, else all stations).

    A network alarm without a station is drawn as its zone. Where nothing has a place (a
    site of mobile stations that never had a fix) the collection is empty.
    """
    candidates = (_measured_at(condition, model), _zone(condition, model))
    return next((found for found in candidates if found is not None), None) or _site(model)


def _measured_at(condition: Condition, model: SiteModel) -> Point | None:
    if condition.place is not None:
        lat, lon, _ = condition.place
        return Point(_lon_lat(lon, lat))
    station = model.stations.get(condition.station or "")
    if station is None or station.position is None or condition.scope is Scope.SITE:
        return None
    return Point(_lon_lat(station.position.lon, station.position.lat))


def _zone(condition: Condition, model: SiteModel) -> Polygon | None:
    station = model.stations.get(condition.station or "")
    name = condition.zone or (None if station is None else station.zone)
    zone = model.zones.get(name or "")
    if zone is None or condition.scope is Scope.SITE or not _has_area(zone):
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
