"""Conditions as rules would say them, for tests of the machine alone."""

import msgspec
from unit.alarms.square import at

from cbrn_core.alarm import (
    Alarm,
    AlarmKey,
    AlarmKind,
    AlarmState,
    Basis,
    Command,
    Condition,
    Priority,
    Reason,
)
from cbrn_gateway.alarms.machine import AlarmMachine
from cbrn_gateway.alarms.policy import load_policy

POLICY = load_policy()

LEGAL = {
    None: {AlarmState.UNACK},
    AlarmState.UNACK: set(AlarmState) - {AlarmState.PENDING, AlarmState.SUPPRESSED},
    AlarmState.ACK: set(AlarmState)
    - {AlarmState.PENDING, AlarmState.SUPPRESSED, AlarmState.RTN_UNACK},
    AlarmState.RTN_UNACK: {
        AlarmState.RTN_UNACK, AlarmState.UNACK, AlarmState.LATCHED, AlarmState.NORMAL,
        AlarmState.OUT_OF_SERVICE,
    },
    AlarmState.LATCHED: {
        AlarmState.LATCHED, AlarmState.UNACK, AlarmState.NORMAL, AlarmState.OUT_OF_SERVICE,
    },
    AlarmState.SHELVED: {
        AlarmState.SHELVED, AlarmState.UNACK, AlarmState.RTN_UNACK, AlarmState.LATCHED,
        AlarmState.NORMAL,
    },
    AlarmState.OUT_OF_SERVICE: {
        AlarmState.OUT_OF_SERVICE, AlarmState.UNACK, AlarmState.RTN_UNACK, AlarmState.LATCHED,
        AlarmState.NORMAL,
    },
    AlarmState.NORMAL: set(),
}  # fmt: skip
"""Which state may follow which in the published versions of one alarm."""


def condition(
    seconds: float,
    value: float = 3.0,
    *,
    kind: AlarmKind = AlarmKind.SPECIFIC,
    place: str = "st05/cl2",
    agent: str = "cl2",
    priority: Priority = Priority.P1,
    rank: int = 20,
    active: bool = True,
    off_delay_s: float = 60.0,
    hazard: str = "chemical",
    **fields,
) -> Condition:
    name, _, ident = place.partition("/")
    return Condition(
        **{
            "key": AlarmKey(place, kind, agent),
            "active": active,
            "at_us": at(seconds),
            "observed_us": at(seconds),
            "reason": Reason.LEVEL,
            "priority": priority,
            "hazard": "technical" if kind is AlarmKind.TECHNICAL else hazard,
            "level": f"level {rank}",
            "basis": Basis.MOMENTARY,
            "agent": agent,
            "station": name,
            "channel": ident,
            "unit": "ppm",
            "value": value,
            "latching": kind is AlarmKind.SPECIFIC,
            "off_delay_s": off_delay_s,
            "facts": {"level_rank": rank},
            **fields,
        }
    )


def cleared(one: Condition) -> Condition:
    return msgspec.structs.replace(one, active=False)


class Desk:
    """A machine and the people before it."""

    def __init__(self, policy=POLICY) -> None:
        self.machine = AlarmMachine("gw1", policy)
        self.published: list[Alarm] = []

    def say(self, seconds: float, *args, **fields) -> list[Alarm]:
        return self.keep(self.machine.apply(condition(seconds, *args, **fields), at(seconds)))

    def clear(self, seconds: float, **fields) -> list[Alarm]:
        return self.keep(
            self.machine.apply(condition(seconds, active=False, **fields), at(seconds))
        )

    def advance(self, seconds: float) -> list[Alarm]:
        return self.keep(self.machine.advance(at(seconds)))

    def order(self, seconds: float, verb: str, *, actor: str = "B", **fields) -> list[Alarm]:
        alarm_id = fields.pop("alarm_id", None) or self.alarm.id
        command = Command(verb=verb, actor=actor, alarm_id=alarm_id, **fields)
        return self.keep(self.machine.command(command, at(seconds)))

    def keep(self, alarms: list[Alarm]) -> list[Alarm]:
        self.published += alarms
        return alarms

    @property
    def alarm(self) -> Alarm:
        """Return the one open alarm."""
        (alarm,) = self.machine.open_alarms()
        return alarm
