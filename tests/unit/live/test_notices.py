from pathlib import Path

from cbrn_core.alarm import Reason
from cbrn_core.clock import ManualClock
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.pipeline.pipeline import Pipeline

NOW_US = 1_780_000_000_000_000
CONFIG = parse_site(
    """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
in_service = true
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
""",
    Path("site.toml"),
)


class Gateway:
    """A pipeline that hears what the gateway notices of itself."""

    def __init__(self):
        self.clock = ManualClock(NOW_US)
        self.pipeline = Pipeline(CONFIG.model, CONFIG.policy)
        self.pipeline.start(NOW_US)
        self.noticed = []
        self.notices = Notices(CONFIG.model, CONFIG.policy, self.clock, self.noticed.append)

    def alarms_after(self, seconds):
        self.clock.advance(seconds)
        events, self.noticed[:] = list(self.noticed), []
        return self.pipeline.step(self.clock.now().steady_us, events).alarms


def test_a_link_that_fails_is_one_technical_alarm_until_it_works_again():
    gateway = Gateway()
    for _ in range(5):
        gateway.notices.failing(Reason.LINK_DOWN, "mqtt", "connection refused")
    (alarm,) = gateway.alarms_after(1)
    assert alarm.condition.reason is Reason.LINK_DOWN
    gateway.notices.mended(Reason.LINK_DOWN, "mqtt")
    assert [a.id for a in gateway.alarms_after(1)] == [alarm.id]


def test_the_alarm_says_what_fails_and_where_the_site_is():
    gateway = Gateway()
    gateway.notices.failing(Reason.DELIVERY_REFUSED, "mqtt", "alert topic (reason 135)")
    (alarm,) = gateway.alarms_after(1)
    alert = render_alert(alarm, CONFIG.model, CONFIG.presentation)
    assert "reason 135" in alert["properties"]["text"]
    assert alert["properties"]["priority"] == 2
    assert alert["geometry"]["coordinates"]


def test_a_refusal_ends_when_none_was_seen_for_a_while():
    gateway = Gateway()
    gateway.notices.failing(Reason.DELIVERY_REFUSED, "mqtt", "")
    assert len(gateway.alarms_after(100)) == 1
    gateway.notices.settle()
    assert gateway.alarms_after(30) == []
    gateway.notices.settle()
    (ended,) = gateway.alarms_after(0)
    assert not ended.condition.active


def test_what_an_earlier_run_left_open_ends_when_it_works():
    earlier = Gateway()
    earlier.notices.failing(Reason.STORE_FAILED, "series", "disk full")
    (alarm,) = earlier.alarms_after(1)
    gateway = Gateway()
    gateway.pipeline.machine.rebuild([alarm])
    gateway.notices.adopt(gateway.pipeline.machine.open_alarms())
    gateway.notices.failing(Reason.STORE_FAILED, "series", "disk full")
    assert gateway.alarms_after(1) == []
    gateway.notices.mended(Reason.STORE_FAILED, "series")
    assert [a.id for a in gateway.alarms_after(1)] == [alarm.id]


def test_mending_what_never_failed_says_nothing():
    gateway = Gateway()
    gateway.notices.mended(Reason.LINK_DOWN, "influx")
    assert gateway.alarms_after(1) == []
