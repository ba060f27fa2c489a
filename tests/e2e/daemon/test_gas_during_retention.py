"""While a large series is rolled up, or cut down to what it may keep, gas alarms are as fast."""

from contextlib import closing
from pathlib import Path

import pytest
from e2e.evidence import status_of, wait_until
from e2e.external_square import STATIONS, ExternalSquare, stations
from e2e.gateway_process import head, mqtt_table
from e2e.servers import subscriber
from samples.old_series import OLD_CHANNELS, fill_with_old_rows, last_old_us, one_number
from samples.site_samples import table
from samples.store_samples import reading

from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_reader import SeriesReader

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]

AT_MOST_S = 1.0
ROWS = 150_000
ENOUGH_GONE = 10_000
OLD_SECONDS = 4_000
BEGUN = "SELECT COUNT(*) > 0 FROM chunks"
GOES_ON = "SELECT COUNT(*) > 300 FROM chunks"
TAKES_AWAY = "SELECT MIN(row) > 1000 FROM head"


def kept_rows(data_dir: Path) -> int:
    return one_number(data_dir, "SELECT COUNT(*) FROM head")


def test_gas_during_retention_arrives_within_a_second(own_broker, new_daemon, tmp_path):
    folder = tmp_path / "gateway"
    limits = table("store", {"series_most_mb": 1.0})
    site = head(folder) + mqtt_table(own_broker, tmp_path) + limits + stations()
    daemon = new_daemon(site, folder)
    daemon.data_dir.mkdir(parents=True)
    series = Series(daemon.data_dir / "series.db")
    series.append([reading(second, station="old") for second in range(ROWS)])
    series.close()
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        square = ExternalSquare(own_broker, daemon, soc)
        square.is_at_work()
        wait_until(lambda: kept_rows(daemon.data_dir) < ROWS - ENOUGH_GONE, "it is at it")
        _, took_s = square.gas_comes("st01")
        left = kept_rows(daemon.data_dir)
        assert took_s < AT_MOST_S
        assert left > ENOUGH_GONE, "it was over before the gas came"
        wait_until(lambda: kept_rows(daemon.data_dir) < ROWS / 5, "the series is small enough")
        counters = square.ends()
    assert counters["series_retired"] > ROWS / 2
    assert counters["retention_refused"] == 0


def test_gas_while_two_million_rows_are_rolled_up(own_broker, new_daemon, tmp_path):
    folder = tmp_path / "gateway"
    site = head(folder) + mqtt_table(own_broker, tmp_path) + stations()
    daemon = new_daemon(site, folder)
    daemon.data_dir.mkdir(parents=True)
    fill_with_old_rows(daemon.data_dir / "series.db", OLD_SECONDS)
    new_rows = "SELECT COUNT(*) FROM head WHERE time_us > ?"
    with subscriber(own_broker, "cbrn/#") as soc:
        daemon.start()
        square = ExternalSquare(own_broker, daemon, soc)
        wait_until(lambda: status_of(soc) is not None, "the daemon is connected")
        for station in STATIONS:
            square.says(station, 0.1)
        wait_until(
            lambda: (
                one_number(daemon.data_dir, new_rows, last_old_us(OLD_SECONDS)) >= len(STATIONS)
            ),
            "what they say",
        )
        for station, query in zip(STATIONS, (BEGUN, GOES_ON, TAKES_AWAY), strict=True):
            wait_until(lambda query=query: one_number(daemon.data_dir, query), "it is at it")
            _, took_s = square.gas_comes(station)
            assert took_s < AT_MOST_S
        first = one_number(daemon.data_dir, "SELECT MIN(row) FROM head")
        assert first < OLD_CHANNELS * OLD_SECONDS, "it was over before the gas came"
        counters = square.ends()
    assert counters["rolling_refused"] == counters["series_roll_stuck"] == 0
    assert counters["series_rolled"] > 1000
    assert counters["series_retired"] == 0
    # a commit waits for one step at most
    assert counters["rolling_step_longest_ms"] < AT_MOST_S * 1000
    with closing(SeriesReader(daemon.data_dir / "series.db")) as reader:
        for channel in (0, 7, OLD_CHANNELS - 1):
            values = [r.value for r in reader.readings((f"old{channel:03}", "cl2"))]
            told = [(second * OLD_CHANNELS + channel) / 100 for second in range(OLD_SECONDS)]
            assert values == told
