"""A kill between two commits: what series.db has and the spool has not still reaches InfluxDB."""

import pytest
from e2e.evidence import points, stored, wait_until
from e2e.gateway_process import head, influx_table
from samples.site_samples import table
from samples.store_samples import estimate, reading

from cbrn_core.reading import Purpose
from cbrn_gateway.store.series import Series

pytestmark = [pytest.mark.needs_influxd, pytest.mark.timeout(240)]

SECONDS = range(50)


def external_station() -> str:
    station = table("[station]", {"id": "st04"}) + "position = { lat = 60.0, lon = 10.0 }\n"
    device = table("[device]", {"id": "other", "station": "st04", "driver": "external"})
    channel = table("[device.channel]", {"id": "cl2", "quantity": "cl2", "unit": "ppm"})
    return station + device + channel


def test_what_was_stored_but_not_spooled_is_delivered_after_the_restart(
    own_influx, new_daemon, tmp_path
):
    folder = tmp_path / "gateway"
    daemon = new_daemon(
        head(folder) + influx_table(own_influx, tmp_path) + external_station(), folder
    )
    daemon.data_dir.mkdir(parents=True)
    series = Series(daemon.data_dir / "series.db")
    series.append(
        [reading(second, device="other", purpose=Purpose.ACTUAL) for second in SECONDS],
        [estimate(second) for second in SECONDS],
    )
    series.close()

    daemon.start()
    wait_until(lambda: len(points(own_influx)) == len(SECONDS), "all points")
    assert daemon.terminate()[0] == 0
    assert set(points(own_influx)) == set(stored(daemon.data_dir))
    assert len(own_influx.query("SELECT value FROM estimate")) == len(SECONDS)
