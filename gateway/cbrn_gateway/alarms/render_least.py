"""The least that can be said of an alarm: for one whose particulars cannot be written.

Nothing here looks at what the alarm is about beyond its key, its priority and its state, and
no value is believed: whatever made the full message impossible must not stop this one.
"""

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from cbrn_core.alarm import Alarm, Certainty, Corroboration, Priority
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339, seconds_to_us
from cbrn_gateway.alarms.render_back import machine_state
from cbrn_gateway.alarms.render_place import alert_geometry
from cbrn_gateway.alarms.texts import RETURNED, catalogue
from cbrn_gateway.alarms.texts_types import Phrase
from cbrn_gateway.wire import AlertFeature, AlertProperties, PlaybookMark

LEAST_VALIDITY_S = 600.0
_LARGEST_EXACT = 2**53 - 1
_LONGEST_TEXT = 200
_KEPT_FACT = "level_rank"

WordT = TypeVar("WordT", bound=StrEnum)


def least_alert(alarm: Alarm, model: SiteModel, language: str = "en") -> dict[str, Any]:
    """Return a `cbrn-alert/1` of an alarm in fixed words.

    A restart takes the alarm up from it: key, state, version and what the machine needs.
    """
    plain = _plain(alarm)
    feature = AlertFeature(
        id=plain.id,
        geometry=alert_geometry(plain.condition, model),
        properties=AlertProperties(
            **_who_and_where(plain, model),
            **_judgement(plain),
            **_life(plain),
            **_words(plain, language),
            config_hash=model.config_hash,
            model="",
            machine=machine_state(plain.condition),
        ),
    )
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(feature))
    return decoded


def _plain(alarm: Alarm) -> Alarm:
    """Return the alarm with nothing in it that JSON cannot hold."""
    given = alarm.condition
    rank = given.facts.get(_KEPT_FACT)
    condition = msgspec.structs.replace(
        given,
        key=given.key._replace(place=_text(given.key.place), agent=_text(given.key.agent)),
        at_us=_time_us(given.at_us),
        observed_us=_time_us(given.observed_us),
        level=_text(given.level),
        agent=_text_or_none(given.agent),
        station=_text_or_none(given.station),
        channel=_text_or_none(given.channel),
        zone=_text_or_none(given.zone),
        off_delay_s=given.off_delay_s if 0.0 <= given.off_delay_s < _LARGEST_EXACT else 0.0,
        place=None,
        evidence=(),
        facts={_KEPT_FACT: rank} if type(rank) is int and abs(rank) <= _LARGEST_EXACT else {},
    )
    return msgspec.structs.replace(
        alarm,
        condition=condition,
        incident=_text(alarm.incident),
        acked_by=_text_or_none(alarm.acked_by),
        raised_us=_time_us(alarm.raised_us),
        changed_us=_time_us(alarm.changed_us),
        observed_us=_time_us(alarm.observed_us),
        ack_us=None if alarm.ack_us is None else _time_us(alarm.ack_us),
        until_us=None if alarm.until_us is None else _time_us(alarm.until_us),
    )


def _who_and_where(alarm: Alarm, model: SiteModel) -> dict[str, Any]:
    condition = alarm.condition
    return {
        "gateway": model.gateway,
        "city": model.city,
        "site": model.site.id,
        "zone": condition.zone,
        "station": condition.station,
        "channel": condition.channel,
        "journal": None,
        "kind": condition.key.kind,
        "hazard": _word(Hazard, condition.hazard, Hazard.TECHNICAL),
        "agent": condition.agent,
        "agent_card": None,
        "purpose": _word(Purpose, condition.purpose, Purpose.ACTUAL),
        "not_in_service": not model.site.in_service,
        "reason": None,
        "standing_cordon_m": model.site.standing_cordon_m.get(condition.hazard),
        "incident": alarm.incident,
    }


def _judgement(alarm: Alarm) -> dict[str, Any]:
    condition = alarm.condition
    unknown = (
        *("probability", "prior", "calibration_ref", "setpoint", "value", "sigma", "unit"),
        *("instrument_value", "trend_per_min", "source_estimate", "source_reason"),
        *("hazard_area", "hazard_area_reason"),
    )
    return dict.fromkeys(unknown) | {
        "candidates": (),
        "priority": "D" if condition.priority is Priority.D else int(condition.priority),
        "scope": condition.scope,
        "corroboration": Corroboration.SINGLE,
        "certainty": Certainty.POSSIBLE,
        "level": condition.level,
        "basis": condition.basis,
        "evidence": (),
        "missing": (),
        "cannot_see": (),
        "clears_when": "",
    }


def _life(alarm: Alarm) -> dict[str, Any]:
    return {
        "version": alarm.version,
        "state": alarm.state,
        "annunciate": alarm.annunciate,
        "acked_by": alarm.acked_by,
        "acked_at": None if alarm.ack_us is None else format_rfc3339(alarm.ack_us),
        "until": None if alarm.until_us is None else format_rfc3339(alarm.until_us),
        "note": None,
        "observed_at": format_rfc3339(alarm.observed_us),
        "raised_at": format_rfc3339(alarm.raised_us),
        "changed_at": format_rfc3339(alarm.changed_us),
        "expires_at": format_rfc3339(_time_us(alarm.changed_us + seconds_to_us(LEAST_VALIDITY_S))),
    }


def _words(alarm: Alarm, language: str) -> dict[str, Any]:
    """Return fixed words; a drill says that it is one."""
    phrases = catalogue(language).phrases
    prefix = {
        Purpose.EXERCISE: phrases[Phrase.EXERCISE].format(name=""),
        Purpose.TEST: phrases[Phrase.TEST],
    }.get(_word(Purpose, alarm.condition.purpose, Purpose.ACTUAL), "")
    phrase = Phrase.LEAST_RETURNED if alarm.state in RETURNED else Phrase.LEAST
    text = prefix + phrases[phrase].format(priority=alarm.condition.priority.wire)
    return {
        "language": language,
        "text": text,
        "read_aloud": text,
        "actions": (),
        "playbook": PlaybookMark(
            name="none",
            status="none",
            approved_by=None,
            role=None,
            date=None,
            valid_until=None,
            sources=(),
        ),
    }


def _word(kind: type[WordT], given: str, otherwise: WordT) -> WordT:
    try:
        return kind(given)
    except ValueError:
        return otherwise


def _text(given: str) -> str:
    return given.encode("utf-8", "replace").decode()[:_LONGEST_TEXT]


def _text_or_none(given: str | None) -> str | None:
    return None if given is None else _text(given)


def _time_us(given: int) -> int:
    """Return a time that can be written; 1970 for one that is none."""
    if abs(given) > _LARGEST_EXACT:
        return 0
    try:
        format_rfc3339(given)
    except (ValueError, OverflowError):
        return 0
    return given
