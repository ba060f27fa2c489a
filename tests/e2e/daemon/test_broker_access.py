"""How the daemon gets in: TLS and passwords, MQTT 3.1.1 – and what it does when it does not."""

import json

import pytest
from e2e.evidence import alerts, journalled, status_of, versions_of, wait_until
from e2e.gateway_process import Daemon, Square, head, mqtt_table, secret
from e2e.servers import subscriber
from samples.site_samples import instruments, table

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """One square for all: each daemon is the only one on its wires while it runs."""
    running = Square(tmp_path_factory.mktemp("square"))
    yield running
    running.stop()


@pytest.fixture
def watching(square, new_daemon, tmp_path):
    """Make a daemon on the square with the given `[mqtt]`."""

    def make(mqtt: str) -> Daemon:
        folder = tmp_path / "gateway"
        return new_daemon(head(folder) + mqtt + instruments(square.endpoints), folder)

    return make


def tls_table(broker, **files: str) -> str:
    named = {"ca_file": "ca.crt", "cert_file": "gw-01.crt", "key_file": "gw-01.key"} | files
    paths = {key: broker.tls_file(name) for key, name in named.items()}
    return table("mqtt", {"url": broker.tls_url(), **paths})


def has_heard_all_kinds(soc) -> bool:
    topics = {m["topic"].split("/")[4] for m in soc.messages() if len(m["topic"].split("/")) > 4}
    return {"alert", "log", "reading", "estimate"} <= topics and status_of(soc) is not None


def alarmed_locally(daemon: Daemon) -> bool:
    return any(a["properties"]["priority"] == 1 for a in journalled(daemon.data_dir))


def tells_of_its_link(daemon: Daemon) -> bool:
    levels = {
        (a["properties"]["kind"], a["properties"]["level"]) for a in journalled(daemon.data_dir)
    }
    return ("technical", "no contact") in levels


def test_over_tls_with_a_certificate_of_our_authority_everything_is_told(own_broker, watching):
    daemon = watching(tls_table(own_broker))
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(lambda: has_heard_all_kinds(soc), "alerts, log, readings, estimates, status")
        code, _ = daemon.terminate()
        wait_until(lambda: status_of(soc)["state"] == "offline", "the farewell")
        heard = versions_of(alerts(soc, "/log/"))
    assert code == 0
    assert heard <= versions_of(journalled(daemon.data_dir))


def test_a_broker_of_a_foreign_authority_is_not_trusted(own_broker, watching):
    daemon = watching(tls_table(own_broker, ca_file="stranger.crt"))
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(
            lambda: "certificate of the broker is not trusted" in daemon.tail(), "a plain reason"
        )
        wait_until(lambda: journalled(daemon.data_dir), "an alarm is journalled all the same")
        assert soc.messages() == []
    assert daemon.terminate()[0] == 0
    assert "Traceback" not in daemon.tail()


def test_with_a_wrong_password_it_says_so_and_alarms_on(own_broker, watching, tmp_path):
    wrong = secret(tmp_path, "wrong", "not-the-password")
    daemon = watching(mqtt_table(own_broker, tmp_path, password_file=wrong))
    daemon.start()
    wait_until(lambda: "mqtt: Refused" in daemon.tail(), "the refusal is told")
    wait_until(lambda: alarmed_locally(daemon), "the leak is alarmed all the same")
    wait_until(lambda: tells_of_its_link(daemon), "a technical alarm that nobody is told")
    assert daemon.terminate()[0] == 0
    log = daemon.log.read_text()
    assert "not-the-password" not in log
    assert "Traceback" not in log


def test_with_mqtt_3_1_1_everything_is_told_and_retained(own_broker, watching, tmp_path):
    daemon = watching(mqtt_table(own_broker, tmp_path, protocol=311))
    with subscriber(own_broker, "cbrn/#", version="mqttv311") as soc:
        daemon.start()
        wait_until(lambda: has_heard_all_kinds(soc), "alerts, log, readings, estimates, status")
        with subscriber(own_broker, "cbrn/v1/+/+/alert/+", version="mqttv311") as late:
            wait_until(lambda: alerts(late), "the open alert is retained")
        code, _ = daemon.terminate()
        wait_until(lambda: status_of(soc)["state"] == "offline", "the farewell")
        log = [json.loads(m["payload"]) for m in soc.messages() if "/log/" in m["topic"]]
    assert code == 0
    assert log == journalled(daemon.data_dir)[: len(log)]
    assert log
