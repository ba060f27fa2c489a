"""A broker that takes the gateway in and hangs up at its messages is no broker that is there."""

import msgspec
import pytest
from samples.daemon_here import DaemonHere
from sim.sinks.hasty_broker import HastyBroker, every_message, no_message

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live import links
from cbrn_gateway.live.supervisor import PROMPT_WAIT_S

SITE = """
[gateway]
id = "gw1"
city = "varde"
data_dir = "kept"
[site]
id = "torg"
in_service = false
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[[station]]
id = "st1"
position = {{ lat = 60.0, lon = 10.0, height_m = 3 }}
"""
DOWN_AFTER_S = 3.0
LASTING_S = 1.5


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    read = links.mqtt_settings.settings_from_table

    def hurried(*what):
        return msgspec.structs.replace(read(*what), lasting_s=LASTING_S)

    monkeypatch.setattr(links, "DOWN_AFTER_S", DOWN_AFTER_S)
    monkeypatch.setattr(links, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(links.mqtt_settings, "settings_from_table", hurried)


def gateway(broker: HastyBroker, folder) -> DaemonHere:
    site = folder / "site.toml"
    site.write_text(SITE.format(port=broker.port), encoding="utf-8")
    return DaemonHere(load_site(site))


def no_contact(here: DaemonHere) -> list[dict]:
    """Return each version of the alarm about the link, in order."""
    told = [alert["properties"] for alert in here.told("technical")]
    return [properties for properties in told if properties["level"] == "no contact"]


def has_ended(here: DaemonHere) -> bool:
    told = no_contact(here)
    return bool(told) and told[-1]["state"] in {"rtn_unack", "normal"}


def in_the_alert_branch(topic: str) -> bool:
    return "/alert/" in topic


@pytest.mark.asyncio
async def test_a_broker_that_hangs_up_at_the_first_message_is_told_and_left_in_peace(tmp_path):
    async with HastyBroker(every_message) as broker, gateway(broker, tmp_path) as here:
        (told,) = await here.until(lambda: no_contact(here), "the technical alarm")
        assert "the broker closes the connection at the first message" in told["text"]
        await here.until(lambda: len(broker.gaps_s) >= 7, "more connections")
        assert all(gap_s >= PROMPT_WAIT_S / 2 for gap_s in broker.gaps_s[4:])
        assert len(no_contact(here)) == 1

        broker.hangs_up_at = no_message
        await here.until(lambda: has_ended(here), "the end of the alarm")
        await here.until(lambda: any(map(in_the_alert_branch, broker.acknowledged)), "the alerts")


@pytest.mark.asyncio
async def test_an_alarm_that_no_broker_takes_is_no_contact_though_the_status_arrives(tmp_path):
    async with HastyBroker(in_the_alert_branch) as broker, gateway(broker, tmp_path) as here:
        await here.until(lambda: no_contact(here), "the technical alarm")
        since = len(broker.connected_s)
        await here.until(lambda: len(broker.connected_s) >= since + 4, "more connections")
        assert [told["state"] for told in no_contact(here)] == ["unack"]

        broker.hangs_up_at = no_message
        await here.until(lambda: has_ended(here), "the end of the alarm")
