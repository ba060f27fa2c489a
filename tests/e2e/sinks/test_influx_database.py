"""The InfluxDB sink against a real influxd 1.6.7 behind the v2 rewrite; read by InfluxQL."""

import asyncio
import runpy

import pytest
from e2e.servers import DATABASE, DEPLOY, Influx
from samples.sink_samples import (
    T0_US,
    LoopClock,
    MemorySpool,
    RestartedSink,
    alert_body,
    reading,
    site_model,
    until,
)

from cbrn_core.errors import Refused, TransportError
from cbrn_core.reading import Quality
from cbrn_gateway.config.structs import InfluxTable
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.influx_settings import InfluxSettings, settings_from_table

pytestmark = pytest.mark.needs_influxd


def settings_for(influx: Influx, user: str = "gateway", bucket: str = DATABASE) -> InfluxSettings:
    table = InfluxTable(
        url=influx.url(), bucket=bucket, password_file=str(influx.password_file(user))
    )
    return settings_from_table(table, {"CBRN_INFLUX_USERNAME": user})


class Gateway(RestartedSink):
    """A sink with its spool."""

    def __init__(self, settings: InfluxSettings, lines=()) -> None:
        self.spool = MemorySpool(lines)
        self.refusals = []
        sink = InfluxSink(
            settings,
            self.spool,
            LoopClock(),
            on_refused=lambda *what: self.refusals.append(what),
        )
        super().__init__(sink)

    def append(self, lines) -> None:
        self.spool.append(lines)
        self.sink.wake()

    async def all_stored(self, at_most_s: float = 20.0) -> None:
        await until(lambda: not self.spool.rows, at_most_s)


def reading_lines(station: str, channel: str, count: int, first: int = 0, **more) -> list[bytes]:
    writer = LineWriter(site_model())
    lines = [
        writer.reading(
            reading(
                station, channel, time_us=T0_US + number, value=float(number), seq=number, **more
            )
        )
        for number in range(first, first + count)
    ]
    assert None not in lines
    return lines


async def rows(influx: Influx, statement: str) -> list[dict]:
    return await asyncio.to_thread(influx.query, statement)


@pytest.mark.asyncio
async def test_every_point_and_value_reads_back_exactly(influx):
    gateway = Gateway(settings_for(influx), reading_lines("st01", "cl2", 5_000, sigma=0.1))
    async with gateway.up():
        await gateway.all_stored()
    where = "WHERE station = 'st01' AND channel = 'cl2'"
    found = await rows(influx, f"SELECT * FROM chemical {where}")
    assert len(found) == 5_000
    for number, row in enumerate(found):
        assert row["time"] == (T0_US + number) * 1000
        assert (row["value"], row["seq"], row["sigma"]) == (float(number), number, 0.1)
        assert row["quality"] == 0
    assert {
        key: found[0][key] for key in ("agent", "city", "site", "zone", "device", "purpose")
    } == {
        "agent": "cl2",
        "city": "harbour-city",
        "site": "fish-market",
        "zone": "north",
        "device": "d-st01",
        "purpose": "actual",
    }
    assert gateway.errors == []


@pytest.mark.asyncio
async def test_extreme_floats_and_hostile_text_read_back(influx):
    writer = LineWriter(site_model())
    numbers = [5e-324, 1e-7, 1.7976931348623157e308, -0.1, 1e16, 123456789.123456789]
    lines = [
        writer.reading(reading("st02", time_us=T0_US + n, value=value))
        for n, value in enumerate(numbers)
    ]
    level = 'say "\\ AEGL-2", = twice\\'
    lines.append(writer.alert(alert_body("hostile", 1, level=level, agent="a b,c=d")))
    lines.append(
        writer.reading(reading("st02", time_us=T0_US + 99, value=None, quality=Quality.BAD))
    )
    gateway = Gateway(settings_for(influx), lines)
    async with gateway.up():
        await gateway.all_stored()
    found = await rows(influx, "SELECT value, quality FROM chemical WHERE station = 'st02'")
    assert [row["value"] for row in found] == [*numbers, None]
    assert found[-1]["quality"] == 2
    (alarm,) = await rows(influx, "SELECT * FROM alarm WHERE alarm_id = 'hostile'")
    assert (alarm["level"], alarm["agent"], alarm["priority"]) == (level, "a b,c=d", 1)
    assert gateway.spool.quarantined == {}


@pytest.mark.asyncio
async def test_a_type_conflict_is_quarantined_and_everything_else_is_stored(influx):
    good = [b"conflict,site=a value=%d.0 %d" % (n, n + 1) for n in range(200)]
    bad = b'conflict,site=a value="text" 77777'
    broken = b"this is no line protocol"
    gateway = Gateway(settings_for(influx), [*good[:120], bad, *good[120:190], broken, *good[190:]])
    async with gateway.up():
        await gateway.all_stored()
    (count,) = await rows(influx, "SELECT COUNT(value) FROM conflict")
    assert count["count"] == 200
    assert sorted(line for line, _ in gateway.spool.quarantined.values()) == sorted([bad, broken])
    reasons = " ".join(reason for _, reason in gateway.spool.quarantined.values())
    assert "field type conflict" in reasons
    assert gateway.errors == []


@pytest.mark.asyncio
async def test_a_database_killed_and_started_again_has_lost_nothing_and_doubled_nothing(own_influx):
    gateway = Gateway(settings_for(own_influx))
    count = 0
    async with gateway.up():
        for life in range(3):
            errors_before = len(gateway.errors)
            for step in range(20):
                gateway.append(reading_lines("st01", "cl2", 100, count))
                count += 100
                await asyncio.sleep(0.005)
                if step == 10 and life < 2:
                    await asyncio.to_thread(own_influx.database.kill)
            if life < 2:
                await until(lambda seen=errors_before: len(gateway.errors) > seen)
                await asyncio.to_thread(own_influx.database.start)
        await gateway.all_stored(40)
    found = await rows(own_influx, "SELECT value FROM chemical WHERE station = 'st01'")
    assert [row["value"] for row in found] == [float(number) for number in range(count)]
    assert all(isinstance(error, TransportError) for error in gateway.errors)
    assert gateway.errors
    assert gateway.spool.quarantined == {}


@pytest.mark.asyncio
async def test_a_rewrite_that_is_gone_is_a_transport_error_and_keeps_everything(own_influx):
    gateway = Gateway(settings_for(own_influx), reading_lines("st01", "cl2", 10))
    await asyncio.to_thread(own_influx.rewrite.kill)
    with pytest.raises(TransportError):
        await gateway.sink.run()
    assert len(gateway.spool.rows) == 10


@pytest.mark.asyncio
async def test_a_missing_database_is_refused_and_nothing_is_discarded(influx):
    gateway = Gateway(settings_for(influx, bucket="nowhere"), reading_lines("st01", "cl2", 10))
    with pytest.raises(Refused) as refused:
        await gateway.sink.run()
    assert refused.value.reason_code in {403, 404}
    assert len(gateway.spool.rows) == 10
    assert gateway.refusals


@pytest.mark.asyncio
async def test_a_user_who_may_not_write_is_refused_and_nothing_is_discarded(influx):
    gateway = Gateway(settings_for(influx, user="grafana"), reading_lines("st01", "cl2", 10))
    with pytest.raises(Refused) as refused:
        await gateway.sink.run()
    assert refused.value.reason_code == 403
    assert len(gateway.spool.rows) == 10


@pytest.mark.asyncio
async def test_a_wrong_password_is_refused(influx):
    settings = InfluxSettings(url=influx.url(), credential="gateway:wrong", is_basic=True)
    gateway = Gateway(settings, reading_lines("st01", "cl2", 1))
    with pytest.raises(Refused) as refused:
        await gateway.sink.run()
    assert refused.value.reason_code == 401


@pytest.mark.asyncio
async def test_a_bucket_may_name_its_retention_policy(influx):
    await rows(influx, f'CREATE RETENTION POLICY "long" ON "{DATABASE}" DURATION INF REPLICATION 1')
    gateway = Gateway(settings_for(influx, bucket=f"{DATABASE}/long"), [b"kept value=1.0 1"])
    async with gateway.up():
        await gateway.all_stored()
    (row,) = await rows(influx, f'SELECT value FROM "{DATABASE}"."long".kept')
    assert (row["time"], row["value"]) == (1, 1.0)


@pytest.mark.asyncio
async def test_users_may_be_made_again(influx):
    make_users = runpy.run_path(str(DEPLOY / "influxdb" / "make_users.py"))["make_users"]
    before = influx.password("gateway")
    url = f"http://127.0.0.1:{influx.port}"
    await asyncio.to_thread(make_users, url, DATABASE, influx.folder / "secrets")
    assert influx.password("gateway") == before
