"""Daemon, broker and database are killed under load at random moments: nothing told is lost.

Each is killed equally often, in a random order, at a random moment, one sometimes while
another is still away. The leak goes on all the while: its alarm stays the same alarm.
"""

import json
import signal
import subprocess
import time
from collections import defaultdict
from itertools import pairwise

import msgspec
import pytest
from e2e.evidence import (
    Sample,
    alerts,
    first_hearings,
    has_heard_whole_journal,
    highest_value,
    journalled,
    newest_versions,
    points,
    quarantined,
    spooled,
    stored,
    version_of,
    versions_of,
    wait_until,
    wait_until_all_is_stored,
)
from e2e.gateway_process import CBRN_GATEWAY, Daemon, Square, head, influx_table, mqtt_table
from e2e.servers import Influx, Mosquitto, Process, Subscriber, subscriber
from samples.cycles import NIGHT
from samples.dice import dice
from samples.site_samples import instruments

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(0 if NIGHT else 600),
]

ROUNDS = 20 if NIGHT else 5
LONGEST_PAUSE_S = 5.0
LONGEST_AWAY_S = 4.0
"""Longer than a pause may be: the daemon is killed while a server is away, too."""
SOME_SAMPLES = 60
SHOWN_PPM = 0.5
RE_ANNUNCIATES = ("state", "priority", "level", "certainty", "scope", "corroboration")
MOVED_BY = 0.2


class Evidence(msgspec.Struct):
    """What the kills left behind."""

    heard: list[dict]
    log: list[dict]
    journal: list[dict]
    taken: list[Sample]
    before_kills: set[Sample]
    points: list[Sample]
    alarm_points: set[tuple[str, int]]
    spool: list[bytes]
    quarantine: list[tuple[bytes, str]]
    verify: subprocess.CompletedProcess
    exit_code: int

    def by_alarm(self) -> dict[str, list[dict]]:
        versions = defaultdict(list)
        for alert in self.journal:
            versions[alert["id"]].append(alert)
        return versions


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    folder = tmp_path_factory.mktemp("kills")
    broker, influx = Mosquitto(folder / "mosquitto"), Influx(folder / "influx")
    broker.start()
    influx.start()
    square = Square(folder / "square")
    servers = mqtt_table(broker, folder) + influx_table(influx, folder)
    site = head(folder / "gateway") + servers + instruments(square.endpoints)
    daemon = Daemon(folder / "gateway", site)
    try:
        with subscriber(broker, "cbrn/#", options=("-c", "-x", "3600")) as soc:
            daemon.start()
            wait_until(lambda: is_rising(daemon), "a detector shows the gas, below any level")
            daemon.kill()
            daemon.start()
            wait_until(lambda: has_alarmed(daemon), "the leak is alarmed all the same")
            keep_sessions(broker.process)
            before_kills = kill_them_all(soc, daemon, broker.process, influx.database)
            square.stop()
            wait_until_all_is_stored(daemon.data_dir)
            wait_until(lambda: not spooled(daemon.data_dir), "all is delivered")
            wait_until(
                lambda: has_heard_whole_journal(soc, daemon.data_dir), "the whole journal is told"
            )
            code, _ = daemon.terminate()
            wait_until(
                lambda: has_heard_whole_journal(soc, daemon.data_dir), "the last entries too"
            )
            heard, log = alerts(soc), alerts(soc, "/log/")
        alarm_rows = influx.query("SELECT alarm_id, version FROM alarm GROUP BY *")
        return Evidence(
            heard,
            log,
            journalled(daemon.data_dir),
            stored(daemon.data_dir),
            before_kills,
            points(influx),
            {(row["alarm_id"], row["version"]) for row in alarm_rows},
            spooled(daemon.data_dir),
            quarantined(daemon.data_dir),
            subprocess.run(
                [CBRN_GATEWAY, "verify", str(daemon.data_dir), "--json"],
                capture_output=True,
                check=False,
            ),
            code,
        )
    finally:
        square.stop()
        daemon.kill()
        influx.stop()
        broker.stop()


def kill_them_all(soc: Subscriber, daemon: Daemon, broker: Process, influx: Process) -> set[Sample]:
    """Kill each as often, at random; return what was committed before any of the kills.

    Mosquitto takes over what a subscriber that is away shall hear, and writes it down at every
    tenth change only: it is killed while its subscriber is there.
    """
    chance = dice("kills")
    victims = [victim for victim in (daemon, broker, influx) for _ in range(ROUNDS)]
    chance.shuffle(victims)
    away_until_s: dict[Process, float] = {}
    committed: set[Sample] = set()
    for victim in victims:
        bring_back(away_until_s, victim)
        if victim is broker:
            known = len(soc.messages())
            wait_until(lambda n=known: len(soc.messages()) > n, "the subscriber is there")
        time.sleep(chance.uniform(0.0, LONGEST_PAUSE_S))
        bring_back(away_until_s, victim)
        committed |= set(stored(daemon.data_dir))
        victim.kill()
        if victim is daemon:
            daemon.start()
        else:
            away_until_s[victim] = time.monotonic() + chance.uniform(0.0, LONGEST_AWAY_S)
    for server in list(away_until_s):
        bring_back(away_until_s, server)
    work_on(daemon)
    return committed


def bring_back(away_until_s: dict[Process, float], victim: Process) -> None:
    """Start the servers whose time has come, and at any rate the next victim."""
    for server, until_s in list(away_until_s.items()):
        if server is victim or until_s <= time.monotonic():
            del away_until_s[server]
            server.start()


def work_on(daemon: Daemon) -> None:
    """Wait until the daemon has taken some more samples."""
    before = len(stored(daemon.data_dir))
    wait_until(lambda: len(stored(daemon.data_dir)) >= before + SOME_SAMPLES, "samples")


def keep_sessions(broker: Process) -> None:
    """Have mosquitto write its sessions down, as it does every ten changes by itself."""
    assert broker.child is not None
    broker.child.send_signal(signal.SIGUSR1)


def is_rising(daemon: Daemon) -> bool:
    """Return whether some detector shows chlorine at all; its alarm is seconds away."""
    return highest_value(daemon.data_dir, "cl2") >= SHOWN_PPM


def has_alarmed(daemon: Daemon) -> bool:
    return any(a["properties"]["priority"] == 1 for a in journalled(daemon.data_dir))


def test_the_daemon_comes_through(evidence):
    assert evidence.exit_code == 0


def test_every_journalled_alert_arrives(evidence):
    assert versions_of(evidence.journal) == versions_of(evidence.log)
    assert newest_versions(evidence.heard) == newest_versions(evidence.journal)


def test_one_version_always_says_the_same(evidence):
    bodies: dict[tuple[str, int], dict] = {version_of(alert): alert for alert in evidence.journal}
    for alert in evidence.heard + evidence.log:
        assert alert == bodies[version_of(alert)]


def test_no_committed_reading_is_lost_and_none_is_doubled(evidence):
    assert evidence.before_kills
    assert evidence.before_kills <= set(evidence.taken)
    assert len(evidence.taken) == len(set(evidence.taken))


def test_influxdb_holds_the_same_samples(evidence):
    assert len(evidence.points) == len(set(evidence.points))
    assert set(evidence.points) == set(evidence.taken)
    assert evidence.spool == []
    assert evidence.quarantine == []


def test_influxdb_holds_every_alert_version(evidence):
    assert evidence.alarm_points == versions_of(evidence.journal)


def test_the_journal_verifies(evidence):
    assert evidence.verify.returncode == 0, evidence.verify.stdout
    report = json.loads(evidence.verify.stdout)
    assert report["entries"] == len(evidence.journal)
    assert len(report["epochs"]) == 1


def test_the_leak_stays_one_alarm_at_each_station(evidence):
    ids = defaultdict(set)
    for alert in evidence.journal:
        told = alert["properties"]
        if told["kind"] == "specific" or told["level"] == "not in service":
            ids[told["station"], told["kind"], told["agent"]].add(alert["id"])
    assert ("st05", "specific", "cl2") in ids
    assert {key: len(found) for key, found in ids.items()} == dict.fromkeys(ids, 1)


def test_nothing_is_told_anew_that_did_not_change(evidence):
    for versions in evidence.by_alarm().values():
        assert [version_of(v)[1] for v in versions] == list(range(1, len(versions) + 1))
        for before, after in pairwise(versions):
            assert changed(before, after), (version_of(after), after["properties"]["text"])


def test_raised_at_and_first_evidence_stay(evidence):
    for versions in evidence.by_alarm().values():
        for name in ("raised_at", "observed_at"):
            assert len({v["properties"][name] for v in versions}) == 1


def changed(before: dict, after: dict) -> bool:
    """Return whether a version says more than the one before: why else tell it?"""
    old, new = before["properties"], after["properties"]
    if any(old[name] != new[name] for name in RE_ANNUNCIATES):
        return True
    if before["geometry"] != after["geometry"] or old["value"] is None or new["value"] is None:
        return before["geometry"] != after["geometry"] or old["value"] != new["value"]
    return abs(new["value"] - old["value"]) > MOVED_BY * abs(old["value"])


def test_the_log_is_told_strictly_in_order(evidence):
    told = [alert["properties"]["seq"] for alert in first_hearings(evidence.log)]
    assert told == list(range(1, len(evidence.journal) + 1))
