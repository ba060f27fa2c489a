"""Payloads as they stand on the wire (contracts §4, §5): types from which the schemas come.

Times are RFC 3339 text in UTC. Unknown fields are ignored by readers: a field may be
added, none may change its meaning. Live readings, estimates and status have their types
in `sinks/payloads.py`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cbrn_core.alarm import (
    AlarmKind,
    AlarmState,
    Basis,
    Certainty,
    Corroboration,
    Evidence,
    Scope,
)
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose, Stage
from cbrn_core.units import Unit

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z$")]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
LonLat = tuple[float, float]
Ring = tuple[LonLat, ...]
WirePriority = Literal[1, 2, 3, "D"]
Fact = str | int | float | bool
Seq = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Epoch = Annotated[int, Meta(ge=0, le=2**53 - 1)]

ANSWER_SCHEMA = "cbrn-answer/1"
CATCH_UP = "catch_up"
"""The verb that asks for journal entries; every other one is about an alarm."""


class _Geometry(msgspec.Struct, frozen=True, tag_field="type"):
    """RFC 7946; positions are (longitude, latitude) in WGS 84 degrees."""


class Point(_Geometry, frozen=True, tag="Point"):
    """Where a station stands, or where a mobile one was."""

    coordinates: LonLat


class MultiPoint(_Geometry, frozen=True, tag="MultiPoint"):
    """All stations of a site that has no zones."""

    coordinates: Ring


class Polygon(_Geometry, frozen=True, tag="Polygon"):
    """One zone, or part of a region."""

    coordinates: tuple[Ring, ...]


class MultiPolygon(_Geometry, frozen=True, tag="MultiPolygon"):
    """All zones of a site, or a region in parts."""

    coordinates: tuple[tuple[Ring, ...], ...]


class GeometryCollection(_Geometry, frozen=True, tag="GeometryCollection"):
    """Empty: a site whose only stations move and have not said where they are."""

    geometries: tuple[Point, ...] = ()


Geometry = Point | MultiPoint | Polygon | MultiPolygon | GeometryCollection


class SourceEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Where a source may be: regions, never a pin.

    `error_m` is the radius that holds 90 %; `rate` is in `rate_unit` with the interval
    that holds 90 %; `velocity` is (east, north) in m/s.
    """

    computed_at: Time
    lat: float
    lon: float
    error_m: float
    region_50: Polygon | MultiPolygon
    region_90: Polygon | MultiPolygon
    rate: float | None = None
    rate_unit: str | None = None
    rate_interval: tuple[float, float] | None = None
    velocity: tuple[float, float] | None = None


class HazardContour(msgspec.Struct, frozen=True, kw_only=True):
    """One outline: the area where a level is exceeded with a probability."""

    level: str
    probability: float
    area: Polygon | MultiPolygon


class HazardArea(msgspec.Struct, frozen=True, kw_only=True):
    """Outlines per level and probability; `note` says what an outline does not say."""

    computed_at: Time
    valid_until: Time
    contours: tuple[HazardContour, ...]
    note: str = "outside the line is not safe"


class Candidate(msgspec.Struct, frozen=True):
    """A substance that the same reading may mean."""

    agent: str
    weight: float


class ActionStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step; `mark` is the approval that the step has."""

    step: int
    role: str
    text: str
    mark: str


class PlaybookMark(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands behind the steps (safety 6)."""

    name: str
    status: str
    approved_by: str | None
    role: str | None
    date: str | None
    valid_until: str | None
    sources: tuple[str, ...]


class AgentCard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the substance itself."""

    names: dict[str, str]
    cas: str | None
    un: str | None
    adr: str | None
    transport_numbers_recalled: bool


class MachineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway itself needs to go on with the alarm after a restart."""

    key_place: str
    key_agent: str
    rule: str
    active: bool
    latching: bool
    off_delay_s: float
    at_us: int
    observed_us: int
    zone: str | None = None
    place: tuple[float, float, float] | None = None
    facts: dict[str, Fact] = {}


class AlertProperties(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of an alert; the journal adds epoch, seq, prev_hash and hash.

    `journal` is "pending" for what was sent before the journal took it: those four are then
    null, and the journalled copy follows as a later version.
    """

    schema: Literal["cbrn-alert/1"] = "cbrn-alert/1"
    gateway: Id
    city: Id
    site: Id
    zone: str | None
    station: str | None
    channel: str | None
    epoch: int | UnsetType | None = UNSET
    seq: int | UnsetType | None = UNSET
    prev_hash: Hash | UnsetType | None = UNSET
    hash: Hash | UnsetType | None = UNSET
    version: Annotated[int, Meta(ge=1)]
    journal: Literal["journalled", "pending"] | None
    kind: AlarmKind
    hazard: Hazard
    agent: str | None
    candidates: tuple[Candidate, ...]
    agent_card: AgentCard | None
    purpose: Purpose
    not_in_service: bool
    reason: str | None
    state: AlarmState
    annunciate: bool
    acked_by: str | None
    acked_at: Time | None
    until: Time | None
    note: str | None
    priority: WirePriority
    scope: Scope
    corroboration: Corroboration
    certainty: Certainty
    probability: float | None
    prior: float | None
    calibration_ref: str | None
    level: str
    basis: Basis
    setpoint: float | None
    value: float | None
    sigma: float | None
    unit: str | None
    instrument_value: float | None
    trend_per_min: float | None
    observed_at: Time
    raised_at: Time
    changed_at: Time
    expires_at: Time
    source_estimate: Literal["not enough evidence"] | SourceEstimate | None
    source_reason: str | None
    hazard_area: HazardArea | None
    hazard_area_reason: str | None
    standing_cordon_m: float | None
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...]
    cannot_see: tuple[str, ...]
    clears_when: str
    language: str
    text: str
    read_aloud: Annotated[str, Meta(max_length=200)]
    actions: tuple[ActionStep, ...]
    playbook: PlaybookMark
    incident: str
    config_hash: str
    model: str
    machine: MachineState


class AlertFeature(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-alert/1`: a GeoJSON Feature; `id` stays the same through the alarm's life."""

    type: Literal["Feature"] = "Feature"
    id: Id
    geometry: Geometry
    properties: AlertProperties


class CommandMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-command/1`: an operator's wish; `version` is the one that the operator saw.

    `client` is for MQTT 3.1.1, which knows no response topic: the answer then goes to
    `…/command/reply/{client}`. The verb `catch_up` needs `seq_from` instead of `alarm_id`,
    the first journal entry wanted, and may name the last one and the epoch of the first.
    """

    schema: Literal["cbrn-command/1"] = "cbrn-command/1"
    verb: str
    actor: str
    alarm_id: str | None = None
    version: int | None = None
    idempotency_key: str | None = None
    text: str | None = None
    duration_s: float | None = None
    second_actor: str | None = None
    client: str | None = None
    epoch: Epoch | None = None
    seq_from: Seq | None = None
    seq_to: Seq | None = None


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-answer/1`: what became of a command."""

    schema: Literal["cbrn-answer/1"] = "cbrn-answer/1"
    gateway: str
    accepted: bool
    reason: str | None = None
    verb: str | None = None
    alarm_id: str | None = None
    version: int | None = None
    idempotency_key: str | None = None


class JournalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-journal/1`: an entry that is not an alert; the journal adds its chain."""

    schema: Literal["cbrn-journal/1"] = "cbrn-journal/1"
    gateway: Id
    epoch: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    prev_hash: Hash | UnsetType = UNSET
    hash: Hash | UnsetType = UNSET
    journal: str | UnsetType = UNSET
    time: Time
    type: str
    text: str
    actor: str | None = None
    facts: dict[str, Fact | None] = {}


class AssayMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-assay/1`: the result of a sample, known long after it was taken."""

    schema: Literal["cbrn-assay/1"] = "cbrn-assay/1"
    station: Id
    collected_from: str
    collected_until: str
    resulted_at: str
    target: str
    method: str
    result: str
    stage: Stage
    concentration: float | None = None
    unit: Unit | None = None
    by: str | None = None
    lab_ref: str | None = None
