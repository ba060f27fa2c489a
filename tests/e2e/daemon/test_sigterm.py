"""SIGTERM ends the daemon within 3 s, whatever its servers do, and nothing it took is lost."""

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from e2e.evidence import (
    alerts,
    is_reading_line,
    journalled,
    line_sample,
    points,
    spooled,
    status_of,
    stored,
    versions_of,
    wait_until,
)
from e2e.gateway_process import CBRN_GATEWAY, Daemon, head, influx_table, mqtt_table
from e2e.servers import Process, subscriber
from samples.site_samples import instruments

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(240),
]

AT_MOST_S = 3.0
ENOUGH_SAMPLES = 150


@pytest.fixture
def daemon(own_broker, own_influx, new_square, new_daemon, tmp_path) -> Daemon:
    """A daemon that watches the square, not yet started."""
    square = new_square()
    servers = mqtt_table(own_broker, tmp_path) + influx_table(own_influx, tmp_path)
    folder = tmp_path / "gateway"
    return new_daemon(head(folder) + servers + instruments(square.endpoints), folder)


@contextmanager
def frozen(*servers: Process):
    """Stop the servers in their tracks: their sockets stay open, nobody answers."""
    for server in servers:
        server.child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers:
            server.child.send_signal(signal.SIGCONT)


def is_at_work(daemon: Daemon) -> Callable[[], bool]:
    """Return whether it has taken another good number of samples from now on."""
    before = len(stored(daemon.data_dir))
    return lambda: len(stored(daemon.data_dir)) >= before + ENOUGH_SAMPLES


def has_alarmed(daemon: Daemon) -> bool:
    return any(a["properties"]["priority"] == 1 for a in journalled(daemon.data_dir))


def assert_ends_in_time(daemon: Daemon) -> None:
    code, seconds = daemon.terminate()
    assert code == 0, daemon.tail()
    assert seconds < AT_MOST_S
    assert "Traceback" not in daemon.tail()


def assert_all_is_kept(daemon: Daemon, influx) -> None:
    """Every stored sample is in InfluxDB or waits for it; the journal is whole."""
    taken = stored(daemon.data_dir)
    waiting = [line_sample(line) for line in spooled(daemon.data_dir) if is_reading_line(line)]
    assert len(taken) == len(set(taken))
    assert set(taken) == set(points(influx)) | set(waiting)
    verify = subprocess.run(
        [CBRN_GATEWAY, "verify", str(daemon.data_dir)], capture_output=True, check=False
    )
    assert verify.returncode == 0, verify.stdout


def test_under_load_everything_taken_is_kept_and_the_status_says_offline(
    own_broker, own_influx, daemon
):
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(is_at_work(daemon), "samples")
        assert_ends_in_time(daemon)
        wait_until(lambda: (status_of(soc) or {}).get("state") == "offline", "the farewell")
        heard, status = alerts(soc), status_of(soc)
    with subscriber(own_broker, "cbrn/v1/+/gateway/+/status") as late:
        wait_until(late.messages, "the retained status")
        (retained,) = late.messages()
    assert retained["retain"]
    assert json.loads(retained["payload"]) == status
    delivered = sum(n for name, n in status["counters"].items() if name.endswith(".readings"))
    assert delivered == len(stored(daemon.data_dir))
    assert versions_of(heard) <= versions_of(journalled(daemon.data_dir))
    assert_all_is_kept(daemon, own_influx)


def test_with_broker_and_database_gone_it_alarms_ends_in_time_and_tells_the_rest_later(
    own_broker, own_influx, daemon
):
    daemon.start()
    wait_until(is_at_work(daemon), "samples")
    own_broker.kill()
    own_influx.database.kill()
    told_before = versions_of(journalled(daemon.data_dir))
    wait_until(lambda: has_alarmed(daemon), "a priority 1 alarm without servers")
    assert_ends_in_time(daemon)
    wanted = versions_of(journalled(daemon.data_dir)) - told_before
    assert wanted
    assert any(map(is_reading_line, spooled(daemon.data_dir)))

    own_broker.start()
    own_influx.database.start()
    assert_all_is_kept(daemon, own_influx)
    before = set(stored(daemon.data_dir))
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        wait_until(lambda: wanted <= versions_of(alerts(soc, "/log/")), "the whole journal")
        wait_until(lambda: before <= set(points(own_influx)), "what was taken without servers")
        assert_ends_in_time(daemon)
    assert_all_is_kept(daemon, own_influx)


def test_with_servers_that_never_answer_it_still_ends_in_time(own_broker, own_influx, daemon):
    daemon.start()
    wait_until(is_at_work(daemon), "samples")
    with frozen(own_broker.process, own_influx.database):
        wait_until(is_at_work(daemon), "samples without answers")
        assert_ends_in_time(daemon)
    with subscriber(own_broker, "cbrn/v1/+/gateway/+/status") as late:
        wait_until(lambda: (status_of(late) or {}).get("state") == "offline", "what it had said")
    assert_all_is_kept(daemon, own_influx)
