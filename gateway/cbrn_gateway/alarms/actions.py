"""Which steps an alert carries, and who stands behind them.

The built-in steps are an example for every hazard and say so on each face (safety 6);
a city brings its own with a name, a date and an end. No ERG distances.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cbrn_core.agents import AGENTS, Audience
from cbrn_core.alarm import Alarm, AlarmKind, Priority, Reason
from cbrn_core.quantities import Hazard
from cbrn_core.reading import DetectionClass
from cbrn_core.site_model import SiteModel
from cbrn_core.times import us_to_datetime
from cbrn_gateway.alarms.actions_en import ENGLISH_STEPS
from cbrn_gateway.alarms.actions_it import ITALIAN_STEPS
from cbrn_gateway.alarms.actions_nb import NORWEGIAN_STEPS
from cbrn_gateway.alarms.actions_types import (
    ApprovedPlay,
    Play,
    Playbook,
    Role,
    Step,
    StepCatalogue,
)
from cbrn_gateway.alarms.texts import RETURNED, catalogue, speaks_of_hazard
from cbrn_gateway.alarms.texts_amounts import distance_text, figure_text
from cbrn_gateway.alarms.texts_fields import (
    RADIATION_DISTANCE_M,
    RADIATION_DISTANCE_SOURCE,
    Story,
)

__all__ = [
    "STEP_CATALOGUES",
    "ApprovedPlay",
    "Instructions",
    "Play",
    "Playbook",
    "Role",
    "Step",
    "choose_play",
    "instructions",
    "playbook_status",
]

STEP_CATALOGUES: Mapping[str, StepCatalogue] = {
    "en": ENGLISH_STEPS,
    "nb": NORWEGIAN_STEPS,
    "it": ITALIAN_STEPS,
}

_EXAMPLE_SOURCES = (f"{RADIATION_DISTANCE_SOURCE} (recalled, for the {RADIATION_DISTANCE_M} m)",)

_BY_REASON = {
    Reason.STALE: Play.CHANNEL_SILENT,
    Reason.INSTRUMENT_FAULT: Play.CHANNEL_SILENT,
    Reason.INSTRUMENT_INHIBITED: Play.CHANNEL_SILENT,
    Reason.STEP: Play.CHANNEL_SUSPECT,
    Reason.SPIKE: Play.CHANNEL_SUSPECT,
    Reason.STUCK: Play.CHANNEL_SUSPECT,
    Reason.NOT_IN_SERVICE: Play.SITE_NOT_IN_SERVICE,
    Reason.LINK_DOWN: Play.DELIVERY,
    Reason.RADIO_DOWN: Play.RADIO,
    Reason.DELIVERY_REFUSED: Play.DELIVERY,
    Reason.STORE_FAILED: Play.STORE,
    Reason.ALERT_INCOMPLETE: Play.ALERT_INCOMPLETE,
    Reason.LOOP_LATE: Play.GATEWAY_LATE,
    Reason.PATH_UNPROVEN: Play.DELIVERY,
    Reason.CERTIFICATE_EXPIRES: Play.CERTIFICATE,
    Reason.CLOCK_SET: Play.CLOCK,
    Reason.COVERAGE_LOST: Play.ZONE_BLIND,
    Reason.CLOCK_UNSYNCED: Play.CLOCK,
    Reason.CONFIG_NOT_IN_FORCE: Play.CONFIGURATION,
    Reason.MOVED: Play.STATION_MOVED,
    Reason.EXPLAINED_BY_ALTITUDE: Play.EXPLAINED,
    Reason.RADIATION_INVESTIGATE: Play.RADIATION_INVESTIGATE,
    Reason.RADIATION_TURN_BACK: Play.RADIATION_TURN_BACK,
    Reason.INDICATIVE_LEVEL: Play.CHEMICAL_INDICATIVE,
    Reason.NOTICE_LEVEL: Play.CHEMICAL_NOTICE,
}
_BY_HAZARD = {
    Hazard.CHEMICAL: Play.CHEMICAL_ALARM,
    Hazard.BIOLOGICAL: Play.BIOLOGICAL,
    Hazard.RADIOLOGICAL: Play.RADIATION_ALARM,
    Hazard.PHYSIOLOGICAL: Play.PHYSIOLOGICAL,
    Hazard.TECHNICAL: Play.CHANNEL_SUSPECT,
}
_WARFARE_CLASSES = frozenset(
    {
        DetectionClass.NERVE,
        DetectionClass.BLISTER,
        DetectionClass.BLOOD,
        DetectionClass.CHOKING,
    }
)


class Instructions(NamedTuple):
    """The steps of one alert, filled in, and the approval they have."""

    steps: tuple[Step, ...]
    playbook: Playbook


def instructions(
    alarm: Alarm,
    model: SiteModel,
    *,
    language: str = "en",
    approved: Mapping[Play, ApprovedPlay] | None = None,
) -> Instructions:
    """Return the steps for an alarm: the city's own where it has them, else the example."""
    words = STEP_CATALOGUES.get(language, ENGLISH_STEPS)
    play = choose_play(alarm)
    own = (approved or {}).get(play)
    steps = None if own is None else own.steps
    if steps is None:
        steps = words.steps[play] + _site_steps(alarm, model, words)
    fields = _fields(alarm, model, language)
    filled = tuple(Step(step.role, _filled(step.text, fields)) for step in steps)
    if own is None:
        return Instructions(filled, playbook_status(play, language))
    return Instructions(filled, _judged(own.playbook, alarm, words))


def choose_play(alarm: Alarm) -> Play:
    """Return which set of steps an alarm calls for."""
    condition = alarm.condition
    if alarm.state in RETURNED and speaks_of_hazard(alarm):
        return Play.RETURNED
    if condition.key.kind is AlarmKind.PERSONAL:
        return Play.PHYSIOLOGICAL
    hazard = Hazard(condition.hazard)
    if condition.reason is Reason.CLASS_DETECTION and hazard is Hazard.CHEMICAL:
        classes = {condition.key.agent, condition.agent, condition.facts.get("detection_class")}
        return Play.CHEMICAL_CLASS if classes & _WARFARE_CLASSES else Play.CHEMICAL_ALARM
    by_reason = _BY_REASON.get(condition.reason)
    is_chemical_play = by_reason in {Play.CHEMICAL_INDICATIVE, Play.CHEMICAL_NOTICE}
    if by_reason is None or (is_chemical_play and hazard is not Hazard.CHEMICAL):
        return _BY_HAZARD[hazard]
    return by_reason


def playbook_status(play: Play | None = None, language: str = "en") -> Playbook:
    """Return the approval of the built-in steps: there is none, and it says so."""
    words = STEP_CATALOGUES.get(language, ENGLISH_STEPS)
    name = "built-in example" if play is None else f"built-in example: {play}"
    return Playbook(name=name, status=words.example, sources=_EXAMPLE_SOURCES)


def _site_steps(alarm: Alarm, model: SiteModel, words: StepCatalogue) -> tuple[Step, ...]:
    condition = alarm.condition
    if not speaks_of_hazard(alarm) or condition.priority > Priority.P2:
        return ()
    steps = []
    if condition.hazard in model.site.standing_cordon_m and alarm.state not in RETURNED:
        steps.append(words.cordon)
    if _tolerance(alarm) is not None:
        steps.append(words.tolerance)
    return tuple(steps)


def _tolerance(alarm: Alarm) -> tuple[float, float, str] | None:
    """Return (hours, value, unit) of a responder's limit that is exceeded."""
    condition = alarm.condition
    agent = AGENTS.get(condition.agent or "")
    if agent is None or condition.value is None:
        return None
    for row in agent.limits:
        is_tolerance = row.audience is Audience.RESPONDER and row.unit == condition.unit
        if is_tolerance and row.value is not None and condition.value >= row.value:
            return (row.duration_min or 0.0) / 60, row.value, row.unit.value
    return None


def _fields(alarm: Alarm, model: SiteModel, language: str) -> dict[str, str]:
    condition = alarm.condition
    words = catalogue(language)
    story = Story(alarm, model, words)
    cordon_m = model.site.standing_cordon_m.get(condition.hazard)
    tolerance = _tolerance(alarm)
    return {
        **{name: story.fill(f"{{{name}}}") for name in _STORY_FIELDS},
        "distance": distance_text(RADIATION_DISTANCE_M),
        "distance_source": RADIATION_DISTANCE_SOURCE,
        "cordon": "" if cordon_m is None else distance_text(cordon_m),
        "transport": _transport(condition.agent),
        "hours": "" if tolerance is None else f"{tolerance[0]:.0f}",
        "tolerance": "" if tolerance is None else figure_text(tolerance[1], tolerance[2], words),
    }


_STORY_FIELDS = ("where", "stations", "channel", "agent", "amount", "level")


def _transport(agent_id: str | None) -> str:
    agent = AGENTS.get(agent_id or "")
    if agent is None or agent.un is None:
        return ""
    adr = "" if agent.adr is None else f", ADR {agent.adr}"
    return f" (UN {agent.un}{adr})"


def _filled(text: str, fields: dict[str, str]) -> str:
    """Fill a step; a city's own text may hold braces that are no field: it then stays as is."""
    try:
        return " ".join(text.format_map(fields).split())
    except (KeyError, ValueError, IndexError, AttributeError):
        return text


def _judged(playbook: Playbook, alarm: Alarm, words: StepCatalogue) -> Playbook:
    """Return the city's playbook with the status it has on the day of the alarm."""
    day = us_to_datetime(alarm.changed_us).date().isoformat()
    complete = playbook.approved_by and playbook.role and playbook.date and playbook.valid_until
    if not complete or day < (playbook.date or ""):
        status = words.example
    elif day > (playbook.valid_until or ""):
        status = words.expired
    else:
        status = words.approved
    return Playbook(
        name=playbook.name,
        status=status,
        approved_by=playbook.approved_by,
        role=playbook.role,
        date=playbook.date,
        valid_until=playbook.valid_until,
        sources=playbook.sources,
    )
