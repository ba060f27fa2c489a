import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbrn_core.clock import ManualClock
from cbrn_core.errors import InputError
from cbrn_core.reading import Flag, Quality
from cbrn_core.times import US_PER_S, format_rfc3339
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.external import MOST_ROWS, ExternalReadings
from cbrn_gateway.pipeline.drops import DropCounter

NOW_US = 1_780_000_000_000_000
CONFIG = parse_site(
    """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
[[device]]
id = "mast"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
[[device]]
id = "geiger"
station = "st1"
driver = "radiation.gmc"
port = "/dev/serial/by-id/usb-gmc"
""",
    Path("site.toml"),
)


class Tool:
    """What a tool's messages lead to."""

    def __init__(self):
        self.readings = []
        self.drops = DropCounter()
        self.clock = ManualClock(NOW_US)
        self._taker = ExternalReadings(CONFIG.model, self.clock, self.drops, self.readings.extend)

    def sends(self, *rows, schema="cbrn-readings/1"):
        self.sends_bytes(msgspec.json.encode({"schema": schema, "rows": rows}))

    def sends_bytes(self, payload):
        asyncio.run(self._taker.take("crowd", payload))


def row(seconds_ago=0, **fields):
    return {
        "time": format_rfc3339(NOW_US - seconds_ago * US_PER_S),
        "station": "st1",
        "channel": "cl2",
        "value": 1.5,
        "unit": "ppm",
        **fields,
    }


def test_a_reading_of_a_declared_channel_is_taken_at_its_arrival():
    tool = Tool()
    tool.sends(row(seconds_ago=2))
    (reading,) = tool.readings
    assert (reading.value, reading.received_us, reading.quality) == (1.5, NOW_US, Quality.GOOD)
    assert reading.time_us == NOW_US - 2 * US_PER_S


def test_nobody_speaks_for_an_instrument_on_a_wire():
    tool = Tool()
    wired = next(c for c in CONFIG.model.channels.values() if c.device == "geiger")
    tool.sends(row(channel=wired.id, unit=wired.unit.value), row(station="st9"))
    assert tool.readings == []
    assert tool.drops.counts() == {"external_not_declared": 2}


def test_old_news_is_shown_but_never_as_fresh():
    tool = Tool()
    tool.sends(row(seconds_ago=600))
    (reading,) = tool.readings
    assert reading.quality is Quality.STALE
    assert Flag.LATE in reading.flags
    assert reading.time_us == NOW_US - 600 * US_PER_S


def test_a_clock_that_runs_ahead_is_kept_as_raw():
    tool = Tool()
    tool.sends(row(seconds_ago=-3600))
    (reading,) = tool.readings
    assert reading.time_us == NOW_US
    assert Flag.CLOCK_UNSYNCED in reading.flags
    assert reading.raw == format_rfc3339(NOW_US + 3600 * US_PER_S)


def test_a_bad_row_costs_itself_only():
    tool = Tool()
    tool.sends(row(), {"time": "yesterday"}, row(seconds_ago=1))
    assert len(tool.readings) == 2
    assert tool.drops.counts() == {"external_bad_row": 1}


def test_other_schemas_and_floods_are_refused():
    tool = Tool()
    with pytest.raises(InputError, match="cbrn-report/1"):
        tool.sends(schema="cbrn-report/1")
    with pytest.raises(InputError, match="rows in one message"):
        tool.sends(*[row()] * (MOST_ROWS + 1))
    assert tool.readings == []


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_typed_error(payload):
    with pytest.raises(InputError):
        Tool().sends_bytes(payload)


def test_what_keeps_arriving_old_at_its_own_pace_has_a_slow_clock_and_is_judged():
    tool = Tool()
    for _ in range(5):
        late = format_rfc3339(tool.clock.now().wall_us - 3600 * US_PER_S)
        tool.sends(row(time=late))
        tool.clock.advance(1.0)
    assert [r.quality for r in tool.readings] == [Quality.STALE] * 2 + [Quality.UNCERTAIN] * 3
    assert Flag.CLOCK_UNSYNCED in tool.readings[-1].flags


def test_a_backlog_stays_old_news_however_long_it_is():
    tool = Tool()
    for seconds_ago in range(3600, 3000, -10):
        tool.sends(row(seconds_ago))
        tool.clock.advance(1.0)
    assert {r.quality for r in tool.readings} == {Quality.STALE}
