"""A site's own instrument profile is as strict as a built-in one, and never takes its place."""

from pathlib import Path

import pytest
from samples.own_profile_sample import NAME, OWN_PROFILE, write_profile

from cbrn_core.channel import Grade
from cbrn_core.clock import ManualClock
from cbrn_core.errors import ConfigError
from cbrn_drivers.chemical.modbus_detector import open_bus
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.plan import plan
from cbrn_gateway.config.wires import wire_problems

HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "d"
[site]
id = "torg"
[[station]]
id = "st1"
position = { lat = 59.9, lon = 10.7 }
[[station]]
id = "st2"
position = { lat = 59.9, lon = 10.8 }
"""


def mast(number, profile=NAME, more=""):
    return (
        f'[[device]]\nid = "mast{number}"\nstation = "st{number}"\n'
        f'driver = "profile:{profile}"\nhost = "mast{number}.example"\n{more}'
    )


def site_file(folder, *devices):
    path = folder / "site.toml"
    path.write_text(HEAD + "".join(devices or (mast(1), mast(2))))
    return path


def problems(folder, *devices):
    with pytest.raises(ConfigError) as error:
        load_site(site_file(folder, *devices))
    return {problem.path: problem.reason for problem in error.value.problems}


def test_a_device_has_the_channels_of_the_profile_beside_its_site_file(tmp_path):
    write_profile(tmp_path)
    config = load_site(site_file(tmp_path))
    ozone = config.model.channels["st2", "ozone"]
    assert (ozone.unit, ozone.range, ozone.technology) == ("ppb", (0.0, 500.0), "electrochemical")
    assert not wire_problems(config)


def test_a_generic_instrument_is_professional_unless_the_profile_says_otherwise(tmp_path):
    write_profile(tmp_path)
    assert load_site(site_file(tmp_path)).model.devices["mast1"].grade is Grade.PROFESSIONAL
    write_profile(tmp_path, 'grade = "indicative"\n' + OWN_PROFILE)
    assert load_site(site_file(tmp_path)).model.devices["mast1"].grade is Grade.INDICATIVE


def test_five_registers_side_by_side_are_read_with_one_request(tmp_path):
    write_profile(tmp_path)
    device = load_site(site_file(tmp_path)).model.devices["mast1"]
    (detector,) = open_bus([device], ManualClock())._detectors.values()
    assert [(r.function, r.address, r.size) for r in detector.plan.sample] == [(3, 0, 4)]
    assert not detector.plan.identity + detector.plan.gas_name + detector.plan.slow


@pytest.mark.parametrize("name", ["sensepoint-xcd", "raeguard-3", "winsen_ze03"])
def test_a_built_in_profile_is_never_shadowed_by_its_name_or_alias(tmp_path, name):
    write_profile(tmp_path, OWN_PROFILE.replace(NAME, name), name)
    found = problems(tmp_path, mast(1, name), mast(2, name))
    assert list(found) == [f"profiles/{name}.toml"]
    assert "built-in" in found[f"profiles/{name}.toml"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (('"weather-mast"', '"mast"'), "profiles/weather-mast.toml: name"),
        (('unit = "mm/h"\n\n[[channel', 'unit = "mm"\n\n[[channel'), "channel[1].unit"),
        (('title = "Weather', 'titel = "Weather'), ""),
        (("address_base = 0", "address_base = -1"), "modbus.address_base"),
        (("register = 3", "regster = 3"), "modbus.fields.ozone"),
        (('field = "rain"', 'field = "rani"'), "modbus.measurement[1].field"),
        (('channels = ["rain"]', 'channels = ["ozone"]'), "modbus.measurement"),
        (('"chemical.modbus_detector"', '"chemical.nothing"'), "driver"),
        (('"chemical.modbus_detector"', '"weather.gill_windsonic"'), "modbus"),
        (('name = "weather-mast"', 'name = "weather-mast"\naliases = ["m"]'), "aliases"),
        (("revision", "revison"), "document"),
    ],
)
def test_a_wrong_own_profile_is_refused_once_with_its_path(tmp_path, change, path):
    assert change[0] in OWN_PROFILE
    write_profile(tmp_path, OWN_PROFILE.replace(*change))
    (found,) = problems(tmp_path)
    assert found.startswith("profiles/weather-mast.toml")
    assert path in found


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"name =", b"x = nan", b"[" * 5000])
def test_a_profile_that_is_no_toml_is_refused_with_its_file(tmp_path, octets):
    write_profile(tmp_path).write_bytes(octets)
    assert all(path.startswith(("profiles/weather-mast.toml", "x")) for path in problems(tmp_path))


def test_a_profile_that_cannot_be_read_is_refused_not_passed_over(tmp_path):
    path = write_profile(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    assert "cannot be read" in problems(tmp_path)["profiles/weather-mast.toml"]
    path.unlink()
    path.mkdir()
    assert "cannot be read" in problems(tmp_path)["profiles/weather-mast.toml"]


@pytest.mark.parametrize("name", ["no-such", "../site", "/etc/passwd", "", "a/b", "x" * 5000])
def test_a_profile_that_is_nowhere_is_refused_and_says_where_it_was_looked_for(tmp_path, name):
    (tmp_path / "site.toml.toml").write_text(OWN_PROFILE)
    found = problems(tmp_path, mast(1, name))
    assert "beside the site file" in found["device[0].driver"]


def test_a_serial_family_needs_the_channel_that_the_instrument_has(tmp_path):
    serial = OWN_PROFILE[: OWN_PROFILE.index("[modbus]")]
    serial = serial.replace("chemical.modbus_detector", "chemical.winsen_ze03")
    write_profile(tmp_path, serial)
    device = mast(1).replace("host", "port") + 'gas = "cl2"\n'
    assert "'cl2'" in problems(tmp_path, device)["device[0].driver"]


def test_a_changed_profile_is_another_configuration_and_a_changed_device(tmp_path):
    path = write_profile(tmp_path)
    before = load_site(site_file(tmp_path))
    path.write_text(OWN_PROFILE.replace("scale = 0.1", "scale = 0.2"))
    after = load_site(site_file(tmp_path))
    planned = plan(before, after)
    assert before.model.config_hash != after.model.config_hash
    assert [move.devices for move in planned.wires] == [("mast1",), ("mast2",)]
    assert any("scale" in change.path for change in planned.changes)


def test_no_key_of_a_profile_escapes_the_hash(tmp_path):
    write_profile(
        tmp_path,
        OWN_PROFILE.replace("rain =", "rain_file =").replace(
            'field = "rain"', 'field = "rain_file"'
        ),
    )
    before = load_site(site_file(tmp_path))
    text = (tmp_path / "profiles" / f"{NAME}.toml").read_text()
    write_profile(tmp_path, text.replace("scale = 0.1", "scale = 0.2"))
    assert load_site(site_file(tmp_path)).model.config_hash != before.model.config_hash


def test_a_profile_that_no_device_names_changes_nothing(tmp_path):
    write_profile(tmp_path)
    device = mast(1, "scd30")
    before = load_site(site_file(tmp_path, device))
    write_profile(tmp_path, "damaged")
    assert load_site(site_file(tmp_path, device)) == before


def test_an_equal_profile_is_the_same_configuration_wherever_the_folder_lies(tmp_path):
    hashes = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_profile(tmp_path / name)
        hashes.add(load_site(site_file(tmp_path / name)).model.config_hash)
    assert len(hashes) == 1


def test_the_example_of_the_readme_is_a_profile_that_can_be_used(tmp_path):
    readme = Path(__file__).parents[3] / "drivers" / "README.md"
    (example,) = [b for b in readme.read_text().split("```toml\n") if b.startswith("name = ")]
    write_profile(tmp_path, example.partition("```")[0])
    config = load_site(site_file(tmp_path))
    assert {c.id for c in config.model.devices["mast1"].channels} == {"rain", "ozone"}
    assert not wire_problems(config)
