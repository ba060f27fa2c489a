"""What people read: exact sentences, and the rules that hold for every sentence."""

import re
from string import Formatter

import msgspec
import pytest
from samples.alert_samples import (
    ACK_US,
    CHANGED_US,
    FAULTS,
    HAZARDS,
    MODEL,
    UNTIL_US,
    alarm,
    condition,
    evidence,
    in_state,
    network,
    site_model,
)

from cbrn_core.alarm import AlarmState, Basis, Certainty, Priority, Reason, Scope
from cbrn_core.reading import DetectionClass
from cbrn_gateway.alarms.lint import lint
from cbrn_gateway.alarms.texts import CATALOGUES, READ_ALOUD_LIMIT, describe, not_detectable
from cbrn_gateway.alarms.texts_amounts import amount_text, duration_text
from cbrn_gateway.alarms.texts_types import Phrase

LANGUAGES = list(CATALOGUES)
PUBLISHED = [state for state in AlarmState if state is not AlarmState.PENDING]
EN = CATALOGUES["en"]


def text(cond=None, language="en", model=MODEL, **fields):
    return describe(alarm(cond, **fields), model, language=language).text


def spoken(cond=None, language="en", **fields):
    return describe(alarm(cond, **fields), MODEL, language=language).read_aloud


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", PUBLISHED)
@pytest.mark.parametrize("reason", list(Reason))
def test_every_rule_in_every_state_and_language(reason, state, language):
    held = in_state(state, condition(reason))
    words = describe(held, site_model(in_service=False), language=language)
    for line in words:
        assert line
        assert lint(line, language) == []
        assert "{" not in line, "a template was not filled"
        assert "None" not in line
        assert "  " not in line
        assert re.search(r" [:;,.]", line) is None
    assert re.search(r"\d\d:\d\d:\d\d \+02:00 \(\d\d:\d\d:\d\dZ\)", words.text)
    assert len(words.read_aloud) <= READ_ALOUD_LIMIT
    assert "\n" not in words.read_aloud


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_says_everything(language):
    words = CATALOGUES[language]
    assert words.language == language
    assert set(words.what) == set(words.brief) == set(Reason)
    assert set(words.states) == set(AlarmState)
    assert set(words.phrases) == set(Phrase)
    assert set(words.certainty) == set(Certainty)
    assert set(words.basis) == set(Basis)
    assert set(words.classes) == set(DetectionClass)
    assert set(words.quantities) == set(EN.quantities)
    assert all(words.phrases.values())


@pytest.mark.parametrize("language", ["nb", "it"])
def test_a_translation_uses_the_fields_of_the_english_sentence(language):
    words = CATALOGUES[language]
    for table in ("what", "brief", "states", "phrases"):
        for key, template in getattr(EN, table).items():
            translated = getattr(words, table)[key]
            assert _fields(translated) == _fields(template), (table, key)


def _fields(template):
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_the_languages_differ():
    for reason in Reason:
        assert len({CATALOGUES[language].what[reason] for language in LANGUAGES}) == 3


def test_an_unknown_language_is_answered_in_english():
    assert text(language="xx") == text(language="en")


class TestRaised:
    def test_a_single_sensor_over_a_level(self):
        assert text() == (
            "st05 reads as chlorine 3.1 ± 0.6 ppm and rising; "
            "above the AEGL-2 10-min concentration (momentary). One station, one technology. "
            "This sensor also answers to ozone, nitrogen dioxide, chlorine dioxide. "
            "Single sensor, treat as real. "
            "Instrument shows 1.9 ppm; expected final value 3.1 ± 0.6 ppm. "
            "MEASURED HERE, source unknown: st05, Fountain. Certainty: possible. "
            "Since 21:01:04 +02:00 (19:01:04Z)."
        )

    def test_a_rule_may_say_what_else_explains_it(self):
        told = text(condition(facts={"also_explained_by": "ozone/NO2/ClO2: no"}))
        assert "One station, one technology. Also explained by ozone/NO2/ClO2: no." in told

    def test_corroboration_is_counted_not_guessed(self):
        told = text(network(condition()))
        assert "3 stations, 2 technologies." in told
        assert "Certainty: probable." in told
        assert "Single sensor" not in told

    def test_how_many_stations_could_see_it(self):
        cond = network(condition(facts={"stations_watching": 5, "technologies": 1}))
        assert "3 of 5 stations, 1 technology." in text(cond)

    def test_certainty_of_a_person_names_person_and_method(self):
        cond = condition(
            certainty=Certainty.CONFIRMED,
            facts={"confirmed_by": "B. Hansen, fire officer", "method": "detector tube"},
        )
        told = text(cond)
        assert "set by a person: B. Hansen, fire officer, method: detector tube." in told
        assert lint(told) == []

    def test_a_notice_names_the_limit_value(self):
        told = text(condition(Reason.NOTICE_LEVEL))
        assert "above AEGL-1 concentration (30 ppm)" in told

    def test_an_exposure_is_exceeded_only_when_it_is(self):
        told = text(condition(Reason.EXPOSURE_EXCEEDED))
        assert told.startswith("AEGL-2 (10 min) exceeded at st05: chlorine, running mean 2.9")
        assert "(momentary)" not in told

    def test_an_indicative_sensor_is_to_be_treated_as_real(self):
        told = text(condition(Reason.INDICATIVE_LEVEL))
        assert "indicative sensor over the AEGL-2" in told
        assert "treat as real, verify" in told

    def test_a_class_detector_reports_a_class_and_its_bars(self):
        assert text(condition(Reason.CLASS_DETECTION)).startswith(
            "st05: the detector reports nerve-agent class, 3 of 8 bars."
        )

    def test_biological_particles_are_unusual_and_nothing_more(self):
        told = text(
            condition(
                Reason.CLASS_DETECTION,
                hazard="biological",
                station="st09",
                channel="bio_fluorescent_count",
                key_agent="bio_trigger",
                facts={},
            )
        )
        assert "unusual biological particles" in told

    def test_gamma_says_how_many_times_normal_and_that_the_source_is_not_located(self):
        told = text(condition(Reason.RADIATION_ELEVATED))
        assert told.startswith(
            "gamma at g3 0.83 ± 0.06 µSv/h = 7 × this station's normal. "
            "Somewhere near is a source: strength and place not known yet."
        )
        assert "A source may be close to somebody; strength unknown until located." in told
        assert "Keep everybody ≥ 30 m from the suspected area" in told
        assert "do not search without dosimeter" in told

    def test_a_moving_source_is_called_moving(self):
        told = text(condition(Reason.RADIATION_INVESTIGATE))
        assert told.startswith("moving gamma increase: gamma at g3")
        assert "background not commissioned" in told

    def test_large_dose_rates_are_in_millisievert(self):
        told = text(condition(Reason.RADIATION_TURN_BACK))
        assert "TURN BACK: gamma at g3 120.0 ± 0.9 mSv/h" in told

    def test_the_zone_is_named_where_no_station_stands_for_it(self):
        cond = msgspec.structs.replace(network(condition()), station=None, channel=None)
        assert text(cond).startswith("North side reads as chlorine")


class TestNotes:
    def test_a_signed_limit_needs_no_note(self):
        assert "signed off" not in text(condition(Reason.NOTICE_LEVEL)), "ammonia is marked A"

    def test_a_verified_figure_needs_no_note_and_a_recalled_one_does(self):
        assert "signed off" not in text(condition())
        recalled = condition(agent="so2", level="AEGL-2 10-min concentration (momentary)")
        assert "Note: limit not signed off by the city." in text(recalled)

    @pytest.mark.parametrize(("unsigned", "noted"), [(True, True), (False, False)])
    def test_the_policy_may_know_better_than_the_table(self, unsigned, noted):
        told = text(condition(facts={"limit_unsigned": unsigned}))
        assert ("limit not signed off by the city" in told) is noted

    def test_a_site_that_is_not_in_service_says_so_with_the_reason(self):
        model = site_model(in_service=False, not_in_service_reason="shadow mode until July")
        assert "Note: site not in service (shadow mode until July)." in text(model=model)
        assert "not in service" not in text()

    def test_a_declared_explanation_is_shown_not_obeyed(self):
        told = text(condition(facts={"declared": "pyrotechnics until 21:20, stage"}))
        assert "Declared here: pyrotechnics until 21:20, stage." in told
        assert "above the AEGL-2" in told


class TestAmounts:
    def test_below_detection_is_never_a_zero(self):
        told = text(condition(value=0.0, sigma=0.01, instrument_value=None))
        assert "chlorine below 0.05 ppm; has been above" in told

    def test_over_range_is_never_a_number_of_its_own(self):
        told = text(
            condition(
                Reason.LEVEL, agent="nh3", station="st11", channel="nh3", value=290.0,
                sigma=5.0, instrument_value=300.0,
            )
        )  # fmt: skip
        assert "ammonia ≥ 300 ppm (over range)" in told
        assert "300.0" not in told
        assert "290" not in told

    def test_the_detection_limit_is_taken_into_the_unit_of_the_level(self):
        told = text(
            condition(
                agent="gb",
                channel="gb",
                value=0.01,
                sigma=0.001,
                unit="mg/m3",
                instrument_value=None,
            )
        )
        assert "sarin below 0.02 mg/m³" in told

    @pytest.mark.parametrize(
        ("value", "more", "expected"),
        [
            (3.14159, {"sigma": 0.6}, "3.1 ± 0.6 ppm"),
            (3.14159, {}, "3.1 ppm"),
            (0.0, {}, "below detection"),
            (-0.2, {"sigma": 0.1}, "below 0.3 ppm"),
            (0.02, {"sigma": 0.5}, "below 1.5 ppm"),
            (0.04, {"lod": 0.05}, "below 0.05 ppm"),
            (None, {}, "no value"),
            (float("nan"), {}, "no value"),
            (float("inf"), {"sigma": 1.0}, "no value"),
            (3.0, {"sigma": float("nan")}, "3.0 ppm"),
            (5.0, {"sigma": 1e-9}, "5.0 ppm"),
            (300.0, {"over_range": True}, "≥ 300 ppm (over range)"),
        ],
    )
    def test_amounts(self, value, more, expected):
        assert amount_text(value, "ppm", EN, **more) == expected

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [
            ("uSv/h", "2.5 µSv/h"),
            ("1/L", "2.5/L"),
            ("degC", "2.5 °C"),
            ("deg", "2.5°"),
            ("%LEL", "2.5 % LEL"),
            ("1", "2.5"),
            (None, "2.5"),
        ],
    )
    def test_units_are_spelt_for_people(self, unit, expected):
        assert amount_text(2.5, unit, EN) == expected

    def test_numbers_follow_the_language(self):
        assert amount_text(3.14, "ppm", CATALOGUES["nb"], sigma=0.6) == "3,1 ± 0,6 ppm"
        assert "3,1 ± 0,6 ppm" in text(language="it")

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(1.0, "1 s"), (0.25, "0.2 s"), (12.4, "12 s"), (300.0, "5 min"), (10_800.0, "3 h")],
    )
    def test_durations(self, seconds, expected):
        assert duration_text(seconds) == expected

    @pytest.mark.parametrize(
        ("trend", "word"),
        [(4.0, "and rising"), (-4.0, "and falling"), (0.3, None), (None, None)],
    )
    def test_a_trend_is_told_when_it_exceeds_the_uncertainty(self, trend, word):
        told = text(condition(trend_per_min=trend))
        assert ("and rising" in told) is (word == "and rising")
        assert ("and falling" in told) is (word == "and falling")

    def test_what_the_instrument_shows_is_not_repeated_when_it_agrees(self):
        assert "Instrument shows" not in text(condition(instrument_value=3.1))


class TestLaterStates:
    @pytest.mark.parametrize("reason", HAZARDS)
    @pytest.mark.parametrize("state", [AlarmState.RTN_UNACK, AlarmState.LATCHED, AlarmState.NORMAL])
    def test_a_hazard_that_returned_is_never_declared_over(self, reason, state):
        words = describe(in_state(state, condition(reason)), MODEL)
        assert "reading back below" in words.text
        assert "area NOT declared safe" in words.text
        assert "area NOT declared safe" in words.read_aloud

    def test_the_sentence_of_return_names_level_and_stations(self):
        told = text(network(condition()), state=AlarmState.RTN_UNACK)
        assert (
            "reading back below AEGL-2 10-min concentration (momentary) at st05, st06, st08; "
            "area NOT declared safe."
        ) in told
        assert "Nobody has acknowledged it yet." in told

    def test_an_exceeded_exposure_returns_below_the_exposure(self):
        told = text(condition(Reason.EXPOSURE_EXCEEDED), state=AlarmState.LATCHED)
        assert "reading back below AEGL-2 (10 min) at st05" in told

    def test_a_radiation_alarm_asks_whether_the_source_was_moved(self):
        told = text(condition(Reason.RADIATION_ELEVATED), state=AlarmState.LATCHED)
        assert "Source removed or shielded? Needs a person." in told
        assert "resolves it" in told

    @pytest.mark.parametrize("reason", FAULTS)
    def test_a_fault_that_went_away_says_nothing_of_the_area(self, reason):
        told = text(condition(reason), state=AlarmState.NORMAL)
        assert "no longer reported" in told
        assert "area" not in told

    def test_who_acknowledged_and_when(self):
        told = text(state=AlarmState.ACK, acked_by="B. Hansen", ack_us=ACK_US)
        assert "Acknowledged by B. Hansen 21:01:22 +02:00 (19:01:22Z); still active." in told

    def test_until_when_a_channel_is_out_of_service(self):
        told = text(
            condition(Reason.INSTRUMENT_FAULT), state=AlarmState.OUT_OF_SERVICE, until_us=UNTIL_US
        )
        assert "out of service until 01:00:00 +02:00 (23:00:00Z)" in told

    def test_an_escalation_sounds_again_and_says_so(self):
        assert "Sounds again" in text(version=4)
        assert "Sounds again" not in text(version=4, annunciate=False)
        assert "Sounds again" not in text(version=1)

    def test_words_of_a_person_are_quoted_with_the_name(self):
        told = text(
            state=AlarmState.NORMAL, acked_by="B. Hansen", note="confirmed: Cl2, “detector tube”"
        )
        assert "B. Hansen: “confirmed: Cl2, detector tube”." in told
        assert lint(told) == []


class TestTechnical:
    def test_a_step_is_likely_a_fault_and_gas_is_not_excluded(self):
        assert text(condition(Reason.STEP)).startswith(
            "st05 jumped +12 ppm in 1 s: sensor fault likely, gas not excluded."
        )

    def test_silence_has_a_length(self):
        assert "no reading for 12 s" in text(condition(Reason.STALE))

    def test_an_instruments_own_words_are_passed_on(self):
        told = text(condition(Reason.INSTRUMENT_FAULT))
        assert "instrument fault (12: cell end of life)" in told

    @pytest.mark.parametrize(
        ("language", "words"),
        [
            ("en", "another instrument (id 2108) at this port"),
            ("nb", "et annet instrument (id 2108) på denne porten"),
            ("it", "un altro strumento (id 2108) su questa porta"),
        ],
    )
    def test_another_instrument_at_a_port_is_said_in_plain_words(self, language, words):
        facts = {"other_instrument": "2108"}
        assert words in text(condition(Reason.INSTRUMENT_FAULT, facts=facts), language)

    def test_a_moved_station_says_how_far(self):
        told = text(condition(Reason.MOVED))
        assert "fixed station 60 m from its place" in told
        assert "readings not trusted" in told

    def test_facts_are_optional(self):
        for reason in Reason:
            for line in describe(alarm(condition(reason, facts={})), MODEL):
                assert "None" not in line

    def test_facts_of_the_wrong_kind_are_passed_over(self):
        odd = {
            "silent_s": "long", "jump": True, "bars": float("nan"), "moved_m": float("inf"),
            "normal_ratio": "x", "detail": 7, "also_explained_by": 3, "technologies": -1,
        }  # fmt: skip
        for reason in Reason:
            for line in describe(alarm(condition(reason, facts=odd)), MODEL):
                assert "nan" not in line
                assert "inf " not in line


class TestProvenance:
    def test_an_exercise_begins_with_its_name(self):
        cond = condition(purpose="exercise", facts={"exercise": "VARDE-1"})
        assert text(cond).startswith("EXERCISE VARDE-1 – st05")
        assert spoken(cond).startswith("EXERCISE VARDE-1 – st05")

    def test_a_real_alarm_beside_an_exercise_says_that_it_is_real(self):
        words = describe(alarm(), MODEL, running_exercise="VARDE-1")
        assert words.text.startswith("REAL – NOT PART OF EXERCISE VARDE-1: st05 reads")
        assert words.read_aloud.startswith("REAL – NOT PART OF EXERCISE VARDE-1: st05")

    def test_a_test_is_a_test(self):
        assert text(condition(purpose="test")).startswith("TEST – ")


class TestRadio:
    def test_the_radio_line(self):
        assert spoken() == (
            "st05 reads as chlorine, 3.1 ppm and rising, above AEGL-2. "
            "Keep people away, move crosswind. Certainty: possible. "
            "Since 21:01:04 +02:00 (19:01:04Z)."
        )

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_long_names_are_clipped_and_the_line_still_says_what_counts(self, language):
        cond = condition(
            station="s" * 64, level="x" * 300, agent="voc", facts={"exercise": "e" * 99}
        )
        for state in (AlarmState.UNACK, AlarmState.LATCHED):
            line = describe(
                alarm(cond, state=state), MODEL, language=language, running_exercise="e" * 99
            ).read_aloud
            assert len(line) <= READ_ALOUD_LIMIT
            assert "…" in line

    def test_a_return_with_long_names_still_says_that_the_area_is_not_declared(self):
        cond = condition(station="s" * 64, level="x" * 300, agent="voc")
        assert "area NOT declared safe" in spoken(cond, state=AlarmState.LATCHED)

    def test_a_notice_gives_no_order_on_the_radio(self):
        assert "Keep people away" not in spoken(condition(Reason.NOTICE_LEVEL))


class TestStrangers:
    def test_a_station_that_is_not_in_the_model_is_still_named(self):
        assert text(condition(station="ghost")).startswith("ghost reads as chlorine")

    def test_an_unknown_zone_of_the_clock_falls_back_to_utc(self):
        model = site_model(timezone="Mars/Olympus")
        assert "Since 19:01:04 +00:00 (19:01:04Z)." in text(model=model)

    def test_text_of_others_stays_on_one_line_and_short(self):
        cond = condition(Reason.INSTRUMENT_FAULT, facts={"detail": "a\nb\x00\x1b[31m" + "c" * 999})
        told = text(cond)
        assert "\n" not in told
        assert "\x1b" not in told
        assert len(told) < 700

    def test_many_stations_are_not_all_listed(self):
        many = tuple(evidence(f"st{n:02}") for n in range(40))
        told = text(condition(evidence=many), state=AlarmState.LATCHED)
        assert "…" in told
        assert "st30" not in told

    def test_braces_in_names_are_only_braces(self):
        assert text(condition(station="{level}")).startswith("{level} reads")


def test_a_level_that_nothing_here_can_see_is_not_detectable():
    assert not_detectable("sulfur dioxide", "AEGL-1") == (
        "sulfur dioxide, AEGL-1: not detectable here"
    )
    assert lint(not_detectable("klor", "AEGL-1", "nb"), "nb") == []


def test_words_depend_on_nothing_but_their_input():
    held = alarm(condition(priority=Priority.P1), changed_us=CHANGED_US)
    assert describe(held, MODEL) == describe(held, MODEL)


NOTHING = {"en": "below 0.05 ppm", "nb": "under 0,05 ppm", "it": "sotto 0,05 ppm"}


class TestNothing:
    @pytest.mark.parametrize("language", list(NOTHING))
    @pytest.mark.parametrize("shown", [0.0, -0.0, -0.02, 0.01])
    @pytest.mark.parametrize("reason", [Reason.SPIKE, Reason.INSTRUMENT_ALARM])
    def test_a_technical_text_says_below_the_detection_limit(self, reason, shown, language):
        cond = condition(reason, value=shown, instrument_value=shown)
        assert NOTHING[language] in text(cond, language=language)

    @pytest.mark.parametrize("language", list(NOTHING))
    @pytest.mark.parametrize(
        ("reason", "facts"),
        [
            (Reason.STEP, {"jump": 0.0, "jump_s": 0.0}),
            (Reason.STEP, {"jump": 12.0, "jump_s": 0.0}),
            (Reason.STUCK, {"silent_s": 0.0}),
            (Reason.STALE, {"silent_s": 0.0}),
            (Reason.MOVED, {"moved_m": 0.0}),
            (Reason.SPIKE, {"over_range": True}),
        ],
    )
    def test_no_fact_of_nothing_becomes_a_bare_zero(self, reason, facts, language):
        cond = condition(reason, value=0.0, instrument_value=0.0, facts=facts)
        assert lint(text(cond, language=language), language) == []
        assert lint(spoken(cond, language=language), language) == []

    def test_a_temperature_of_zero_is_a_temperature(self):
        cond = condition(
            Reason.SPIKE, channel="air_temperature", unit="degC", value=0.0, instrument_value=0.0
        )
        assert "stood out at 0 °C" in text(cond)


class TestNetworks:
    def test_an_alarm_names_its_own_station_however_far_its_evidence_reaches(self):
        for scope in Scope:
            cond = msgspec.structs.replace(network(condition()), scope=scope)
            told = text(cond)
            assert told.startswith("st05 reads as chlorine"), scope
            assert "MEASURED HERE, source unknown: st05, st06, st08." in told

    def test_counts_are_averaged_and_have_no_final_value(self):
        told = text(condition(Reason.RADIATION_ELEVATED, instrument_value=3.0))
        assert "Instrument shows 3.0 µSv/h now; averaged 0.83 ± 0.06 µSv/h." in told


class TestHeldLevels:
    def test_a_value_back_under_its_level_is_not_said_to_be_above_it(self):
        held = text(condition(value=2.1, setpoint=2.8))
        assert "2.1 ± 0.6 ppm and rising; has been above the AEGL-2" in held
        assert "has been above AEGL-2" in spoken(condition(value=2.1, setpoint=2.8))
        over = text(condition(Reason.LEVEL, instrument_value=20.0, value=20.0, setpoint=28.0))
        assert "; above the AEGL-2" in over, "over the range nobody knows how far"

    def test_a_mobile_station_says_where_its_highest_value_was(self):
        facts = {"peak": 1.44, "peak_lat": 37.5, "peak_lon": 140.25, "places": 4}
        cond = condition(Reason.RADIATION_ELEVATED, value=0.6, facts=facts)
        assert "Highest so far 1.4 µSv/h (37.50000°, 140.25000°)." in text(cond)
        at_peak = condition(Reason.RADIATION_ELEVATED, value=1.44, facts=facts)
        assert "Highest" not in text(at_peak)

    def test_an_explanation_that_ended_is_no_level(self):
        cond = condition(Reason.EXPLAINED_BY_ALTITUDE, priority=Priority.D)
        told = text(cond, state=AlarmState.NORMAL)
        assert "reading back below what is unusual for this station" in told
        assert "area NOT declared safe" in told
        assert "treat as real" not in text(cond)

    def test_a_computed_level_says_its_figure_within_its_brackets(self):
        level = "elevated level (0.5 µSv/h and 3 × this station's background)"
        cond = condition(Reason.RADIATION_ELEVATED, level=level, setpoint=0.66)
        told = text(cond, state=AlarmState.RTN_UNACK)
        assert "3 × this station's background: 0.66 µSv/h)" in told
