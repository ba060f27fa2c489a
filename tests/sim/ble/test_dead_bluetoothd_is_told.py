"""The whole daemon while bluetoothd is dead: the SOC hears why, and when it is over."""

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import site_head, table
from sim.ble.air import address

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live import radio_watch
from cbrn_sim.ble.strap import Strap

pytestmark = [pytest.mark.needs_dbus_daemon, pytest.mark.timeout(120), pytest.mark.asyncio]

WHAT_TO_DO = "the Bluetooth service does not run: systemctl start bluetooth"


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(radio_watch, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(radio_watch, "DOWN_AFTER_S", 1.0)


def site(folder):
    pulse = {"id": "strap", "station": "w01", "driver": "wearable.heart_rate"}
    file = folder / "site.toml"
    file.write_text(
        "\n".join(
            (
                site_head("gw1", "varde", "torg", folder / "state"),
                table("[station]", {"id": "w01", "mobile": True}),
                table("[device]", pulse | {"address": address(1)}),
            )
        )
    )
    return load_site(file)


def radio_alerts(here: DaemonHere):
    return [a for a in here.told("technical") if "radio" in a["properties"]["text"]]


def readings(here: DaemonHere) -> int:
    return here.daemon.health()["wearable.heart_rate:ble:hci0.readings"]


@pytest.mark.parametrize("somebody_is_there", [True, False])
async def test_a_dead_bluetoothd_is_told_with_its_cause_and_so_is_its_return(
    bluez, tmp_path, somebody_is_there
):
    await bluez.put(Strap(address=address(1), period_s=0.1))
    async with DaemonHere(site(tmp_path)) as here:
        await here.until(lambda: readings(here) >= 5, "the heart rate")
        assert radio_alerts(here) == []
        await bluez.die()
        (told,) = await here.until(lambda: radio_alerts(here), "the alarm")
        said = told["properties"]
        assert (said["priority"], said["state"]) == (2, "unack")
        assert "Bluetooth hci0" in said["text"]
        assert WHAT_TO_DO in said["text"]
        assert "voice" in " ".join(step["text"] for step in said["actions"])
        before = readings(here)
        await bluez.begin()
        await bluez.put(Strap(address=address(1), period_s=0.1, in_range=somebody_is_there))
        *_, last = await here.until(lambda: radio_alerts(here)[1:], "the end of the alarm")
        assert last["id"] == told["id"]
        assert last["properties"]["state"] == "rtn_unack"
        if somebody_is_there:
            await here.until(lambda: readings(here) > before, "the heart rate again")
        assert len(radio_alerts(here)) == 2
