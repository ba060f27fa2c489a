"""A small square and one realistic alarm for every rule; shared by the tests of alerts."""

import msgspec

from cbrn_core.alarm import (
    Alarm,
    AlarmKey,
    AlarmKind,
    AlarmState,
    Basis,
    Certainty,
    Condition,
    Corroboration,
    Evidence,
    Priority,
    Reason,
    Scope,
)
from cbrn_core.channel import Channel, Technology
from cbrn_core.place import Position, Site, Station, Zone
from cbrn_core.quantities import Quantity
from cbrn_core.site_model import SiteModel
from cbrn_core.times import parse_rfc3339
from cbrn_core.units import Unit

OBSERVED_US = parse_rfc3339("2026-06-01T19:01:04.120Z")
CHANGED_US = parse_rfc3339("2026-06-01T19:01:07Z")
ACK_US = parse_rfc3339("2026-06-01T19:01:22Z")
UNTIL_US = parse_rfc3339("2026-06-01T23:00:00Z")
RING = ((10.729, 59.909), (10.733, 59.909), (10.733, 59.912), (10.729, 59.909))


def channel(station, quantity, unit, technology=Technology.ELECTROCHEMICAL, **more):
    return Channel(
        station=station,
        id=quantity.value,
        device=f"{station}-{quantity.value}",
        quantity=quantity,
        unit=unit,
        technology=technology,
        **more,
    )


CHANNELS = [
    channel(
        "st05",
        Quantity.CL2,
        Unit.PPM,
        range=(0.0, 20.0),
        lod=0.05,
        also_answers_to={"o3": 1.0, "no2": -1.0, "clo2": 0.8, "so2": 0.01},
    ),
    channel("st06", Quantity.CL2, Unit.PPM),
    channel("st08", Quantity.CL2, Unit.PPM, Technology.ION_MOBILITY),
    channel("st11", Quantity.NH3, Unit.PPM, range=(0.0, 300.0)),
    channel("st05", Quantity.GB, Unit.UG_M3, Technology.ION_MOBILITY, lod=20.0),
    channel("g3", Quantity.GAMMA_DOSE_RATE, Unit.USV_H, Technology.GEIGER_MUELLER),
    channel("st09", Quantity.BIO_FLUORESCENT_COUNT, Unit.PER_L, Technology.FLUORESCENCE),
    channel("st05", Quantity.AIR_TEMPERATURE, Unit.DEG_C, Technology.OTHER),
]
STATIONS = [
    Station(id="st05", name="Fountain", zone="north", position=Position(59.91, 10.73)),
    Station(id="st06", name="st06", zone="north", position=Position(59.911, 10.731)),
    Station(id="st08", name="Steps", zone="north", position=Position(59.9105, 10.7315)),
    Station(id="st09", name="Stage", zone="north", position=Position(59.9102, 10.7302)),
    Station(id="st11", name="Kiosk", zone="south", position=Position(59.9085, 10.7305)),
    Station(id="g3", name="Gate 3", zone="south", position=Position(59.909, 10.7308)),
    Station(id="van", name="Van", mobile=True),
]


def site_model(**site):
    fields = {
        "id": "radhus",
        "name": "Rådhusplassen",
        "timezone": "Europe/Oslo",
        "in_service": True,
        "standing_cordon_m": {"chemical": 150.0},
    }
    return SiteModel(
        gateway="gw-1",
        city="oslo",
        site=Site(**(fields | site)),
        zones={
            "north": Zone(id="north", name="North side", polygon=RING),
            "south": Zone(id="south", name="South side"),
        },
        stations={station.id: station for station in STATIONS},
        devices={},
        channels={known.key: known for known in CHANNELS},
        config_hash="c0ffee",
    )


MODEL = site_model()

_CHEMICAL = {
    "hazard": "chemical",
    "agent": "cl2",
    "station": "st05",
    "channel": "cl2",
    "zone": "north",
    "setpoint": 2.8,
    "value": 3.1,
    "sigma": 0.6,
    "unit": "ppm",
    "instrument_value": 1.9,
    "trend_per_min": 4.0,
    "level": "AEGL-2 10-min concentration (momentary)",
    "basis": Basis.MOMENTARY,
    "latching": True,
    "off_delay_s": 60.0,
    "clears_when": "below 2.5 ppm for 60 s",
}
_GAMMA = {
    "hazard": "radiological",
    "agent": None,
    "station": "g3",
    "channel": "gamma_dose_rate",
    "zone": "south",
    "setpoint": 0.5,
    "value": 0.83,
    "sigma": 0.06,
    "unit": "uSv/h",
    "instrument_value": 0.83,
    "trend_per_min": None,
    "level": "elevated",
    "facts": {"normal_ratio": 7.0},
}
_FAULT = {
    "hazard": "technical",
    "level": "fault",
    "agent": None,
    "value": None,
    "sigma": None,
    "setpoint": None,
    "latching": False,
    "evidence": (),
}
_BY_REASON = {
    Reason.LEVEL: {},
    Reason.EXTREME_LEVEL: {"level": "IDLH", "setpoint": 10.0, "value": 12.0},
    Reason.NOTICE_LEVEL: {
        "agent": "nh3",
        "station": "st11",
        "channel": "nh3",
        "zone": "south",
        "value": 35.0,
        "sigma": 1.0,
        "setpoint": 30.0,
        "priority": Priority.P3,
        "level": "AEGL-1 10-min concentration (momentary)",
    },
    Reason.EXPOSURE_EXCEEDED: {
        "level": "AEGL-2 (10 min) exceeded",
        "basis": Basis.RUNNING_MEAN,
        "value": 2.9,
    },
    Reason.INDICATIVE_LEVEL: {"priority": Priority.P2, "kind": AlarmKind.EVOLVING},
    Reason.INSTRUMENT_ALARM: {"level": "A2", "basis": Basis.INSTRUMENT_ALARM, "value": None},
    Reason.CLASS_DETECTION: {
        "agent": None,
        "key_agent": "nerve",
        "level": "bars ≥ 1",
        "basis": Basis.INSTRUMENT_ALARM,
        "value": None,
        "sigma": None,
        "setpoint": None,
        "unit": None,
        "instrument_value": None,
        "facts": {"detection_class": "nerve", "bars": 3},
    },
    Reason.RADIATION_INVESTIGATE: _GAMMA
    | {
        "priority": Priority.P2,
        "kind": AlarmKind.EVOLVING,
        "facts": {"moving": True, "background_commissioned": False},
    },
    Reason.RADIATION_ELEVATED: _GAMMA,
    Reason.RADIATION_BOUNDARY: _GAMMA
    | {"value": 130.0, "sigma": 8.0, "level": "danger-area boundary 100 µSv/h"},
    Reason.RADIATION_HOT: _GAMMA | {"value": 140.0, "sigma": 8.0, "level": "hot zone 0.1 mSv/h"},
    Reason.RADIATION_TURN_BACK: _GAMMA
    | {"value": 120_000.0, "sigma": 900.0, "level": "turn back 100 mSv/h"},
    Reason.EXPLAINED_BY_ALTITUDE: _GAMMA | {"priority": Priority.D, "kind": AlarmKind.EVOLVING},
    Reason.STALE: _FAULT | {"facts": {"silent_s": 12.0}},
    Reason.INSTRUMENT_FAULT: _FAULT | {"facts": {"fault_code": 12, "detail": "cell end of life"}},
    Reason.INSTRUMENT_INHIBITED: _FAULT,
    Reason.STEP: _FAULT | {"facts": {"jump": 12.0, "jump_s": 1.0}},
    Reason.SPIKE: _FAULT | {"value": 9.0, "instrument_value": 9.0},
    Reason.STUCK: _FAULT | {"facts": {"silent_s": 1800.0}},
    Reason.NOT_IN_SERVICE: _FAULT | {"station": None, "channel": None, "zone": None},
    Reason.LINK_DOWN: _FAULT
    | {"station": None, "channel": None, "zone": None, "facts": {"detail": "SOC A"}},
    Reason.RADIO_DOWN: _FAULT
    | {
        "station": None,
        "channel": None,
        "zone": None,
        "facts": {
            "about": "Bluetooth hci0",
            "detail": "the Bluetooth service does not run: systemctl start bluetooth",
        },
    },
    Reason.DELIVERY_REFUSED: _FAULT
    | {"station": None, "channel": None, "zone": None, "facts": {"detail": "not authorised"}},
    Reason.STORE_FAILED: _FAULT | {"station": None, "channel": None, "zone": None},
    Reason.ALERT_INCOMPLETE: _FAULT
    | {"station": None, "channel": None, "zone": None, "facts": {"detail": "alarm f62u3zuu"}},
    Reason.LOOP_LATE: _FAULT
    | {"station": None, "channel": None, "zone": None, "facts": {"detail": "412 ms"}},
    Reason.PATH_UNPROVEN: _FAULT
    | {"station": None, "channel": None, "zone": None, "facts": {"about": "soc-1"}},
    Reason.CERTIFICATE_EXPIRES: _FAULT | {"station": None, "channel": None, "zone": None},
    Reason.CLOCK_SET: _FAULT | {"station": None, "channel": None, "zone": None},
    Reason.COVERAGE_LOST: _FAULT
    | {"station": None, "channel": None, "agent": "cl2", "facts": {"detail": "st05/cl2: silent"}},
    Reason.CLOCK_UNSYNCED: _FAULT | {"station": None, "channel": None, "zone": None},
    Reason.CONFIG_NOT_IN_FORCE: _FAULT
    | {
        "station": None,
        "channel": None,
        "zone": None,
        "facts": {"detail": "st05-xcd delivers nothing"},
    },
    Reason.MOVED: _FAULT | {"kind": AlarmKind.SECURITY, "facts": {"moved_m": 60.0}},
}
FAULTS = [reason for reason, fields in _BY_REASON.items() if fields.get("hazard") == "technical"]
HAZARDS = [reason for reason in Reason if reason not in FAULTS]


def evidence(station="st05", channel_id="cl2", value=3.1, unit="ppm", weight=1.0):
    return Evidence(
        station=station,
        channel=channel_id,
        value=value,
        unit=unit,
        weight=weight,
        quality="good",
        observed_at="2026-06-01T19:01:04.120Z",
        sigma=0.6,
    )


def condition(reason=Reason.LEVEL, **fields):
    merged = (
        _CHEMICAL
        | {"priority": Priority.P1, "kind": AlarmKind.SPECIFIC, "evidence": None}
        | _BY_REASON[reason]
        | fields
    )
    if merged["hazard"] == "technical" and "kind" not in _BY_REASON[reason]:
        merged["kind"] = AlarmKind.TECHNICAL
        merged["priority"] = fields.get("priority", Priority.P2)
    kind = merged.pop("kind")
    agent = merged.pop("key_agent", None) or merged["agent"] or merged["channel"] or reason.value
    place = f"{merged['station']}/{merged['channel']}" if merged["station"] else "radhus"
    if merged["evidence"] is None:
        unit = merged["unit"] or "1"
        one = evidence(merged["station"], merged["channel"], merged["value"], unit)
        merged["evidence"] = (one,) if merged["station"] else ()
    return Condition(
        key=AlarmKey(place, kind, agent),
        active=True,
        at_us=CHANGED_US,
        observed_us=OBSERVED_US,
        reason=reason,
        **merged,
    )


def alarm(cond=None, **fields):
    defaults = {
        "id": "y5vnv7egr7gu5titveptjuuas2jvi2up",
        "condition": cond or condition(),
        "state": AlarmState.UNACK,
        "version": 1,
        "raised_us": CHANGED_US,
        "changed_us": CHANGED_US,
        "observed_us": OBSERVED_US,
        "incident": "inc-1",
        "annunciate": True,
    }
    return Alarm(**(defaults | fields))


def in_state(state, cond):
    """Return the alarm as the machine would hold it in that state."""
    fields = {"state": state, "version": 1 if state is AlarmState.UNACK else 3}
    if state in {AlarmState.ACK, AlarmState.LATCHED, AlarmState.NORMAL}:
        fields |= {"acked_by": "B. Hansen", "ack_us": ACK_US}
    if state in {AlarmState.SHELVED, AlarmState.OUT_OF_SERVICE}:
        fields |= {"until_us": UNTIL_US}
    return alarm(cond, annunciate=state is AlarmState.UNACK, **fields)


def network(cond):
    """Return the same condition seen by three stations and two technologies."""
    return msgspec.structs.replace(
        cond,
        scope=Scope.ZONE,
        corroboration=Corroboration.NETWORK,
        certainty=Certainty.PROBABLE,
        evidence=(evidence(), evidence("st06"), evidence("st08")),
    )
