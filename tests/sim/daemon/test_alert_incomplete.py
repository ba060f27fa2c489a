"""A message that cannot be written: its short form goes out, and the gateway tells of it."""

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_core.alarm import AlarmKind
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live import outlets
from cbrn_gateway.store.journal_file import JournalReader


@pytest.mark.asyncio
async def test_gas_whose_alert_cannot_be_written_is_told_in_short_with_a_technical_alarm(
    tmp_path, monkeypatch
):
    render = outlets.render_alert

    def without_words_for_gas(alarm, *more):
        if alarm.condition.key.kind is AlarmKind.SPECIFIC:
            raise KeyError("a word is missing")
        return render(alarm, *more)

    monkeypatch.setattr(outlets, "render_alert", without_words_for_gas)
    site = tmp_path / "site.toml"
    site.write_text(site_head("gw", "varde", "torg", "kept") + chlorine(sigma=0.05, lod=0.1))
    async with DaemonHere(load_site(site)) as here:
        await here.chlorine(*[0.02] * 3, *[25.0] * 6)
        (gas, *_) = await here.until(lambda: here.told("specific"), "the short alert")
        assert gas["properties"]["priority"] == 1
        assert gas["properties"]["station"] == "st1"
        assert "could not be written" in gas["properties"]["text"]
        await here.until(lambda: incomplete(here), "the technical alarm")
        assert gas["id"][:12] in incomplete(here)[0]["text"]
        assert here.daemon.health()["alerts_incomplete"] >= 1
    reader = JournalReader(tmp_path / "kept" / "journal.db")
    assert gas["id"] in {entry.alarm_id for entry in reader.open_alerts()}
    reader.close()


def incomplete(here: DaemonHere) -> list[dict]:
    told = [alert["properties"] for alert in here.told("technical")]
    return [properties for properties in told if properties["level"] == "alert incomplete"]
