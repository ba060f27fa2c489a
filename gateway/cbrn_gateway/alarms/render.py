"""An alarm as the alert message of contracts §4, and back again after a restart.

Pure: nothing of the wall clock, so live and replay write the same bytes. The journal
adds `epoch`, `seq`, `prev_hash` and `hash` to the properties, and fills `journal`.

What only the gateway needs to go on with an alarm lies under the extra property
`machine`; `alarm_from_alert` reads it back.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any, Literal

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import (
    Alarm,
    Condition,
    Corroboration,
    Event,
    Evidence,
    Priority,
)
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339, seconds_to_us
from cbrn_gateway.alarms.actions import ApprovedPlay, Instructions, Play, instructions
from cbrn_gateway.alarms.render_back import alarm_from_alert, is_json, machine_state
from cbrn_gateway.alarms.render_place import alert_geometry
from cbrn_gateway.alarms.texts import catalogue, describe, speaks_of_hazard
from cbrn_gateway.alarms.texts_prose import clipped
from cbrn_gateway.alarms.texts_types import Phrase
from cbrn_gateway.wire import (
    ActionStep,
    AgentCard,
    AlertFeature,
    AlertProperties,
    Candidate,
    HazardArea,
    JournalEvent,
    PlaybookMark,
    SourceEstimate,
    WirePriority,
)

__all__ = [
    "DEFAULT_PRESENTATION",
    "VALIDITY_S",
    "Picture",
    "Presentation",
    "alarm_from_alert",
    "mark_pending",
    "render_alert",
    "render_event",
    "rounded",
]

VALIDITY_S = 600.0
"""An alert not renewed for so long is to be shown as old; ten minutes for every priority."""

JOURNAL_PENDING = "pending"
_DIGITS = 6
_SAID_BY_THE_RULE = (
    "station",
    "channel",
    "agent",
    "scope",
    "corroboration",
    "certainty",
    "level",
    "basis",
    "setpoint",
    "value",
    "sigma",
    "unit",
    "instrument_value",
    "trend_per_min",
    "evidence",
    "missing",
    "cannot_see",
    "clears_when",
)
_HELD_BY_THE_MACHINE = ("version", "state", "annunciate", "acked_by", "note", "incident")
_REASON_LENGTH = 200


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What localisation found for the alarm's incident; None with the reason why not."""

    source: SourceEstimate | None = None
    source_reason: str | None = None
    area: HazardArea | None = None
    area_reason: str | None = None


class Presentation(msgspec.Struct, frozen=True, kw_only=True):
    """How a site's alerts are written.

    Attributes:
        language: en, nb or it.
        running_exercise: name of an exercise beside this pipeline, where one runs.
        approved: the city's own steps.
        model_version: what judged; default: the version of this program.
    """

    language: str = "en"
    running_exercise: str | None = None
    approved: dict[Play, ApprovedPlay] = {}
    model_version: str | None = None


DEFAULT_PRESENTATION = Presentation()


def render_alert(
    alarm: Alarm,
    model: SiteModel,
    presentation: Presentation = DEFAULT_PRESENTATION,
    *,
    picture: Picture | None = None,
    published_us: int | None = None,
) -> dict[str, Any]:
    """Return the GeoJSON Feature of one version of an alarm.

    `published_us` is when this message goes out, where that is later than the change
    (renewal of an open alarm); it moves `expires_at` only. Numbers are rounded to six
    significant digits; what is not finite becomes null.
    """
    alarm = msgspec.structs.replace(alarm, condition=_rounded(alarm.condition))
    seen = _Seen(alarm, model, presentation, picture or Picture())
    expires_us = (published_us or alarm.changed_us) + seconds_to_us(VALIDITY_S)
    feature = AlertFeature(
        id=alarm.id,
        geometry=alert_geometry(alarm.condition, model),
        properties=seen.properties(expires_us),
    )
    return _as_json(feature)


def mark_pending(alert: dict[str, Any]) -> dict[str, Any]:
    """Return a rendered alert as it goes out before the journal has taken it (safety 18)."""
    place = dict.fromkeys(("epoch", "seq", "prev_hash", "hash"))
    properties = alert["properties"] | place | {"journal": JOURNAL_PENDING}
    return alert | {"properties": properties}


def render_event(event: Event, gateway: str) -> dict[str, Any]:
    """Return a journal entry that is not an alert (`cbrn-journal/1`), without its chain."""
    entry = JournalEvent(
        gateway=gateway,
        time=format_rfc3339(event.time_us),
        type=event.kind.value,
        text=event.text,
        actor=event.actor,
        facts={key: fact for key, fact in event.facts.items() if is_json(fact)},
    )
    return _as_json(entry)


def rounded(number: float | None) -> float | None:
    """Return a number with six significant digits; None for what is not finite."""
    if number is None or not isfinite(number):
        return None
    return float(f"{number:.{_DIGITS}g}")


class _Seen:
    """One version of an alarm on its way into a message."""

    def __init__(
        self, alarm: Alarm, model: SiteModel, presentation: Presentation, picture: Picture
    ) -> None:
        self._alarm = alarm
        self._condition = alarm.condition
        self._model = model
        self._presentation = presentation
        self._picture = picture
        self._phrases = catalogue(presentation.language).phrases
        self._is_hazard = speaks_of_hazard(alarm)

    def properties(self, expires_us: int) -> AlertProperties:
        """Return every property of contracts §4; null where there is nothing."""
        return AlertProperties(
            journal=None,
            expires_at=format_rfc3339(expires_us),
            config_hash=self._model.config_hash,
            model=self._presentation.model_version or _program_version(),
            machine=machine_state(self._condition),
            **self._who_and_where(),
            **self._judgement(),
            **self._life(),
            **self._source_fields(),
            **self._for_people(),
        )

    def _who_and_where(self) -> dict[str, Any]:
        site, condition = self._model.site, self._condition
        return {
            "gateway": self._model.gateway,
            "city": self._model.city,
            "site": site.id,
            "zone": self._zone(),
            "kind": condition.key.kind,
            "hazard": Hazard(condition.hazard),
            "purpose": Purpose(condition.purpose),
            "not_in_service": not site.in_service,
            "reason": self._not_in_service_reason(),
            "standing_cordon_m": site.standing_cordon_m.get(condition.hazard),
        }

    def _judgement(self) -> dict[str, Any]:
        """A machine publishes no probability: it has neither prior nor calibration."""
        condition = self._condition
        said = {name: getattr(condition, name) for name in _SAID_BY_THE_RULE}
        return said | {
            "candidates": tuple(Candidate(*candidate) for candidate in condition.candidates),
            "agent_card": _agent_card(condition.agent),
            "priority": _wire_priority(condition.priority),
            "probability": None,
            "prior": None,
            "calibration_ref": None,
        }

    def _life(self) -> dict[str, Any]:
        alarm = self._alarm
        held = {name: getattr(alarm, name) for name in _HELD_BY_THE_MACHINE}
        return held | {
            "acked_at": _time(alarm.ack_us),
            "until": _time(alarm.until_us),
            "observed_at": format_rfc3339(alarm.observed_us),
            "raised_at": format_rfc3339(alarm.raised_us),
            "changed_at": format_rfc3339(alarm.changed_us),
        }

    def _source_fields(self) -> dict[str, Any]:
        return {
            "source_estimate": self._source(),
            "source_reason": self._source_reason(),
            "hazard_area": self._picture.area,
            "hazard_area_reason": self._area_reason(),
        }

    def _for_people(self) -> dict[str, Any]:
        language = self._presentation.language
        words = describe(
            self._alarm,
            self._model,
            language=language,
            running_exercise=self._presentation.running_exercise,
            area_drawn=self._picture.area is not None,
        )
        guide = instructions(
            self._alarm, self._model, language=language, approved=self._presentation.approved
        )
        return {
            "language": language,
            "text": words.text,
            "read_aloud": words.read_aloud,
            "actions": _actions(guide),
            "playbook": msgspec.convert(guide.playbook, PlaybookMark, from_attributes=True),
        }

    def _zone(self) -> str | None:
        station = self._model.stations.get(self._condition.station or "")
        return self._condition.zone or (None if station is None else station.zone)

    def _not_in_service_reason(self) -> str | None:
        site = self._model.site
        if site.in_service:
            return None
        given = clipped(site.not_in_service_reason, _REASON_LENGTH)
        return given or self._phrases[Phrase.NOT_IN_SERVICE_DEFAULT]

    def _source(self) -> SourceEstimate | Literal["not enough evidence"] | None:
        if not self._is_hazard:
            return None
        return self._picture.source or "not enough evidence"

    def _source_reason(self) -> str | None:
        if not self._is_hazard or self._picture.source is not None:
            return None
        single = self._condition.corroboration is Corroboration.SINGLE
        default = Phrase.NO_SOURCE_SINGLE if single else Phrase.NO_SOURCE_YET
        return self._picture.source_reason or self._phrases[default]

    def _area_reason(self) -> str | None:
        if not self._is_hazard or self._picture.area is not None:
            return None
        return self._picture.area_reason or self._phrases[Phrase.NO_AREA]


def _agent_card(agent_id: str | None) -> AgentCard | None:
    agent = AGENTS.get(agent_id or "")
    if agent is None:
        return None
    return AgentCard(
        names=agent.names,
        cas=agent.cas,
        un=agent.un,
        adr=agent.adr,
        transport_numbers_recalled=agent.transport_numbers_recalled,
    )


def _actions(guide: Instructions) -> tuple[ActionStep, ...]:
    return tuple(
        ActionStep(step=number, role=step.role.value, text=step.text, mark=guide.playbook.status)
        for number, step in enumerate(guide.steps, start=1)
    )


def _rounded(condition: Condition) -> Condition:
    """Return the condition as its message will say it, so that text and numbers agree."""
    return msgspec.structs.replace(
        condition,
        setpoint=rounded(condition.setpoint),
        value=rounded(condition.value),
        sigma=rounded(condition.sigma),
        instrument_value=rounded(condition.instrument_value),
        trend_per_min=rounded(condition.trend_per_min),
        evidence=tuple(_evidence(item) for item in condition.evidence),
        candidates=tuple((agent, rounded(weight) or 0.0) for agent, weight in condition.candidates),
    )


def _evidence(item: Evidence) -> Evidence:
    return msgspec.structs.replace(
        item,
        value=rounded(item.value),
        sigma=rounded(item.sigma),
        weight=rounded(item.weight) or 0.0,
    )


def _wire_priority(priority: Priority) -> WirePriority:
    wire: dict[Priority, WirePriority] = {
        Priority.P1: 1,
        Priority.P2: 2,
        Priority.P3: 3,
        Priority.D: "D",
    }
    return wire[priority]


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_rfc3339(time_us)


def _as_json(message: msgspec.Struct) -> dict[str, Any]:
    """Return the message as a reader of its bytes sees it: lists, no tuples."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    return decoded


@cache
def _program_version() -> str:
    try:
        return f"cbrn-gateway {version('cbrn-gateway')}"
    except PackageNotFoundError:
        return "cbrn-gateway"
