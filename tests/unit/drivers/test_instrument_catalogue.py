"""Profiles and drivers are found by name; what is wrong is named."""

import msgspec
import pytest

from cbrn_core.channel import Grade
from cbrn_core.errors import ConfigError
from cbrn_drivers import catalogue
from cbrn_drivers.catalogue import (
    channel_ids,
    driver_keys,
    load_driver,
    load_profile,
    open_log,
    parse_options,
    profile_names,
)
from cbrn_drivers.profile import Profile

MINIMAL = """
name = "x"
title = "X"
maker = "M"
model = "X"
driver = "radiation.gmc"
grade = "indicative"
confidence = "A"
[document]
title = "D"
revision = "1"
[[channel]]
id = "gamma"
quantity = "gamma_count_rate"
unit = "cps"
"""


def profile(text=MINIMAL):
    return msgspec.toml.decode(text.encode(), type=Profile)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("gmc_rfc1201", "gq-gmc-300"),
        ("gmc_rfc1801", "gq-gmc-500"),
        ("safecast_bgeigie", "safecast-bgeigie"),
        ("winsen_ze03", "winsen-ze03"),
        ("gill_windsonic", "gill-windsonic"),
    ],
)
def test_a_profile_answers_to_its_name_and_to_its_aliases(alias, name):
    assert load_profile(alias).name == load_profile(name).name == name


@pytest.mark.parametrize("name", ["no-such", "", "../profile", "gq-gmc-300.toml", "/etc/passwd"])
def test_an_unknown_profile_is_refused_with_the_list_of_those_that_exist(name):
    with pytest.raises(ConfigError, match="gill-windsonic"):
        load_profile(name)


@pytest.mark.parametrize("key", ["radiation.nothing", "gmc", "", "os.path", "transport.serial"])
def test_an_unknown_driver_is_refused_with_the_list_of_those_that_exist(key):
    with pytest.raises(ConfigError, match=r"radiation\.gmc"):
        load_driver(key)


def test_drivers_are_found_without_a_registry():
    ours = {"chemical.winsen_ze03", "radiation.gmc", "radiation.safecast_bgeigie"}
    assert ours | {"weather.gill_windsonic"} <= set(driver_keys())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("maker", "makre"), "makre"),
        (('unit = "cps"', 'unit = "cpx"'), "cpx"),
        (('unit = "cps"', 'unit = "cps"\nt90_s = 3\ntau_rise_s = 1'), "not both"),
        (('unit = "cps"', 'unit = "cps"\nrange = [5, 1]'), "lower end"),
        (('unit = "cps"', 'unit = "cps"\nsigma = -1'), "sigma"),
        (('unit = "cps"', 'unit = "cps"\n[channel.source]\nsgima = "x"'), "sgima"),
        (("radiation.gmc", "gmc"), "driver"),
        (('id = "gamma"', 'id = "a/b"'), "id"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_reason(change, reason):
    with pytest.raises(msgspec.ValidationError, match=reason):
        profile(MINIMAL.replace(*change))


def test_channel_ids_are_unique_within_a_profile():
    doubled = MINIMAL + MINIMAL[MINIMAL.index("[[channel]]") :]
    with pytest.raises(msgspec.ValidationError, match="twice"):
        profile(doubled)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"name =", MINIMAL.replace('"x"', '"y"').encode()]
)
def test_a_damaged_profile_file_is_a_configuration_error(tmp_path, monkeypatch, content):
    (tmp_path / "x.toml").write_bytes(content)
    monkeypatch.setattr(catalogue, "PROFILE_FOLDER", tmp_path)
    catalogue._read_profile.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"x\.toml"):
            load_profile("x")
    finally:
        catalogue._read_profile.cache_clear()


def test_a_channel_takes_its_time_constants_from_t90():
    channel = profile(MINIMAL.replace('unit = "cps"', 'unit = "cps"\nt90_s = 23.02585')).channels[0]
    resolved = channel.as_channel(station="s", device="d", grade=Grade.INDICATIVE)
    assert resolved.tau_rise_s == resolved.tau_fall_s == pytest.approx(10.0)
    assert resolved.key == ("s", "gamma")


def test_a_driver_refuses_options_that_it_does_not_know():
    driver = load_driver("radiation.gmc")
    with pytest.raises(ConfigError, match="baudrat"):
        parse_options(driver, {"port": "/dev/ttyUSB0", "baudrat": 57600})
    with pytest.raises(ConfigError, match="port"):
        parse_options(driver, {})
    with pytest.raises(ConfigError, match="int"):
        parse_options(driver, {"port": "/dev/ttyUSB0", "baudrate": "57600"})


def test_devices_on_one_port_share_a_bus():
    driver = load_driver("radiation.gmc")
    keys = {
        driver.bus_key(parse_options(driver, {"port": port, "baudrate": baud}))
        for port, baud in [("/dev/a", 57600), ("/dev/a", 115200), ("/dev/b", 57600)]
    }
    assert len(keys) == 2


def test_a_device_has_all_channels_of_its_profile_unless_its_driver_chooses():
    driver = load_driver("radiation.gmc")
    options = parse_options(driver, {"port": "/dev/a"})
    assert channel_ids(driver, options, load_profile("gq-gmc-500")) == ("gamma", "battery")


def test_an_instrument_without_a_log_says_so():
    with pytest.raises(ConfigError, match="no log format"):
        open_log(load_profile("gq-gmc-500"), [], "st01")


def test_there_is_a_profile_for_each_of_the_first_instruments():
    assert {"gill-windsonic", "gq-gmc-300", "gq-gmc-500", "gq-gmc-800"} <= set(profile_names())
