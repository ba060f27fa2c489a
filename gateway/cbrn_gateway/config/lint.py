"""What a valid configuration may still hurt: findings with path, reason and a mend."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel
from cbrn_core.errors import Problem
from cbrn_core.quantities import Hazard, Quantity, canonical_unit, hazard_of
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.alarms.actions_types import Play
from cbrn_gateway.alarms.lint import lint as banned_words
from cbrn_gateway.alarms.rules.chemical_levels import chemical_levels
from cbrn_gateway.alarms.signatures import alarming_rows, is_signed, row_key
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.wires import wire_problems

STARTER_PLACE = (60.0, 10.0)
"""Where `init` puts its first station until a technician writes down the real place."""

_RENUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+$")
_LONGEST_SOCKET_PATH_BYTES = 107
_OTHERS_MAY_READ = 0o077
_RADIATION = frozenset({Quantity.GAMMA_COUNT_RATE, Quantity.GAMMA_DOSE_RATE})


class Finding(NamedTuple):
    """A problem and how bad it is: an error keeps a site from running, or out of service."""

    problem: Problem
    error: bool = False


def lint(config: SiteConfig, today: datetime.date) -> list[Finding]:
    """Return what a valid site file may still hurt on the day `today`; errors first."""
    errors = wire_problems(config) + list(_socket(config)) + unsigned_limits(config)
    rules = (_site, _places, _ports, _detectability, _backgrounds, _transport, _secrets)
    warnings = [problem for rule in rules for problem in rule(config)]
    warnings += _playbook(config, today)
    return [Finding(p, error=True) for p in errors] + [Finding(p) for p in warnings]


def unsigned_limits(config: SiteConfig) -> list[Problem]:
    """Return the limits that keep a site from going into service (safety 9)."""
    if not config.model.site.in_service:
        return []
    agents = {channel.quantity.value for channel in config.model.channels.values()}
    return [
        Problem("alarms.signed", _unsigned_text(agent_id, rows))
        for agent_id in sorted(agents & AGENTS.keys())
        if (rows := _unsigned_rows(config, agent_id))
    ]


def _unsigned_text(agent_id: str, rows: list[str]) -> str:
    return (
        f"{agent_id}: limit not signed off by the city ({', '.join(rows)}): the daemon starts "
        f'not in service and still alarms; sign with [[alarms.signed]] agent = "{agent_id}", '
        'level = "*" or one of these, by = "name, role", date = …'
    )


def _unsigned_rows(config: SiteConfig, agent_id: str) -> list[str]:
    override = config.policy.overrides.get(agent_id)
    if override is not None and override.signed_by is not None:
        return []
    signed = config.policy.signed
    return [row_key(row) for row in alarming_rows(agent_id) if not is_signed(agent_id, row, signed)]


def _socket(config: SiteConfig) -> Iterator[Problem]:
    octets = len(bytes(config.data_dir.absolute() / "control.sock"))
    if octets > _LONGEST_SOCKET_PATH_BYTES:
        reason = (
            f"the path of its control socket has {octets} bytes, a Unix socket at most "
            f"{_LONGEST_SOCKET_PATH_BYTES}: choose a shorter data_dir"
        )
        yield Problem("gateway.data_dir", reason)


def _site(config: SiteConfig) -> Iterator[Problem]:
    if not config.model.site.in_service:
        reason = (
            "the site is not in service: it alarms as actual and says so, and a standing "
            "technical alarm stays until in_service = true"
        )
        yield Problem("site.in_service", reason)
    if not config.model.site.standing_cordon_m:
        reason = "no standing cordon: where no area may be drawn, responders get stations only"
        yield Problem("site.standing_cordon_m", reason)
    if not config.model.devices:
        yield Problem("device", "no instrument yet: nothing is measured")
    for name in config.not_built:
        yield Problem(name, "this version reads the table but does not act on it yet")


def _places(config: SiteConfig) -> Iterator[Problem]:
    if not config.model.zones:
        reason = "no zones: alarms cannot say which part of the square they concern"
        yield Problem("zone", reason)
    for index, station in enumerate(config.model.stations.values()):
        place = station.position
        if config.model.zones and station.zone is None and not station.mobile:
            reason = "no zone: its alarms cannot say which part of the square they concern"
            yield Problem(f"station[{index}].zone", reason)
        if place is not None and (place.lat, place.lon) == STARTER_PLACE:
            reason = "still the place that init wrote: alarms would be drawn there"
            yield Problem(f"station[{index}].position", reason)


def _ports(config: SiteConfig) -> Iterator[Problem]:
    for index, device in enumerate(config.model.devices.values()):
        port = device.options.get("port")
        if isinstance(port, str) and _RENUMBERED.match(port):
            reason = f"{port} renumbers when plugged anew: use /dev/serial/by-id/…"
            yield Problem(f"device[{index}].port", reason)


def _detectability(config: SiteConfig) -> Iterator[Problem]:
    for index, device in enumerate(config.model.devices.values()):
        for channel in device.channels:
            if hazard_of(channel.quantity) is Hazard.CHEMICAL:
                yield from _blind(channel, f"device[{index}].channel {channel.id}", config)


def _blind(channel: Channel, where: str, config: SiteConfig) -> Iterator[Problem]:
    unit = canonical_unit(channel.quantity)
    level = chemical_levels(channel.quantity.value, unit, config.policy).level
    if level is None:
        return
    level_text = f"{level.words} {level.setpoint:g} {unit}"
    detects_from = channel.lod
    if detects_from is None and channel.sigma is not None:
        detects_from = max(3 * channel.sigma, channel.resolution)
    lod = _canonical(detects_from, channel, unit)
    if lod is not None and lod > level.setpoint:
        reason = f"detects from {lod:g} {unit}, above {level_text}: not detectable here"
        yield Problem(f"{where}.lod", reason)
    top = _canonical(None if channel.range is None else channel.range[1], channel, unit)
    if top is not None and top < level.setpoint:
        reason = f"ends at {top:g} {unit}, below {level_text}: the level is never reached"
        yield Problem(f"{where}.range", reason)


def _canonical(value: float | None, channel: Channel, unit: Unit) -> float | None:
    if value is None:
        return None
    mass = AGENTS[channel.quantity].molar_mass_g_mol if channel.quantity in AGENTS else None
    try:
        return convert(value, channel.unit, unit, molar_mass_g_mol=mass)
    except UnitError:
        return None


def _backgrounds(config: SiteConfig) -> Iterator[Problem]:
    if not config.model.site.in_service:
        return
    for index, device in enumerate(config.model.devices.values()):
        station = config.model.stations.get(device.station)
        for channel in device.channels:
            is_fixed = station is not None and not station.mobile
            if is_fixed and channel.quantity in _RADIATION and channel.background is None:
                where = f"device[{index}].channel {channel.id}.background"
                yield Problem(where, "background not commissioned: learnt anew at each start")


def _transport(config: SiteConfig) -> Iterator[Problem]:
    if not config.model.site.in_service:
        return
    if config.mqtt is None:
        yield Problem("mqtt", "in service without a broker: no control room hears an alarm")
    elif not config.mqtt.url.startswith("mqtts://"):
        yield Problem("mqtt.url", "in service without TLS: use mqtts:// and ca_file")
    if config.mqtt is not None and not config.mqtt.socs:
        reason = "no control room is named: the path to none of them is proven"
        yield Problem("mqtt.socs", reason)
    if config.influx is not None and not config.influx.url.startswith("https://"):
        yield Problem("influx.url", "in service without TLS: use https://")


def _secrets(config: SiteConfig) -> Iterator[Problem]:
    for name, table in (("mqtt", config.mqtt), ("influx", config.influx)):
        for key in table.__struct_fields__ if table is not None else ():
            written = getattr(table, key) if key.endswith("_file") else None
            if written is not None:
                yield from _secret(Path(written), name, key)


_PUBLIC_FILES = frozenset({"ca_file", "crl_file", "cert_file"})
_READ_AT_EACH_CONNECTION = _PUBLIC_FILES | {"key_file"}


def _secret(file: Path, table: str, key: str) -> Iterator[Problem]:
    where = f"{table}.{key}"
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError):
        later = key in _READ_AT_EACH_CONNECTION
        then = "there is no link until it is" if later else "the daemon stops without it"
        yield Problem(where, f"{file} is not on this machine: {then}")
        return
    if key not in _PUBLIC_FILES and mode & _OTHERS_MAY_READ:
        yield Problem(where, f"others may read {file}: chmod 600 it")


def _playbook(config: SiteConfig, today: datetime.date) -> list[Problem]:
    problems = list(_playbook_words(config))
    if not config.model.site.in_service:
        return problems
    example = "EXAMPLE – not approved by your service"
    table = config.playbook
    lacks = ["approved_by", "role", "date", "valid_until"] if table is None else table.lacks()
    if table is None or lacks:
        problems.append(Problem("playbook", f"{example}: it lacks {', '.join(lacks)}"))
    elif table.valid_until is not None and table.valid_until < today:
        reason = f"the approval ended on {table.valid_until}: it counts as {example}"
        problems.append(Problem("playbook.valid_until", reason))
    elif table.date is not None and table.date > today:
        reason = f"the approval begins on {table.date}: until then {example}"
        problems.append(Problem("playbook.date", reason))
    missing = sorted(set(Play) - config.approved.keys())
    if table is not None and not lacks and missing:
        problems.append(Problem("playbook.file", f"{example}: no steps for {', '.join(missing)}"))
    return problems


def _playbook_words(config: SiteConfig) -> Iterator[Problem]:
    """A city's own words are its own, but what no machine may say should be no oversight."""
    for play, approved in config.approved.items():
        for number, step in enumerate(approved.steps or (), start=1):
            for violation in banned_words(step.text, config.language):
                reason = (
                    f"step {number} says “{violation.word}”, which the gateway itself never does"
                )
                yield Problem(f"playbook.file {play}", reason)
