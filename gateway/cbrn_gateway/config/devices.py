"""Devices and channels: a profile, overridden by what the site knows better."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec

from cbrn_core.channel import T90_PER_TAU, Background, Channel, Device, Grade, Technology
from cbrn_core.errors import ConfigError, Problem
from cbrn_core.place import Station
from cbrn_core.times import datetime_to_us, parse_rfc3339
from cbrn_drivers.catalogue import channel_ids, load_driver, load_profile, parse_options
from cbrn_drivers.profile import Profile
from cbrn_gateway.config.own_profiles import OwnProfiles
from cbrn_gateway.config.structs import ChannelTable, DeviceTable
from cbrn_gateway.config.tables import check_unique, convert_table, key_path, problem_at

EXTERNAL = "external"
_PROFILE = "profile:"
_COMMON_KEYS = frozenset(DeviceTable.__struct_fields__)


def resolve_device(
    raw: object,
    path: str,
    stations: Mapping[str, Station],
    own_profiles: OwnProfiles,
    problems: list[Problem],
) -> Device | None:
    """Return one `[[device]]` with its channels; problems are added under their paths."""
    if not isinstance(raw, dict):
        problems.append(Problem(path, "write it as a table"))
        return None
    common = {key: value for key, value in raw.items() if key in _COMMON_KEYS}
    options = {key: value for key, value in raw.items() if key not in _COMMON_KEYS}
    table = convert_table(_with_written_times(common), DeviceTable, path, problems)
    if table is None:
        return None
    check_unique(((f"{path}.channel[{i}]", c.id) for i, c in enumerate(table.channel)), problems)
    if table.station not in stations:
        problems.append(Problem(f"{path}.station", f"there is no station {table.station!r}"))
    if table.driver == EXTERNAL:
        return _external(table, options, path, problems)
    return _from_profile(table, options, path, own_profiles, problems)


def _external(
    table: DeviceTable, options: dict[str, Any], path: str, problems: list[Problem]
) -> Device | None:
    problems += [
        Problem(key_path(path, key), "an external device has no such key") for key in options
    ]
    grade = table.grade or Grade.PROFESSIONAL
    channels = []
    for index, entry in enumerate(table.channel):
        where = f"{path}.channel[{index}]"
        if entry.quantity is None or entry.unit is None:
            missing = "quantity" if entry.quantity is None else "unit"
            problems.append(Problem(f"{where}.{missing}", "an external channel needs it"))
            continue
        base = Channel(
            station=table.station,
            id=entry.id,
            device=table.id,
            quantity=entry.quantity,
            unit=entry.unit,
            grade=grade,
            technology=entry.technology or Technology.OTHER,
            simulated=table.simulated,
            period_s=table.period_s,
        )
        channels.append(_overridden(base, entry, where, problems))
    if not table.channel:
        problems.append(Problem(f"{path}.channel", "an external device needs its channels"))
    return Device(
        id=table.id,
        station=table.station,
        driver=EXTERNAL,
        profile=None,
        bus=f"external:{table.id}",
        channels=tuple(channels),
        grade=grade,
        simulated=table.simulated,
        period_s=table.period_s,
    )


def _from_profile(
    table: DeviceTable,
    options: dict[str, Any],
    path: str,
    own_profiles: OwnProfiles,
    problems: list[Problem],
) -> Device | None:
    try:
        profile = _profile_of(table.driver, own_profiles)
        if profile is None:
            return None
        driver_key = profile.driver if table.driver.startswith(_PROFILE) else table.driver
        driver = load_driver(driver_key)
    except ConfigError as error:
        problems += [Problem(f"{path}.driver", p.reason) for p in error.problems]
        return None
    try:
        parsed = parse_options(driver, options)
    except ConfigError as error:
        problems += [problem_at(path, p.reason) for p in error.problems]
        return None
    try:
        present = channel_ids(driver, parsed, profile)
        _refuse_unknown_channels(present, profile)
    except ConfigError as error:
        problems += [Problem(f"{path}.{p.path}", p.reason) for p in error.problems]
        return None
    grade = table.grade or profile.grade
    bases = [
        profile.channel(channel_id).as_channel(
            station=table.station, device=table.id, grade=grade, simulated=table.simulated
        )
        for channel_id in present
    ]
    return Device(
        id=table.id,
        station=table.station,
        driver=driver_key,
        profile=profile.name,
        bus=f"{driver_key}:{driver.bus_key(parsed)}",
        channels=tuple(_with_site_knowledge(table, bases, path, problems)),
        options=options,
        own_profile=own_profiles.used.get(profile.name, {}),
        grade=grade,
        simulated=table.simulated,
        period_s=table.period_s,
    )


def _profile_of(driver: str, own_profiles: OwnProfiles) -> Profile | None:
    if driver.startswith(_PROFILE):
        return own_profiles.find(driver.removeprefix(_PROFILE))
    return load_profile(load_driver(driver).PROFILE)


def _refuse_unknown_channels(present: Iterable[str], profile: Profile) -> None:
    known = [channel.id for channel in profile.channels]
    missing = [channel_id for channel_id in present if channel_id not in known]
    if missing:
        reason = f"{profile.name} has no channel {missing[0]!r}, which this instrument has"
        raise ConfigError([Problem("driver", reason)])


def _with_site_knowledge(
    table: DeviceTable, bases: list[Channel], path: str, problems: list[Problem]
) -> list[Channel]:
    present = {base.id for base in bases}
    overrides = {entry.id: (index, entry) for index, entry in enumerate(table.channel)}
    for channel_id, (index, _) in overrides.items():
        if channel_id not in present:
            reason = f"no channel {channel_id!r} here; there are {', '.join(sorted(present))}"
            problems.append(Problem(f"{path}.channel[{index}].id", reason))
    channels = []
    for plain in bases:
        base = plain
        if table.period_s is not None:
            base = msgspec.structs.replace(base, period_s=table.period_s)
        if base.id in overrides:
            index, entry = overrides[base.id]
            base = _overridden(base, entry, f"{path}.channel[{index}]", problems)
        channels.append(base)
    return channels


def _overridden(base: Channel, entry: ChannelTable, where: str, problems: list[Problem]) -> Channel:
    changes = {
        name: value
        for name in ChannelTable.__struct_fields__
        if name not in {"id", "t90_s"} and (value := getattr(entry, name)) is not None
    }
    if entry.t90_s is not None:
        if entry.tau_rise_s is not None or entry.tau_fall_s is not None:
            problems.append(Problem(f"{where}.t90_s", "give t90_s or the time constants, not both"))
        tau_s = entry.t90_s / T90_PER_TAU
        changes |= {"tau_rise_s": tau_s, "tau_fall_s": tau_s}
    if entry.range is not None and entry.range[0] >= entry.range[1]:
        problems.append(Problem(f"{where}.range", "the lower end is not below the upper end"))
    if entry.background is not None:
        _check_background(entry.background, f"{where}.background", problems)
    if entry.also_answers_to is not None:
        changes["also_answers_to"] = {q.value: ratio for q, ratio in entry.also_answers_to.items()}
    return msgspec.structs.replace(base, **changes)


def _check_background(background: Background, where: str, problems: list[Problem]) -> None:
    if background.value < 0 or background.sigma < 0:
        problems.append(Problem(where, "value and sigma are not below zero"))
    times_us = []
    for name, text in (("from", background.since), ("until", background.until)):
        try:
            times_us.append(_day_or_time_us(text))
        except (ValueError, OverflowError):
            reason = f"{text!r} is neither a day nor a time with an offset (2026-05-01T06:00:00Z)"
            problems.append(Problem(f"{where}.{name}", reason))
    if len(times_us) == 2 and times_us[0] >= times_us[1]:
        problems.append(Problem(f"{where}.until", "ends before it begins"))


def _day_or_time_us(text: str) -> int:
    with suppress(ValueError):
        return datetime_to_us(datetime.combine(date.fromisoformat(text), time(), UTC))
    return parse_rfc3339(text)


def _with_written_times(table: dict[str, Any]) -> dict[str, Any]:
    """Return a device's table with TOML's own times as text, as the types want them."""
    channels = table.get("channel")
    if not isinstance(channels, list):
        return table
    return table | {"channel": [_with_written_background(entry) for entry in channels]}


def _with_written_background(entry: object) -> object:
    background = entry.get("background") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(background, dict):
        return entry
    written = {
        key: value.isoformat() if isinstance(value, date) else value
        for key, value in background.items()
    }
    return entry | {"background": written}
