"""Which versions of an alarm people are told in a terminal, and in which words."""

from typing import Any, NamedTuple

from cbrn_core.site_model import SiteModel
from cbrn_gateway.demo.tally import DIAGNOSTIC

STATE_WORDS = {
    "unack": "not acknowledged",
    "ack": "acknowledged",
    "rtn_unack": "reading back, not acknowledged",
    "latched": "reading back, held until a person resolves it",
    "shelved": "shelved",
    "suppressed": "suppressed",
    "out_of_service": "out of service",
    "normal": "ended",
}
_CORROBORATION_WORDS = {
    "single": "one station, one technology",
    "network": "two or more stations that fit the wind",
    "instrument": "a second technology agrees",
    "person": "a named person",
}
_WATCHED = ("priority", "level", "scope", "certainty", "state")
NEW = "new alarm"
_SENTENCE_END = ". "
_INSTRUMENT = "Instrument shows"


class Card(NamedTuple):
    """One alert in plain words; `lines` are (label, words)."""

    priority: int
    heading: str
    what: str
    lines: tuple[tuple[str, str], ...]


class Newsroom:
    """Remembers what was told: an alarm is news when it rises or changes in kind, not in value."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Any]] = {}

    def news(self, alert: dict[str, Any]) -> str | None:
        """Return what is new about this version; None where only figures moved."""
        told = alert["properties"]
        if told["priority"] == DIAGNOSTIC:
            return None
        before = self._told.get(alert["id"])
        self._told[alert["id"]] = told
        if before is None:
            return NEW
        changes = [
            f"{name} {_word(name, before[name])} → {_word(name, told[name])}"
            for name in _WATCHED
            if before[name] != told[name]
        ]
        return "; ".join(changes) or None


def card(alert: dict[str, Any], news: str, model: SiteModel) -> Card:
    """Return an alert as it is told: what, where, how sure, since when, what to do first."""
    told = alert["properties"]
    sentences = told["text"].removesuffix(".").split(_SENTENCE_END)
    lines = [("where", where(alert, model))]
    if told["hazard"] != "technical":
        lines.insert(0, ("reads", _reads(sentences)))
        lines.append(("sure", _sure(told)))
    lines.append(("since", _since(sentences)))
    if told["actions"]:
        lines.append(("first", told["actions"][0]["text"]))
    if news != NEW:
        lines.insert(0, ("changed", news))
    kind = {"exercise": "EXERCISE", "test": "TEST"}.get(told["purpose"], "ACTUAL")
    rises = "new alarm" if news == NEW else "changed"
    return Card(
        priority=told["priority"],
        heading=f"PRIORITY {told['priority']}  {kind}  {told['kind']}, {rises}",
        what=sentences[0] + ".",
        lines=tuple((label, words) for label, words in lines if words),
    )


def where(alert: dict[str, Any], model: SiteModel) -> str:
    """Return where an alert was measured: station, zone, coordinates."""
    told = alert["properties"]
    station = model.stations.get(told["station"] or "")
    zone = model.zones.get(told["zone"] or "")
    names = []
    if station is not None:
        names.append(f"{station.id} {station.name}")
    if zone is not None:
        names.append(f"zone {zone.name}")
    if not names:
        return f"{model.site.name}, the whole site"
    position = None if station is None else station.position
    if position is not None:
        names.append(f"lat {position.lat:.6f} lon {position.lon:.6f}")
    elif alert["geometry"]["type"] == "Point":
        lon, lat = alert["geometry"]["coordinates"][:2]
        names.append(f"lat {lat:.6f} lon {lon:.6f}")
    return ", ".join(names)


def _reads(sentences: list[str]) -> str:
    return next((s for s in sentences if s.startswith(_INSTRUMENT)), "")


def _since(sentences: list[str]) -> str:
    said = next((s for s in sentences if s.startswith("Since ")), "")
    return said.removeprefix("Since ")


def _sure(told: dict[str, Any]) -> str:
    basis = _CORROBORATION_WORDS.get(told["corroboration"], "")
    return f"{told['certainty']} ({basis}); measured here, source unknown"


def _word(name: str, value: object) -> str:
    if name == "state":
        return STATE_WORDS.get(str(value), str(value))
    return "none" if value is None else str(value)
