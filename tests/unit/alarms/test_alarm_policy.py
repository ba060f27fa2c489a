from pathlib import Path

import pytest

from cbrn_core.alarm import Priority
from cbrn_core.errors import ConfigError
from cbrn_gateway.alarms.policy import load_policy, parse_policy, priority

PACKAGED = Path(__file__).parents[3] / "gateway/cbrn_gateway/alarms/policies/default-1.toml"
CITYS = Path(__file__).parents[3] / "config/policy/default-1.toml"


def problems(text: str | None = None, **choices) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_policy(PACKAGED.read_text() if text is None else text, **choices)
    return {p.path: p.reason for p in caught.value.problems}


def test_the_packaged_policy_is_the_one_a_city_finds_in_its_folder():
    assert PACKAGED.read_bytes() == CITYS.read_bytes()


def test_the_built_in_policy_has_the_figures_of_the_binding_text():
    policy = load_policy()
    assert policy.id == "default-1"
    assert policy.radiation.elevated_usv_h == 0.5
    assert policy.radiation.elevated_factor == 3
    assert policy.radiation.elevated_hold_s == 60
    assert policy.radiation.hot_usv_h == 100
    assert policy.radiation.turn_back_usv_h == 100_000
    assert policy.chemical.sustained["co"].setpoint_ppm == 60
    assert policy.chemical.sustained["co"].hold_s == 900
    assert (policy.publish.value_fraction, policy.publish.interval_s) == (0.2, 5)
    assert priority(policy.technical.spike) is Priority.D


def test_a_site_chooses_the_danger_area_of_its_jurisdiction():
    assert load_policy(jurisdiction="iaea").jurisdiction.boundary_usv_h == 100
    assert load_policy().jurisdiction.boundary_usv_h == 25
    assert "not one of" in problems(jurisdiction="mars")["jurisdiction"]


def test_an_unknown_key_is_an_error_with_its_path():
    text = PACKAGED.read_text().replace("[chemical.notice]", "[chemical.notice]\nloudness = 3")
    found = problems(text)
    assert list(found) == ["policy.chemical.notice"]
    assert "loudness" in found["policy.chemical.notice"]


def test_a_wrong_type_and_broken_toml_are_typed_errors():
    assert list(problems("id = 3")) == ["policy.id"]
    assert list(problems("id = ")) == ["policy"]
    assert list(problems("")) == ["policy"]


def test_a_danger_area_beyond_the_hot_zone_is_refused():
    text = PACKAGED.read_text().replace("boundary_usv_h = 100.0", "boundary_usv_h = 101.0")
    assert list(problems(text)) == ["policy.radiation.jurisdiction.iaea.boundary_usv_h"]


def test_a_stricter_figure_needs_nobody():
    policy = load_policy(overrides={"cl2": {"level": 1.5}})
    assert policy.overrides["cl2"].level == 1.5


def test_a_weaker_figure_needs_a_signature():
    assert list(problems(overrides={"cl2": {"level": 5.0}})) == ["overrides.cl2.level"]
    signed = {"cl2": {"level": 5.0, "signed_by": "K. Nordmann, head of service"}}
    assert load_policy(overrides=signed).overrides["cl2"].level == 5.0


def test_every_fault_of_the_overrides_is_named_with_its_path():
    found = problems(overrides={"xx": {}, "nh3": {"level": "high"}, "co": {"notice": 90.0}})
    assert set(found) == {"overrides.xx", "overrides.nh3.level", "overrides.co.notice"}


def test_a_city_policy_is_found_beside_the_site_file(tmp_path):
    (tmp_path / "own.toml").write_text(PACKAGED.read_text().replace('"default-1"', '"own"'))
    assert load_policy("own", folder=tmp_path).id == "own"
    assert load_policy("own.toml", folder=tmp_path).id == "own"
    with pytest.raises(ConfigError, match=r"cannot read other\.toml"):
        load_policy("other", folder=tmp_path)
