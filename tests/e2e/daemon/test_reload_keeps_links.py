"""SIGHUP with a broker: what is equal in the new site file stays connected."""

import signal

import pytest
from e2e.evidence import alerts, journalled, status_of, stored, versions_of, wait_until
from e2e.gateway_process import head, mqtt_table
from e2e.servers import free_port, subscriber
from samples.site_samples import instruments

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]


def test_the_broker_sees_one_connection_and_every_alert_its_configuration(
    own_broker, new_square, new_daemon, tmp_path
):
    square = new_square()
    endpoints = square.endpoints
    folder = tmp_path / "gateway"
    beginning = head(folder) + mqtt_table(own_broker, tmp_path)
    daemon = new_daemon(beginning + instruments(endpoints), folder)

    def hashes() -> set[str]:
        return {alert["properties"]["config_hash"] for alert in alerts(soc)}

    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(lambda: len(stored(daemon.data_dir)) > 100 and hashes(), "samples and alerts")
        first = hashes()
        gone = endpoints[0]
        left = [e for e in endpoints if e.device_id != gone.device_id]
        daemon.site_file.write_text(beginning + instruments(left))
        daemon.child.send_signal(signal.SIGHUP)
        wait_until(
            lambda: any('"type":"configured"' in m["payload"] for m in soc.messages()),
            "the change on the log topic",
        )
        before = len(stored(daemon.data_dir))
        wait_until(lambda: len(stored(daemon.data_dir)) > before + 100, "samples after it")
        square.pause()
        wait_until(lambda: len(hashes()) > 1, "an alert under the new configuration")
        square.resume()
        code, _ = daemon.terminate()
        wait_until(lambda: (status_of(soc) or {}).get("state") == "offline", "the farewell")
        counters = status_of(soc)["counters"]
    assert code == 0, daemon.tail()
    assert (counters["mqtt_connections"], counters["mqtt.restarts"]) == (1, 0)
    assert (counters["config.applied"], counters["config.rolled_back"]) == (1, 0)
    assert "Traceback" not in daemon.tail()
    assert len(first) == 1
    assert len(hashes() - first) == 1


def test_a_broker_that_is_not_there_is_taken_back_and_the_old_one_hears_of_it(
    own_broker, new_square, new_daemon, tmp_path
):
    endpoints = new_square().endpoints
    folder = tmp_path / "gateway"
    start = head(folder).replace("[site]", "config_trial_s = 2\n[site]")
    site = start + mqtt_table(own_broker, tmp_path) + instruments(endpoints)
    daemon = new_daemon(site, folder)

    def told(soc) -> list[dict]:
        return [a["properties"] for a in alerts(soc) if "not in force" in a["properties"]["level"]]

    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(lambda: alerts(soc), "the link")
        elsewhere = site.replace(own_broker.url(), f"mqtt://127.0.0.1:{free_port()}")
        daemon.site_file.write_text(elsewhere)
        daemon.child.send_signal(signal.SIGHUP)
        wait_until(lambda: told(soc), "the alarm over the old link")
        (said, *_) = told(soc)
        before = len(stored(daemon.data_dir))
        wait_until(lambda: len(stored(daemon.data_dir)) > before + 50, "samples after it")
        heard = versions_of(alerts(soc))
    assert "mqtt has no contact" in said["text"]
    kept = [entry for entry in journalled(daemon.data_dir) if "properties" in entry]
    assert versions_of(kept) >= heard
    assert daemon.site_file.read_text() == elsewhere, "what somebody wrote is left to them"
