"""A chlorine leak over 21 instruments: from their wires to a foreign subscriber and InfluxDB."""

from collections import Counter, defaultdict
from itertools import pairwise

import msgspec
import pytest
from e2e.evidence import (
    Sample,
    alerts,
    journalled,
    points,
    quarantined,
    spooled,
    status_of,
    stored,
    versions_backwards,
    versions_of,
    wait_until,
)
from e2e.gateway_process import Daemon, Square, head, influx_table, mqtt_table
from e2e.servers import subscriber
from jsonschema import Draft202012Validator, FormatChecker
from samples.site_samples import instruments

from cbrn_gateway.schemas import load_schema
from cbrn_sim.fittings import Endpoint

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(240),
]

DOWNWIND = ("st05", "st06", "st07", "st08")
AEGL2_PPM = 2.8


class Run(msgspec.Struct):
    """What one run left behind."""

    endpoints: list[Endpoint]
    exit_code: int
    heard: list[dict]
    messages: list[dict]
    status: dict
    journal: list[dict]
    readings: list[Sample]
    points: list[Sample]
    spool: list[bytes]
    quarantine: list[tuple[bytes, str]]

    def specific(self) -> list[dict]:
        return [alert for alert in self.heard if alert["properties"]["kind"] == "specific"]


@pytest.fixture(scope="module")
def run(broker, influx, tmp_path_factory) -> Run:
    """Watch the leak until two stations alarm, then end everything in order."""
    folder = tmp_path_factory.mktemp("chlorine")
    square = Square(folder / "square")
    site = head(folder / "gateway") + mqtt_table(broker, folder) + influx_table(influx, folder)
    daemon = Daemon(folder / "gateway", site + instruments(square.endpoints))
    try:
        with subscriber(broker, "cbrn/#") as soc:
            daemon.start()
            wait_until(lambda: _is_accepted(alerts(soc), daemon, square), "alarm and all heard")
            square.stop()
            wait_until(lambda: _is_quiet(daemon), "the instruments' last samples are delivered")
            code, _ = daemon.terminate()
            wait_until(lambda: (status_of(soc) or {}).get("state") == "offline", "the farewell")
            heard, messages, status = alerts(soc), soc.messages(), status_of(soc) or {}
    finally:
        square.stop()
        daemon.kill()
    return Run(
        square.endpoints,
        code,
        heard,
        messages,
        status,
        journalled(daemon.data_dir),
        stored(daemon.data_dir),
        points(influx),
        spooled(daemon.data_dir),
        quarantined(daemon.data_dir),
    )


def _is_accepted(heard: list[dict], daemon: Daemon, square: Square) -> bool:
    alarmed = {a["properties"]["station"] for a in heard if a["properties"]["priority"] == 1}
    reporting = {sample.station for sample in stored(daemon.data_dir)}
    return len(alarmed) >= 2 and reporting == {e.station_id for e in square.endpoints}


def _is_quiet(daemon: Daemon) -> bool:
    """The wires are gone, and nothing waits for InfluxDB any more."""
    return daemon.tail().count("ConnectFailed") >= 1 and not spooled(daemon.data_dir)


def test_the_daemon_ends_in_order(run):
    assert run.exit_code == 0


def test_every_alert_is_valid_by_the_published_schema(run):
    validator = Draft202012Validator(load_schema("cbrn-alert/1"), format_checker=FormatChecker())
    assert run.heard
    for alert in run.heard:
        validator.validate(alert)


def test_the_leak_is_alarmed_as_actual_where_it_was_measured(run):
    first = next(a for a in run.specific() if a["properties"]["priority"] == 1)
    told = first["properties"]
    assert (told["station"], told["agent"], told["hazard"]) == ("st05", "cl2", "chemical")
    assert (told["purpose"], told["state"], told["certainty"]) == ("actual", "unack", "possible")
    assert told["actions"]
    assert not told["text"].startswith("EXERCISE")


def test_every_station_alarm_lies_where_it_was_measured(run):
    places = {e.station_id: (e.position.lon, e.position.lat) for e in run.endpoints}
    scopes = set()
    for alert in run.heard:
        told, geometry = alert["properties"], alert["geometry"]
        assert geometry is not None
        if told["station"] is None or told["station"] == "mob01":
            continue
        scopes.add(told["scope"])
        place = pytest.approx(places[told["station"]], abs=1e-6)
        if told["scope"] == "station":
            assert geometry["type"] == "Point"
            assert geometry["coordinates"] == place
        else:
            assert any(point == place for point in geometry["coordinates"])
    assert "station" in scopes


def test_only_stations_downwind_raise_priority_1_and_none_of_them_is_missing(run, influx):
    alarmed = {a["properties"]["station"] for a in run.specific()}
    rows = influx.query("SELECT value FROM chemical WHERE agent = 'cl2' GROUP BY station")
    shown = defaultdict(list)
    for row in rows:
        shown[row["station"]].append(row["value"])
    over = {
        station
        for station, values in shown.items()
        if any(min(pair) >= AEGL2_PPM for pair in pairwise(values))
    }
    assert over
    assert over <= alarmed <= set(DOWNWIND)


def test_nothing_is_raised_for_a_hazard_that_is_not_there(run):
    hazards = Counter(
        (a["properties"]["hazard"], a["properties"]["agent"])
        for a in run.heard
        if a["properties"]["kind"] != "technical"
    )
    assert set(hazards) == {("chemical", "cl2")}


def test_versions_never_go_back_and_all_of_them_are_in_the_journal(run):
    assert not versions_backwards(run.heard)
    assert versions_of(run.heard) <= versions_of(run.journal)
    newest = {a["id"]: a["properties"]["version"] for a in run.journal}
    assert {a["id"]: a["properties"]["version"] for a in run.heard} == newest


def test_the_log_topic_tells_the_whole_journal_in_order(run):
    log = [m for m in run.messages if "/log/" in m["topic"]]
    told = [msgspec.json.decode(m["payload"]) for m in log]
    assert [e["properties"]["seq"] for e in told] == list(range(1, len(run.journal) + 1))
    assert told == run.journal


def test_every_instrument_contributes(run):
    assert len(run.endpoints) >= 20
    by_station = defaultdict(set)
    for sample in run.readings:
        by_station[sample.station].add(sample.channel)
    for endpoint in run.endpoints:
        kind = endpoint.family.value.split(".")[0]
        wanted = {"radiation": "gamma", "weather": "wind_speed"}.get(kind, endpoint.gas)
        assert wanted in by_station[endpoint.station_id], endpoint.device_id


def test_the_points_in_influxdb_are_the_samples_taken(run):
    assert len(run.points) == len(set(run.points)) == len(run.readings)
    assert set(run.points) == set(run.readings)
    assert run.spool == []
    assert run.quarantine == []


def test_the_samples_taken_are_what_the_instruments_delivered(run):
    counters = run.status["counters"]
    delivered = sum(n for name, n in counters.items() if name.endswith(".readings"))
    assert delivered == len(run.readings)
    assert counters.get("inbox_full", 0) == 0


def test_every_journalled_alert_is_a_point_too(run, influx):
    rows = influx.query("SELECT alarm_id, version FROM alarm GROUP BY *")
    assert {(r["alarm_id"], r["version"]) for r in rows} == versions_of(run.journal)


def test_the_daemons_own_figures_are_points_and_in_the_status(run, influx):
    (first, *_) = influx.query("SELECT spool_age_s, loop_lag_p99_ms FROM health")
    assert first["spool_age_s"] >= 0
    assert first["loop_lag_p99_ms"] >= 0
    assert {"spool_age_s", "spool_bytes", "influx_round_trip_ms"} <= run.status["counters"].keys()
