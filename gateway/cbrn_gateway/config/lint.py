"""What a valid configuration may still hurt: warnings with path, reason and a mend."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from cbrn_core.agents import AGENTS, extreme_limit, priority_1_limit
from cbrn_core.channel import Channel
from cbrn_core.errors import Problem
from cbrn_core.quantities import Hazard, canonical_unit, hazard_of
from cbrn_core.units import UnitError, convert
from cbrn_gateway.alarms.actions import playbook_status
from cbrn_gateway.config.site_config import SiteConfig

_RENUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+$")


class Finding(NamedTuple):
    """A problem and how bad it is: an error keeps a site out of service, never silent."""

    problem: Problem
    error: bool = False


def lint(config: SiteConfig) -> list[Finding]:
    """Return what a valid site file may still hurt."""
    rules = (_site, _ports, _zones, _detectability, _transport, _playbook)
    warnings = [Finding(problem) for rule in rules for problem in rule(config)]
    return warnings + [Finding(problem, error=True) for problem in unsigned_limits(config)]


def unsigned_limits(config: SiteConfig) -> list[Problem]:
    """Return the limits that keep a site from going into service (safety 9)."""
    if not config.model.site.in_service:
        return []
    agents = {channel.quantity.value for channel in config.model.channels.values()}
    reason = "limit not signed off by the city: the daemon starts not in service and still alarms"
    return [
        Problem(f"alarms.overrides.{agent_id}", reason)
        for agent_id in sorted(agents)
        if _needs_signature(agent_id)
    ]


def _needs_signature(agent_id: str) -> bool:
    rows = (priority_1_limit(agent_id), extreme_limit(agent_id))
    return any(row is not None and row.needs_signature for row in rows)


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
    for name in config.not_built:
        yield Problem(name, "this version reads the table but does not act on it yet")


def _ports(config: SiteConfig) -> Iterator[Problem]:
    for device in config.model.devices.values():
        port = device.options.get("port")
        if isinstance(port, str) and _RENUMBERED.match(port):
            reason = f"{port} renumbers when plugged anew: use /dev/serial/by-id/…"
            yield Problem(f"device {device.id}.port", reason)


def _zones(config: SiteConfig) -> Iterator[Problem]:
    for station in config.model.stations.values():
        if station.zone is None:
            reason = "no zone: its alarms cannot say which part of the square they concern"
            yield Problem(f"station {station.id}.zone", reason)


def _detectability(config: SiteConfig) -> Iterator[Problem]:
    for channel in config.model.channels.values():
        if hazard_of(channel.quantity) is not Hazard.CHEMICAL or channel.lod is None:
            continue
        where = f"station {channel.station}, channel {channel.id}.lod"
        alarm = priority_1_limit(channel.quantity)
        if alarm is None or alarm.value is None:
            continue
        lod, value = _lod_canonical(channel), alarm.value
        if lod is not None and lod > value:
            reason = (
                f"detects from {channel.lod:g} {channel.unit}, above the alarm level "
                f"{alarm.name} {value:g} {alarm.unit}: this level is not detectable here"
            )
            yield Problem(where, reason)


def _lod_canonical(channel: Channel) -> float | None:
    mass = AGENTS[channel.quantity].molar_mass_g_mol
    target = canonical_unit(channel.quantity)
    try:
        return convert(channel.lod or 0.0, channel.unit, target, molar_mass_g_mol=mass)
    except UnitError:
        return None


def _transport(config: SiteConfig) -> Iterator[Problem]:
    if not config.model.site.in_service:
        return
    if config.mqtt is None:
        yield Problem("mqtt", "in service without a broker: no control room hears an alarm")
    elif not config.mqtt.url.startswith("mqtts://"):
        yield Problem("mqtt.url", "in service without TLS: use mqtts:// and ca_file")
    if config.influx is not None and not config.influx.url.startswith("https://"):
        yield Problem("influx.url", "in service without TLS: use https://")


def _playbook(config: SiteConfig) -> Iterator[Problem]:
    if config.model.site.in_service and playbook_status().approved_by is None:
        yield Problem("playbook", "EXAMPLE – not approved by your service")
