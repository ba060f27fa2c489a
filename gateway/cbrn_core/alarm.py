"""Alarms (conditions with a state), alerts (messages about them), events (the record)."""

import base64
import hashlib
from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

from cbrn_core.times import format_rfc3339


class AlarmKind(StrEnum):
    """What sort of thing an alarm is about."""

    SPECIFIC = "specific"
    EVOLVING = "evolving"
    TECHNICAL = "technical"
    SECURITY = "security"
    PERSONAL = "personal"


class AlarmState(StrEnum):
    """ISA-18.2 states; `pending` is internal and never published."""

    PENDING = "pending"
    UNACK = "unack"
    ACK = "ack"
    RTN_UNACK = "rtn_unack"
    LATCHED = "latched"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"
    NORMAL = "normal"


class Priority(IntEnum):
    """1 is the most urgent; `D` (diagnostic) is written as the letter on the wire."""

    P1 = 1
    P2 = 2
    P3 = 3
    D = 4

    @property
    def wire(self) -> int | str:
        """Return 1, 2, 3 or "D"."""
        return "D" if self is Priority.D else int(self)

    @classmethod
    def from_wire(cls, value: int | str) -> "Priority":
        """Return the priority that `wire` wrote.

        Raises:
            ValueError: neither 1, 2, 3 nor "D".
        """
        return cls.D if value == "D" else cls(int(value))


class Scope(StrEnum):
    """How far the evidence of an alarm reaches."""

    STATION = "station"
    ZONE = "zone"
    SITE = "site"


class Corroboration(StrEnum):
    """What else agrees."""

    SINGLE = "single"
    NETWORK = "network"
    INSTRUMENT = "instrument"
    PERSON = "person"


class Certainty(StrEnum):
    """`probable` is the machine's maximum; `confirmed` needs a named person and a method."""

    POSSIBLE = "possible"
    PROBABLE = "probable"
    CONFIRMED = "confirmed"


class Basis(StrEnum):
    """How a level was judged."""

    MOMENTARY = "momentary"
    RUNNING_MEAN = "running mean"
    TOXIC_LOAD = "toxic load"
    STATISTICS = "statistics"
    INSTRUMENT_ALARM = "instrument alarm"


NOT_ENOUGH_EVIDENCE = "not enough evidence"


class AlarmKey(NamedTuple):
    """One alarm per place, kind and agent: level and priority move inside it.

    `place` is `station/channel`, a zone id or the site id; `agent` is an agent id, a
    detection class or, for technical alarms, the name of the condition.
    """

    place: str
    kind: AlarmKind
    agent: str


def mint_alarm_id(gateway: str, key: AlarmKey, first_observed_us: int) -> str:
    """Return the alarm's id for its whole life; equal live and in replay (contracts §4).

    Lower-case base32 of the first 20 bytes of SHA-256 over the five parts, joined by
    the unit separator.
    """
    parts = (gateway, key.place, key.kind.value, key.agent, format_rfc3339(first_observed_us))
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading that speaks for an alarm."""

    station: str
    channel: str
    value: float | None
    unit: str
    weight: float
    quality: str
    observed_at: str
    sigma: float | None = None


class EventKind(StrEnum):
    """Journal entries that are not alerts."""

    STARTED = "started"
    STOPPED = "stopped"
    CONFIGURED = "configured"
    COMMAND = "command"
    COMMENT = "comment"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened and must stay on record, beside the alerts."""

    kind: EventKind
    time_us: int
    text: str
    actor: str | None = None
    facts: dict[str, str | int | float | bool | None] = {}


class Reason(StrEnum):
    """Which rule spoke; the texts, the steps and the lint are keyed by it."""

    LEVEL = "level"
    EXTREME_LEVEL = "extreme_level"
    NOTICE_LEVEL = "notice_level"
    EXPOSURE_EXCEEDED = "exposure_exceeded"
    INDICATIVE_LEVEL = "indicative_level"
    INSTRUMENT_ALARM = "instrument_alarm"
    CLASS_DETECTION = "class_detection"
    RADIATION_INVESTIGATE = "radiation_investigate"
    RADIATION_ELEVATED = "radiation_elevated"
    RADIATION_BOUNDARY = "radiation_boundary"
    RADIATION_HOT = "radiation_hot"
    RADIATION_TURN_BACK = "radiation_turn_back"
    EXPLAINED_BY_ALTITUDE = "explained_by_altitude"
    STALE = "stale"
    INSTRUMENT_FAULT = "instrument_fault"
    INSTRUMENT_INHIBITED = "instrument_inhibited"
    STEP = "step"
    SPIKE = "spike"
    STUCK = "stuck"
    NOT_IN_SERVICE = "not_in_service"
    LINK_DOWN = "link_down"
    RADIO_DOWN = "radio_down"
    DELIVERY_REFUSED = "delivery_refused"
    STORE_FAILED = "store_failed"
    ALERT_INCOMPLETE = "alert_incomplete"
    LOOP_LATE = "loop_late"
    PATH_UNPROVEN = "path_unproven"
    CERTIFICATE_EXPIRES = "certificate_expires"
    CLOCK_SET = "clock_set"
    COVERAGE_LOST = "coverage_lost"
    CLOCK_UNSYNCED = "clock_unsynced"
    CONFIG_NOT_IN_FORCE = "config_not_in_force"
    MOVED = "moved"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says about one alarm at one moment; silence says nothing.

    Attributes:
        active: the level holds, or has gone back below its clear limit. A rule that has
            no fresh data says nothing: missing data never clears an alarm.
        at_us: virtual time at which the rule spoke.
        observed_us: measurement time of the first evidence of this activation.
        value, sigma, setpoint, instrument_value: in `unit`.
        latching: a cleared alarm stays until a person resolves it.
        off_delay_s: how long the condition must be cleared before the alarm returns.
        place: (lat, lon, height or altitude in m) where it was measured, None for the
            place of the station, zone or site.
        facts: what the text needs beyond the fields, plain words and numbers.
    """

    key: AlarmKey
    active: bool
    at_us: int
    observed_us: int
    reason: Reason
    priority: Priority
    hazard: str
    level: str
    basis: Basis
    agent: str | None = None
    station: str | None = None
    channel: str | None = None
    zone: str | None = None
    setpoint: float | None = None
    value: float | None = None
    sigma: float | None = None
    unit: str | None = None
    instrument_value: float | None = None
    trend_per_min: float | None = None
    scope: Scope = Scope.STATION
    corroboration: Corroboration = Corroboration.SINGLE
    certainty: Certainty = Certainty.POSSIBLE
    purpose: str = "actual"
    latching: bool = False
    off_delay_s: float = 0.0
    place: tuple[float, float, float] | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()
    cannot_see: tuple[str, ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    clears_when: str = ""
    facts: dict[str, str | int | float | bool] = {}


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as the machine holds it; every published change is a new version.

    Attributes:
        condition: the newest that was applied while active, kept after it cleared.
        version: rises by one with each published change; commands carry what they saw.
        annunciate: this version sounds again (raised, escalated, or unacknowledged anew).
        acked_by, ack_us: who took it and when; None while nobody has.
        until_us: end of shelving or out-of-service.
    """

    id: str
    condition: Condition
    state: AlarmState
    version: int
    raised_us: int
    changed_us: int
    observed_us: int
    incident: str
    annunciate: bool = False
    acked_by: str | None = None
    ack_us: int | None = None
    until_us: int | None = None
    note: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's wish about one alarm (`cbrn-command/1`)."""

    verb: str
    actor: str
    alarm_id: str
    version: int | None = None
    idempotency_key: str | None = None
    text: str | None = None
    duration_s: float | None = None
    second_actor: str | None = None
