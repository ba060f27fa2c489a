"""The whole daemon with wearables: no body value reaches a disk, a sink, an alarm or a tap."""

import json

import pytest
from e2e.servers import free_port
from samples.daemon_here import DaemonHere
from samples.site_samples import site_head, table
from sim.ble.air import address

from cbrn_core.reading import Flag, Quality
from cbrn_core.units import Unit
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.taps import Wanted
from cbrn_gateway.store.series import SeriesReader
from cbrn_gateway.store.spool import SpoolReader
from cbrn_sim.ble.strap import Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.timeout(120)]

SECRET_BPM, SECRET_DEG_C = 173, 39.173
BODY = {"heart_rate", "core"}
FEVER = {
    "station": "w01",
    "sigma": 0.173,
    "raw": SECRET_DEG_C,
    "quality": Quality.BAD,
    "flags": (Flag.INSTRUMENT_FAULT,),
}


def site(folder):
    """A wearer with a strap and a thermometer that another tool reads; all sinks configured."""
    port = free_port()
    pulse = {"id": "strap", "station": "w01", "driver": "wearable.heart_rate"}
    patch = {"id": "patch", "station": "w01", "driver": "external"}
    return "\n".join(
        (
            site_head("gw1", "varde", "torg", folder / "state"),
            table("mqtt", {"url": f"mqtt://127.0.0.1:{port}"}),
            table("influx", {"url": f"http://127.0.0.1:{port}"}),
            table("[station]", {"id": "w01", "mobile": True}),
            table("[device]", pulse | {"address": address(1)}),
            table("[device]", patch),
            table(
                "[device.channel]", {"id": "core", "quantity": "body_temperature", "unit": "degC"}
            ),
        )
    )


@pytest.mark.asyncio
async def test_the_daemon_keeps_body_values_to_itself(bluez, tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(site(tmp_path))
    await bluez.put(Strap(address=address(1), bpm=SECRET_BPM, contact=True, period_s=0.05))
    here = DaemonHere(load_site(file))
    outlets = here.daemon.outlets
    inside = []
    outlets.sample_listeners.append(lambda readings, _: inside.extend(readings))
    taps = [here.daemon.taps.add(wanted) for wanted in Wanted]
    async with here:
        await here.until(lambda: sum(r.value == SECRET_BPM for r in inside) >= 5, "the heart rate")
        here.put("core", SECRET_DEG_C, Unit.DEG_C, **FEVER)
        await here.until(
            lambda: any(a["properties"]["channel"] == "core" for a in here.heard), "a fault"
        )
        readings_told, wire_told = (list(tap._lines) for tap in taps)
        live = [item.item for item in outlets._live._items]
        kept_private = outlets._live.counters["live_private"]

    assert any(r.value == SECRET_DEG_C for r in inside), "the process itself knows the values"
    assert {(r["value"], r.get("raw")) for r in body_rows(readings_told)} == {(None, None)}
    assert wire_told == [], "octets of a wearable are values of a body"
    assert {item.channel for item in live} <= {"battery"}
    assert kept_private >= 6
    body_alerts = [a["properties"] for a in here.heard if a["properties"]["channel"] in BODY]
    for alert in body_alerts:
        assert (alert["value"], alert["instrument_value"]) == (None, None)
        assert [e["value"] for e in alert["evidence"]] == [None]
    check_files(tmp_path / "state")


def body_rows(lines):
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row.get("channel") in BODY]


def check_files(folder):
    series, spool = SeriesReader(folder / "series.db"), SpoolReader(folder / "spool.db")
    stored = [reading for readings, _ in series.samples_after(0) for reading in readings]
    lines = [line.line.decode() for line in spool.peek(10_000, 10_000_000)]
    series.close()
    spool.close()
    body = [r for r in stored if r.channel in BODY]
    assert len(body) >= 6, "when they were measured is kept"
    assert {(r.value, r.sigma, r.raw) for r in body} == {(None, None, None)}
    assert any("channel=battery" in line and "value=" in line for line in lines)
    assert not any("channel=heart_rate" in line for line in lines)
    assert not any("channel=core" in line and "value=" in line for line in lines)
    for path in folder.iterdir():
        if path.is_file():
            assert str(SECRET_DEG_C).encode() not in path.read_bytes(), path.name
