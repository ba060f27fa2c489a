"""Devices and channels: a profile, overridden by what the site knows better."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cbrn_core.channel import T90_PER_TAU, Channel, Device, Grade, Technology
from cbrn_core.errors import ConfigError, Problem
from cbrn_core.place import Station
from cbrn_drivers.catalogue import channel_ids, load_driver, load_profile, parse_options
from cbrn_drivers.profile import Profile
from cbrn_gateway.config.structs import ChannelTable, DeviceTable
from cbrn_gateway.config.tables import convert_table

EXTERNAL = "external"
_COMMON_KEYS = frozenset(DeviceTable.__struct_fields__)


def resolve_device(
    raw: object, path: str, stations: Mapping[str, Station], problems: list[Problem]
) -> Device | None:
    """Return one `[[device]]` with its channels; problems are added under their paths."""
    if not isinstance(raw, dict):
        problems.append(Problem(path, "write it as a table"))
        return None
    common = {key: value for key, value in raw.items() if key in _COMMON_KEYS}
    options = {key: value for key, value in raw.items() if key not in _COMMON_KEYS}
    table = convert_table(common, DeviceTable, path, problems)
    if table is None:
        return None
    if table.station not in stations:
        problems.append(Problem(f"{path}.station", f"there is no station {table.station!r}"))
    if table.driver == EXTERNAL:
        return _external(table, options, path, problems)
    return _from_profile(table, options, path, problems)


def _external(
    table: DeviceTable, options: dict[str, Any], path: str, problems: list[Problem]
) -> Device | None:
    problems += [Problem(f"{path}.{key}", "an external device has no such key") for key in options]
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
    table: DeviceTable, options: dict[str, Any], path: str, problems: list[Problem]
) -> Device | None:
    try:
        profile, driver_key = _profile_of(table.driver)
        driver = load_driver(driver_key)
    except ConfigError as error:
        problems += [Problem(f"{path}.driver", p.reason) for p in error.problems]
        return None
    try:
        parsed = parse_options(driver, options)
    except ConfigError as error:
        problems += [_option_problem(path, p) for p in error.problems]
        return None
    grade = table.grade or profile.grade
    present = channel_ids(driver, parsed, profile)
    bases = [
        profile.channel(channel_id).as_channel(
            station=table.station, device=table.id, grade=grade, simulated=table.simulated
        )
        for channel_id in present
    ]
    channels = _with_site_knowledge(table, bases, path, problems)
    bus = f"{driver_key}:{driver.bus_key(parsed)}"
    return Device(
        id=table.id,
        station=table.station,
        driver=driver_key,
        profile=profile.name,
        bus=bus,
        channels=tuple(channels),
        options=options,
        grade=grade,
        simulated=table.simulated,
        period_s=table.period_s,
    )


def _profile_of(driver: str) -> tuple[Profile, str]:
    if driver.startswith("profile:"):
        profile = load_profile(driver.removeprefix("profile:"))
        return profile, profile.driver
    return load_profile(load_driver(driver).PROFILE), driver


def _option_problem(path: str, problem: Problem) -> Problem:
    reason, _, where = problem.reason.partition(" - at `$")
    return Problem(f"{path}{where.rstrip('`')}", reason)


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
    if entry.also_answers_to is not None:
        changes["also_answers_to"] = {q.value: ratio for q, ratio in entry.also_answers_to.items()}
    return msgspec.structs.replace(base, **changes)
