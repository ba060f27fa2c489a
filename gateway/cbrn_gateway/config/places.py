"""Zones and stations of a site file: where things are, and whether that can be."""

from collections.abc import Mapping
from typing import Any

from cbrn_core.errors import Problem
from cbrn_core.place import Station, Zone
from cbrn_gateway.config.structs import StationTable, ZoneTable
from cbrn_gateway.config.tables import check_unique, convert_list

_LEAST_CORNERS = 3


def resolve_zones(raw: Mapping[str, Any], problems: list[Problem]) -> dict[str, Zone]:
    """Return the zones by id; problems are added under their paths."""
    tables = convert_list(raw, "zone", ZoneTable, problems)
    check_unique(((path, table.id) for path, table in tables), problems)
    for path, table in tables:
        _check_polygon(table, path, problems)
    return {
        table.id: Zone(id=table.id, name=table.name or table.id, polygon=_closed(table.polygon))
        for _, table in tables
    }


def resolve_stations(
    raw: Mapping[str, Any], zones: Mapping[str, Zone], problems: list[Problem]
) -> dict[str, Station]:
    """Return the stations by id; problems are added under their paths."""
    tables = convert_list(raw, "station", StationTable, problems)
    if not raw.get("station"):
        problems.append(Problem("station", "at least one [[station]] is needed"))
    check_unique(((path, table.id) for path, table in tables), problems)
    stations = {}
    for path, table in tables:
        _check_place(table, path, zones, problems)
        stations[table.id] = Station(
            id=table.id,
            name=table.name or table.id,
            zone=table.zone,
            position=table.position,
            mobile=table.mobile,
        )
    return stations


def _closed(polygon: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    return polygon if not polygon or polygon[0] == polygon[-1] else (*polygon, polygon[0])


def _check_polygon(table: ZoneTable, path: str, problems: list[Problem]) -> None:
    corners = set(table.polygon)
    if table.polygon and len(corners) < _LEAST_CORNERS:
        problems.append(Problem(f"{path}.polygon", "needs at least three different corners"))
    for index, (lon, lat) in enumerate(table.polygon):
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            reason = "[lon, lat] outside the Earth (longitude comes first)"
            problems.append(Problem(f"{path}.polygon[{index}]", reason))


def _check_place(
    table: StationTable, path: str, zones: Mapping[str, Zone], problems: list[Problem]
) -> None:
    if table.zone is not None and table.zone not in zones:
        problems.append(Problem(f"{path}.zone", f"there is no zone {table.zone!r}"))
    if table.position is None and not table.mobile:
        problems.append(Problem(f"{path}.position", "give a position, or mobile = true"))
    if table.position is not None and table.mobile:
        problems.append(Problem(f"{path}.mobile", "a mobile station has no fixed position"))
    if table.position is not None and not table.position.is_valid():
        reason = "not a place: lat within ±90, lon within ±180, and not 0, 0"
        problems.append(Problem(f"{path}.position", reason))
