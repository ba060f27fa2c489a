"""The sinks on the real journal and the real spool, across a restart of the gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from e2e.servers import DATABASE, GATEWAY_USER, subscriber
from samples.sink_samples import (
    T0_US,
    LoopClock,
    alert_body,
    reading,
    running,
    site_model,
    until,
)

from cbrn_gateway.config.structs import InfluxTable, MqttTable
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttSink
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

CONSUMERS = (Consumer(ALERTS_CONSUMER, View.NEWEST), Consumer(LOG_CONSUMER, View.LOG))
LOG = "cbrn/v1/harbour-city/fish-market/log/gw-01"


def unsealed(alarm_id: str, version: int, **more) -> dict:
    entry = json.loads(alert_body(alarm_id, version, **more))
    del entry["properties"]["seq"]
    return entry


def mqtt_sink(broker, journal: Journal) -> MqttSink:
    table = MqttTable(url=broker.url(), password_file=str(broker.password_file(GATEWAY_USER)))
    settings = mqtt_settings.settings_from_table(
        table, "gw-01", {"CBRN_MQTT_USERNAME": GATEWAY_USER}
    )
    return MqttSink(settings, site_model(), journal, LiveQueue(site_model(), 1), LoopClock())


async def is_drained(journal: Journal) -> bool:
    return not await journal.pending_newest(ALERTS_CONSUMER) and not await journal.pending_in_order(
        LOG_CONSUMER
    )


async def drained(journal: Journal) -> None:
    async with asyncio.timeout(15):
        while not await is_drained(journal):  # noqa: ASYNC110 - the journal has no such event
            await asyncio.sleep(0.01)


@pytest.mark.needs_mosquitto
@pytest.mark.asyncio
async def test_what_was_journalled_before_a_restart_is_told_after_it(own_broker, tmp_path: Path):
    path = tmp_path / "journal.db"
    journal = Journal.open(path, epoch=1, consumers=CONSUMERS)
    with subscriber(own_broker, "cbrn/#") as soc:
        async with running(mqtt_sink(own_broker, journal).run()):
            await journal.append([unsealed("a1", 1), unsealed("a2", 1, priority=3)])
            await drained(journal)
        await journal.append([unsealed("a1", 2, state="ack"), unsealed("a2", 2, state="normal")])
        await journal.close()

        journal = Journal.open(path, epoch=1, consumers=CONSUMERS)
        async with running(mqtt_sink(own_broker, journal).run()):
            await drained(journal)
            with subscriber(own_broker, "cbrn/v1/+/+/alert/+") as late:
                await until(late.messages)
                (retained,) = late.messages()
        await until(lambda: len([m for m in soc.messages() if m["topic"] == LOG]) == 4)
        log = [json.loads(m["payload"]) for m in soc.messages() if m["topic"] == LOG]
        await journal.close()
    assert [entry["properties"]["seq"] for entry in log] == [1, 2, 3, 4]
    assert log[1]["properties"]["hash"] == log[2]["properties"]["prev_hash"]
    alert = json.loads(retained["payload"])
    assert (alert["id"], alert["properties"]["version"]) == ("a1", 2)


@pytest.fixture
def writer_files(tmp_path: Path) -> tuple[Series, Spool]:
    series = Series(tmp_path / "series.db")
    spool = Spool(tmp_path / "spool.db", epoch=1, max_rows=10_000, max_bytes=10_000_000)
    return series, spool


@pytest.mark.needs_influxd
@pytest.mark.asyncio
async def test_spooled_lines_reach_the_database_and_leave_the_spool(influx, writer_files):
    errors = []
    writer = Writer(*writer_files, on_error=errors.append)
    table = InfluxTable(
        url=influx.url(), bucket=DATABASE, password_file=str(influx.password_file("gateway"))
    )
    settings = influx_settings.settings_from_table(table, {"CBRN_INFLUX_USERNAME": "gateway"})
    sink = InfluxSink(settings, writer, LoopClock())
    lines = LineWriter(site_model())
    spooled = [lines.reading(reading(time_us=T0_US + n, value=float(n))) for n in range(500)]
    spooled.insert(250, b'chemical,site=x value="text" %d' % (T0_US * 1000))
    async with running(sink.run()):
        writer.submit(Batch(lines={Consequence.READING: spooled}, stored_us=T0_US))
        await writer.flush()
        sink.wake()
        async with asyncio.timeout(15):
            while (await writer.spool_fill()).rows:  # noqa: ASYNC110 - the spool has no such event
                await asyncio.sleep(0.01)
    fill = await writer.spool_fill()
    await writer.close()
    (count,) = await asyncio.to_thread(
        influx.query, "SELECT COUNT(value) FROM chemical WHERE station = 'st01'"
    )
    assert count["count"] == 500
    assert fill.quarantined == 1
    assert errors == []
