"""The alert message: every field of its contract, its geometry, and the way back."""

import json

import msgspec
import pytest
import rfc8785
from jsonschema import Draft202012Validator
from samples.alert_samples import (
    ACK_US,
    CHANGED_US,
    MODEL,
    RING,
    STATIONS,
    UNTIL_US,
    alarm,
    condition,
    evidence,
    in_state,
    network,
    site_model,
)

from cbrn_core.alarm import AlarmState, Event, EventKind, Priority, Reason, Scope
from cbrn_core.errors import InputError
from cbrn_gateway.alarms.render import (
    Picture,
    Presentation,
    alarm_from_alert,
    mark_pending,
    render_alert,
    render_event,
    rounded,
)
from cbrn_gateway.schemas import load_schema
from cbrn_gateway.wire import HazardArea, HazardContour, Polygon, SourceEstimate

ALERT = Draft202012Validator(load_schema("cbrn-alert/1"))
CONTRACT = [
    "schema",
    "gateway",
    "city",
    "site",
    "zone",
    "station",
    "channel",
    "version",
    "journal",
    "kind",
    "hazard",
    "agent",
    "candidates",
    "purpose",
    "not_in_service",
    "reason",
    "state",
    "priority",
    "scope",
    "corroboration",
    "certainty",
    "level",
    "basis",
    "setpoint",
    "value",
    "sigma",
    "unit",
    "instrument_value",
    "trend_per_min",
    "observed_at",
    "raised_at",
    "changed_at",
    "expires_at",
    "source_estimate",
    "hazard_area",
    "evidence",
    "missing",
    "cannot_see",
    "clears_when",
    "text",
    "read_aloud",
    "actions",
    "playbook",
    "incident",
    "config_hash",
    "model",
]


def properties(cond=None, model=MODEL, **fields):
    return render_alert(alarm(cond, **fields), model)["properties"]


def replaced(cond, **fields):
    return msgspec.structs.replace(cond, **fields)


@pytest.mark.parametrize("state", [s for s in AlarmState if s is not AlarmState.PENDING])
@pytest.mark.parametrize("reason", list(Reason))
def test_every_alert_obeys_its_schema_and_has_every_field(reason, state):
    alert = render_alert(in_state(state, condition(reason)), site_model(in_service=False))
    assert [error.message for error in ALERT.iter_errors(alert)] == []
    assert set(CONTRACT) <= set(alert["properties"])
    assert alert == json.loads(json.dumps(alert, allow_nan=False)), "plain JSON values only"
    assert alert["geometry"] is not None


def test_the_feature_of_a_raised_alarm():
    alert = render_alert(alarm(), MODEL)
    assert alert["type"] == "Feature"
    assert alert["id"] == alarm().id
    assert alert["geometry"] == {"type": "Point", "coordinates": [10.73, 59.91]}
    fields = alert["properties"]
    assert fields["schema"] == "cbrn-alert/1"
    assert (fields["city"], fields["site"], fields["zone"]) == ("oslo", "radhus", "north")
    assert (fields["value"], fields["sigma"], fields["unit"]) == (3.1, 0.6, "ppm")
    assert fields["instrument_value"] == 1.9
    assert fields["level"] == "AEGL-2 10-min concentration (momentary)"
    assert fields["observed_at"] == "2026-06-01T19:01:04.120Z"
    assert fields["agent_card"]["names"]["nb"] == "klor"
    assert fields["agent_card"]["un"] == "1017"
    assert fields["probability"] is None
    assert fields["standing_cordon_m"] == 150.0


def test_the_chain_is_left_to_the_journal():
    assert not {"epoch", "seq", "prev_hash", "hash"} & set(properties())
    assert properties()["journal"] is None


def test_an_alert_sent_from_memory_has_no_place_in_the_chain_yet():
    fields = mark_pending(render_alert(alarm(), MODEL))["properties"]
    assert fields["journal"] == "pending"
    assert [fields[name] for name in ("epoch", "seq", "prev_hash", "hash")] == [None] * 4


@pytest.mark.parametrize(
    ("priority", "wire"), [(Priority.P1, 1), (Priority.P2, 2), (Priority.P3, 3), (Priority.D, "D")]
)
def test_priority_on_the_wire(priority, wire):
    assert properties(condition(priority=priority))["priority"] == wire


def test_an_alert_expires_ten_minutes_after_it_was_published():
    assert properties()["expires_at"] == "2026-06-01T19:11:07.000Z"
    renewed = render_alert(alarm(), MODEL, published_us=CHANGED_US + 300_000_000)
    assert renewed["properties"]["expires_at"] == "2026-06-01T19:16:07.000Z"
    assert renewed["properties"]["changed_at"] == "2026-06-01T19:01:07.000Z"


def test_a_site_in_service_needs_no_reason():
    assert properties()["not_in_service"] is False
    assert properties()["reason"] is None


def test_a_real_reading_on_a_site_not_in_service_stays_actual():
    model = site_model(in_service=False, not_in_service_reason="shadow mode")
    fields = properties(model=model)
    assert (fields["purpose"], fields["not_in_service"]) == ("actual", True)
    assert fields["reason"] == "shadow mode"
    assert properties(model=site_model(in_service=False))["reason"] == "not signed off for service"


class TestSource:
    SOURCE = SourceEstimate(
        computed_at="2026-06-01T19:02:00.000Z",
        lat=59.9105,
        lon=10.7301,
        error_m=30.0,
        region_50=Polygon((RING,)),
        region_90=Polygon((RING,)),
        rate=2.4,
        rate_unit="g/s",
        rate_interval=(1.0, 5.0),
    )
    AREA = HazardArea(
        computed_at="2026-06-01T19:02:00.000Z",
        valid_until="2026-06-01T19:12:00.000Z",
        contours=(
            HazardContour(
                level="AEGL-2 10-min concentration", probability=0.9, area=Polygon((RING,))
            ),
        ),
    )

    def test_without_evidence_there_is_no_source_and_the_reason_why(self):
        fields = properties()
        assert fields["source_estimate"] == "not enough evidence"
        assert fields["source_reason"] == "one station alone cannot say where the source is"
        assert fields["hazard_area"] is None
        assert fields["hazard_area_reason"]
        assert "no source region" in properties(network(condition()))["source_reason"]

    def test_a_fault_has_no_source_at_all(self):
        fields = properties(condition(Reason.STALE))
        assert fields["source_estimate"] is None
        assert fields["source_reason"] is None
        assert fields["hazard_area_reason"] is None

    def test_a_source_is_a_region_and_never_moves_the_geometry(self):
        picture = Picture(source=self.SOURCE, area_reason="wind < 1 m/s: area not predictable")
        alert = render_alert(alarm(), MODEL, picture=picture)
        assert ALERT.is_valid(alert)
        assert alert["geometry"] == render_alert(alarm(), MODEL)["geometry"]
        fields = alert["properties"]
        assert fields["source_estimate"]["region_90"]["type"] == "Polygon"
        assert fields["source_reason"] is None
        assert fields["hazard_area_reason"] == "wind < 1 m/s: area not predictable"

    def test_every_outline_says_what_it_does_not_say(self):
        picture = Picture(source=self.SOURCE, area=self.AREA)
        alert = render_alert(alarm(), MODEL, picture=picture)
        assert ALERT.is_valid(alert)
        assert alert["properties"]["hazard_area"]["note"] == "outside the line is not safe"
        assert "outside the line is not safe" in alert["properties"]["text"]


class TestGeometry:
    def test_a_mobile_station_is_where_it_measured(self):
        cond = condition(station="van", place=(59.9123456789, 10.74, 12.0))
        point = render_alert(alarm(cond), MODEL)["geometry"]
        assert point == {"type": "Point", "coordinates": [10.74, 59.9123457]}

    def test_a_network_alarm_is_the_stations_that_take_part_and_no_other(self):
        for scope in Scope:
            cond = replaced(network(condition()), scope=scope)
            geometry = render_alert(alarm(cond), MODEL)["geometry"]
            assert geometry == {
                "type": "MultiPoint",
                "coordinates": [[10.73, 59.91], [10.731, 59.911], [10.7315, 59.9105]],
            }, scope

    def test_a_network_alarm_in_a_site_without_zones_is_no_whole_site(self):
        model = msgspec.structs.replace(MODEL, zones={})
        cond = replaced(network(condition()), scope=Scope.SITE)
        assert len(render_alert(alarm(cond), model)["geometry"]["coordinates"]) == 3

    def test_a_van_and_the_stations_that_agree_are_each_where_they_measured(self):
        cond = condition(
            station="van", place=(59.912, 10.74, 12.0), evidence=(evidence("van"), evidence("st06"))
        )
        geometry = render_alert(alarm(cond), MODEL)["geometry"]
        assert geometry["coordinates"] == [[10.74, 59.912], [10.731, 59.911]]

    def test_a_zone_alarm_without_a_station_is_its_zone(self):
        cond = replaced(condition(), station=None, channel=None, evidence=())
        geometry = render_alert(alarm(cond), MODEL)["geometry"]
        assert geometry["type"] == "Polygon"
        assert geometry["coordinates"] == [[list(point) for point in RING]]

    def test_a_mobile_station_without_a_fix_is_in_its_zone(self):
        cond = condition(station="van", zone="north")
        assert render_alert(alarm(cond), MODEL)["geometry"]["type"] == "Polygon"

    def test_an_open_ring_is_closed(self):
        zones = {"north": msgspec.structs.replace(MODEL.zones["north"], polygon=RING[:3])}
        model = msgspec.structs.replace(MODEL, zones=zones)
        cond = condition(station=None, zone="north")
        (ring,) = render_alert(alarm(cond), model)["geometry"]["coordinates"]
        assert len(ring) == 4
        assert ring[0] == ring[-1]

    def test_a_zone_without_outline_falls_back_to_the_site(self):
        cond = condition(station="van", zone="south")
        assert render_alert(alarm(cond), MODEL)["geometry"]["type"] == "Polygon"

    def test_a_site_alarm_about_a_known_station_is_at_that_station(self):
        cond = replaced(condition(), scope=Scope.SITE)
        assert render_alert(alarm(cond), MODEL)["geometry"]["type"] == "Point"

    def test_several_zones_make_one_site(self):
        zones = {
            name: msgspec.structs.replace(zone, polygon=RING) for name, zone in MODEL.zones.items()
        }
        model = msgspec.structs.replace(MODEL, zones=zones)
        cond = condition(station=None, channel=None, zone=None)
        assert render_alert(alarm(cond), model)["geometry"]["type"] == "MultiPolygon"

    def test_a_site_without_zones_is_its_stations(self):
        model = msgspec.structs.replace(MODEL, zones={})
        cond = condition(station=None, channel=None, zone=None)
        geometry = render_alert(alarm(cond), model)["geometry"]
        assert geometry["type"] == "MultiPoint"
        assert len(geometry["coordinates"]) == len(STATIONS) - 1, "the van has no place"
        one = msgspec.structs.replace(model, stations={"st05": MODEL.stations["st05"]})
        assert render_alert(alarm(cond), one)["geometry"]["type"] == "Point"

    def test_even_a_site_of_nothing_but_lost_vans_has_a_geometry(self):
        model = msgspec.structs.replace(
            MODEL, zones={}, stations={"van": MODEL.stations["van"]}, channels={}
        )
        alert = render_alert(alarm(condition(station="van", zone=None)), model)
        assert alert["geometry"] == {"type": "GeometryCollection", "geometries": []}
        assert ALERT.is_valid(alert)


class TestNumbers:
    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (3.1000000000000005, 3.1),
            (0.1 + 0.2, 0.3),
            (123456.7, 123457.0),
            (1.23456789e-9, 1.23457e-9),
            (0.0, 0.0),
            (None, None),
            (float("nan"), None),
            (float("inf"), None),
        ],
    )
    def test_one_rule_of_rounding(self, number, expected):
        assert rounded(number) == expected

    def test_what_is_not_a_number_is_null_everywhere(self):
        nan = float("nan")
        cond = condition(
            value=nan, sigma=nan, setpoint=nan, instrument_value=float("inf"), trend_per_min=nan,
            candidates=(("o3", nan),), facts={"x": nan, "kept": 1.5},
        )  # fmt: skip
        alert = render_alert(alarm(cond), MODEL)
        json.dumps(alert, allow_nan=False)
        assert ALERT.is_valid(alert)
        assert alert["properties"]["value"] is None
        assert alert["properties"]["machine"]["facts"] == {"kept": 1.5}


class TestWayBack:
    @pytest.mark.parametrize("state", [s for s in AlarmState if s is not AlarmState.PENDING])
    @pytest.mark.parametrize("reason", list(Reason))
    def test_an_alarm_is_taken_up_again_from_its_alert(self, reason, state):
        held = in_state(state, condition(reason))
        assert alarm_from_alert(render_alert(held, MODEL)) == held

    def test_through_the_bytes_of_the_journal(self):
        held = alarm(
            replaced(network(condition()), place=(59.0, 10.0, 2.0), facts={"jump": 12.0}),
            state=AlarmState.SHELVED,
            acked_by="B. Hansen",
            ack_us=ACK_US + 1,
            until_us=UNTIL_US,
            note="wind turned",
        )
        alert = render_alert(held, MODEL)
        alert["properties"] |= {
            "epoch": 0, "seq": 3, "prev_hash": "0" * 64, "hash": "f" * 64, "journal": "journalled",
        }  # fmt: skip
        assert ALERT.is_valid(alert)
        assert alarm_from_alert(json.loads(rfc8785.dumps(alert))) == held

    def test_a_field_of_the_future_does_not_hinder(self):
        alert = render_alert(alarm(), MODEL)
        alert["properties"]["wind_m_s"] = 1.8
        assert ALERT.is_valid(alert)
        assert alarm_from_alert(alert) == alarm()

    @pytest.mark.parametrize(
        "damage",
        [
            {"state": "gone"},
            {"priority": 7},
            {"priority": None},
            {"machine": None},
            {"machine": {"rule": "level"}},
            {"raised_at": "yesterday"},
            {"version": 0},
            {"evidence": 3},
            {"schema": "cbrn-alert/2"},
        ],
    )
    def test_a_damaged_alert_is_an_input_error(self, damage):
        alert = render_alert(alarm(), MODEL)
        alert["properties"] |= damage
        with pytest.raises(InputError):
            alarm_from_alert(alert)

    def test_an_unknown_rule_is_an_input_error(self):
        alert = render_alert(alarm(), MODEL)
        alert["properties"]["machine"]["rule"] = "tarot"
        with pytest.raises(InputError):
            alarm_from_alert(alert)

    @pytest.mark.parametrize("alert", [{}, {"type": "Feature"}, {"type": "Point", "id": 3}])
    def test_what_is_no_alert_is_an_input_error(self, alert):
        with pytest.raises(InputError):
            alarm_from_alert(alert)


def test_the_language_of_the_site_reaches_text_and_steps():
    norwegian = render_alert(alarm(), MODEL, Presentation(language="nb"))["properties"]
    assert norwegian["language"] == "nb"
    assert norwegian["text"].startswith("st05 gir utslag som klor 3,1 ± 0,6 ppm og stigende")
    assert norwegian["actions"][0]["text"].startswith("Hold folk unna st05")
    assert norwegian["playbook"]["status"].startswith("EKSEMPEL")


def test_every_step_carries_the_mark_of_its_playbook():
    fields = properties()
    assert [step["step"] for step in fields["actions"]] == list(
        range(1, 1 + len(fields["actions"]))
    )
    assert {step["mark"] for step in fields["actions"]} == {
        "EXAMPLE – not approved by your service"
    }


def test_the_model_version_may_be_given():
    given = render_alert(alarm(), MODEL, Presentation(model_version="m-7"))["properties"]
    assert given["model"] == "m-7"
    assert properties()["model"].startswith("cbrn-gateway")


def test_an_event_of_the_journal():
    event = Event(
        kind=EventKind.CONFIGURED,
        time_us=CHANGED_US,
        text="configuration applied",
        actor="B. Hansen",
        facts={"config_hash": "c0ffee", "channels": 8, "bad": float("nan")},
    )
    entry = render_event(event, "gw-1")
    assert entry["type"] == "configured"
    assert entry["time"] == "2026-06-01T19:01:07.000Z"
    assert entry["facts"] == {"config_hash": "c0ffee", "channels": 8}
    assert Draft202012Validator(load_schema("cbrn-journal/1")).is_valid(entry)
