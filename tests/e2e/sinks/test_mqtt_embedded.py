"""The demo's fallback broker: amqtt inside this process, MQTT 3.1.1."""

import json

import aiomqtt
import msgspec
import pytest
from samples.sink_samples import LoopClock, MemoryJournal, running, site_model, until

from cbrn_core.errors import ConnectFailed, Refused
from cbrn_gateway.config.structs import MqttTable
from cbrn_gateway.sinks.embedded_broker import EmbeddedBroker, find_mosquitto
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttSink
from cbrn_gateway.sinks.mqtt_settings import settings_from_table

ALERTS = "cbrn/v1/harbour-city/fish-market/alert/+"


def sink_for(broker: EmbeddedBroker, journal: MemoryJournal, protocol: int) -> MqttSink:
    settings = settings_from_table(MqttTable(url=broker.url, protocol=protocol), "gw-01", {})
    settings = msgspec.structs.replace(settings, puback_timeout_s=2.0)
    live = LiveQueue(site_model(), epoch=1)
    return MqttSink(settings, site_model(), journal, live, LoopClock())


@pytest.mark.asyncio
async def test_alerts_arrive_and_stay_for_late_subscribers_through_the_embedded_broker():
    journal = MemoryJournal()
    async with EmbeddedBroker() as broker:
        sink = sink_for(broker, journal, 311)
        async with running(sink.run()):
            journal.append("open", 1)
            journal.append("closed", 1)
            sink.wake()
            await until(lambda: journal.has_delivered_all)
            journal.append("closed", 2, state="normal")
            sink.wake()
            await until(lambda: journal.has_delivered_all)
            async with aiomqtt.Client(broker.host, broker.port, identifier="late") as late:
                await late.subscribe(ALERTS, 1)
                message = await anext(aiter(late.messages))
    assert json.loads(message.payload)["id"] == "open"
    assert message.retain


@pytest.mark.asyncio
async def test_mqtt_5_is_refused_by_the_embedded_broker_not_silently_lost():
    async with EmbeddedBroker() as broker:
        sink = sink_for(broker, MemoryJournal(), 5)
        with pytest.raises((Refused, ConnectFailed)):
            await sink.run()


@pytest.mark.asyncio
async def test_a_taken_port_is_a_typed_error():
    async with EmbeddedBroker() as first:
        with pytest.raises(ConnectFailed):
            async with EmbeddedBroker(first.port):
                pass


def test_mosquitto_is_found_where_debian_keeps_it(monkeypatch):
    found = find_mosquitto()
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_mosquitto() == found
