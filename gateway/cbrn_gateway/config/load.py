"""`load_site(path)`: strict TOML in, a resolved site out, or every problem at once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import rfc8785

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel, ChannelKey, Device
from cbrn_core.errors import ConfigError, Problem
from cbrn_core.place import Site, Station
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.policy import BUILT_IN, Policy, load_policy
from cbrn_gateway.alarms.signatures import ALL_ROWS, Signature, alarming_rows, row_key
from cbrn_gateway.config.devices import resolve_device
from cbrn_gateway.config.own_profiles import OwnProfiles
from cbrn_gateway.config.places import resolve_stations, resolve_zones
from cbrn_gateway.config.playbook import PlaybookFile, PlaybookTable, approved_plays, read_steps
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.structs import (
    AlarmsTable,
    GatewayTable,
    InfluxTable,
    MqttTable,
    SiteTable,
    StoreTable,
    WearerTable,
)
from cbrn_gateway.config.tables import (
    check_unique,
    convert_list,
    key_path,
    optional_table,
    parse_toml,
    read_toml,
    required_table,
)
from cbrn_gateway.sinks import influx_settings, mqtt_settings

_KNOWN = frozenset(
    {"gateway", "site", "zone", "station", "device", "wearer", "alarms", "playbook"}
    | {"mqtt", "influx", "store"}
)
_NOT_BUILT = frozenset({"console", "cap", "cot"})

SinkT = TypeVar("SinkT", MqttTable, InfluxTable)


def load_site(path: Path, *, allow_simulated: bool = False) -> SiteConfig:
    """Read and resolve a site file.

    `allow_simulated` is for files that demo and exercise have written themselves, and
    for replay; anywhere else the mark is an error (safety 1).

    Raises:
        ConfigError: with every problem and its path.
    """
    problems: list[Problem] = []
    raw = read_toml(path, str(path), problems)
    return _site_config(raw, path, problems, allow_simulated=allow_simulated)


def parse_site(
    text: str,
    path: Path,
    *,
    allow_simulated: bool = False,
    own_profiles: Mapping[str, str] | None = None,
) -> SiteConfig:
    """Resolve the text of a site file; `path` is where its relative paths start.

    `own_profiles`: texts by name, in place of the folder of the site's own profiles.

    Raises:
        ConfigError: with every problem and its path.
    """
    problems: list[Problem] = []
    raw = parse_toml(text, str(path), problems)
    return _site_config(
        raw, path, problems, own_profiles=own_profiles, allow_simulated=allow_simulated
    )


def config_hash(raw: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a site file's meaning, without `data_dir` and paths of secrets."""
    return hashlib.sha256(rfc8785.dumps(_plain(_public(raw)))).hexdigest()


def _site_config(
    raw: dict[str, Any] | None,
    path: Path,
    problems: list[Problem],
    *,
    own_profiles: Mapping[str, str] | None = None,
    allow_simulated: bool,
) -> SiteConfig:
    if raw is None:
        raise ConfigError(problems)
    known = _KNOWN | _NOT_BUILT
    problems += [Problem(key_path("", key), "unknown table") for key in raw if key not in known]
    config = _resolve(raw, path, OwnProfiles(path.parent, problems, own_profiles), problems)
    if not allow_simulated:
        problems += _simulated_marks(raw)
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _resolve(
    raw: dict[str, Any], path: Path, own_profiles: OwnProfiles, problems: list[Problem]
) -> SiteConfig | None:
    gateway = required_table(raw, "gateway", GatewayTable, problems)
    site = required_table(raw, "site", SiteTable, problems)
    zones = resolve_zones(raw, problems)
    stations = resolve_stations(raw, zones, problems)
    devices = _devices(raw, stations, own_profiles, problems)
    channels = _channels(devices, problems)
    policy, own_policy = _policy(raw, path, problems)
    playbook = optional_table(raw, "playbook", PlaybookTable, problems)
    steps = _steps(playbook, path, problems)
    mqtt = _sink(raw, "mqtt", MqttTable, path, problems)
    influx = _sink(raw, "influx", InfluxTable, path, problems)
    store = _store(raw, problems)
    wearers = tuple(table for _, table in convert_list(raw, "wearer", WearerTable, problems))
    data_dir = None if gateway is None else _data_dir(gateway.data_dir, path, problems)
    resolved_site = None if site is None else _site(site, problems)
    if gateway is None or site is None or policy is None or data_dir is None:
        return None
    _check_sinks(gateway.id, mqtt, influx, problems)
    model = SiteModel(
        gateway=gateway.id,
        city=gateway.city,
        site=resolved_site or Site(id=site.id, name=site.id),
        zones=zones,
        stations=stations,
        devices={device.id: device for _, device in devices},
        channels=channels,
        config_hash=config_hash(raw | _from_files(own_policy, steps, own_profiles)),
    )
    return SiteConfig(
        path=path,
        data_dir=data_dir,
        model=model,
        policy=policy,
        config_trial_s=gateway.config_trial_s,
        clock_kept_by_host=gateway.clock_kept_by_host,
        language=site.language,
        playbook=playbook,
        approved={} if playbook is None else approved_plays(playbook, steps),
        mqtt=mqtt,
        influx=influx,
        store=store,
        own_profiles=own_profiles.texts,
        wearers=wearers,
        not_built=tuple(sorted(_NOT_BUILT & raw.keys())),
    )


def _store(raw: dict[str, Any], problems: list[Problem]) -> StoreTable:
    store = optional_table(raw, "store", StoreTable, problems) or StoreTable()
    if store.free_disk_floor_mb < store.ballast_mb:
        reason = "must be at least ballast_mb: readings would take the room kept for alarms"
        problems.append(Problem("store.free_disk_floor_mb", reason))
    return store


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
    return value if isinstance(value, str | int | float | bool) else str(value)


def _from_files(
    policy: Policy | None, steps: PlaybookFile | None, own_profiles: OwnProfiles
) -> dict[str, Any]:
    """Return what other files say, so that the hash changes with them."""
    said = {"policy file": policy, "playbook file": steps}
    told = {name: msgspec.to_builtins(of) for name, of in said.items() if of is not None}
    if own_profiles.used:
        # as text: no key of a profile is a path of ours that the hash leaves out
        told["own profiles"] = rfc8785.dumps(_plain(own_profiles.used)).decode()
    return told


def _site(table: SiteTable, problems: list[Problem]) -> Site:
    try:
        ZoneInfo(table.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(Problem("site.timezone", f"unknown time zone {table.timezone!r}"))
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


def _devices(
    raw: dict[str, Any],
    stations: Mapping[str, Station],
    own_profiles: OwnProfiles,
    problems: list[Problem],
) -> list[tuple[str, Device]]:
    """Return (path, device) of each `[[device]]` that can be understood."""
    entries = raw.get("device", [])
    if not isinstance(entries, list):
        problems.append(Problem("device", "write it as a list of tables: [[device]]"))
        return []
    resolved = []
    for index, entry in enumerate(entries):
        path = f"device[{index}]"
        resolved.append((path, resolve_device(entry, path, stations, own_profiles, problems)))
    present = [(path, device) for path, device in resolved if device is not None]
    check_unique(((path, device.id) for path, device in present), problems)
    return present


def _channels(
    devices: list[tuple[str, Device]], problems: list[Problem]
) -> dict[ChannelKey, Channel]:
    channels: dict[ChannelKey, Channel] = {}
    for path, device in devices:
        for channel in device.channels:
            taken = channels.setdefault(channel.key, channel)
            if taken.device != device.id:
                reason = f"channel {channel.id!r} of station {channel.station} is taken by "
                problems.append(Problem(path, reason + taken.device))
    return channels


def _policy(
    raw: Mapping[str, Any], path: Path, problems: list[Problem]
) -> tuple[Policy | None, Policy | None]:
    """Return the policy with the site's choices, and once more where it is a file of its own."""
    table = optional_table(raw, "alarms", AlarmsTable, problems) or AlarmsTable()
    try:
        policy = load_policy(
            table.policy,
            folder=path.parent,
            jurisdiction=table.jurisdiction,
            overrides=table.overrides,
        )
    except ConfigError as error:
        problems += [Problem(_printable(f"alarms.{p.path}"), p.reason) for p in error.problems]
        return None, None
    for index, signed in enumerate(table.signed):
        _check_signature(signed, f"alarms.signed[{index}]", problems)
    chosen = msgspec.structs.replace(policy, signed=policy.signed + table.signed)
    return chosen, None if table.policy == BUILT_IN else policy


def _printable(path: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in path)


def _check_signature(signed: Signature, path: str, problems: list[Problem]) -> None:
    if signed.agent not in AGENTS:
        problems.append(Problem(f"{path}.agent", f"no such agent {signed.agent!r}"))
        return
    keys = [row_key(row) for row in alarming_rows(signed.agent)]
    if signed.level != ALL_ROWS and signed.level not in keys:
        reason = f"{signed.agent} has no row {signed.level!r}; it has {', '.join(keys) or 'none'}"
        problems.append(Problem(f"{path}.level", reason))


def _steps(table: PlaybookTable | None, path: Path, problems: list[Problem]) -> PlaybookFile | None:
    if table is None:
        return None
    if table.date and table.valid_until and table.valid_until < table.date:
        problems.append(Problem("playbook.valid_until", "ends before it begins"))
    return read_steps(table, path.parent, problems)


def _data_dir(written: str, path: Path, problems: list[Problem]) -> Path | None:
    try:
        return path.parent / Path(written).expanduser()
    except RuntimeError as error:
        problems.append(Problem("gateway.data_dir", str(error)))
        return None


def _sink(
    raw: Mapping[str, Any], name: str, kind: type[SinkT], path: Path, problems: list[Problem]
) -> SinkT | None:
    """Return the table of a sink; the paths of its files start at the site file."""
    table = optional_table(raw, name, kind, problems)
    if table is None:
        return None
    files = {
        key: str(path.parent / value)
        for key in kind.__struct_fields__
        if key.endswith("_file") and (value := getattr(table, key)) is not None
    }
    return msgspec.structs.replace(table, **files)


def _check_sinks(
    gateway: str, mqtt: MqttTable | None, influx: InfluxTable | None, problems: list[Problem]
) -> None:
    """Judge addresses and what belongs together; no secret is read for it."""
    without = {"username_file": None, "password_file": None}
    try:
        if mqtt is not None:
            unread = msgspec.structs.replace(mqtt, **without)
            mqtt_settings.settings_from_table(unread, gateway, {})
    except ConfigError as error:
        problems += error.problems
    try:
        if influx is not None:
            unread_influx = msgspec.structs.replace(influx, token_file=None, **without)
            influx_settings.settings_from_table(unread_influx, {})
    except ConfigError as error:
        problems += error.problems


def _simulated_marks(raw: Mapping[str, Any]) -> list[Problem]:
    reason = "only demo and exercise write this mark; a real instrument is never simulated"
    devices = raw.get("device", [])
    return [
        Problem(f"device[{index}].simulated", reason)
        for index, device in enumerate(devices if isinstance(devices, list) else [])
        if isinstance(device, dict) and "simulated" in device
    ]
