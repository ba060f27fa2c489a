"""Devices that share a wire: found and judged before anything is opened."""

from collections.abc import Iterable

import msgspec

from cbrn_core.channel import Channel, Device, Grade
from cbrn_core.clock import ManualClock
from cbrn_core.errors import ConfigError, Problem
from cbrn_drivers.catalogue import load_driver
from cbrn_gateway.config.devices import EXTERNAL
from cbrn_gateway.config.site_config import SiteConfig


def devices_by_bus(devices: Iterable[Device]) -> dict[str, list[Device]]:
    """Return the devices that have a wire, grouped by it, in the order of the site file."""
    buses: dict[str, list[Device]] = {}
    for device in devices:
        if device.driver != EXTERNAL:
            buses.setdefault(device.bus, []).append(device)
    return buses


def wirings(devices: Iterable[Device]) -> dict[str, tuple[Device, ...]]:
    """Return each wire's devices, without what only the gateway judges by (noise, limits …).

    Where these are equal in two configurations, the wire's driver need not be touched.
    """
    buses = devices_by_bus(devices)
    return {name: tuple(_as_wired(device) for device in group) for name, group in buses.items()}


def _as_wired(device: Device) -> Device:
    channels = tuple(
        Channel(
            station=c.station,
            id=c.id,
            device=c.device,
            quantity=c.quantity,
            unit=c.unit,
            simulated=c.simulated,
            range=c.range,
            resolution=c.resolution,
            period_s=c.period_s,
            counting=c.counting,
        )
        for c in device.channels
    )
    return msgspec.structs.replace(device, channels=channels, grade=Grade.PROFESSIONAL)


def wire_problems(config: SiteConfig) -> list[Problem]:
    """Return what keeps a wire from being opened: one port twice, one unit id twice, too busy."""
    places = {device_id: f"device[{i}]" for i, device_id in enumerate(config.model.devices)}
    problems = []
    for group in devices_by_bus(config.model.devices.values()).values():
        try:
            load_driver(group[0].driver).open_bus(group, ManualClock())
        except ConfigError as error:
            problems += [_placed(problem, places, group) for problem in error.problems]
    return problems + _shared_ports(config, places)


def _placed(problem: Problem, places: dict[str, str], group: list[Device]) -> Problem:
    """Return a driver's problem under the path that the site file has for it."""
    word, _, rest = problem.path.partition(" ")
    if word == "device" and rest:
        device_id, dot, key = rest.partition(".")
        return Problem(places.get(device_id, problem.path) + dot + key, problem.reason)
    last = places[group[-1].id]
    key = "port" if problem.path == "device" else problem.path
    return Problem(f"{last}.{key}", problem.reason)


def _shared_ports(config: SiteConfig, places: dict[str, str]) -> list[Problem]:
    """Two drivers cannot have one serial port, even where each would be content alone."""
    owners: dict[str, Device] = {}
    problems = []
    for device in config.model.devices.values():
        port = device.options.get("port")
        if not isinstance(port, str) or device.driver == EXTERNAL:
            continue
        owner = owners.setdefault(port, device)
        if owner.driver != device.driver:
            reason = f"{port} is taken by {owner.id}, which another driver reads"
            problems.append(Problem(f"{places[device.id]}.port", reason))
    return problems
