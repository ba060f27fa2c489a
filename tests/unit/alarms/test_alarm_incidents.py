from unit.alarms.conditions import Desk, condition
from unit.alarms.square import at, station

from cbrn_core.alarm import AlarmKind, Priority
from cbrn_gateway.alarms.incidents import IncidentBook
from cbrn_gateway.alarms.policy import load_policy

LIFE = load_policy().life
GAMMA = {"agent": "gamma", "hazard": "radiological"}
EVOLVING = {"kind": AlarmKind.EVOLVING, "priority": Priority.P3}


def book(**stations):
    known = {name: station(name, north) for name, north in stations.items()}
    return IncidentBook("gw1", LIFE, known)


def assign(incidents, seconds, **fields):
    return incidents.assign(condition(seconds, **fields), at(seconds))


def test_alarms_of_one_gas_within_ten_minutes_are_one_incident():
    incidents = book()
    first = assign(incidents, 0)
    assert assign(incidents, 599, place="st06/cl2") == first
    assert assign(incidents, 599 + 601, place="st07/cl2") != first


def test_an_incident_lives_as_long_as_one_of_its_alarms_is_active():
    desk = Desk()
    desk.say(0)
    for second in range(0, 3000, 100):
        desk.say(second)
    desk.say(3001, place="st06/cl2")
    assert len({a.incident for a in desk.machine.open_alarms()}) == 1


def test_another_gas_or_hazard_is_another_incident():
    incidents = book()
    names = {
        assign(incidents, 0),
        assign(incidents, 1, agent="nh3"),
        assign(incidents, 2, **GAMMA),
        assign(incidents, 3, kind=AlarmKind.TECHNICAL, agent="stale"),
    }
    assert len(names) == 4


def test_a_class_joins_the_incident_of_its_agent():
    incidents = book()
    assert assign(incidents, 0, agent="hcn") == assign(incidents, 1, agent="blood")


def test_a_passer_by_across_the_square_is_not_merged_with_a_source():
    incidents = book(g2=0.0, g3=35.0, g9=120.0)
    source = assign(incidents, 0, place="g2/gamma", **GAMMA, **EVOLVING)
    assert assign(incidents, 60, place="g3/gamma", **GAMMA) == source
    assert assign(incidents, 120, place="g9/gamma", **GAMMA, **EVOLVING) != source
    assert assign(incidents, 130, place="g2/gamma", **GAMMA, **EVOLVING) == source


def test_a_specific_alarm_joins_the_nearest_of_two_incidents():
    incidents = book(g1=0.0, g9=200.0, g8=180.0)
    west = assign(incidents, 0, place="g1/gamma", **GAMMA, **EVOLVING)
    east = assign(incidents, 1, place="g9/gamma", **GAMMA, **EVOLVING)
    assert west != east
    assert assign(incidents, 2, place="g8/gamma", **GAMMA) == east


def test_technical_alarms_are_grouped_by_station():
    incidents = book()
    faults = {"kind": AlarmKind.TECHNICAL}
    first = assign(incidents, 0, place="st05/cl2", agent="stale", **faults)
    assert assign(incidents, 1, place="st05/nh3", agent="instrument_fault", **faults) == first
    assert assign(incidents, 2, place="st06/cl2", agent="stale", **faults) != first


def test_an_exercise_never_shares_an_incident_with_the_real_thing():
    incidents = book()
    assert assign(incidents, 0) != assign(incidents, 1, purpose="exercise")


def test_incident_names_depend_on_the_evidence_alone():
    assert assign(book(), 0) == assign(book(), 0)
    assert assign(book(), 0) != assign(book(), 1)


def test_after_a_restart_alarms_still_join_their_incident():
    desk = Desk()
    desk.say(0)
    fresh = Desk()
    fresh.machine.rebuild(desk.published)
    (alarm,) = fresh.say(60, place="st06/cl2")
    assert alarm.incident == desk.published[0].incident
