"""While a large series is cut down to what it may keep, a gas alarm comes as fast as ever."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from e2e.evidence import wait_until
from e2e.external_square import ExternalSquare, stations
from e2e.gateway_process import head, mqtt_table
from e2e.servers import subscriber
from samples.site_samples import table
from samples.store_samples import reading

from cbrn_gateway.store.series import Series

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]

AT_MOST_S = 1.0
ROWS = 150_000
ENOUGH_GONE = 10_000


def kept_rows(data_dir: Path) -> int:
    path = data_dir / "series.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as series:
        ((rows,),) = series.execute("SELECT COUNT(*) FROM head").fetchall()
    return rows


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
