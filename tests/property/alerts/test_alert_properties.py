"""What must hold for any alarm that a rule can make: it is told, sent and taken up again."""

import json

import msgspec
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from samples.alert_samples import MODEL
from samples.examples import examples

from cbrn_core.agents import AGENTS
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
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose
from cbrn_core.times import format_rfc3339
from cbrn_core.units import Unit
from cbrn_gateway.alarms.lint import lint
from cbrn_gateway.alarms.render import Presentation, alarm_from_alert, render_alert, rounded
from cbrn_gateway.alarms.texts import CATALOGUES, READ_ALOUD_LIMIT
from cbrn_gateway.schemas import load_schema

ALERT = Draft202012Validator(load_schema("cbrn-alert/1"))

IDS = st.sampled_from(["st05", "st06", "g3", "van", "ghost"])
TIMES_US = st.integers(0, 4_000_000_000_000_000)
# Any finite number and what is none; subnormals are no readings and rfc8785 refuses none.
NUMBERS = (
    st.none()
    | st.floats(-1e9, 1e9)
    | st.sampled_from([0.0, -0.0, 0.004, -0.02, float("nan"), float("inf")])
)
EXACT = st.none() | st.floats(-1e9, 1e9).map(rounded)
WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
FACTS = st.dictionaries(
    st.sampled_from(
        [
            "over_range",
            "lod",
            "stations_watching",
            "technologies",
            "also_explained_by",
            "declared",
            "limit_unsigned",
            "normal_ratio",
            "moving",
            "detection_class",
            "bars",
            "fault_code",
            "detail",
            "silent_s",
            "jump",
            "jump_s",
            "moved_m",
            "peak",
            "peak_lat",
            "peak_lon",
            "exercise",
            "confirmed_by",
            "method",
            "x",
        ]
    ),
    st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | WORDS,
    max_size=5,
)


def evidence(numbers):
    return st.builds(
        Evidence,
        station=IDS,
        channel=st.sampled_from(["cl2", "nh3"]),
        value=numbers,
        unit=st.sampled_from([unit.value for unit in Unit]),
        weight=st.sampled_from([0.0, 0.2, 1.0]),
        quality=st.just("good"),
        observed_at=TIMES_US.map(format_rfc3339),
        sigma=numbers,
    )


def conditions(numbers):
    return st.builds(
        Condition,
        key=st.builds(AlarmKey, WORDS, st.sampled_from(AlarmKind), WORDS),
        active=st.booleans(),
        at_us=TIMES_US,
        observed_us=TIMES_US,
        reason=st.sampled_from(Reason),
        priority=st.sampled_from(Priority),
        hazard=st.sampled_from([hazard.value for hazard in Hazard]),
        level=WORDS | st.just("AEGL-2 10-min concentration (momentary)"),
        basis=st.sampled_from(Basis),
        agent=st.none() | st.sampled_from(list(AGENTS)) | WORDS,
        station=st.none() | IDS,
        channel=st.none() | st.sampled_from(["cl2", "nh3", "gamma_dose_rate"]),
        zone=st.none() | st.sampled_from(["north", "south", "nowhere"]),
        setpoint=numbers,
        value=numbers,
        sigma=numbers,
        unit=st.none() | st.sampled_from([unit.value for unit in Unit]),
        instrument_value=numbers,
        trend_per_min=numbers,
        scope=st.sampled_from(Scope),
        corroboration=st.sampled_from(Corroboration),
        certainty=st.sampled_from(Certainty),
        purpose=st.sampled_from([purpose.value for purpose in Purpose]),
        latching=st.booleans(),
        off_delay_s=st.sampled_from([0.0, 60.0]),
        place=st.none() | st.tuples(st.floats(-80, 80), st.floats(-170, 170), st.floats(0, 99)),
        evidence=st.lists(evidence(numbers), max_size=3).map(tuple),
        missing=st.lists(WORDS, max_size=2).map(tuple),
        cannot_see=st.lists(WORDS, max_size=2).map(tuple),
        candidates=st.lists(st.tuples(st.sampled_from(list(AGENTS)), st.just(0.5)), max_size=2).map(
            tuple
        ),
        clears_when=WORDS,
        facts=FACTS,
    )


def alarms(numbers):
    return st.builds(
        Alarm,
        id=st.from_regex(r"[a-z2-7]{32}", fullmatch=True),
        condition=conditions(numbers),
        state=st.sampled_from([s for s in AlarmState if s is not AlarmState.PENDING]),
        version=st.integers(1, 99),
        raised_us=TIMES_US,
        changed_us=TIMES_US,
        observed_us=TIMES_US,
        incident=WORDS,
        annunciate=st.booleans(),
        acked_by=st.none() | WORDS,
        ack_us=st.none() | TIMES_US,
        until_us=st.none() | TIMES_US,
        note=st.none() | WORDS,
    )


@given(alarms(EXACT))
@examples(300)
def test_an_alarm_survives_the_journal(alarm):
    alert = render_alert(alarm, MODEL)
    assert alarm_from_alert(json.loads(rfc8785.dumps(alert))) == alarm


@given(alarms(NUMBERS), st.sampled_from(list(CATALOGUES)))
@examples(300)
def test_any_alarm_can_be_told_and_sent(alarm, language):
    alert = render_alert(alarm, MODEL, Presentation(language=language))
    json.dumps(alert, allow_nan=False)
    assert ALERT.is_valid(alert)
    fields = alert["properties"]
    assert len(fields["read_aloud"]) <= READ_ALOUD_LIMIT
    assert "\n" not in fields["text"]


@given(alarms(NUMBERS))
def test_an_alert_taken_up_again_is_written_the_same(alarm):
    alert = render_alert(alarm, MODEL)
    assert render_alert(alarm_from_alert(alert), MODEL) == alert


@given(alarms(NUMBERS), st.sampled_from(list(CATALOGUES)))
@examples(400)
def test_no_number_makes_the_machine_say_what_it_may_not(alarm, language):
    quiet = msgspec.structs.replace(
        alarm,
        acked_by=None,
        note=None,
        condition=msgspec.structs.replace(
            alarm.condition,
            level="AEGL-2 10-min concentration (momentary)",
            agent=None,
            facts={
                key: fact
                for key, fact in alarm.condition.facts.items()
                if not isinstance(fact, str)
            },
        ),
    )
    fields = render_alert(quiet, MODEL, Presentation(language=language))["properties"]
    assert lint(fields["text"], language) == []
    assert lint(fields["read_aloud"], language) == []


@given(WORDS)
def test_the_lint_reads_anything(text):
    assert isinstance(lint(text), list)


@given(st.recursive(st.none() | WORDS | st.integers(), lambda x: st.dictionaries(WORDS, x)))
def test_bytes_of_others_are_an_input_error_or_an_alarm(anything):
    from cbrn_core.errors import InputError

    document = anything if isinstance(anything, dict) else {"properties": anything}
    try:
        alarm_from_alert(document)
    except InputError:
        return
    raise AssertionError("no random document is an alert")
