"""English words of the alerts."""

from cbrn_core.alarm import AlarmState, Basis, Certainty, Reason
from cbrn_core.reading import DetectionClass
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase

_WHAT = {
    Reason.LEVEL: "{where} reads as {agent} {amount}{trend}; {above} the {level}.",
    Reason.EXTREME_LEVEL: "EXTREME: {where} reads as {agent} {amount}{trend}; {above} the {level}.",
    Reason.NOTICE_LEVEL: (
        "{where} reads as {agent} {amount}{trend}; "
        "{above} {level_short} concentration ({setpoint})."
    ),
    Reason.EXPOSURE_EXCEEDED: "{level} at {where}: {agent}, {basis} {amount}.",
    Reason.INDICATIVE_LEVEL: (
        "{where} reads as {agent} {amount}{trend}; indicative sensor over the {level}; "
        "treat as real, verify."
    ),
    Reason.INSTRUMENT_ALARM: (
        "{where} {channel}: the instrument's own alarm {level} for {agent}; it shows {shown}."
    ),
    Reason.CLASS_DETECTION: "{where}: the detector reports {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: (
        "{moving}{agent} at {where} {amount}{ratio}; unusual for this station, investigate."
    ),
    Reason.RADIATION_ELEVATED: "{agent} at {where} {amount}{ratio}. {near_source}",
    Reason.RADIATION_BOUNDARY: (
        "{agent} at {where} {amount}{ratio}; {above} the {level}. {near_source}"
    ),
    Reason.RADIATION_HOT: (
        "HOT ZONE: {agent} at {where} {amount}{ratio}; {above} the {level}. {near_source}"
    ),
    Reason.RADIATION_TURN_BACK: (
        "TURN BACK: {agent} at {where} {amount}{ratio}; {above} the {level}. {near_source}"
    ),
    Reason.EXPLAINED_BY_ALTITUDE: "{agent} at {where} {amount}{ratio}; explained by altitude.",
    Reason.STALE: (
        "{where} {channel}: no reading{silent}; it does not watch, "
        "and its last known state may be wrong."
    ),
    Reason.INSTRUMENT_FAULT: (
        "{where} {channel}: instrument fault{detail}; this channel does not watch."
    ),
    Reason.INSTRUMENT_INHIBITED: (
        "{where} {channel}: the instrument is inhibited{detail}; this channel does not watch."
    ),
    Reason.STEP: "{where} jumped {jump}: sensor fault likely, gas not excluded.",
    Reason.SPIKE: "{where} {channel}: a single sample stood out at {shown}; kept as evidence.",
    Reason.STUCK: (
        "{where} {channel}: the value has not moved{silent}; the sensor may be stuck, "
        "its readings are not trusted."
    ),
    Reason.NOT_IN_SERVICE: "{where} is not in service{detail}; alarms still rise and say so.",
    Reason.RADIO_DOWN: (
        "{where}: the gateway's radio {about} does not work{detail}; "
        "instruments that speak over it are not heard."
    ),
    Reason.LINK_DOWN: "{where}: no contact{detail}; the last known state may be wrong.",
    Reason.DELIVERY_REFUSED: (
        "{where}: a receiver refused a message or a subscription{detail}; it is not delivered."
    ),
    Reason.STORE_FAILED: "{where}: {store}{detail}; alarms still rise.",
    Reason.ALERT_INCOMPLETE: (
        "{where}: an alert could not be written in full{detail}; it went out in a short form."
    ),
    Reason.LOOP_LATE: (
        "{where}: the gateway was held up{detail}; alarms still rise, they may come late."
    ),
    Reason.PATH_UNPROVEN: (
        "{where}: path to SOC {about} not proven{detail}; it may not hear an alarm."
    ),
    Reason.COVERAGE_LOST: "{where} cannot detect {agent} now{detail}.",
    Reason.CLOCK_SET: (
        "{where}: the gateway's clock was set{detail}; times told before may be wrong."
    ),
    Reason.CLOCK_UNSYNCED: (
        "{where}: the gateway's clock is not synchronised{detail}; "
        "times may be wrong, alarms still rise."
    ),
    Reason.CERTIFICATE_EXPIRES: (
        "{where}: a certificate of the gateway ends soon{detail}; "
        "renew it before the link is refused."
    ),
    Reason.CONFIG_NOT_IN_FORCE: (
        "{where}: the new configuration is not in force{detail}; the one before it stays."
    ),
    Reason.MOVED: "{where}: fixed station {moved} from its place; readings not trusted.",
}

_BRIEF = {
    Reason.LEVEL: "{where} reads as {agent}, {spoken}{trend}, {above} {level_short}.",
    Reason.EXTREME_LEVEL: (
        "EXTREME. {where} reads as {agent}, {spoken}{trend}, {above} {level_short}."
    ),
    Reason.NOTICE_LEVEL: (
        "Notice. {where} reads as {agent}, {spoken}{trend}, {above} {level_short}."
    ),
    Reason.EXPOSURE_EXCEEDED: "{where}: {level}, {agent}, {spoken}; now {now}.",
    Reason.INDICATIVE_LEVEL: (
        "{where}, indicative sensor, reads as {agent}, {spoken}{trend}. Treat as real, verify."
    ),
    Reason.INSTRUMENT_ALARM: "{where}: instrument alarm, {agent}, shows {shown}.",
    Reason.CLASS_DETECTION: "{where}: detector reports {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: "{where}: {agent} {spoken}, unusual, investigate.",
    Reason.RADIATION_ELEVATED: "{where}: {agent} {spoken}{ratio}, source not located.",
    Reason.RADIATION_BOUNDARY: "{where}: {agent} {spoken}, danger area, source not located.",
    Reason.RADIATION_HOT: "HOT ZONE. {where}: {agent} {spoken}, source not located.",
    Reason.RADIATION_TURN_BACK: "TURN BACK. {where}: {agent} {spoken}.",
    Reason.EXPLAINED_BY_ALTITUDE: "{where}: {agent} {spoken}, explained by altitude.",
    Reason.STALE: "{where} {channel}: no reading, it does not watch.",
    Reason.INSTRUMENT_FAULT: "{where} {channel}: instrument fault, it does not watch.",
    Reason.INSTRUMENT_INHIBITED: "{where} {channel}: inhibited, it does not watch.",
    Reason.STEP: "{where} jumped {jump}. Sensor fault likely, gas not excluded.",
    Reason.SPIKE: "{where} {channel}: single sample stood out, kept as evidence.",
    Reason.STUCK: "{where} {channel}: value does not move, not trusted.",
    Reason.NOT_IN_SERVICE: "{where} is not in service; alarms still rise.",
    Reason.RADIO_DOWN: "{where}: radio {about} of the gateway does not work.",
    Reason.LINK_DOWN: "{where}: no contact, last known state may be wrong.",
    Reason.DELIVERY_REFUSED: "{where}: a receiver refused a message or a subscription.",
    Reason.STORE_FAILED: "{where}: {store}; alarms still rise.",
    Reason.ALERT_INCOMPLETE: "{where}: an alert went out in a short form.",
    Reason.LOOP_LATE: "{where}: the gateway was held up; alarms may come late.",
    Reason.PATH_UNPROVEN: "{where}: path to SOC {about} not proven.",
    Reason.COVERAGE_LOST: "{where} cannot detect {agent} now.",
    Reason.CLOCK_SET: ("{where}: the gateway's clock was set."),
    Reason.CLOCK_UNSYNCED: ("{where}: the gateway's clock is not synchronised."),
    Reason.CERTIFICATE_EXPIRES: "{where}: a certificate of the gateway ends soon.",
    Reason.CONFIG_NOT_IN_FORCE: "{where}: the new configuration is not in force.",
    Reason.MOVED: "{where}: station moved {moved}, readings not trusted.",
}

_STATES = {
    AlarmState.PENDING: "",
    AlarmState.UNACK: "",
    AlarmState.ACK: "Acknowledged by {acked_by} {acked_at}; still active.",
    AlarmState.RTN_UNACK: "Nobody has acknowledged it yet.",
    AlarmState.LATCHED: "It stays open until a person resolves it.",
    AlarmState.SHELVED: "Shelved until {until}.",
    AlarmState.SUPPRESSED: "Suppressed by design; still recorded.",
    AlarmState.OUT_OF_SERVICE: "Taken out of service until {until}; not watched meanwhile.",
    AlarmState.NORMAL: "This alarm is closed.",
}

_PHRASES = {
    Phrase.EXERCISE: "EXERCISE{name} – ",
    Phrase.TEST: "TEST – ",
    Phrase.REAL_DURING_EXERCISE: "REAL – NOT PART OF EXERCISE{name}: ",
    Phrase.BELOW: "below {limit}",
    Phrase.BELOW_DETECTION: "below detection",
    Phrase.OVER_RANGE: "≥ {limit} (over range)",
    Phrase.NO_VALUE: "no value",
    Phrase.RISING: " and rising",
    Phrase.FALLING: " and falling",
    Phrase.ABOVE: "above",
    Phrase.WAS_ABOVE: "has been above",
    Phrase.HIGHEST: "Highest so far {peak}{at}.",
    Phrase.UNUSUAL: "what is unusual for this station",
    Phrase.SHOWN: "Instrument shows {shown}; expected final value {amount}.",
    Phrase.SHOWN_COUNTED: "Instrument shows {shown} now; averaged {amount}.",
    Phrase.NOW: "Now {now}{trend}; instrument shows {shown}.",
    Phrase.NOW_ABOVE: "Now {now}{trend}, above {now_level}; instrument shows {shown}.",
    Phrase.ONE_AND_ONE: "One station, one technology.",
    Phrase.COUNTS: "{stations}, {technologies}.",
    Phrase.COUNTS_OF: "{over} of {watching} stations, {technologies}.",
    Phrase.STATION_ONE: "1 station",
    Phrase.STATION_MANY: "{count} stations",
    Phrase.TECHNOLOGY_ONE: "1 technology",
    Phrase.TECHNOLOGY_MANY: "{count} technologies",
    Phrase.JUMP: "{change} in {duration}",
    Phrase.OTHER_INSTRUMENT: "another instrument (id {id}) at this port",
    Phrase.SUDDENLY: "suddenly",
    Phrase.FOR: " for {duration}",
    Phrase.MOVED_UNKNOWN: "away",
    Phrase.BARS: ", {bars} of 8 bars",
    Phrase.STORE_FAILS: "a store of this gateway fails",
    Phrase.DISK_NEARLY_FULL: "the disk of this gateway is nearly full",
    Phrase.DISK_FULL: "the disk of this gateway is full",
    Phrase.DISK_SILENT: "the disk of this gateway does not answer",
    Phrase.JOURNAL_LARGE: "the journal of this gateway takes up much of its disk",
    Phrase.FREE_MB: "{free} MB free, the oldest readings make room",
    Phrase.TAKEN_MB: "{taken} MB",
    Phrase.SILENT_SINCE: "since {since}",
    Phrase.SINGLE_SENSOR: "Single sensor, treat as real.",
    Phrase.ALSO_ANSWERS_TO: "This sensor also answers to {others}.",
    Phrase.ALSO_EXPLAINED: "Also explained by {explanation}.",
    Phrase.DECLARED: "Declared here: {declared}.",
    Phrase.PLACE: "MEASURED HERE, source unknown: {place}.",
    Phrase.CERTAINTY: "Certainty: {certainty}.",
    Phrase.CERTAINTY_BY_PERSON: "Certainty set by a person: {person}, method: {method}.",
    Phrase.SINCE: "Since {since}.",
    Phrase.CHANGED: "At {changed}.",
    Phrase.NORMAL_RATIO: " = {ratio} × this station's normal",
    Phrase.NEAR_SOURCE: (
        "Somewhere near is a source: strength and place not known yet. "
        "A source may be close to somebody; strength unknown until located. "
        "Keep everybody ≥ {distance} from the suspected area; do not search without dosimeter "
        "({distance}: {distance_source})."
    ),
    Phrase.MOVING: "moving gamma increase: ",
    Phrase.BACKGROUND_NOT_COMMISSIONED: "Note: background not commissioned.",
    Phrase.LIMIT_UNSIGNED: "Note: limit not signed off by the city.",
    Phrase.SITE_NOT_IN_SERVICE: "Note: site not in service ({reason}).",
    Phrase.NOT_IN_SERVICE_DEFAULT: "not signed off for service",
    Phrase.RETURNED_HAZARD: (
        "{agent}: reading back below {level_limit} at {stations}; area NOT declared safe."
    ),
    Phrase.RETURNED_RADIATION: (
        "{agent}: reading back below {level_limit} at {stations}; area NOT declared safe. "
        "Source removed or shielded? Needs a person."
    ),
    Phrase.RETURNED_TECHNICAL: "{where} {channel}: no longer reported ({condition}).",
    Phrase.LAST_VALUE: "Last value over it: {amount}.",
    Phrase.ESCALATED: "Sounds again: its level, certainty or area changed, or it came back.",
    Phrase.PERSON: "operator",
    Phrase.WORDS_OF: "{person}: “{words}”.",
    Phrase.NOT_DETECTABLE: "{agent}, {level}: not detectable here",
    Phrase.OUTSIDE_THE_LINE: "Area drawn: outside the line is not safe.",
    Phrase.NO_SOURCE_SINGLE: "one station alone cannot say where the source is",
    Phrase.NO_SOURCE_YET: "no source region has been computed for this incident",
    Phrase.LEAST: (
        "Alarm of priority {priority}. Its particulars could not be written: act by the priority "
        "and look at the gateway."
    ),
    Phrase.LEAST_RETURNED: (
        "Alarm of priority {priority} has returned. Its particulars could not be written: look "
        "at the gateway; area NOT declared safe."
    ),
    Phrase.NO_AREA: "no area is drawn: use the measured stations and the standing cordon",
    Phrase.UNTIL_UNKNOWN: "a person ends it",
    Phrase.KEEP_AWAY_CHEMICAL: "Keep people away, move crosswind.",
    Phrase.KEEP_AWAY_RADIATION: "Keep everybody {distance} away.",
    Phrase.KEEP_AWAY_BIOLOGICAL: "Keep people away, take a sample.",
}

ENGLISH = Catalogue(
    language="en",
    decimal_mark=".",
    what=_WHAT,
    brief=_BRIEF,
    states=_STATES,
    certainty={
        Certainty.POSSIBLE: "possible",
        Certainty.PROBABLE: "probable",
        Certainty.CONFIRMED: "set by a person",
    },
    basis={
        Basis.MOMENTARY: "momentary value",
        Basis.RUNNING_MEAN: "running mean",
        Basis.TOXIC_LOAD: "toxic load of a steady",
        Basis.STATISTICS: "statistics, now",
        Basis.INSTRUMENT_ALARM: "instrument alarm,",
    },
    classes={
        DetectionClass.NERVE: "nerve-agent class",
        DetectionClass.BLISTER: "blister-agent class",
        DetectionClass.BLOOD: "blood-agent class",
        DetectionClass.CHOKING: "choking-agent class",
        DetectionClass.TIC: "toxic industrial chemical",
        DetectionClass.BIO_TRIGGER: "unusual biological particles",
        DetectionClass.RADIATION: "radiation",
        DetectionClass.EXPLOSIVE: "explosive vapour",
        DetectionClass.OTHER: "unnamed substance",
    },
    quantities={
        "gamma": "gamma",
        "neutron": "neutrons",
        "dose": "dose",
        "bio": "biological particles",
        "bacteria": "airborne bacteria",
        "pm": "particles",
        "particle": "particles",
        "": "unnamed substance",
    },
    levels=(),
    phrases=_PHRASES,
)
