"""Whatever an alarm holds, the least message of it can be written, journalled and taken up."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from samples.alert_samples import alarm, condition, site_model

from cbrn_core.alarm import AlarmKind, Priority
from cbrn_gateway.alarms.render import alarm_from_alert
from cbrn_gateway.alarms.render_least import least_alert
from cbrn_gateway.schemas.generate import generate
from cbrn_gateway.store.chain import canonical

SCHEMA = Draft202012Validator(generate("cbrn-alert/1"))
WEIRD_TEXT = st.text(alphabet=st.characters(), max_size=300) | st.just("\ud800 alone")
WEIRD_INT = st.integers(-(2**80), 2**80)
WEIRD_FLOAT = st.floats()


@given(
    place=WEIRD_TEXT,
    level=WEIRD_TEXT,
    station=WEIRD_TEXT | st.none(),
    times=st.tuples(WEIRD_INT, WEIRD_INT, WEIRD_INT, WEIRD_INT),
    number=WEIRD_FLOAT,
    rank=WEIRD_INT | WEIRD_FLOAT | WEIRD_TEXT,
    kind=st.sampled_from(AlarmKind),
    priority=st.sampled_from(Priority),
)
def test_nothing_in_an_alarm_can_stop_it(
    place, level, station, times, number, rank, kind, priority
):
    given_condition = condition()
    weird = msgspec.structs.replace(
        given_condition,
        key=given_condition.key._replace(place=place, kind=kind, agent=level),
        level=level,
        station=station,
        channel=place,
        zone=level,
        agent=place,
        hazard=level,
        purpose=place,
        priority=priority,
        value=number,
        sigma=number,
        off_delay_s=number,
        place=(number, number, number),
        candidates=((level, number),),
        at_us=times[0],
        observed_us=times[1],
        clears_when=level,
        facts={"level_rank": rank, "detail": level, "bars": times[2]},
    )
    hard = alarm(weird, raised_us=times[0], changed_us=times[1], ack_us=times[2], until_us=times[3])
    alert = least_alert(msgspec.structs.replace(hard, note=level, acked_by=place), site_model())
    canonical(alert)
    SCHEMA.validate(alert)
    assert alert["id"] == hard.id
    alarm_from_alert(alert)
