"""Steps for the people who act: the right play, filled in, and marked as what it is."""

from string import Formatter

import msgspec
import pytest
from samples.alert_samples import MODEL, alarm, condition, network, site_model

from cbrn_core.alarm import AlarmKind, AlarmState, Priority, Reason
from cbrn_gateway.alarms.actions import (
    STEP_CATALOGUES,
    ApprovedPlay,
    Play,
    Playbook,
    Role,
    Step,
    choose_play,
    instructions,
    playbook_status,
)
from cbrn_gateway.alarms.lint import lint

EXAMPLE = "EXAMPLE – not approved by your service"


def steps(cond=None, model=MODEL, **fields):
    return [step.text for step in instructions(alarm(cond, **fields), model).steps]


@pytest.mark.parametrize("language", list(STEP_CATALOGUES))
@pytest.mark.parametrize("reason", list(Reason))
def test_every_rule_has_steps_in_every_language(reason, language):
    for state in (AlarmState.UNACK, AlarmState.LATCHED):
        found, playbook = instructions(
            alarm(condition(reason), state=state), MODEL, language=language
        )
        assert found
        assert playbook.status == STEP_CATALOGUES[language].example
        for step in found:
            assert lint(step.text, language) == []
            assert "{" not in step.text


@pytest.mark.parametrize("language", list(STEP_CATALOGUES))
def test_every_play_is_written_in_every_language_for_the_same_people(language):
    words = STEP_CATALOGUES[language]
    english = STEP_CATALOGUES["en"]
    assert set(words.steps) == set(Play)
    for play, found in words.steps.items():
        assert [s.role for s in found] == [s.role for s in english.steps[play]]
        for step, original in zip(found, english.steps[play], strict=True):
            assert _fields(step.text) == _fields(original.text), play


def _fields(template):
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_the_first_step_keeps_people_away_from_every_measured_station():
    first = steps(network(condition()))[0]
    assert first == (
        "Keep people away from st05, st06, st08; move crosswind, not through st05, st06, st08."
    )


def test_the_call_names_the_transport_numbers():
    told = steps(condition(agent="nh3", station="st11", channel="nh3", value=230.0))
    assert any("reads as ammonia (UN 1005, ADR 268), 230.0 ± 0.6 ppm at st11" in s for s in told)


def test_the_tolerance_of_responders_is_a_line_for_responders_only():
    cond = condition(agent="nh3", station="st11", channel="nh3", value=230.0)
    found = instructions(alarm(cond), MODEL).steps
    (line,) = [step for step in found if "ETW" in step.text]
    assert line == Step(Role.RESPONDER, "ETW 4 h 110 ppm exceeded: breathing protection.")
    below = msgspec.structs.replace(cond, value=109.0)
    assert not any("ETW" in text for text in steps(below))


def test_the_standing_cordon_is_the_citys_own():
    assert "Set the city's standing cordon: 150 m around st05." in steps()
    assert not any("cordon" in s for s in steps(model=site_model(standing_cordon_m={})))


def test_gamma_keeps_everybody_at_the_sourced_distance():
    told = steps(condition(Reason.RADIATION_ELEVATED))
    assert told[0].startswith("Keep everybody ≥ 30 m from the suspected area around g3")
    assert "IAEA EPR-First Responders 2006" in told[0]


def test_turn_back_comes_first_where_it_is_due():
    assert steps(condition(Reason.RADIATION_TURN_BACK))[0].startswith("TURN BACK now")


@pytest.mark.parametrize(
    ("fields", "play"),
    [
        ({}, Play.CHEMICAL_ALARM),
        ({"reason": Reason.INDICATIVE_LEVEL}, Play.CHEMICAL_INDICATIVE),
        ({"reason": Reason.INDICATIVE_LEVEL, "hazard": "radiological"}, Play.RADIATION_ALARM),
        ({"reason": Reason.NOTICE_LEVEL}, Play.CHEMICAL_NOTICE),
        ({"reason": Reason.CLASS_DETECTION}, Play.CHEMICAL_CLASS),
        ({"reason": Reason.CLASS_DETECTION, "key_agent": "tic", "facts": {}}, Play.CHEMICAL_ALARM),
        ({"reason": Reason.CLASS_DETECTION, "hazard": "biological"}, Play.BIOLOGICAL),
        ({"reason": Reason.RADIATION_INVESTIGATE}, Play.RADIATION_INVESTIGATE),
        ({"reason": Reason.RADIATION_HOT}, Play.RADIATION_ALARM),
        ({"reason": Reason.EXPLAINED_BY_ALTITUDE}, Play.EXPLAINED),
        ({"reason": Reason.STALE, "hazard": "chemical"}, Play.CHANNEL_SILENT),
        ({"reason": Reason.STORE_FAILED}, Play.STORE),
        ({"reason": Reason.CONFIG_NOT_IN_FORCE}, Play.CONFIGURATION),
        ({"kind": AlarmKind.PERSONAL, "hazard": "physiological"}, Play.PHYSIOLOGICAL),
    ],
)
def test_the_play_follows_rule_and_hazard(fields, play):
    assert choose_play(alarm(condition(**fields))) is play


def test_a_hazard_that_returned_keeps_its_measures():
    returned = alarm(condition(), state=AlarmState.LATCHED)
    assert choose_play(returned) is Play.RETURNED
    assert steps(state=AlarmState.LATCHED)[0].startswith("Keep the measures")


def test_the_built_in_steps_are_approved_by_nobody():
    status = playbook_status()
    assert status.status == EXAMPLE
    assert status.approved_by is None
    assert all("recalled" in source for source in status.sources)


class TestApproved:
    PLAYBOOK = Playbook(
        name="Oslo chlorine",
        status="",
        approved_by="A. Lie",
        role="Chief fire officer",
        date="2026-01-10",
        valid_until="2026-12-31",
        sources=("Plan 7.2",),
    )
    STEPS = (Step(Role.EVERYONE, "Close {where} for {agent}, see {unknown} {"),)

    def _found(self, playbook, **fields):
        approved = {Play.CHEMICAL_ALARM: ApprovedPlay(playbook, self.STEPS)}
        return instructions(alarm(**fields), MODEL, approved=approved)

    def test_a_citys_own_steps_replace_the_example(self):
        found = self._found(self.PLAYBOOK)
        assert found.playbook.status == "approved by your service"
        assert found.playbook.sources == ("Plan 7.2",)
        assert len(found.steps) == 1

    def test_a_step_with_unknown_fields_is_shown_as_it_was_written(self):
        assert self._found(self.PLAYBOOK).steps[0].text == self.STEPS[0].text

    def test_an_approval_ends(self):
        ended = msgspec.structs.replace(self.PLAYBOOK, valid_until="2026-05-31")
        assert self._found(ended).playbook.status.startswith("EXPIRED")
        last_day = msgspec.structs.replace(self.PLAYBOOK, valid_until="2026-06-01")
        assert self._found(last_day).playbook.status == "approved by your service"

    @pytest.mark.parametrize("missing", ["approved_by", "role", "date", "valid_until"])
    def test_half_an_approval_is_none(self, missing):
        half = msgspec.structs.replace(self.PLAYBOOK, **{missing: None})
        assert self._found(half).playbook.status == EXAMPLE


def test_no_isolation_distance_table_is_used():
    for reason in Reason:
        for text in steps(condition(reason, priority=Priority.P1)):
            assert "ERG" not in text
