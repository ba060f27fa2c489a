"""What the demo says of its instruments and alarms: never more than was read."""

import pytest

from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.demo import report
from cbrn_gateway.demo.tally import Tally
from cbrn_sim.scenarios import scenario


def read(tally, *devices):
    readings = [
        Reading(
            station=device.split("-")[0],
            channel="cl2",
            time_us=1,
            received_us=1,
            value=1.0,
            unit=Unit.PPM,
            device=device,
        )
        for device in devices
    ]
    tally.take_samples(readings, [])


@pytest.fixture
def endpoints(endpoint_of):
    chosen = scenario("square")
    return [endpoint_of(fitting, chosen) for fitting in chosen.fittings]


def test_all_instruments_are_counted_by_station_once_each_was_read(endpoints):
    tally = Tally()
    read(tally, *(e.device_id for e in endpoints))
    line = report.instruments(endpoints, tally)
    assert line.startswith("21 of 21 instruments read (")
    assert "st03 3" in line
    assert "NOT read" not in line


def test_an_instrument_that_gave_nothing_is_named(endpoints):
    tally = Tally()
    read(tally, *(e.device_id for e in endpoints if e.device_id != "st09-xcd"))
    assert report.unread(endpoints, tally) == ["st09-xcd"]
    line = report.instruments(endpoints, tally)
    assert line.startswith("20 of 21 instruments read (")
    assert line.endswith("; NOT read: st09-xcd")


def test_progress_counts_readings_instruments_and_open_alarms():
    tally = Tally()
    read(tally, "st01-xcd", "st02-xcd", "st01-xcd")
    words = "3 readings of 2 of 21 instruments; open alarms: none"
    assert report.progress(tally, 21) == words
    told = {"priority": 1, "state": "unack", "raised_at": "", "hazard": "chemical"}
    tally.take_alert({"id": "a", "properties": told}, 31.0)
    assert report.progress(tally, 21).endswith("open alarms: 1 × priority 1")
