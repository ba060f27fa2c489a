"""The vocabulary lint finds what a machine may not say, and nothing else."""

import pytest
from samples.alert_samples import MODEL, alarm, condition

from cbrn_core.alarm import AlarmState, Certainty, Reason
from cbrn_gateway.alarms.actions import STEP_CATALOGUES
from cbrn_gateway.alarms.lint import lint, lint_alert
from cbrn_gateway.alarms.render import Presentation, render_alert
from cbrn_gateway.alarms.texts import CATALOGUES

LANGUAGES = ["en", "nb", "it"]


@pytest.mark.parametrize(
    ("language", "planted"),
    [
        ("en", "The square is safe."),
        ("en", "It is SAFE now"),
        ("en", "You can safely return"),
        ("en", "a safer place"),
        ("en", "All clear"),
        ("en", "all-clear given"),
        ("en", "AllClear"),
        ("en", "There is no danger here"),
        ("en", "no hazard"),
        ("en", "confirmed chlorine"),
        ("en", "Certainty: confirmed."),
        ("en", "a gas attack"),
        ("en", "under attack"),
        ("en", "attackers"),
        ("en", "reads 0 ppm"),
        ("en", "reads 0.0 ppm"),
        ("en", "value: 0"),
        ("en", "chlorine 0."),
        ("en", "-0.00 ppm"),
        ("en", "0 ± 0.2 ppm"),
        ("en", "area declared safe"),
        ("en", "area not declared safe"),
        ("en", "“safe”"),
        ("en", "The reading “safe” stands"),
        ("nb", "Området er trygt"),
        ("nb", "Det er trygg"),
        ("nb", "faren er over"),
        ("nb", "Faren over"),
        ("nb", "ingen fare"),
        ("nb", "ufarlig nivå"),
        ("nb", "bekreftet klor"),
        ("nb", "et angrep"),
        ("nb", "angrepet"),
        ("nb", "verdi 0 ppm"),
        ("nb", "0,0 ppm"),
        ("nb", "safe"),
        ("it", "zona sicura"),
        ("it", "luogo sicuro"),
        ("it", "in sicurezza"),
        ("it", "cessato allarme"),
        ("it", "Nessun pericolo"),
        ("it", "cloro confermato"),
        ("it", "un attacco"),
        ("it", "attacchi"),
        ("it", "via libera"),
        ("it", "legge 0 ppm"),
    ],
)
def test_a_planted_word_is_caught(language, planted):
    assert lint(planted, language)


@pytest.mark.parametrize(
    ("language", "allowed"),
    [
        ("en", "area NOT declared safe"),
        ("en", "Area drawn: outside the line is not safe."),
        ("en", "B. Hansen, fire officer: “confirmed: Cl2; area safe”."),
        ("en", "operator: “attack reported by telephone”."),
        ("en", "below 0.05 ppm"),
        ("en", "10 ppm, 0.5 ppm, 100 %, 21:01:07 +02:00 (19:01:07Z), 20:00:00"),
        ("en", "UN 1005, st0, g-0a, 2026-06-01T00:00:00Z"),
        ("en", "safety officer"),
        ("en", "unconfirmed"),
        ("nb", "området er IKKE klarert"),
        ("nb", "under 0,05 ppm"),
        ("nb", "usikker"),
        ("it", "area NON dichiarata agibile"),
        ("it", "sotto 0,05 ppm"),
        ("it", "vigilanza"),
    ],
)
def test_what_is_allowed_passes(language, allowed):
    assert lint(allowed, language) == []


def test_an_allowed_sentence_does_not_hide_its_neighbour():
    assert [v.word for v in lint("area NOT declared safe, but st05 is safe")] == ["safe"]
    assert lint("sa“x”fe") == []


def test_the_violation_says_where():
    (violation,) = lint("the north side is safe again")
    assert violation.word == "safe"
    assert "north side is safe again" in violation.excerpt


def test_a_language_without_a_list_is_an_error_not_a_pass():
    with pytest.raises(KeyError):
        lint("safe", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_passes_as_written(language):
    templates = CATALOGUES[language].templates() + STEP_CATALOGUES[language].templates()
    assert len(templates) > 100
    for template in templates:
        # Quoted fields of persons are judged when they are filled.
        assert lint(template.replace("“{words}”", ""), language) == [], template


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("certainty", [Certainty.POSSIBLE, Certainty.CONFIRMED])
def test_no_rendered_alert_says_what_it_may_not(reason, language, certainty):
    presentation = Presentation(language=language)
    for state in (AlarmState.UNACK, AlarmState.LATCHED, AlarmState.NORMAL):
        held = alarm(condition(reason, certainty=certainty), state=state)
        alert = render_alert(held, MODEL, presentation)
        assert lint_alert(alert, language) == []
        assert alert["properties"]["certainty"] == certainty, "an enumeration value is no prose"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"text": "all clear"}, "text"),
        ({"read_aloud": "safe"}, "read_aloud"),
        ({"level": "0 ppm"}, "level"),
        ({"missing": ["nothing", "no danger"]}, "missing[1]"),
        ({"actions": [{"step": 1, "text": "It is safe."}]}, "actions[0].text"),
        ({"playbook": {"name": "attack"}}, "playbook.name"),
        ({"reason": "confirmed"}, "reason"),
    ],
)
def test_a_planted_word_in_any_sentence_of_an_alert_is_caught(change, path):
    alert = render_alert(alarm(), MODEL)
    alert["properties"] |= change
    assert [violation.path for violation in lint_alert(alert)] == [path]


def test_what_is_no_alert_has_no_sentences():
    assert lint_alert({}) == []
    assert lint_alert({"properties": "safe"}) == []
