"""InfluxDB behind TLS: both sides show a certificate, and wrong ones are told plainly."""

import pytest
from e2e.servers import DATABASE
from e2e.tls_front import TlsFront
from samples.sink_samples import (
    T0_US,
    LoopClock,
    MemorySpool,
    RestartedSink,
    reading,
    site_model,
    until,
)

from cbrn_core.errors import Disconnected, Refused
from cbrn_gateway.config.structs import InfluxTable
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.influx_settings import settings_from_table

pytestmark = pytest.mark.needs_influxd


@pytest.fixture
def front(influx, tmp_path):
    before = TlsFront(influx, tmp_path / "front")
    before.authority.issue("front", "localhost")
    before.authority.issue("gw-01", "gw-01")
    yield before
    before.process.stop()


class Gateway(RestartedSink):
    """A sink with its spool."""

    def __init__(self, influx, front, station, **files) -> None:
        table = InfluxTable(
            url=front.url(),
            bucket=DATABASE,
            password_file=str(influx.password_file("gateway")),
            **(front.files() | files),
        )
        settings = settings_from_table(table, {"CBRN_INFLUX_USERNAME": "gateway"})
        line = LineWriter(site_model()).reading(reading(station, time_us=T0_US, value=1.5))
        assert line is not None
        self.spool = MemorySpool([line])
        super().__init__(InfluxSink(settings, self.spool, LoopClock()))


@pytest.mark.asyncio
async def test_with_certificates_on_both_sides_points_are_stored(influx, front):
    front.process.start()
    gateway = Gateway(influx, front, "st01")
    async with gateway.up():
        await until(lambda: not gateway.spool.rows)
    assert gateway.errors == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"from_days": -9, "until_days": -3}, "certificate of the database expired on 20"),
        ({"from_days": 3, "until_days": 9}, "certificate of the database is not valid before 20"),
        ({"host": "elsewhere.example"}, "certificate of the database is for another host"),
    ],
)
async def test_a_wrong_certificate_of_the_database_is_told_and_mended_without_hands(
    influx, front, certificate, words
):
    front.authority.issue("front", "localhost", **certificate)
    front.process.start()
    gateway = Gateway(influx, front, "st01")
    async with gateway.up():
        await until(lambda: gateway.errors)
        assert isinstance(gateway.errors[0], Disconnected)
        assert str(gateway.errors[0]).startswith(words)
        assert gateway.spool.rows
        front.process.stop()
        front.authority.issue("front", "localhost")
        front.process.start()
        await until(lambda: not gateway.spool.rows)


@pytest.mark.asyncio
async def test_a_revoked_certificate_of_the_database_is_refused(influx, front):
    front.authority.revoke("front")
    listed = front.authority.list_revoked()
    front.process.start()
    gateway = Gateway(influx, front, "st01", crl_file=listed)
    async with gateway.up():
        await until(lambda: gateway.errors)
    assert str(gateway.errors[0]).startswith("certificate of the database is revoked")
    assert gateway.spool.rows


@pytest.mark.asyncio
async def test_our_own_expired_certificate_keeps_everything_until_it_is_replaced(influx, front):
    front.authority.issue("gw-01", "gw-01", from_days=-9, until_days=-3)
    front.process.start()
    gateway = Gateway(influx, front, "st01")
    async with gateway.up():
        await until(lambda: any(isinstance(error, Refused) for error in gateway.errors))
        assert "The SSL certificate error" in str(gateway.errors[0])
        assert gateway.spool.rows
        assert gateway.spool.quarantined == {}
        front.authority.issue("gw-01", "gw-01")
        await until(lambda: not gateway.spool.rows)
