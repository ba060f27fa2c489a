"""An alarm whose message cannot be written still goes out: short, true and readable again."""

import pytest
from jsonschema import Draft202012Validator
from samples.alert_samples import FAULTS, HAZARDS, alarm, condition, site_model

from cbrn_core.alarm import AlarmState
from cbrn_gateway.alarms.lint import lint_alert
from cbrn_gateway.alarms.render import alarm_from_alert
from cbrn_gateway.alarms.render_least import least_alert
from cbrn_gateway.schemas.generate import generate

SCHEMA = Draft202012Validator(generate("cbrn-alert/1"))
LANGUAGES = ["en", "nb", "it"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", [s for s in AlarmState if s is not AlarmState.PENDING])
def test_it_obeys_the_schema_and_the_vocabulary_in_every_state_and_language(state, language):
    alert = least_alert(alarm(condition(), state=state), site_model(), language)
    SCHEMA.validate(alert)
    assert lint_alert(alert, language) == []
    assert len(alert["properties"]["read_aloud"]) <= 200
    assert "1" in alert["properties"]["text"]


@pytest.mark.parametrize("purpose", ["exercise", "test"])
def test_a_drill_says_that_it_is_one(purpose):
    alert = least_alert(alarm(condition(purpose=purpose)), site_model())
    assert alert["properties"]["purpose"] == purpose
    assert alert["properties"]["text"].startswith(purpose.upper())


@pytest.mark.parametrize("reason", [*HAZARDS, *FAULTS])
def test_a_restart_takes_the_alarm_up_from_it(reason):
    before = alarm(condition(reason=reason), version=7, acked_by="anna")
    after = alarm_from_alert(least_alert(before, site_model()))
    assert (after.id, after.version, after.state) == (before.id, before.version, before.state)
    assert after.condition.key == before.condition.key
    assert after.condition.reason == before.condition.reason
    assert after.condition.priority == before.condition.priority
    assert after.acked_by == "anna"
