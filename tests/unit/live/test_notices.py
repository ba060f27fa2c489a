from unit.live.noticing import CONFIG, Gateway

from cbrn_core.alarm import Reason
from cbrn_gateway.alarms.render import render_alert


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


def test_another_level_is_another_version_of_the_same_alarm():
    gateway = Gateway()
    gateway.notices.failing(Reason.CERTIFICATE_EXPIRES, "mqtt", "", "certificate ends in 9 days")
    (first,) = gateway.alarms_after(10)
    gateway.notices.failing(Reason.CERTIFICATE_EXPIRES, "mqtt", "", "certificate ends in 9 days")
    assert gateway.alarms_after(10) == []
    gateway.notices.failing(Reason.CERTIFICATE_EXPIRES, "mqtt", "", "certificate ends in 8 days")
    (second,) = gateway.alarms_after(10)
    assert (second.id, second.version) == (first.id, 2)
    assert second.condition.level == "certificate ends in 8 days"
    gateway.notices.mended(Reason.CERTIFICATE_EXPIRES, "mqtt")
    (ended,) = gateway.alarms_after(10)
    assert (ended.id, ended.condition.active) == (first.id, False)
