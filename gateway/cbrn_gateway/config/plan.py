"""What a new configuration changes: shown before it is applied, told when it was. Pure."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.rulebook import RuleBook
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.wires import wirings
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_gateway.pipeline.fusion_stage import filter_models
from cbrn_gateway.pipeline.intake import Intake

_SINKS = ("mqtt", "influx")
_AT_NEXT_START = ("store",)
_LONGEST_VALUE = 80


class Did(StrEnum):
    """What happened to a part of the configuration."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference; of a part that was added or removed `path` names the whole."""

    path: str
    did: Did
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.did is Did.ADDED:
            return f"+ {self.path}: {self.after}"
        if self.did is Did.REMOVED:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} → {self.after}"


class Move(msgspec.Struct, frozen=True):
    """A wire or a sink that starts (added), ends (removed) or starts anew (changed)."""

    name: str
    did: Did
    devices: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = {Did.ADDED: "starts", Did.REMOVED: "ends", Did.CHANGED: "starts anew"}[self.did]
        return f"{self.name} {words}" + (f" ({', '.join(self.devices)})" if self.devices else "")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """From one configuration to the next.

    Attributes:
        wires, sinks: what starts, ends or starts anew; all others are not touched.
        filters_anew, rules_anew: "station/channel" of channels that go on, whose filter
            learns from nothing, and that are judged by other rules.
        kept: how many channels go on just as they are.
        at_next_start: changes that only the next start of the daemon acts on.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    wires: tuple[Move, ...]
    sinks: tuple[Move, ...]
    filters_anew: tuple[str, ...]
    rules_anew: tuple[str, ...]
    kept: int
    at_next_start: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Return whether nothing changes."""
        return not self.changes and self.before == self.after

    def lines(self) -> Iterator[str]:
        """Return the plan for people, line by line."""
        if self.is_empty:
            yield "nothing changes"
            return
        yield f"configuration {self.before[:12]} → {self.after[:12]}"
        for change in self.changes:
            yield f"  {change}"
        for move in (*self.wires, *self.sinks):
            yield f"  {move}"
        for key in self.filters_anew:
            yield f"  {key}: its filter starts anew"
        for key in self.rules_anew:
            yield f"  {key}: judged by other rules; its open alarms stay"
        for path in self.at_next_start:
            yield f"  {path}: from the next start of the daemon on"
        yield f"  {self.kept} channels go on untouched"


def plan(before: SiteConfig, after: SiteConfig) -> Plan:
    """Return what changes between two configurations of one gateway."""
    changes = tuple(_changes(before, after))
    filters_anew, rules_anew = _anew(before.model, after.model, before, after)
    staying = before.model.channels.keys() & after.model.channels.keys()
    paths = [change.path for change in changes]
    return Plan(
        before=before.model.config_hash,
        after=after.model.config_hash,
        changes=changes,
        wires=tuple(_wires(before, after)),
        sinks=tuple(_sinks(before, after)),
        filters_anew=_names(filters_anew),
        rules_anew=_names(rules_anew),
        kept=len(staying - filters_anew - rules_anew),
        at_next_start=tuple(p for p in paths if p.partition(".")[0] in _AT_NEXT_START),
    )


def _changes(before: SiteConfig, after: SiteConfig) -> Iterator[Change]:
    old, new = _parts(before), _parts(after)
    for name in (*old, *(part for part in new if part not in old)):
        if name not in new:
            yield Change(name, Did.REMOVED, before=_summary(old[name]))
        elif name not in old:
            yield Change(name, Did.ADDED, after=_summary(new[name]))
        elif old[name] != new[name]:
            yield from _differences(name, _flat(old[name]), _flat(new[name]))


def _parts(config: SiteConfig) -> dict[str, dict[str, Any]]:
    """Return the parts that may be added or removed, by path, each as plain values."""
    model, plain = config.model, msgspec.to_builtins
    gateway = {
        "config_trial_s": config.config_trial_s,
        "clock_kept_by_host": config.clock_kept_by_host,
    }
    parts = {"gateway": gateway, "site": plain(model.site)}
    parts["site"]["language"] = config.language.value
    parts |= {f"zone.{zone.id}": plain(zone) for zone in model.zones.values()}
    parts |= {f"station.{station.id}": plain(station) for station in model.stations.values()}
    for device in model.devices.values():
        table = plain(device)
        own = {key: table[key] for key in table if key not in {"id", "channels", "options", "bus"}}
        channels = ", ".join(channel.id for channel in device.channels)
        parts[f"device.{device.id}"] = own | table["options"] | {"channels": channels}
    for channel in model.channels.values():
        table = plain(channel)
        del table["station"], table["id"]
        parts[f"channel.{channel.station}/{channel.id}"] = table
    parts["alarms"] = plain(config.policy)
    tables = {"playbook": config.playbook, "mqtt": config.mqtt, "influx": config.influx}
    parts |= {name: plain(table) for name, table in tables.items() if table is not None}
    parts["store"] = plain(config.store)
    parts["steps"] = {play.value: plain(steps) for play, steps in config.approved.items()}
    parts |= {f"wearer.{wearer.pseudonym}": plain(wearer) for wearer in config.wearers}
    return parts


def _flat(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{path}.{key}" if path else str(key)
        flat |= _flat(value, where) if isinstance(value, dict) else {where: value}
    return flat


def _differences(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield Change(f"{name}.{key}", Did.CHANGED, _written(old), _written(new))


def _summary(part: Mapping[str, Any]) -> str:
    said = [f"{key} {_written(v)}" for key, v in _flat(part).items() if v not in (None, "", [], ())]
    return ", ".join(said[:4])


def _written(value: object) -> str:
    if value is None:
        return "not set"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _wires(before: SiteConfig, after: SiteConfig) -> Iterator[Move]:
    old = wirings(before.model.devices.values())
    new = wirings(after.model.devices.values())
    for name in (*old, *(wire for wire in new if wire not in old)):
        if old.get(name) != new.get(name):
            devices = new.get(name) or old[name]
            yield Move(f"bus {name}", _did(old, new, name), tuple(device.id for device in devices))


def _sinks(before: SiteConfig, after: SiteConfig) -> Iterator[Move]:
    old = {name: t for name in _SINKS if (t := getattr(before, name)) is not None}
    new = {name: t for name in _SINKS if (t := getattr(after, name)) is not None}
    for name in _SINKS:
        if old.get(name) != new.get(name):
            yield Move(f"sink {name}", _did(old, new, name))


def _did(old: Mapping[str, object], new: Mapping[str, object], name: str) -> Did:
    if name not in new:
        return Did.REMOVED
    return Did.CHANGED if name in old else Did.ADDED


def _anew(
    old: SiteModel, new: SiteModel, before: SiteConfig, after: SiteConfig
) -> tuple[set[ChannelKey], set[ChannelKey]]:
    """Return the staying channels whose filter, and whose rules, do not go on."""
    staying = old.channels.keys() & new.channels.keys()
    old_filters = filter_models(Intake(old, DropCounter()))
    new_filters = filter_models(Intake(new, DropCounter()))
    filters = {key for key in staying if old_filters.get(key) != new_filters.get(key)}
    changed = RuleBook(old, before.policy).reconfigure(new, after.policy)
    return filters, set(changed & staying)


def _names(keys: set[ChannelKey]) -> tuple[str, ...]:
    return tuple("/".join(key) for key in sorted(keys))
