"""An alarm taken up again from its last alert: how the machine is rebuilt after a restart."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from cbrn_core.alarm import Alarm, AlarmKey, Condition, Priority, Reason
from cbrn_core.errors import InputError
from cbrn_core.times import parse_rfc3339
from cbrn_gateway.wire import AlertFeature, AlertProperties, Fact, MachineState


def alarm_from_alert(alert: Mapping[str, Any]) -> Alarm:
    """Return the alarm that an alert was written from.

    Numbers come back as rounded; everything else as it was.

    Raises:
        InputError: not a `cbrn-alert/1` of this gateway's own writing.
    """
    try:
        feature = msgspec.convert(dict(alert), AlertFeature)
        return _alarm(feature.id, feature.properties)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise InputError(f"not an alert that can be taken up again: {error}") from None


def machine_state(condition: Condition) -> MachineState:
    """Return the part of a condition that the fields for people do not hold."""
    return MachineState(
        key_place=condition.key.place,
        key_agent=condition.key.agent,
        rule=condition.reason.value,
        active=condition.active,
        latching=condition.latching,
        off_delay_s=condition.off_delay_s,
        at_us=condition.at_us,
        observed_us=condition.observed_us,
        zone=condition.zone,
        place=condition.place,
        facts={key: fact for key, fact in condition.facts.items() if is_json(fact)},
    )


def is_json(fact: Fact | None) -> bool:
    """Return whether a fact can be written in JSON."""
    return not isinstance(fact, float) or isfinite(fact)


def _alarm(alarm_id: str, properties: AlertProperties) -> Alarm:
    return Alarm(
        id=alarm_id,
        condition=_condition(properties),
        state=properties.state,
        version=properties.version,
        raised_us=parse_rfc3339(properties.raised_at),
        changed_us=parse_rfc3339(properties.changed_at),
        observed_us=parse_rfc3339(properties.observed_at),
        incident=properties.incident,
        annunciate=properties.annunciate,
        acked_by=properties.acked_by,
        ack_us=_us(properties.acked_at),
        until_us=_us(properties.until),
        note=properties.note,
    )


def _condition(properties: AlertProperties) -> Condition:
    machine = properties.machine
    return Condition(
        key=AlarmKey(machine.key_place, properties.kind, machine.key_agent),
        active=machine.active,
        at_us=machine.at_us,
        observed_us=machine.observed_us,
        reason=Reason(machine.rule),
        priority=Priority.from_wire(properties.priority),
        hazard=properties.hazard.value,
        level=properties.level,
        basis=properties.basis,
        agent=properties.agent,
        station=properties.station,
        channel=properties.channel,
        zone=machine.zone,
        setpoint=properties.setpoint,
        value=properties.value,
        sigma=properties.sigma,
        unit=properties.unit,
        instrument_value=properties.instrument_value,
        trend_per_min=properties.trend_per_min,
        scope=properties.scope,
        corroboration=properties.corroboration,
        certainty=properties.certainty,
        purpose=properties.purpose.value,
        latching=machine.latching,
        off_delay_s=machine.off_delay_s,
        place=machine.place,
        evidence=properties.evidence,
        missing=properties.missing,
        cannot_see=properties.cannot_see,
        candidates=tuple((item.agent, item.weight) for item in properties.candidates),
        clears_when=properties.clears_when,
        facts=machine.facts,
    )


def _us(text: str | None) -> int | None:
    return None if text is None else parse_rfc3339(text)
