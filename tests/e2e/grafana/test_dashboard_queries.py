"""Every query of the responder's dashboard on a real influxd, filled by the real sink."""

import asyncio
import base64
import json
import re
import time
import urllib.parse
import urllib.request
from typing import NamedTuple

import msgspec
import pytest
from e2e.servers import DATABASE, DEPLOY, Influx
from samples.sink_samples import LoopClock, MemorySpool, alert_body, running, until

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel, Device
from cbrn_core.estimate import Estimate
from cbrn_core.place import Position, Site, Station
from cbrn_core.quantities import Quantity, canonical_unit, series_of
from cbrn_core.reading import Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339
from cbrn_gateway.config.structs import InfluxTable
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.influx_settings import settings_from_table

pytestmark = pytest.mark.needs_influxd

DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "responder.json").read_text())
STATIONS = ("st01", "st02")
NOW_US = time.time_ns() // 1000
STEP_US = 5_000_000
OLD_US = 3_600_000_000
"""How long the last channel has been silent: outside the dashboard's own range."""


class Panel(NamedTuple):
    title: str
    target: dict


def panels() -> list[Panel]:
    return [Panel(p["title"], t) for p in DASHBOARD["panels"] for t in p.get("targets", ())]


def measured() -> list[Quantity]:
    """Return what the panels show, as their titles and queries name it."""
    words = set(re.findall(r"[a-z0-9_]+", " ".join(p.target["query"] for p in panels())))
    return [quantity for quantity in Quantity if quantity.value in words]


def square() -> SiteModel:
    channels = [
        Channel(
            station=station,
            id=quantity.value,
            device=f"d-{station}",
            quantity=quantity,
            unit=canonical_unit(quantity),
        )
        for station in STATIONS
        for quantity in measured()
    ]
    place = Position(59.91, 10.75)
    return SiteModel(
        gateway="gw-01",
        city="harbour-city",
        site=Site(id="fish-market", name="Fish market"),
        zones={},
        stations={s: Station(id=s, name=s, position=place) for s in STATIONS},
        devices={f"d-{s}": device(s) for s in STATIONS},
        channels={channel.key: channel for channel in channels},
        config_hash="h",
    )


def device(station: str) -> Device:
    name = f"d-{station}"
    return Device(id=name, station=station, driver="external", profile=None, bus=name, channels=())


def lines() -> list[bytes]:
    """Return a minute of readings and estimates of every channel, and three alarms."""
    model, writer = square(), LineWriter(square())
    made: list[bytes | None] = []
    for station, channel in model.channels:
        unit = model.channels[station, channel].unit
        for step in range(12):
            at_us = NOW_US - step * STEP_US - (OLD_US if station == "st02" else 0)
            has_value = not (station == "st02" and step == 0)
            reading = Reading(
                station=station,
                channel=channel,
                value=1.0 + step if has_value else None,
                unit=unit,
                quality=Quality.GOOD if has_value else Quality.BAD,
                time_us=at_us,
                received_us=at_us,
            )
            made.append(writer.reading(reading))
            made.append(writer.estimate(estimate(station, channel, unit, at_us)))
    for alarm_id, version, state, age_us in (
        ("open-long", 1, "unack", 20 * 86_400_000_000),
        ("closed", 1, "unack", 30_000_000),
        ("closed", 2, "normal", 10_000_000),
        ("open-now", 3, "ack", 5_000_000),
    ):
        changed_at = format_rfc3339(NOW_US - age_us)
        made.append(writer.alert(alert_body(alarm_id, version, state=state, changed_at=changed_at)))
    assert None not in made
    return [line for line in made if line is not None]


def estimate(station, channel, unit, at_us) -> Estimate:
    return Estimate(
        station=station,
        channel=channel,
        value=2.0,
        sigma=0.1,
        unit=unit,
        nis=1.0,
        quality=Quality.GOOD,
        time_us=at_us,
        received_us=at_us,
    )


@pytest.fixture(scope="module")
def filled(influx) -> Influx:
    asyncio.run(fill(influx))
    return influx


async def fill(influx: Influx) -> None:
    table = InfluxTable(
        url=influx.url(), bucket=DATABASE, password_file=str(influx.password_file("gateway"))
    )
    spool = MemorySpool(lines())
    settings = settings_from_table(table, {"CBRN_INFLUX_USERNAME": "gateway"})
    async with running(InfluxSink(settings, spool, LoopClock()).run()):
        await until(lambda: not spool.rows, 60)
    assert not spool.quarantined


def as_grafana(query: str, *, site: str = "fish-market", station: str = "(st01|st02)") -> str:
    """Fill in what Grafana fills in, as of now."""
    to_ms = NOW_US // 1000 + 1000
    for name, text in (
        ("$timeFilter", f"time >= {to_ms - 900_000}ms and time <= {to_ms}ms"),
        ("$__interval", "10s"),
        ("${__to}", str(to_ms)),
        ("$site", site),
        ("$station", station),
    ):
        query = query.replace(name, text)
    assert "$" not in query.replace("$/", "")
    return query


def ask(influx: Influx, query: str) -> list[dict]:
    """Ask as the data source does: Grafana's own user, through the address of the rewrite."""
    form = urllib.parse.urlencode({"db": DATABASE, "q": query, "epoch": "ms"}).encode()
    request = urllib.request.Request(f"{influx.url()}/query", data=form)
    credential = f"grafana:{influx.password('grafana')}"
    request.add_header("Authorization", f"Basic {base64.b64encode(credential.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=30) as response:
        (result,) = json.load(response)["results"]
    assert "error" not in result, result
    return result.get("series", [])


def rows(series: dict) -> list[dict]:
    return [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]


def stations_of(found: list[dict]) -> set[str]:
    return {series["tags"]["station"] for series in found}


@pytest.mark.parametrize(
    "panel", panels(), ids=lambda panel: f"{panel.title}-{panel.target['refId']}"
)
def test_each_query_returns_the_series_it_is_meant_to(filled, panel):
    found = ask(filled, as_grafana(panel.target["query"]))
    assert found, panel.title
    if panel.target["resultFormat"] == "time_series":
        # st02 fell silent an hour ago: it is in the live table, in red, not in this range
        assert stations_of(found) == {"st01"}
        for series in found:
            assert set(series["tags"]) == {"station", "channel", "purpose"}
            assert set(re.findall(r"\$tag_(\w+)", panel.target["alias"])) <= set(series["tags"])
            assert all(row["max"] > 0 for row in rows(series))


def live_tables() -> list[Panel]:
    return [p for p in panels() if p.title.startswith("Live values")]


@pytest.mark.parametrize("panel", live_tables(), ids=lambda panel: panel.title)
def test_the_live_table_has_one_row_a_channel_with_the_age_of_its_newest_point(filled, panel):
    found = ask(filled, as_grafana(panel.target["query"]))
    assert stations_of(found) == set(STATIONS)
    for series in found:
        (row,) = rows(series)
        age_ms = row["now"] - row["time"]
        is_live = series["tags"]["station"] == "st01"
        assert age_ms == pytest.approx(1000 if is_live else OLD_US / 1000 + 1000, abs=2)
        assert row["value"] == (1.0 if is_live else None), "a row without value says so"
        assert row["quality"] == (0 if is_live else 2)
        agent = Quantity(series["tags"]["agent"])
        assert canonical_unit(agent).value in panel.title
        assert series_of(agent).value in panel.title


def test_a_station_can_be_chosen(filled):
    (panel, *_) = live_tables()
    found = ask(filled, as_grafana(panel.target["query"], station="st02"))
    assert stations_of(found) == {"st02"}
    assert ask(filled, as_grafana(panel.target["query"], site="elsewhere")) == []


def test_the_newest_version_comes_first_and_an_old_open_alarm_is_there(filled):
    (panel,) = [p for p in panels() if p.title.startswith("Open alarms")]
    (series,) = ask(filled, as_grafana(panel.target["query"]))
    versions = [(row["alarm_id"], row["version"], row["state"]) for row in rows(series)]
    assert versions == [
        ("open-now", 3, "ack"),
        ("closed", 2, "normal"),
        ("closed", 1, "unack"),
        ("open-long", 1, "unack"),
    ]
    (dashboard_panel,) = [p for p in DASHBOARD["panels"] if p["title"] == panel.title]
    grouped = dashboard_panel["transformations"][0]["options"]["fields"]
    assert {name.lower() for name in grouped} == set(series["columns"])


@pytest.mark.parametrize("name", ["site", "station"])
def test_the_variables_find_what_there_is(filled, name):
    (variable,) = [v for v in DASHBOARD["templating"]["list"] if v["name"] == name]
    (series,) = [s for s in ask(filled, as_grafana(variable["query"])) if s["name"] == "chemical"]
    expected = {"site": {"fish-market"}, "station": set(STATIONS)}
    assert {row["value"] for row in rows(series)} == expected[name]


def test_every_gas_with_a_level_is_measured_in_this_test():
    gases = {quantity.value for quantity in measured()} & AGENTS.keys()
    assert len(gases) >= 20
    assert msgspec.json.encode(sorted(gases))
