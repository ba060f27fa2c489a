"""The sinks on the real journal and the real spool, across a restart of the gateway."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from e2e.servers import DATABASE, GATEWAY_USER, SOC_USER, program, subscriber
from samples.sink_samples import (
    T0_US,
    LoopClock,
    alert_body,
    reading,
    running,
    site_model,
    until,
)

from cbrn_core.errors import CommandRefused
from cbrn_gateway.config.structs import InfluxTable, MqttTable
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttCallbacks, MqttSink
from cbrn_gateway.sinks.mqtt_inbound import Asked
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.store.chain import entry_hash
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

CONSUMERS = (Consumer(ALERTS_CONSUMER, View.NEWEST), Consumer(LOG_CONSUMER, View.LOG))
LOG = "cbrn/v1/harbour-city/fish-market/log/gw-01"
COMMAND = "cbrn/v1/harbour-city/fish-market/command"
REPLY = f"{COMMAND}/reply"


def unsealed(alarm_id: str, version: int, **more) -> dict:
    entry = json.loads(alert_body(alarm_id, version, **more))
    del entry["properties"]["seq"]
    return entry


def mqtt_sink(broker, journal: Journal) -> MqttSink:
    table = MqttTable(url=broker.url(), password_file=str(broker.password_file(GATEWAY_USER)))
    settings = mqtt_settings.settings_from_table(
        table, "gw-01", {"CBRN_MQTT_USERNAME": GATEWAY_USER}
    )
    return MqttSink(
        settings,
        site_model(),
        journal,
        LiveQueue(site_model(), 1),
        LoopClock(),
        callbacks=MqttCallbacks(on_command=no_order),
    )


async def no_order(asked: Asked) -> bytes:
    raise CommandRefused(f"no order is expected here: {asked.payload!r}")


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


@pytest.mark.needs_mosquitto
@pytest.mark.asyncio
async def test_a_control_room_that_lost_part_of_the_log_gets_it_again_and_can_check_it(
    broker, tmp_path: Path
):
    journal = Journal.open(tmp_path / "journal.db", epoch=7, consumers=CONSUMERS)
    await journal.append([unsealed(f"c{number}", 1) for number in range(40)])
    before = await journal.head()
    reply = f"{REPLY}/{SOC_USER}"
    wish = {"schema": "cbrn-command/1", "verb": "catch_up", "actor": "anna", "seq_from": 11}
    with subscriber(broker, reply) as soc:
        sink = mqtt_sink(broker, journal)
        async with running(sink.run()):
            # online is said, and acknowledged, once the gateway listens
            await until(lambda: "mqtt_round_trip_ms" in sink.counters)
            await asyncio.to_thread(ask, broker, reply, wish | {"epoch": 7})
            await until(lambda: has_last_page(soc))
    answer, *pages = [json.loads(m["payload"]) for m in soc.messages()]
    assert answer["accepted"]
    entries = [entry for page in pages for entry in page["rows"]]
    assert [entry["properties"]["seq"] for entry in entries] == list(range(11, 41))
    assert [entry_hash(e) for e in entries] == [e["properties"]["hash"] for e in entries]
    assert {m["properties"]["user-properties"]["schema"] for m in soc.messages()[1:]} == {
        "cbrn-log-page/1"
    }
    assert await journal.head() == before
    await journal.close()


def ask(broker, reply: str, wish: dict) -> None:
    """Ask as `mosquitto_pub` does."""
    where = ("-h", "127.0.0.1", "-p", str(broker.port), "-V", "mqttv5", "-q", "1")
    who = ("-u", SOC_USER, "-P", broker.password(SOC_USER), "-i", "asker")
    what = ("-t", COMMAND, "-D", "publish", "response-topic", reply, "-m", json.dumps(wish))
    command = [program("mosquitto_pub", "mosquitto-clients"), *where, *who, *what]
    subprocess.run(command, check=True, timeout=10)


def has_last_page(soc) -> bool:
    return bool(soc.messages()) and json.loads(soc.messages()[-1]["payload"]).get("is_last", False)
