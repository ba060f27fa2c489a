import asyncio
import json
from collections import Counter

import pytest
from samples.fake_link import FakeBroker, FakeLink, turns, turns_until
from samples.sink_samples import MemoryJournal, alert_body, running

from cbrn_core.errors import Disconnected, InputError
from cbrn_gateway.sinks.mqtt_alerts import AlertPublisher, AlertVersion
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")


class Desk:
    """A journal, a broker, and the publisher between them, with a clock turned by hand."""

    def __init__(self, **more) -> None:
        self.journal = MemoryJournal()
        self.broker = FakeBroker()
        self.counters: Counter[str] = Counter()
        self.refusals: list[tuple[str, int]] = []
        self.now_s = 0.0
        self.publisher = AlertPublisher(
            self.journal,
            TOPICS,
            self.counters,
            on_refused=lambda topic, code: self.refusals.append((topic, code)),
            monotonic_s=lambda: self.now_s,
            **more,
        )

    def versions(self, alarm_id: str) -> list[int | None]:
        """Return the versions that reached the broker, None for an empty payload."""
        payloads = self.broker.payloads(TOPICS.alert(alarm_id))
        return [json.loads(p)["properties"]["version"] if p else None for p in payloads]

    def connected(self, **more):
        return running(self.publisher.run(FakeLink(self.broker, **more)))


@pytest.mark.asyncio
async def test_only_the_newest_version_of_an_alarm_is_told():
    desk = Desk()
    for version in (1, 2, 3):
        desk.journal.append("a1", version)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [3]


@pytest.mark.asyncio
async def test_alerts_go_out_in_the_order_of_the_outbox():
    desk = Desk()
    desk.journal.append("low", 1, priority=3)
    desk.journal.append("diagnostic", 1, priority="D")
    desk.journal.append("high", 1, priority=1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    order = [message.topic.rsplit("/", 1)[1] for message in desk.broker.received]
    assert order == ["high", "low", "diagnostic"]


@pytest.mark.asyncio
async def test_a_new_alert_goes_out_when_the_publisher_is_woken():
    desk = Desk()
    async with desk.connected():
        await turns()
        desk.journal.append("a1", 1)
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [1]


@pytest.mark.asyncio
async def test_an_unacknowledged_alert_stays_in_the_outbox_and_is_told_again():
    desk = Desk()
    desk.journal.append("a1", 1)
    with pytest.raises(Disconnected):
        await desk.publisher.run(FakeLink(desk.broker, breaks_at=0, arrives=True))
    assert "a1" in desk.journal.outbox
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [1, 1]


@pytest.mark.asyncio
async def test_what_was_acknowledged_before_the_break_is_retired():
    desk = Desk()
    desk.journal.append("a1", 1)
    desk.journal.append("a2", 1)
    with pytest.raises(Disconnected):
        await desk.publisher.run(FakeLink(desk.broker, breaks_at=1))
    assert list(desk.journal.outbox) == ["a2"]


@pytest.mark.asyncio
async def test_a_refused_alert_is_reported_rests_and_does_not_hold_up_others():
    desk = Desk(refused_retry_s=30.0)
    topic = TOPICS.alert("denied")
    desk.broker.codes[topic] = 135
    desk.journal.append("denied", 1, priority=1)
    desk.journal.append("other", 1, priority=3)
    async with desk.connected():
        await turns_until(lambda: "other" not in desk.journal.outbox)
        await turns()
        assert desk.refusals == [(topic, 135)]
        assert desk.counters["mqtt_refused"] == 1
        assert "denied" in desk.journal.outbox
        desk.now_s = 31.0
        del desk.broker.codes[topic]
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("denied") == [1]


@pytest.mark.asyncio
async def test_a_newer_version_of_a_refused_alert_is_tried_at_once():
    desk = Desk()
    topic = TOPICS.alert("denied")
    desk.broker.codes[topic] = 135
    desk.journal.append("denied", 1)
    async with desk.connected():
        await turns_until(lambda: desk.refusals)
        desk.broker.codes.clear()
        desk.journal.append("denied", 2)
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("denied") == [2]


@pytest.mark.asyncio
async def test_more_refused_alerts_than_fit_a_window_do_not_starve_the_rest():
    desk = Desk()
    for number in range(40):
        desk.broker.codes[TOPICS.alert(f"d{number}")] = 135
        desk.journal.append(f"d{number}", 1, priority=1)
    desk.journal.append("last", 1, priority=3)
    async with desk.connected():
        await turns_until(lambda: "last" not in desk.journal.outbox)
    assert len(desk.journal.outbox) == 40


@pytest.mark.asyncio
async def test_an_alert_nobody_listens_to_is_delivered_and_counted():
    desk = Desk()
    desk.broker.codes[TOPICS.alert("a1")] = 16
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.counters["mqtt_nobody_listening"] == 1
    assert desk.counters["mqtt_alerts_delivered"] == 1


@pytest.mark.asyncio
async def test_the_end_of_an_alarm_leaves_nothing_retained():
    desk = Desk()
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
        assert list(desk.broker.retained) == [TOPICS.alert("a1")]
        desk.journal.append("a1", 2, state="normal")
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [1, 2, None]
    assert desk.broker.retained == {}


@pytest.mark.asyncio
async def test_a_broker_that_forgot_everything_is_told_the_open_alerts_again():
    desk = Desk()
    desk.journal.append("open", 4)
    desk.journal.append("closed", 2, state="normal")
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    desk.broker = FakeBroker()
    async with desk.connected():
        await turns_until(lambda: TOPICS.alert("open") in desk.broker.retained)
    assert desk.versions("open") == [4]
    assert TOPICS.alert("closed") not in desk.broker.retained


@pytest.mark.asyncio
async def test_a_retained_alert_that_a_broker_brought_back_from_the_dead_is_cleared():
    desk = Desk()
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    before = dict(desk.broker.retained)
    desk.journal.append("a1", 2, state="normal")
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    desk.broker.retained = before
    async with desk.connected():
        await turns_until(lambda: not desk.broker.retained)
    assert desk.versions("a1")[-1] is None


@pytest.mark.asyncio
async def test_what_was_just_told_is_not_stated_again_on_the_same_connection():
    desk = Desk()
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
        await turns(500)
    assert desk.versions("a1") == [1]


@pytest.mark.asyncio
async def test_an_alert_without_journal_goes_out_and_its_journalled_copy_follows():
    desk = Desk()
    desk.journal.fails = True
    body = alert_body("a1", 1, journal="pending", seq=None)
    async with desk.connected():
        desk.publisher.send_unjournalled(AlertVersion(0, "a1", 1, body))
        await turns_until(lambda: desk.versions("a1") == [1])
        desk.journal.fails = False
        desk.journal.append("a1", 2)
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [1, 2]


@pytest.mark.asyncio
async def test_an_alert_without_journal_survives_a_broken_connection():
    desk = Desk()
    desk.journal.fails = True
    desk.publisher.send_unjournalled(AlertVersion(0, "a1", 1, alert_body("a1", 1)))
    with pytest.raises(Disconnected):
        await desk.publisher.run(FakeLink(desk.broker, breaks_at=0))
    async with desk.connected():
        await turns_until(lambda: desk.versions("a1") == [1])


@pytest.mark.asyncio
async def test_an_alert_without_journal_is_stated_again_while_the_journal_is_broken():
    desk = Desk()
    desk.journal.fails = True
    desk.publisher.send_unjournalled(AlertVersion(0, "a1", 1, alert_body("a1", 1)))
    async with desk.connected():
        await turns_until(lambda: desk.versions("a1") == [1])
        await turns()
    desk.broker = FakeBroker()
    async with desk.connected():
        await turns_until(lambda: desk.versions("a1") == [1])


@pytest.mark.asyncio
async def test_an_older_version_from_the_journal_never_follows_a_newer_one():
    desk = Desk()
    async with desk.connected():
        desk.publisher.send_unjournalled(AlertVersion(0, "a1", 5, alert_body("a1", 5)))
        await turns_until(lambda: desk.versions("a1") == [5])
        desk.journal.append("a1", 4)
        desk.publisher.wake()
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.versions("a1") == [5]
    assert desk.counters["mqtt_alerts_overtaken"] == 1


@pytest.mark.asyncio
async def test_a_journal_that_lags_behind_does_not_turn_an_alert_back_on_a_new_connection():
    desk = Desk()
    desk.journal.append("a1", 4)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
        desk.publisher.send_unjournalled(AlertVersion(0, "a1", 5, alert_body("a1", 5)))
        await turns_until(lambda: desk.versions("a1") == [4, 5])
        await turns()
    desk.broker = FakeBroker()
    async with desk.connected():
        await turns(500)
    assert desk.versions("a1") == [5]


@pytest.mark.asyncio
async def test_an_unreadable_alert_is_reported_and_does_not_hold_up_others():
    desk = Desk()
    desk.journal.append_body("broken", 1, b"not json")
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: "a1" not in desk.journal.outbox)
    assert desk.refusals == [("alert/broken", 153)]
    assert "broken" in desk.journal.outbox


@pytest.mark.asyncio
async def test_a_journal_that_cannot_note_the_delivery_does_not_cause_a_flood():
    desk = Desk()
    entry = desk.journal.append("a1", 1)

    async def broken_delivered(consumer, seqs):
        desk.journal.fails = True
        desk.journal._check()

    desk.journal.delivered = broken_delivered
    async with desk.connected():
        await turns(2000)
        desk.journal.fails = False
        desk.publisher.wake()
        await turns(2000)
    assert desk.versions("a1") == [entry.version]
    assert desk.counters["mqtt_store_errors"] >= 1


@pytest.mark.asyncio
async def test_a_failing_cap_renderer_does_not_stop_the_alert():
    def fail(body):
        raise InputError("no CAP today")

    desk = Desk(render_cap=fail)
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.counters["mqtt_cap_failed"] == 1


@pytest.mark.asyncio
async def test_a_refused_cap_is_reported_and_the_alert_counts_as_delivered():
    desk = Desk(render_cap=lambda _: b"<alert/>")
    desk.broker.codes[TOPICS.alert_cap("a1")] = 135
    desk.journal.append("a1", 1)
    async with desk.connected():
        await turns_until(lambda: not desk.journal.outbox)
    assert desk.refusals == [(TOPICS.alert_cap("a1"), 135)]


@pytest.mark.asyncio
async def test_a_cancelled_publisher_ends():
    desk = Desk()
    task = asyncio.ensure_future(desk.publisher.run(FakeLink(desk.broker)))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
