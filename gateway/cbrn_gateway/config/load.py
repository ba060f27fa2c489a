"""`load_site(path)`: strict TOML in, a resolved site out, or every problem at once."""

import hashlib
import tomllib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import rfc8785

from cbrn_core.channel import Channel, ChannelKey, Device
from cbrn_core.errors import ConfigError, Problem
from cbrn_core.place import Site, Station, Zone
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.policy import Policy, load_policy
from cbrn_gateway.config.devices import resolve_device
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.structs import (
    AlarmsTable,
    GatewayTable,
    InfluxTable,
    MqttTable,
    SiteTable,
    StationTable,
    StoreTable,
    WearerTable,
    ZoneTable,
)
from cbrn_gateway.config.tables import (
    check_unique,
    convert_list,
    optional_table,
    required_table,
)

_KNOWN = {"gateway", "site", "zone", "station", "device", "wearer", "alarms"} | {
    "mqtt",
    "influx",
    "store",
}
_NOT_BUILT = {"console", "cap", "cot"}
_LEAST_CORNERS = 3


def load_site(path: Path, *, allow_simulated: bool = False) -> SiteConfig:
    """Read and resolve a site file.

    `allow_simulated` is for files that demo and exercise have written themselves, and
    for replay; anywhere else the mark is an error (safety 1).

    Raises:
        ConfigError: with every problem and its path.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from None
    return parse_site(text, path, allow_simulated=allow_simulated)


def parse_site(text: str, path: Path, *, allow_simulated: bool = False) -> SiteConfig:
    """Resolve the text of a site file; `path` is where its relative paths start.

    Raises:
        ConfigError: with every problem and its path.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), f"is not TOML: {error}")]) from None
    problems = [
        Problem(key, "unknown table") for key in raw if key not in _KNOWN and key not in _NOT_BUILT
    ]
    config = _resolve(raw, path, problems)
    if not allow_simulated:
        problems += _simulated_marks(raw)
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _resolve(raw: dict[str, Any], path: Path, problems: list[Problem]) -> SiteConfig | None:
    gateway = required_table(raw, "gateway", GatewayTable, problems)
    site = required_table(raw, "site", SiteTable, problems)
    zones = _zones(raw, problems)
    stations = _stations(raw, zones, problems)
    devices = _devices(raw, stations, problems)
    channels = _channels(devices, problems)
    alarms = optional_table(raw, "alarms", AlarmsTable, problems) or AlarmsTable()
    policy = _policy(alarms, path, problems)
    mqtt = optional_table(raw, "mqtt", MqttTable, problems)
    influx = optional_table(raw, "influx", InfluxTable, problems)
    store = optional_table(raw, "store", StoreTable, problems) or StoreTable()
    wearers = tuple(table for _, table in convert_list(raw, "wearer", WearerTable, problems))
    if site is not None:
        _check_timezone(site.timezone, problems)
    if gateway is None or site is None or policy is None:
        return None
    model = SiteModel(
        gateway=gateway.id,
        city=gateway.city,
        site=_site(site),
        zones=zones,
        stations=stations,
        devices={device.id: device for device in devices},
        channels=channels,
        config_hash=config_hash(raw),
    )
    return SiteConfig(
        path=path,
        data_dir=path.parent / Path(gateway.data_dir).expanduser(),
        model=model,
        policy=policy,
        language=site.language,
        mqtt=mqtt,
        influx=influx,
        store=store,
        wearers=wearers,
        not_built=tuple(sorted(_NOT_BUILT & raw.keys())),
    )


def config_hash(raw: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a site file's meaning, without `data_dir` and paths of secrets."""
    return hashlib.sha256(rfc8785.dumps(_plain(_public(raw)))).hexdigest()


def _public(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _public(value) if isinstance(value, dict) else value
        for key, value in raw.items()
        if key != "data_dir" and not key.endswith("_file")
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - the shape of any TOML document
    """Return TOML values as JSON ones; dates and times as their text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def _site(table: SiteTable) -> Site:
    cordons = msgspec.to_builtins(table.standing_cordon_m)
    return Site(
        id=table.id,
        name=table.name or table.id,
        timezone=table.timezone,
        in_service=table.in_service,
        not_in_service_reason=table.not_in_service_reason,
        surroundings=table.surroundings,
        standing_cordon_m={hazard: m for hazard, m in cordons.items() if m is not None},
    )


def _check_timezone(name: str, problems: list[Problem]) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(Problem("site.timezone", f"unknown time zone {name!r}"))


def _zones(raw: dict[str, Any], problems: list[Problem]) -> dict[str, Zone]:
    tables = convert_list(raw, "zone", ZoneTable, problems)
    check_unique(((path, table.id) for path, table in tables), problems)
    for path, table in tables:
        _check_polygon(table, path, problems)
    return {
        table.id: Zone(id=table.id, name=table.name or table.id, polygon=_closed(table.polygon))
        for _, table in tables
    }


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


def _stations(
    raw: dict[str, Any], zones: Mapping[str, Zone], problems: list[Problem]
) -> dict[str, Station]:
    tables = convert_list(raw, "station", StationTable, problems)
    if "station" not in raw:
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


def _devices(
    raw: dict[str, Any], stations: Mapping[str, Station], problems: list[Problem]
) -> list[Device]:
    entries = raw.get("device", [])
    if not isinstance(entries, list):
        problems.append(Problem("device", "write it as a list of tables: [[device]]"))
        return []
    resolved = [
        (f"device[{index}]", resolve_device(entry, f"device[{index}]", stations, problems))
        for index, entry in enumerate(entries)
    ]
    present = [(path, device) for path, device in resolved if device is not None]
    check_unique(((path, device.id) for path, device in present), problems)
    return [device for _, device in present]


def _channels(devices: list[Device], problems: list[Problem]) -> dict[ChannelKey, Channel]:
    channels: dict[ChannelKey, Channel] = {}
    for device in devices:
        for channel in device.channels:
            if channel.key in channels:
                reason = f"{channel.id!r} of {device.id} is taken by {channels[channel.key].device}"
                problems.append(Problem(f"station {channel.station}", f"channel {reason}"))
            channels.setdefault(channel.key, channel)
    return channels


def _policy(table: AlarmsTable, path: Path, problems: list[Problem]) -> Policy | None:
    try:
        return load_policy(
            table.policy,
            folder=path.parent,
            jurisdiction=table.jurisdiction,
            overrides=table.overrides,
        )
    except ConfigError as error:
        problems += [Problem(f"alarms.{p.path}", p.reason) for p in error.problems]
        return None


def _simulated_marks(raw: Mapping[str, Any]) -> list[Problem]:
    reason = "only demo and exercise write this mark; a real instrument is never simulated"
    devices = raw.get("device", [])
    return [
        Problem(f"device[{index}].simulated", reason)
        for index, device in enumerate(devices if isinstance(devices, list) else [])
        if isinstance(device, dict) and "simulated" in device
    ]
