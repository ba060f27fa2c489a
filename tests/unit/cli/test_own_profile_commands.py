"""`decode` and `profiles` with the profiles that a site keeps beside its own file."""

import json

import pytest
from samples.own_profile_sample import NAME, OWN_PROFILE, write_profile

from cbrn_drivers.codec.modbus import crc16
from cbrn_gateway.cli import main


@pytest.fixture
def call(monkeypatch, capfd):
    """Call the command line; return (exit code, standard output, standard error)."""

    def called(*arguments):
        monkeypatch.setattr("sys.argv", ["cbrn-gateway", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return leaving.value.code or 0, captured.out, captured.err

    return called


@pytest.fixture
def site(tmp_path):
    """A site file that is not finished yet, with a profile beside it."""
    path = tmp_path / "site.toml"
    path.write_text("not yet TOML")
    write_profile(tmp_path)
    return path


@pytest.fixture
def frames(tmp_path):
    """A file with the answer to a read of all five registers, then a damaged one."""
    body = bytes.fromhex("01030a 0000 03f5 0019 0028 0000")
    good = body + crc16(body).to_bytes(2, "little")
    path = tmp_path / "frames.txt"
    path.write_text(good.hex() + "\n")
    return path


def test_frames_are_decoded_by_a_profile_of_the_site(call, site, frames):
    code, out, err = call("decode", NAME, frames, "-c", site, "-o", "register=0")
    assert (code, err) == (0, "")
    readings = {line["channel"]: line["value"] for line in map(json.loads, out.splitlines())}
    assert readings == {"pressure": 1013.0, "rain": 2.5, "ozone": 40.0}


def test_the_fields_of_a_frame_are_named_by_a_profile_of_the_site(call, site, frames):
    code, out, _ = call("decode", NAME, frames, "--fields", "-c", site, "-o", "register=0")
    shown = json.loads(out)
    assert (code, shown["pressure"], shown["rain"], shown["ozone"]) == (0, 1013, 2.5, 40)


def test_a_built_in_profile_and_its_alias_are_known_beside_those_of_the_site(call, site):
    for name in ("gill-windsonic", "gill_windsonic"):
        code, out, _ = call("profiles", name, "--json", "-c", site)
        assert (code, json.loads(out)["name"]) == (0, "gill-windsonic")


def test_without_a_site_its_profiles_are_not_known(call, site, frames):
    code, _, err = call("decode", NAME, frames)
    assert code == 2
    assert f"no profile '{NAME}'" in err
    code, out, _ = call("profiles")
    assert (code, NAME in out) == (0, False)


def test_the_profiles_of_a_site_are_listed_with_the_others_and_shown(call, site):
    code, out, _ = call("profiles", "-c", site)
    assert code == 0
    assert NAME in out
    assert "sensepoint-xcd" in out
    code, out, _ = call("profiles", NAME, "-c", site)
    assert code == 0
    assert "Weather mast of the harbour office" in out
    assert "pressure" in out


@pytest.mark.parametrize("command", [["profiles"], ["profiles", NAME], ["decode", NAME]])
def test_what_is_wrong_with_a_profile_of_the_site_is_told_with_its_path(
    call, site, frames, command
):
    write_profile(site.parent, OWN_PROFILE.replace('unit = "hPa"', 'unit = "parsec"', 1))
    more = [frames] if command[0] == "decode" else []
    code, out, err = call(*command, *more, "-c", site)
    assert (code, out) == (2, "")
    assert err.startswith(f"profiles/{NAME}.toml: channel[0].unit")


def test_a_name_that_leads_out_of_the_folder_is_no_profile(call, site):
    (site.parent / "secret.toml").write_text(OWN_PROFILE)
    code, _, err = call("profiles", "../secret", "-c", site)
    assert code == 2
    assert "no profile '../secret'" in err


def test_a_site_file_that_is_not_there_is_bad_usage(call, site):
    code, _, err = call("profiles", "-c", site.parent / "nowhere.toml")
    assert code == 2
    assert "nowhere.toml" in err
