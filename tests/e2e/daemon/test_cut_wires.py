"""The wires to broker and database are cut without a word, again and again, under load.

In most of the cuts the daemon is killed at a random moment and started again behind them.
"""

import time

import msgspec
import pytest
from e2e.evidence import (
    Sample,
    alerts,
    has_heard_whole_journal,
    journalled,
    newest_versions,
    points,
    quarantined,
    spooled,
    stored,
    versions_backwards,
    versions_of,
    wait_until,
    wait_until_all_is_stored,
)
from e2e.frozen_wire import behind
from e2e.gateway_process import Daemon, Square, head, influx_table, mqtt_table
from e2e.servers import Influx, Mosquitto, subscriber
from samples.cycles import NIGHT
from samples.dice import dice
from samples.site_samples import instruments

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(0 if NIGHT else 500),
]

ROUNDS = 20 if NIGHT else 5
CUT_S = 60.0 if NIGHT else 26.0
"""Longer than the keep-alive takes to find out."""
SPARED_EVERY = 4
"""In every fourth cut nobody is killed: the daemon itself finds out."""


class Evidence(msgspec.Struct):
    """What the cuts left behind."""

    log: list[dict]
    heard: list[dict]
    journal: list[dict]
    taken: list[Sample]
    points: list[Sample]
    quarantine: list[tuple[bytes, str]]
    during_cuts: int
    before_kills: set[Sample]
    journalled_before_kills: set[tuple[str, int]]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    folder = tmp_path_factory.mktemp("cuts")
    broker, influx = Mosquitto(folder / "mosquitto"), Influx(folder / "influx")
    broker.start()
    influx.start()
    square = Square(folder / "square")
    mqtt, to_broker = behind(mqtt_table(broker, folder))
    database, to_influx = behind(influx_table(influx, folder))
    site = head(folder / "gateway") + mqtt + database + instruments(square.endpoints)
    daemon = Daemon(folder / "gateway", site)
    during_cuts = 0
    before_kills: set[Sample] = set()
    journalled_before_kills: set[tuple[str, int]] = set()
    chance = dice("kills behind a cut")
    try:
        with subscriber(broker, "cbrn/#", options=("-c", "-x", "7200")) as soc:
            daemon.start()
            for turn in range(ROUNDS):
                wires = ((to_broker,), (to_influx,), (to_broker, to_influx))[turn % 3]
                known = len(journalled(daemon.data_dir))
                for wire in wires:
                    wire.cut()
                killed_after_s = chance.uniform(0.0, CUT_S)
                time.sleep(killed_after_s)
                if turn % SPARED_EVERY:
                    before_kills |= set(stored(daemon.data_dir))
                    journalled_before_kills |= versions_of(journalled(daemon.data_dir))
                    daemon.kill()
                    daemon.start()
                time.sleep(CUT_S - killed_after_s)
                during_cuts += len(journalled(daemon.data_dir)) - known
                for wire in wires:
                    wire.mend()
                wait_until(
                    lambda: has_heard_whole_journal(soc, daemon.data_dir), "the journal is told"
                )
            square.stop()
            wait_until_all_is_stored(daemon.data_dir)
            wait_until(lambda: not spooled(daemon.data_dir), "all is delivered")
            daemon.terminate()
            log, heard = alerts(soc, "/log/"), alerts(soc)
        return Evidence(
            log,
            heard,
            journalled(daemon.data_dir),
            stored(daemon.data_dir),
            points(influx),
            quarantined(daemon.data_dir),
            during_cuts,
            before_kills,
            journalled_before_kills,
        )
    finally:
        square.stop()
        daemon.kill()
        for wire in (to_broker, to_influx):
            wire.close()
        influx.stop()
        broker.stop()


def test_alarms_rose_while_a_wire_was_cut(evidence):
    assert evidence.during_cuts > 0


def test_every_journalled_alert_arrived(evidence):
    assert versions_of(evidence.journal) == versions_of(evidence.log)
    assert versions_backwards(evidence.journal) == []
    assert newest_versions(evidence.heard) == newest_versions(evidence.journal)


def test_what_was_journalled_before_a_kill_is_journalled(evidence):
    assert evidence.journalled_before_kills
    assert evidence.journalled_before_kills <= versions_of(evidence.journal)


def test_no_reading_was_lost_and_none_doubled(evidence):
    assert evidence.before_kills
    assert evidence.before_kills <= set(evidence.taken)
    assert len(evidence.taken) == len(set(evidence.taken))
    assert len(evidence.points) == len(set(evidence.points))
    assert set(evidence.points) == set(evidence.taken)
    assert evidence.quarantine == []
