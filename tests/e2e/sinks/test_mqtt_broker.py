"""The MQTT sink against a real mosquitto, watched by a foreign client (mosquitto_sub)."""

import asyncio
import json
import signal
import socket
from collections import defaultdict
from contextlib import asynccontextmanager

import aiomqtt
import msgspec
import pytest
from e2e.servers import GATEWAY_USER, SOC_USER, TOOL_USER, Mosquitto, subscriber
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from samples.sink_samples import (
    LoopClock,
    MemoryJournal,
    RestartedSink,
    reading,
    running,
    site_model,
    until,
)

from cbrn_core.errors import ConnectFailed, Refused, TransportError
from cbrn_gateway.config.structs import MqttTable
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttCallbacks, MqttSink
from cbrn_gateway.sinks.mqtt_client import MqttLink
from cbrn_gateway.sinks.mqtt_settings import MqttSettings, settings_from_table

pytestmark = pytest.mark.needs_mosquitto

BASE = "cbrn/v1/harbour-city/fish-market"
STATUS = "cbrn/v1/harbour-city/gateway/gw-01/status"


def settings_for(broker: Mosquitto, **changes) -> MqttSettings:
    table = MqttTable(
        url=changes.pop("url", broker.url()),
        password_file=str(broker.password_file(GATEWAY_USER)),
        **changes,
    )
    return settings_from_table(table, "gw-01", {"CBRN_MQTT_USERNAME": GATEWAY_USER})


def changed(settings: MqttSettings, **changes) -> MqttSettings:
    return msgspec.structs.replace(settings, **changes)


class Gateway(RestartedSink):
    """A sink with its journal and live queue."""

    def __init__(self, settings: MqttSettings, **callbacks) -> None:
        self.journal = MemoryJournal()
        self.live = LiveQueue(site_model(), epoch=7)
        self.refusals: list[tuple[str, int]] = []
        told = MqttCallbacks(on_refused=lambda *what: self.refusals.append(what), **callbacks)
        sink = MqttSink(
            settings, site_model(), self.journal, self.live, LoopClock(), callbacks=told
        )
        super().__init__(sink)

    def append(self, *what, **more) -> None:
        self.journal.append(*what, **more)
        self.sink.wake()

    @asynccontextmanager
    async def up(self):
        async with super().up() as task:
            await until(lambda: self.sink.is_connected or task.done())
            yield self

    async def all_delivered(self, at_most_s: float = 15.0) -> None:
        await until(lambda: self.journal.has_delivered_all, at_most_s)


def features(messages, topic_part: str = "/alert/"):
    return [
        (message["topic"], json.loads(message["payload"]) if message.get("payload") else None)
        for message in messages
        if topic_part in message["topic"]
    ]


def versions(messages) -> dict[str, list[int]]:
    seen = defaultdict(list)
    for _, feature in features(messages):
        if feature is not None:
            seen[feature["id"]].append(feature["properties"]["version"])
    return seen


@pytest.mark.asyncio
async def test_a_foreign_client_receives_alerts_log_readings_and_status(broker):
    gateway = Gateway(settings_for(broker))
    with subscriber(broker, "cbrn/#") as soc:
        async with gateway.up():
            gateway.append("x1", 1)
            gateway.append("x1", 2, state="ack")
            gateway.append("drill", 1, purpose="exercise")
            await gateway.all_delivered()
            gateway.live.offer([reading(), reading("w01", "pulse")])
            await until(lambda: any("/reading/" in m["topic"] for m in soc.messages()))
        await until(lambda: [m for m in soc.messages() if m["topic"] == STATUS][1:])
        messages = soc.messages()
    assert versions(messages)["x1"][-1] == 2
    topics = {message["topic"] for message in messages}
    assert f"{BASE}/alert/x1" in topics
    assert f"{BASE}/exercise/alert/drill" in topics
    assert f"{BASE}/alert/drill" not in topics
    log = [json.loads(m["payload"])["id"] for m in messages if m["topic"] == f"{BASE}/log/gw-01"]
    assert log == ["x1", "x1", "drill"]
    alert = next(m for m in messages if m["topic"] == f"{BASE}/alert/x1")
    assert alert["properties"]["content-type"] == "application/json"
    assert alert["properties"]["user-properties"] == {"schema": "cbrn-alert/1"}
    (live,) = [m for m in messages if "/reading/" in m["topic"]]
    assert live["properties"]["message-expiry-interval"] == 30
    rows = json.loads(live["payload"])["rows"]
    assert [(row["station"], row["channel"]) for row in rows] == [("st01", "cl2")]
    states = [json.loads(m["payload"])["state"] for m in messages if m["topic"] == STATUS]
    assert states == ["online", "offline"]


@pytest.mark.asyncio
async def test_the_canary_comes_back_through_the_broker_and_its_round_trip_is_in_the_status(
    broker,
):
    proven = []
    settings = changed(settings_for(broker, socs=[SOC_USER]), lasting_s=0.1, status_period_s=0.1)
    gateway = Gateway(settings, on_proven=proven.append)
    with subscriber(broker, STATUS, f"{BASE}/canary/{SOC_USER}") as soc:
        async with gateway.up():
            await until(lambda: proven)
            await until(lambda: f"canary_{SOC_USER}_ms" in status_counters(soc))
            counters = status_counters(soc)
    assert proven == [SOC_USER]
    assert counters[f"canary_{SOC_USER}_proven"] == 1
    assert 0 <= counters[f"canary_{SOC_USER}_ms"] <= 10_000
    (canary,) = [m for m in soc.messages() if m["topic"].endswith(SOC_USER)]
    assert canary["properties"]["user-properties"] == {"schema": "cbrn-canary/1"}
    assert gateway.sink.unproven() == []
    assert gateway.refusals == []


@pytest.mark.asyncio
async def test_the_round_trip_to_the_broker_is_in_the_status_also_without_control_rooms(broker):
    lasting = []
    settings = changed(settings_for(broker), lasting_s=0.1, status_period_s=0.1)
    gateway = Gateway(settings, on_lasting=lambda: lasting.append(1))
    with subscriber(broker, STATUS) as soc:
        async with gateway.up():
            await until(lambda: "mqtt_round_trip_ms" in status_counters(soc))
            assert 0 <= status_counters(soc)["mqtt_round_trip_ms"] <= 10_000
    assert lasting


@pytest.mark.asyncio
async def test_two_gateways_of_one_name_throw_each_other_out_and_neither_has_come_to_stay(broker):
    settings = changed(settings_for(broker, client_id="twin"), lasting_s=5.0)
    answered, lasting = [], []
    told = {
        "on_answer": lambda: answered.append(1),
        "on_lasting": lambda: lasting.append(1),
    }
    one, other = Gateway(settings, **told), Gateway(settings, **told)
    async with one.up(), other.up():
        await until(lambda: len(one.errors) >= 3 and len(other.errors) >= 3)
    # some versions of mosquitto say why, others just close
    told_by_broker, guessed = "another client has connected", "does another client use twin?"
    said = [str(error) for error in (*one.errors, *other.errors)]
    assert any(told_by_broker in text or guessed in text for text in said), said
    assert answered
    assert lasting == []


@pytest.mark.asyncio
async def test_what_is_not_read_in_time_is_counted_while_the_connection_stands(broker, monkeypatch):
    monkeypatch.setattr("cbrn_gateway.sinks.mqtt_client._MOST_QUEUED_MESSAGES", 2)
    stuck = asyncio.Event()

    async def never(asked):
        await stuck.wait()
        return b"{}"

    gateway = Gateway(settings_for(broker), on_command=never)
    async with gateway.up(), soc_client(broker) as soc:
        while not gateway.sink.counters["inbound_discarded"]:
            await soc.publish(f"{BASE}/command", b'{"verb":"ack"}', 1)
        assert gateway.sink.is_connected
        stuck.set()
    assert gateway.errors == []


def status_counters(soc) -> dict[str, int]:
    heard = [m for m in soc.messages() if m["topic"] == STATUS]
    return json.loads(heard[-1]["payload"])["counters"] if heard else {}


@pytest.mark.asyncio
async def test_a_late_subscriber_finds_open_alerts_and_nothing_of_closed_ones(broker):
    gateway = Gateway(settings_for(broker))
    async with gateway.up():
        gateway.append("late-open", 1)
        gateway.append("late-closed", 1)
        await gateway.all_delivered()
        gateway.append("late-open", 2, state="ack")
        gateway.append("late-closed", 2, state="normal")
        await gateway.all_delivered()
        with subscriber(broker, f"{BASE}/alert/#", STATUS) as late:
            await until(lambda: any(m["topic"] == STATUS for m in late.messages()))
            await until(lambda: versions(late.messages())["late-open"])
            seen = versions(late.messages())
            status = next(m for m in late.messages() if m["topic"] == STATUS)
    assert seen["late-open"] == [2]
    assert "late-closed" not in seen
    assert json.loads(status["payload"])["state"] == "online"
    assert status["retain"] == 1


@pytest.mark.asyncio
async def test_who_watches_sees_the_last_version_and_then_the_clearing(broker):
    gateway = Gateway(settings_for(broker))
    async with gateway.up():
        with subscriber(broker, f"{BASE}/alert/ends") as soc:
            gateway.append("ends", 1)
            await gateway.all_delivered()
            gateway.append("ends", 2, state="normal")
            await gateway.all_delivered()
            await until(lambda: len(soc.messages()) == 3)
            told = [feature for _, feature in features(soc.messages())]
    assert [f and f["properties"]["version"] for f in told] == [1, 2, None]


@pytest.mark.asyncio
async def test_a_publish_that_the_access_list_denies_is_refused_with_135_and_stays(own_broker):
    own_broker.stop()
    own_broker.set_acl(lambda acl: acl.replace(f"topic write {BASE}/alert/#\n", ""))
    own_broker.start()
    gateway = Gateway(changed(settings_for(own_broker), refused_retry_s=0.5))
    async with gateway.up():
        gateway.append("denied", 1)
        await until(lambda: gateway.refusals)
        await until(lambda: gateway.journal.cursor == 1)
        assert (f"{BASE}/alert/denied", 135) in gateway.refusals
        assert list(gateway.journal.outbox) == ["denied"]
        assert gateway.sink.counters["mqtt_alerts_delivered"] == 0
        own_broker.set_acl(
            lambda acl: acl.replace(
                f"user {GATEWAY_USER}\n", f"user {GATEWAY_USER}\ntopic write #\n"
            )
        )
        await gateway.all_delivered()
    assert gateway.errors == []


@pytest.mark.asyncio
async def test_what_is_too_large_for_the_broker_is_refused_here_and_stops_nothing_else(own_broker):
    own_broker.stop()
    conf = own_broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("max_packet_size 1048576", "max_packet_size 3000"))
    own_broker.start()
    gateway = Gateway(changed(settings_for(own_broker), refused_retry_s=0.5))
    async with gateway.up():
        gateway.append("small", 1)
        gateway.append("large", 1, text="x" * 4000)
        gateway.append("after", 1)
        await until(lambda: list(gateway.journal.outbox) == ["large"])
        await until(lambda: (f"{BASE}/alert/large", 149) in gateway.refusals)
        gateway.live.offer([reading(seq=number) for number in range(100)])
        await until(lambda: (f"{BASE}/reading/st01", 149) in gateway.refusals)
        gateway.append("later", 1)
        await until(lambda: list(gateway.journal.outbox) == ["large"])
        assert gateway.sink.is_connected
    assert gateway.errors == []
    assert gateway.sink.counters["mqtt_connections"] == 1


@pytest.mark.asyncio
async def test_an_alert_without_any_subscriber_is_delivered_and_counted_as_unheard(own_broker):
    gateway = Gateway(settings_for(own_broker))
    async with gateway.up():
        gateway.append("unheard", 1)
        await gateway.all_delivered()
    assert gateway.sink.counters["mqtt_nobody_listening"] >= 1
    assert gateway.sink.counters["mqtt_alerts_delivered"] == 1


@pytest.mark.asyncio
async def test_a_broker_killed_again_and_again_loses_no_alert_and_none_goes_backwards(own_broker):
    gateway = Gateway(settings_for(own_broker))
    newest: dict[str, int] = {}
    seen: dict[str, list[int]] = defaultdict(list)
    log_seqs: list[int] = []
    async with gateway.up():
        for life in range(3):
            with subscriber(own_broker, f"{BASE}/#") as soc:
                for number in range(40):
                    alarm_id = f"k{number % 10}"
                    newest[alarm_id] = newest.get(alarm_id, 0) + 1
                    gateway.append(alarm_id, newest[alarm_id], seq=len(gateway.journal.rows) + 1)
                    await asyncio.sleep(0.002)
                    if number == 25 and life < 2:
                        await asyncio.to_thread(own_broker.kill)
                if life == 2:
                    await gateway.all_delivered(30)
                    everything = len(gateway.journal.rows)
                    await until(lambda s=soc, n=everything: n in log_numbers(s.messages()))
                messages = soc.messages()
            # what a killed broker still held may be older than what it had passed on
            live = [message for message in messages if not message["retain"]]
            for alarm_id, told in versions(live).items():
                seen[alarm_id] += told
            log_seqs += log_numbers(messages)
            if life < 2:
                await asyncio.to_thread(own_broker.start)
        with subscriber(own_broker, f"{BASE}/alert/+") as late:
            await until(lambda: len(versions(late.messages())) == 10)
            retained = versions(late.messages())
    assert retained == {alarm_id: [version] for alarm_id, version in newest.items()}
    for alarm_id, told in seen.items():
        assert told == sorted(told), alarm_id
        assert told[-1] == newest[alarm_id]
    firsts = list(dict.fromkeys(log_seqs))
    assert firsts == sorted(firsts)
    assert any(isinstance(error, TransportError) for error in gateway.errors)
    assert gateway.sink.counters["mqtt_connections"] >= 3


def log_numbers(messages) -> list[int]:
    return [f["properties"]["seq"] for _, f in features(messages, "/log/") if f is not None]


@pytest.mark.asyncio
async def test_the_log_is_complete_for_a_subscriber_with_a_session_of_its_own(own_broker):
    gateway = Gateway(settings_for(own_broker))
    with subscriber(own_broker, f"{BASE}/log/+", options=("-c", "-x", "3600")) as soc:
        async with gateway.up():
            for version in range(1, 101):
                gateway.append("l1", version)
            await gateway.all_delivered()
            await until(lambda: len(soc.messages()) == 100)
    assert log_numbers(soc.messages()) == list(range(1, 101))


@pytest.mark.asyncio
async def test_the_will_says_offline_when_the_gateway_dies_without_a_word(own_broker, monkeypatch):
    links = []

    class SeenLink(MqttLink):
        def __init__(self, *what) -> None:
            super().__init__(*what)
            links.append(self)

    monkeypatch.setattr("cbrn_gateway.sinks.mqtt.MqttLink", SeenLink)
    gateway = Gateway(changed(settings_for(own_broker), will_delay_s=1))
    with subscriber(own_broker, STATUS) as soc:
        async with running(gateway.sink.run()):
            await until(soc.messages)
            # as a crash would: the connection ends, no farewell is said
            links[0]._paho.socket().shutdown(socket.SHUT_RDWR)
            await until(lambda: len(soc.messages()) == 2)
        states = [json.loads(m["payload"]) for m in soc.messages()]
    assert [status["state"] for status in states] == ["online", "offline"]
    assert states[1]["since"] is None
    assert states[1]["online_since"] == states[0]["online_since"]
    with subscriber(own_broker, STATUS) as late:
        await until(late.messages)
        assert json.loads(late.messages()[0]["payload"])["state"] == "offline"


@pytest.mark.asyncio
async def test_commands_are_answered_on_the_response_topic_with_their_mark(broker):
    async def answer(asked):
        return b'{"schema":"cbrn-answer/1","echo":' + asked.payload + b"}"

    gateway = Gateway(settings_for(broker), on_command=answer)
    async with gateway.up(), soc_client(broker) as soc:
        await soc.subscribe(f"{BASE}/command/reply/{SOC_USER}", 1)
        await until(lambda: gateway.sink.is_connected)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"{BASE}/command/reply/{SOC_USER}"
        properties.CorrelationData = b"\x17"
        reply = asyncio.ensure_future(anext(aiter(soc.messages)))
        while not reply.done():
            # the subscription of the gateway may come a moment after its connection
            await soc.publish(f"{BASE}/command", b'{"verb":"ack"}', 1, properties=properties)
            await asyncio.wait({reply}, timeout=0.5)
        message = reply.result()
    assert json.loads(message.payload)["echo"] == {"verb": "ack"}
    assert message.properties.CorrelationData == b"\x17"


@pytest.mark.asyncio
async def test_a_tool_is_heard_under_its_own_name_only(broker):
    heard = []

    async def take(tool, payload):
        heard.append((tool, payload))

    gateway = Gateway(settings_for(broker), on_external=take)
    async with gateway.up(), soc_client(broker, TOOL_USER) as tool:
        while not heard:
            await tool.publish(f"{BASE}/external/somebody-else", b"forged", 1)
            await tool.publish(f"{BASE}/external/{TOOL_USER}", b"mine", 1)
            await asyncio.sleep(0.05)
    assert set(heard) == {(TOOL_USER, b"mine")}


@asynccontextmanager
async def soc_client(broker: Mosquitto, user: str = SOC_USER):
    async with aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=user,
        password=broker.password(user),
        identifier=f"{user}-client",
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:
        yield client


@pytest.mark.asyncio
async def test_a_wrong_password_is_a_refusal_that_names_itself(broker, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    settings = settings_from_table(
        MqttTable(url=broker.url(), password_file=str(wrong)),
        "gw-01",
        {"CBRN_MQTT_USERNAME": GATEWAY_USER},
    )
    gateway = Gateway(settings)
    with pytest.raises(Refused) as refused:
        await gateway.sink.run()
    assert refused.value.reason_code in {134, 135}


@pytest.mark.asyncio
async def test_no_broker_is_a_transport_error(own_broker):
    own_broker.stop()
    gateway = Gateway(settings_for(own_broker))
    with pytest.raises(ConnectFailed):
        await gateway.sink.run()


@pytest.mark.asyncio
async def test_tls_with_a_certificate_works_and_an_unknown_authority_does_not(broker):
    certificates = {
        "ca_file": broker.tls_file("ca.crt"),
        "cert_file": broker.tls_file(f"{GATEWAY_USER}.crt"),
        "key_file": broker.tls_file(f"{GATEWAY_USER}.key"),
    }
    gateway = Gateway(settings_for(broker, url=broker.tls_url(), **certificates))
    async with gateway.up():
        gateway.append("by-tls", 1)
        await gateway.all_delivered()
    stranger = certificates | {"ca_file": broker.tls_file("stranger.crt")}
    gateway = Gateway(settings_for(broker, url=broker.tls_url(), **stranger))
    with pytest.raises(ConnectFailed, match="certificate"):
        await gateway.sink.run()


@pytest.mark.asyncio
async def test_without_a_client_certificate_the_tls_listener_lets_nobody_in(broker):
    settings = settings_for(broker, url=broker.tls_url(), ca_file=broker.tls_file("ca.crt"))
    gateway = Gateway(settings)
    with pytest.raises((ConnectFailed, Refused)):
        await gateway.sink.run()


@pytest.mark.asyncio
async def test_mqtt_3_1_1_delivers_the_same_with_less(broker):
    gateway = Gateway(settings_for(broker, protocol=311, client_id="old"))
    with subscriber(broker, f"{BASE}/#", version="mqttv311") as soc:
        async with gateway.up():
            gateway.append("old-open", 1)
            gateway.append("old-closed", 1)
            await gateway.all_delivered()
            gateway.append("old-closed", 2, state="normal")
            await gateway.all_delivered()
            await until(lambda: versions(soc.messages())["old-closed"] == [1, 2])
            with subscriber(broker, f"{BASE}/alert/+", version="mqttv311") as late:
                await until(lambda: versions(late.messages())["old-open"] == [1])
                assert "old-closed" not in versions(late.messages())


@pytest.mark.asyncio
async def test_a_broker_that_stops_answering_is_noticed_and_the_alert_told_again(own_broker):
    settings = changed(settings_for(own_broker), puback_timeout_s=1.0)
    gateway = Gateway(settings)
    async with gateway.up():
        own_broker.process.child.send_signal(signal.SIGSTOP)
        gateway.append("frozen", 1)
        await until(lambda: gateway.errors)
        assert "frozen" in gateway.journal.outbox
        own_broker.process.child.send_signal(signal.SIGCONT)
        await gateway.all_delivered()
    assert "no acknowledgement" in str(gateway.errors[0])


@asynccontextmanager
async def silent_listener():
    """Accept connections and never say a word; yields the port and the ends it has."""
    readers, writers = [], []

    async def keep(reader, writer) -> None:
        readers.append(reader)
        writers.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], readers
    finally:
        for writer in writers:
            writer.close()
        server.close()


def anonymous(port: int) -> MqttSettings:
    table = MqttTable(url=f"mqtt://127.0.0.1:{port}")
    return changed(settings_from_table(table, "gw-01", {}), puback_timeout_s=0.3)


@pytest.mark.asyncio
async def test_a_broker_that_accepts_and_says_nothing_is_given_up_after_the_time_out():
    async with silent_listener() as (port, _):
        gateway = Gateway(anonymous(port))
        with pytest.raises(ConnectFailed):
            await gateway.sink.run()


@pytest.mark.asyncio
async def test_a_sink_that_is_stopped_while_it_connects_leaves_no_socket_behind():
    async with silent_listener() as (port, readers):
        gateway = Gateway(anonymous(port))
        task = asyncio.ensure_future(gateway.sink.run())
        await until(lambda: readers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            # the far end hears the close once the abandoned attempt is over
            assert await readers[0].read()
