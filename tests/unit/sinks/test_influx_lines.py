import json

import msgspec
import pytest
from samples.sink_samples import T0_US, alert_body, reading, site_model

from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import Purpose, Quality
from cbrn_core.units import Unit
from cbrn_gateway.sinks.influx_lines import LineWriter

HEAD = "city=harbour-city,device=d-st01,purpose=actual,site=fish-market,station=st01,zone=north"
NS = T0_US * 1000


@pytest.fixture
def lines() -> LineWriter:
    return LineWriter(site_model())


def test_a_reading_becomes_exactly_this_line(lines):
    line = lines.reading(reading(value=1, sigma=0.5, raw=4095, seq=7, quality=Quality.UNCERTAIN))
    assert line is not None
    assert line.decode() == (
        f"chemical,agent=cl2,channel=cl2,{HEAD} "
        f"value=1.0,sigma=0.5,raw=4095.0,quality=1i,lat=59.91,lon=10.75,seq=7i {NS}"
    )


@pytest.mark.parametrize(
    ("channel", "unit", "value", "series", "written"),
    [
        ("h2s", Unit.PPB, 1500.0, "chemical", "value=1.5,"),
        ("cl2", Unit.MG_M3, 2.9, "chemical", "value=1.0006"),
        ("gamma", Unit.MSV_H, 0.5, "radiological", "value=500.0,"),
        ("wind", Unit.KM_H, 36.0, "weather", "value=10.0,"),
    ],
)
def test_values_are_in_the_canonical_unit_of_their_quantity(
    lines, channel, unit, value, series, written
):
    line = lines.reading(reading(channel=channel, unit=unit, value=value, sigma=None)).decode()
    assert line.startswith(f"{series},agent=")
    assert written in line


def test_sigma_is_converted_with_its_value(lines):
    line = lines.reading(reading(channel="h2s", unit=Unit.PPB, value=1500.0, sigma=100.0))
    assert b"value=1.5,sigma=0.1," in line


def test_a_reading_without_a_value_still_says_its_quality(lines):
    line = lines.reading(reading(value=None, quality=Quality.BAD)).decode()
    assert " quality=2i,lat=" in line
    assert "value=" not in line


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_left_out_and_counted(lines, number):
    line = lines.reading(reading(value=number, raw=number, sigma=0.1)).decode()
    assert "value=" not in line
    assert "raw=" not in line
    assert "sigma=0.1" in line
    assert lines.counters["dropped_nonfinite"] == 2


def test_text_as_raw_is_not_written(lines):
    assert b"raw" not in lines.reading(reading(raw="0x1f"))


def test_a_mobile_station_is_where_it_says(lines):
    line = lines.reading(reading("w01", "co", fix=Fix(59.0, 11.0))).decode()
    assert "lat=59.0,lon=11.0" in line
    assert "zone=" not in line
    assert b"lat" not in lines.reading(reading("w01", "co"))


def test_the_purpose_is_a_tag(lines):
    assert b"purpose=exercise," in lines.reading(reading(purpose=Purpose.EXERCISE))


def test_the_device_that_spoke_is_a_tag_also_where_it_is_not_the_configured_one(lines):
    assert b",device=d-st01," in lines.reading(reading())
    assert b",device=spare-7," in lines.reading(reading(device="spare-7"))
    assert b",device=d-st01," in lines.reading(reading())


def test_a_new_configuration_holds_from_the_next_line_on(lines):
    assert b"city=harbour-city" in lines.reading(reading())
    lines.site = msgspec.structs.replace(site_model(), city="elsewhere")
    assert b"city=elsewhere" in lines.reading(reading())


def test_body_quantities_are_never_written(lines):
    assert lines.reading(reading("w01", "pulse", unit=Unit.BPM, value=150.0)) is None
    assert lines.counters["influx_private"] == 1


def test_an_unknown_channel_is_counted_not_written(lines):
    assert lines.reading(reading("st01", "nowhere")) is None
    assert lines.counters["influx_unknown_channel"] == 1


def test_a_unit_that_does_not_fit_is_counted_not_written(lines):
    assert lines.reading(reading(unit=Unit.BPM)) is None
    assert lines.counters["influx_unconvertible"] == 1


def test_an_estimate_has_value_sigma_and_nis(lines):
    estimate = Estimate(
        station="st01",
        channel="cl2",
        time_us=T0_US,
        received_us=T0_US,
        value=2,
        sigma=0.25,
        unit=Unit.PPM,
        nis=1.5,
        quality=Quality.GOOD,
    )
    line = lines.estimate(estimate).decode()
    assert line == f"estimate,agent=cl2,channel=cl2,{HEAD} value=2.0,sigma=0.25,nis=1.5 {NS}"


def test_an_alert_becomes_exactly_this_line(lines):
    line = lines.alert(alert_body("abc", 3, priority="D", state="ack")).decode()
    assert line == (
        "alarm,agent=cl2,channel=cl2,city=harbour-city,purpose=actual,site=fish-market,"
        'station=st01 alarm_id="abc",state="ack",priority=4i,kind="specific",'
        'level="AEGL-2 10-min concentration (momentary)",certainty="possible",value=4.5,'
        f"version=3i,lat=59.91,lon=10.75 {NS + 3}"
    )


def test_two_alarms_of_one_channel_at_the_same_moment_are_two_points(lines):
    first = lines.alert(alert_body("one", 1, seq=41)).rsplit(b" ", 1)[1]
    second = lines.alert(alert_body("two", 1, seq=42)).rsplit(b" ", 1)[1]
    unsealed = lines.alert(alert_body("two", 1, seq=None)).rsplit(b" ", 1)[1]
    assert first != second
    assert int(unsealed) // 1000 == T0_US
    assert lines.alert(alert_body("one", 1, seq=41)).rsplit(b" ", 1)[1] == first


def test_an_alert_that_stands_for_a_zone_has_no_point(lines):
    feature = json.loads(alert_body("abc", 1))
    feature["geometry"] = {"type": "Polygon", "coordinates": [[[1, 2], [3, 4], [5, 6], [1, 2]]]}
    line = lines.alert(json.dumps(feature).encode())
    assert b"lat=" not in line


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        alert_body("a", 1, changed_at="yesterday"),
        alert_body("a", 1, priority="Z"),
        alert_body("a", "one"),
    ],
)
def test_what_is_not_an_alert_is_counted_not_written(lines, body):
    assert lines.alert(body) is None
    assert lines.counters["influx_bad_alert"] == 1


def test_health_is_floats_only(lines):
    line = lines.health({"drops": 3, "lag_s": 0.25}, T0_US).decode()
    assert line == f"health,city=harbour-city,site=fish-market drops=3.0,lag_s=0.25 {NS}"
    assert lines.health({}, T0_US) is None
