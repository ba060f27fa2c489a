import json
from collections import Counter

import pytest
from samples.fake_link import FakeBroker, FakeLink, turns_until
from samples.sink_samples import T0_US, MemoryJournal, alert_body, reading, running, site_model

from cbrn_core.clock import ManualClock
from cbrn_core.errors import Disconnected
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, DetectionClass, Flag, Purpose, Quality
from cbrn_core.units import Unit
from cbrn_gateway.sinks.live_queue import LiveItem, LiveQueue
from cbrn_gateway.sinks.mqtt_live import LivePublisher, live_messages
from cbrn_gateway.sinks.mqtt_log import LogPublisher, log_message
from cbrn_gateway.sinks.payloads import encode_status
from cbrn_gateway.sinks.topics import Topics

TOPICS = Topics(city="harbour-city", site="fish-market", gateway="gw-01")
BASE = TOPICS.base


def estimate(**more) -> Estimate:
    fields = {
        "station": "st01",
        "channel": "cl2",
        "time_us": T0_US,
        "received_us": T0_US,
        "value": 2.0,
        "sigma": 0.1,
        "unit": Unit.PPM,
        "nis": 0.5,
        "quality": Quality.GOOD,
    } | more
    return Estimate(**fields)


@pytest.mark.asyncio
async def test_the_log_carries_every_entry_in_order_drills_and_events_too():
    journal, broker, counters = MemoryJournal(), FakeBroker(), Counter()
    journal.append("a1", 1)
    journal.append("a1", 2, state="normal")
    journal.append("x1", 1, purpose="exercise")
    journal.append_body(None, None, b'{"schema":"cbrn-journal/1","seq":4}')
    publisher = LogPublisher(journal, TOPICS, counters)
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: journal.cursor == 4)
        journal.append("a2", 1)
        publisher.wake()
        await turns_until(lambda: journal.cursor == 5)
    assert broker.payloads(TOPICS.log) == [entry.body for entry in journal.rows]
    assert all(message.qos == 1 and not message.retain for message in broker.received)


@pytest.mark.asyncio
async def test_the_log_goes_on_where_the_last_acknowledgement_was():
    journal, broker, counters = MemoryJournal(), FakeBroker(), Counter()
    for version in range(1, 6):
        journal.append("a1", version)
    publisher = LogPublisher(journal, TOPICS, counters)
    with pytest.raises(Disconnected):
        await publisher.run(FakeLink(broker, breaks_at=2, arrives=True))
    assert journal.cursor == 2
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: journal.cursor == 5)
    bodies = [entry.body for entry in journal.rows]
    assert broker.payloads(TOPICS.log) == bodies[:3] + bodies[2:]


@pytest.mark.asyncio
async def test_a_refused_log_entry_is_reported_and_never_skipped():
    journal, broker, counters = MemoryJournal(), FakeBroker(), Counter()
    broker.codes[TOPICS.log] = 135
    journal.append("a1", 1)
    refusals = []
    publisher = LogPublisher(
        journal, TOPICS, counters, on_refused=lambda *what: refusals.append(what), refused_retry_s=0
    )
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: len(refusals) >= 2)
        assert journal.cursor == 0
        broker.codes.clear()
        await turns_until(lambda: journal.cursor == 1)
    assert refusals[0] == (TOPICS.log, 135)
    assert len(broker.payloads(TOPICS.log)) == 1


@pytest.mark.asyncio
async def test_a_failing_journal_does_not_end_the_connection():
    journal, broker, counters = MemoryJournal(), FakeBroker(), Counter()
    journal.append("a1", 1)
    journal.fails = True
    publisher = LogPublisher(journal, TOPICS, counters)
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: counters["mqtt_store_errors"])
        journal.fails = False
        publisher.wake()
        await turns_until(lambda: journal.cursor == 1)


def test_log_messages_say_their_schema_and_that_they_are_a_drill():
    assert log_message(TOPICS, alert_body("a", 1)).user == (("schema", "cbrn-alert/1"),)
    drill = log_message(TOPICS, alert_body("a", 1, purpose="exercise"))
    assert drill.user == (("schema", "cbrn-alert/1"), ("purpose", "exercise"))
    event = log_message(TOPICS, b'{"schema":"cbrn-journal/1"}')
    assert event.user == (("schema", "cbrn-journal/1"),)
    assert log_message(TOPICS, b"\xff not json").payload == b"\xff not json"


def test_readings_are_batched_per_station_and_estimates_per_channel():
    items = [
        LiveItem(1, reading("st01", "cl2")),
        LiveItem(0, estimate()),
        LiveItem(1, reading("st02", "cl2")),
        LiveItem(2, reading("st01", "h2s", unit=Unit.PPB)),
        LiveItem(0, estimate(value=2.5)),
        LiveItem(3, reading("st01", "cl2", purpose=Purpose.EXERCISE)),
    ]
    messages = {message.topic: message for message in live_messages(TOPICS, 77, items, 30)}
    assert set(messages) == {
        f"{BASE}/reading/st01",
        f"{BASE}/reading/st02",
        f"{BASE}/exercise/reading/st01",
        f"{BASE}/estimate/st01/cl2",
    }
    assert all(m.qos == 0 and not m.retain and m.expiry_s == 30 for m in messages.values())
    payload = json.loads(messages[f"{BASE}/reading/st01"].payload)
    assert payload["schema"] == "cbrn-readings/1"
    assert (payload["gateway"], payload["epoch"]) == ("gw-01", 77)
    assert (payload["seq_from"], payload["seq_to"]) == (1, 2)
    assert [row["channel"] for row in payload["rows"]] == ["cl2", "h2s"]
    estimates = json.loads(messages[f"{BASE}/estimate/st01/cl2"].payload)
    assert estimates["schema"] == "cbrn-estimate/1"
    assert [row["value"] for row in estimates["rows"]] == [2.0, 2.5]


def test_a_reading_row_says_what_the_reading_says_and_nothing_else():
    full = reading(
        value=float("nan"),
        received_us=T0_US + 5_000,
        flags=(Flag.OVER_RANGE,),
        quality=Quality.UNCERTAIN,
        fix=Fix(59.9, 10.7, alt_m=12.0),
        raw="4095",
        purpose=Purpose.TEST,
        detection=Detection(class_=DetectionClass.NERVE, bars=3),
    )
    (message,) = live_messages(TOPICS, 1, [LiveItem(9, full)], 30)
    (row,) = json.loads(message.payload)["rows"]
    assert row == {
        "time": "2026-05-28T20:26:40.000Z",
        "received_at": "2026-05-28T20:26:40.005Z",
        "station": "st01",
        "channel": "cl2",
        "value": None,
        "unit": "ppm",
        "quality": "uncertain",
        "flags": ["over_range"],
        "raw": "4095",
        "lat": 59.9,
        "lon": 10.7,
        "alt_m": 12.0,
        "purpose": "test",
        "detection": {"class": "nerve", "bars": 3},
    }


@pytest.mark.asyncio
async def test_body_quantities_and_unknown_channels_never_enter_the_live_stream():
    queue = LiveQueue(site_model(), epoch=1)
    queue.offer(
        [
            reading("w01", "pulse", unit=Unit.BPM, value=140.0),
            reading("w01", "unheard-of"),
            reading("w01", "co"),
        ]
    )
    (only,) = await queue.take(10)
    assert only.item.channel == "co"
    assert only.seq == 1
    assert queue.counters["live_private"] == 2


@pytest.mark.asyncio
async def test_a_full_live_queue_drops_the_oldest_and_the_gap_shows():
    queue = LiveQueue(site_model(), epoch=1, capacity=3)
    queue.offer(reading(value=float(number)) for number in range(5))
    taken = await queue.take(10)
    assert [entry.item.value for entry in taken] == [2.0, 3.0, 4.0]
    assert [entry.seq for entry in taken] == [3, 4, 5]
    assert queue.counters["live_dropped"] == 2


@pytest.mark.asyncio
async def test_a_value_that_waited_longer_than_it_lives_is_not_shown_as_live():
    queue, broker, counters = LiveQueue(site_model(), epoch=1), FakeBroker(), Counter()
    clock = ManualClock(T0_US + 31_000_000)
    publisher = LivePublisher(queue, TOPICS, clock, counters, interval_s=0, expiry_s=30)
    queue.offer([reading(), reading("st02", received_us=T0_US + 30_000_000)])
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: broker.received)
    assert [message.topic for message in broker.received] == [f"{BASE}/reading/st02"]
    assert counters["live_expired"] == 1


@pytest.mark.asyncio
async def test_what_is_live_leaves_together_and_in_order():
    queue, broker, counters = LiveQueue(site_model(), 1), FakeBroker(), Counter()
    publisher = LivePublisher(
        queue, TOPICS, ManualClock(T0_US), counters, interval_s=0, expiry_s=30
    )
    queue.offer([reading(), reading("st02"), reading(value=3.0)])
    async with running(publisher.run(FakeLink(broker))):
        await turns_until(lambda: len(broker.received) == 2)
    assert [m.topic for m in broker.received] == [f"{BASE}/reading/st01", f"{BASE}/reading/st02"]
    rows = json.loads(broker.received[0].payload)["rows"]
    assert [row["value"] for row in rows] == [1.5, 3.0]


def test_the_will_does_not_pretend_to_know_when_the_gateway_died():
    text = encode_status(
        "gw-01", "offline", since_us=None, online_since_us=T0_US, version="1.2", counters={}
    )
    assert json.loads(text) == {
        "schema": "cbrn-status/1",
        "gateway": "gw-01",
        "state": "offline",
        "since": None,
        "online_since": "2026-05-28T20:26:40.000Z",
        "version": "1.2",
        "counters": {},
    }
