"""What the daemon says of itself: certificates, refused rights, paths that are not proven."""

import json
import subprocess

import pytest
from e2e.certificates import Authority
from e2e.evidence import journalled, wait_until
from e2e.gateway_process import head, mqtt_table, secret
from e2e.servers import (
    CITY,
    GATEWAY_USER,
    SITE,
    SOC_USER,
    Mosquitto,
    Process,
    free_port,
    listens,
    program,
    subscriber,
)
from samples.site_samples import table

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(300)]

STATION = '[[station]]\nid = "st1"\nposition = { lat = 60.0, lon = 10.0, height_m = 3 }\n'
BASE = f"cbrn/v1/{CITY}/{SITE}"
DYNAMIC_SECURITY = "mosquitto_dynamic_security.so"


@pytest.fixture
def watching(new_daemon, tmp_path):
    """Make a daemon of a square without instruments with the given `[mqtt]`."""

    def make(mqtt: str):
        folder = tmp_path / "gateway"
        return new_daemon(head(folder) + mqtt + STATION, folder)

    return make


def told(daemon, level: str) -> list[dict]:
    """Return what was journalled of one kind of trouble, in order."""
    entries = [entry["properties"] for entry in journalled(daemon.data_dir)]
    return [p for p in entries if p["kind"] == "technical" and p["level"].startswith(level)]


def stands(daemon, level: str) -> bool:
    heard = told(daemon, level)
    return bool(heard) and heard[-1]["state"] in {"unack", "ack"}


def has_ended(daemon, level: str) -> bool:
    heard = told(daemon, level)
    return bool(heard) and heard[-1]["state"] in {"rtn_unack", "normal"}


def tls_table(broker, **more) -> str:
    files = {"ca_file": "ca.crt", "cert_file": "gw-01.crt", "key_file": "gw-01.key"}
    paths = {key: broker.tls_file(name) for key, name in files.items()}
    return table("mqtt", {"url": broker.tls_url(), **paths, **more})


def test_an_expired_broker_is_a_technical_alarm_with_the_day_and_mends_without_hands(
    tmp_path, watching
):
    broker = Mosquitto(tmp_path / "mosquitto")
    authority = Authority(broker.folder / "tls")
    until = authority.issue("broker", "localhost", from_days=-9, until_days=-3)
    daemon = watching(tls_table(broker))
    try:
        broker.start()
        daemon.start()
        wait_until(lambda: stands(daemon, "no contact"), "the technical alarm")
        said = told(daemon, "no contact")[0]["text"]
        assert f"certificate of the broker expired on {until:%Y-%m-%d %H:%M}Z" in said
        broker.stop()
        authority.issue("broker", "localhost")
        broker.start()
        wait_until(lambda: has_ended(daemon, "no contact"), "the end of the alarm")
    finally:
        broker.stop()
    assert "Traceback" not in daemon.tail()


def test_our_own_certificate_that_ends_soon_is_told_until_it_is_replaced(own_broker, watching):
    authority = Authority(own_broker.folder / "tls")
    authority.issue("gw-01", GATEWAY_USER, until_days=9.5)
    daemon = watching(tls_table(own_broker))
    daemon.start()
    wait_until(lambda: stands(daemon, "certificate ends in 9 days"), "the notice")
    notice = told(daemon, "certificate ends")[0]
    assert notice["priority"] == 3
    assert "mqtt: 20" in notice["text"]
    authority.issue("gw-01", GATEWAY_USER, until_days=90)
    wait_until(lambda: has_ended(daemon, "certificate ends"), "the end of the notice")
    assert len({p["text"] for p in told(daemon, "certificate ends in 9 days")}) <= 2


def test_a_publish_that_the_access_list_denies_is_a_technical_alarm(own_broker, watching, tmp_path):
    own_broker.set_acl(lambda text: without(text, f"topic write {BASE}/log/gw-01"))
    daemon = watching(mqtt_table(own_broker, tmp_path))
    daemon.start()
    wait_until(lambda: stands(daemon, "delivery refused"), "the technical alarm")
    said = told(daemon, "delivery refused")[0]["text"]
    assert f"{BASE}/log/gw-01 (reason 135)" in said
    assert "refused a message or a subscription" in said


def test_the_canary_proves_the_path_and_is_never_in_the_alarm_list(own_broker, watching, tmp_path):
    daemon = watching(mqtt_table(own_broker, tmp_path, socs=[SOC_USER]))
    with subscriber(own_broker, f"{BASE}/canary/{SOC_USER}") as soc:
        daemon.start()
        wait_until(soc.messages, "the canary")
        canary = json.loads(soc.messages()[0]["payload"])
    assert (canary["schema"], canary["gateway"]) == ("cbrn-canary/1", "gw-01")
    assert told(daemon, "path not proven") == []
    assert [e for e in journalled(daemon.data_dir) if "canary" in json.dumps(e)] == []


def test_a_path_that_swallows_the_canary_is_told_and_ends_when_it_is_open(
    own_broker, watching, tmp_path
):
    right = f"topic read {BASE}/canary/+"
    own_broker.set_acl(lambda text: without(text, right))
    daemon = watching(mqtt_table(own_broker, tmp_path, socs=[SOC_USER, "soc-2"]))
    daemon.start()
    wait_until(lambda: len(told(daemon, "path not proven")) >= 2, "both paths")
    texts = " ".join(p["text"] for p in told(daemon, "path not proven"))
    assert f"path to SOC {SOC_USER} not proven" in texts
    assert "path to SOC soc-2 not proven" in texts
    assert "did not come back within 10 s" in texts
    assert told(daemon, "path not proven")[0]["priority"] == 2
    own_broker.set_acl(lambda text: text.replace("user gw-01\n", f"user gw-01\n{right}\n"))
    wait_until(lambda: ended_paths(daemon) == 2, "the proof of both", 150)


def ended_paths(daemon) -> int:
    states: dict[str, str] = {}
    for entry in journalled(daemon.data_dir):
        if entry["properties"]["level"] == "path not proven":
            states[entry["id"]] = entry["properties"]["state"]
    return sum(state in {"rtn_unack", "normal"} for state in states.values())


def without(text: str, line: str) -> str:
    assert line in text
    return text.replace(line, "")


class StrictBroker:
    """A mosquitto with its dynamic security: it refuses subscriptions in the SUBACK."""

    def __init__(self, folder) -> None:
        plugin = next(
            (path for path in map(str, folder_of_plugins()) if path.endswith(DYNAMIC_SECURITY)), ""
        )
        if not plugin:
            pytest.skip(f"{DYNAMIC_SECURITY} is not installed")
        folder.mkdir()
        self.port = free_port()
        self.rules = folder / "rules.json"
        self.control("init", str(self.rules), "admin", "admin-secret")
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"plugin {plugin}\nplugin_opt_config_file {self.rules}\nuser root\n"
        )
        command = [program("mosquitto", "mosquitto"), "-c", str(folder / "mosquitto.conf")]
        self.process = Process("strict", command, folder, lambda: listens(self.port))

    def allow_all_but_commands(self) -> None:
        self.order("createRole", "gateway")
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern"):
            self.order("addRoleACL", "gateway", kind, "#", "allow", "1")
        self.order("addRoleACL", "gateway", "subscribeLiteral", f"{BASE}/command", "deny", "9")
        self.order("createClient", GATEWAY_USER, "-p", "secret")
        self.order("addClientRole", GATEWAY_USER, "gateway", "1")

    def order(self, *words: str) -> None:
        self.control(*words, connect=True)

    def control(self, *words: str, connect: bool = False) -> None:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-u", "admin", "-P", "admin-secret"]
        command = [program("mosquitto_ctrl", "mosquitto"), *(where if connect else [])]
        done = subprocess.run(
            [*command, "dynsec", *words], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr + done.stdout


def folder_of_plugins():
    from pathlib import Path

    return list(Path("/usr/lib").glob(f"*/{DYNAMIC_SECURITY}"))


def test_a_subscription_that_the_broker_refuses_is_a_technical_alarm(tmp_path, watching):
    broker = StrictBroker(tmp_path / "strict")
    broker.process.start()
    try:
        broker.allow_all_but_commands()
        keys = {
            "url": f"mqtt://127.0.0.1:{broker.port}",
            "username_file": secret(tmp_path, "user", GATEWAY_USER),
            "password_file": secret(tmp_path, "password", "secret"),
        }
        daemon = watching(table("mqtt", keys))
        daemon.start()
        wait_until(lambda: stands(daemon, "delivery refused"), "the technical alarm")
        assert f"{BASE}/command (reason 135)" in told(daemon, "delivery refused")[0]["text"]
    finally:
        broker.process.stop()
