"""Real bGeigie drives through the whole pipeline."""

import json
from pathlib import Path

import pytest

from cbrn_drivers.catalogue import load_profile
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.replay.log_as import LogSource, with_profile_channels
from cbrn_gateway.replay.replay import Summary, replay

SITE = """
[gateway]
id = "gw"
city = "road"
data_dir = "unused"
[site]
id = "road"
[[station]]
id = "car"
mobile = true
"""
pytestmark = pytest.mark.needs_shared_data


def drive(real_data: Path, name: str, out: Path) -> tuple[Summary, list[dict]]:
    profile = load_profile("safecast_bgeigie")
    config = parse_site(SITE, Path("site.toml"))
    model = with_profile_channels(config.model, profile, "car")
    as_driven = SiteConfig(
        path=config.path, data_dir=config.data_dir, model=model, policy=config.policy
    )
    summary = replay(as_driven, LogSource(real_data / "safecast" / name, profile, "car"), out)
    lines = (out / "alerts.jsonl").read_text().splitlines()
    return summary, [json.loads(line)["properties"] for line in lines]


@pytest.mark.parametrize("name", ["2_028-0523.LOG", "4_007-0608.LOG"])
def test_an_ordinary_drive_raises_nothing_radiological(real_data, tmp_path, name):
    summary, alerts = drive(real_data, name, tmp_path)
    assert summary.estimates > 1_500
    assert {a["kind"] for a in alerts} == {"technical"}


def test_the_raised_rate_drive_is_evolving_priority_2(real_data, tmp_path):
    _, alerts = drive(real_data, "8_safecast-20120701-094111.log", tmp_path)
    radiological = [a for a in alerts if a["kind"] != "technical"]
    assert {a["kind"] for a in radiological} == {"evolving"}
    assert min(a["priority"] for a in radiological) == 2


def test_the_flight_is_explained_by_altitude(real_data, tmp_path):
    _, alerts = drive(real_data, "bGeigieNanoKit_204-0920.LOG", tmp_path)
    radiological = [a for a in alerts if a["kind"] != "technical"]
    assert {a["priority"] for a in radiological} == {"D"}
    assert {a["level"] for a in radiological} == {"explained by altitude"}


@pytest.mark.parametrize(
    ("name", "most"),
    [("8_safecast-20120701-094111.log", 30), ("bGeigieNanoKit_204-0920.LOG", 20)],
)
def test_a_drive_of_hours_is_a_handful_of_messages(real_data, tmp_path, name, most):
    _, alerts = drive(real_data, name, tmp_path)
    radiological = [a for a in alerts if a["kind"] == "evolving"]
    assert 1 < len(radiological) <= most
    told = max(a["value"] for a in radiological)
    highest = max(a["machine"]["facts"].get("peak", 0.0) for a in radiological)
    assert told <= highest <= 1.2 * told, "what was not told is within a fifth of it"


def test_corrupted_lines_are_counted_and_a_replay_is_the_same_to_the_byte(real_data, tmp_path):
    summary, _ = drive(real_data, "bgeigie_with_corruption.log", tmp_path / "a")
    drive(real_data, "bgeigie_with_corruption.log", tmp_path / "b")
    assert summary.drops["frame_checksum"] >= 1
    for name in ("alerts.jsonl", "estimates.jsonl", "sources.jsonl", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
