"""A site file that is wrong says where, exactly; one that is right means what it says."""

from pathlib import Path

import pytest

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.load import load_site, parse_site

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
[[device]]
id = "first"
station = "st1"
driver = "external"
[[device.channel]]
id = "wind"
quantity = "wind_speed"
unit = "m/s"
"""
ZE03 = '[[device]]\nid = "z"\nstation = "st1"\ndriver = "profile:winsen-ze03"\nport = "/dev/x"\n'
SIGNED = "[[alarms.signed]]\ndate = 2026-05-01\n"
XCD = '[[device]]\nid = "x"\nstation = "st1"\ndriver = "profile:sensepoint-xcd"\nhost = "h"\n'
GMC = '[[device]]\nid = "g"\nstation = "st1"\ndriver = "profile:gq-gmc-500"\nport = "/dev/x"\n'


def problems(*blocks, head=HEAD):
    with pytest.raises(ConfigError) as error:
        parse_site(head + "".join(blocks), Path("/srv/site.toml"))
    return {problem.path: problem.reason for problem in error.value.problems}


def site(*blocks):
    return parse_site(HEAD + "".join(blocks), Path("/srv/site.toml"))


@pytest.mark.parametrize(
    ("block", "path"),
    [
        (XCD + 'gas = "hf"\n', "device[1].gas"),
        (XCD + 'gas = "furlong"\n', "device[1].gas"),
        (XCD + "unit_id = 300\n", "device[1].unit_id"),
        (ZE03, "device[1]"),
        (ZE03 + 'gas = "cl2"\ncolour = "red"\n', "device[1]"),
        (ZE03 + 'gas = "cl2"\nbaudrate = 3\n', "device[1].baudrate"),
        (ZE03.replace("winsen-ze03", "nothing"), "device[1].driver"),
        (ZE03.replace("st1", "st9") + 'gas = "cl2"\n', "device[1].station"),
        (GMC + '[[device.channel]]\nid = "nothing"\n', "device[1].channel[0].id"),
        (GMC + '[[device.channel]]\nid = "gamma"\nlod = -1\n', "device[1].channel[0].lod"),
        (GMC + "period_s = 1e300\n", "device[1].period_s"),
        (GMC + "period_s = nan\n", "device[1].period_s"),
        (GMC.replace('"g"', '"first"'), "device[1].id"),
        ("[surprise]\n", "surprise"),
        ('[" x\\u001b"]\n', '" x\\u001b"'),
        ('[mqtt]\nurl = "mqtt://h"\nca_file = "c"\n', "mqtt.url"),
        ('[mqtt]\nurl = "http://h"\n', "mqtt.url"),
        ('[influx]\nurl = "http://["\n', "influx.url"),
        ('[influx]\nurl = "http://h:99999"\n', "influx.url"),
        (
            '[[alarms.signed]]\nagent = "xx"\nby = "K"\ndate = 2026-05-01\n',
            "alarms.signed[0].agent",
        ),
        (
            '[[alarms.signed]]\nagent = "cl2"\nlevel = "aegl_9"\nby = "K"\ndate = 2026-05-01\n',
            "alarms.signed[0].level",
        ),
        ('[[alarms.signed]]\nagent = "cl2"\nby = "K"\ndate = "soon"\n', "alarms.signed[0].date"),
        ('[[alarms.signed]]\nagent = "cl2"\nby = ""\ndate = 2026-05-01\n', "alarms.signed[0].by"),
        ("[playbook]\ndate = 2026-05-02\nvalid_until = 2026-05-01\n", "playbook.valid_until"),
        ('[playbook]\nfile = "nowhere.toml"\n', "playbook.file"),
        ('[alarms]\npolicy = "nowhere"\n', "alarms.policy"),
        ("[store]\nspool_most_mb = 1e300\n", "store.spool_most_mb"),
        ("[store]\nspool_most_days = 0\n", "store.spool_most_days"),
        ("[store]\nseries_most_mb = -1\n", "store.series_most_mb"),
        ("[store]\nseries_most_days = 1e9\n", "store.series_most_days"),
        ("[store]\nfree_disk_floor_mb = -1\n", "store.free_disk_floor_mb"),
        ("[store]\nballast_mb = 2000\n", "store.ballast_mb"),
        (
            "[store]\nballast_mb = 10\nfree_disk_floor_mb = 9\n",
            "store.free_disk_floor_mb",
        ),
    ],
)
def test_a_problem_has_its_exact_path(block, path):
    assert list(problems(block)) == [path]


def test_a_gas_that_the_model_is_not_made_for_names_those_it_is():
    assert "it has" in problems(XCD + 'gas = "hf"\n')["device[1].gas"]


def test_a_channel_that_two_devices_claim_is_said_at_the_second():
    again = (
        '[[device]]\nid = "w2"\nstation = "st1"\ndriver = "profile:gill-windsonic"\nport = "/d"\n'
    )
    first = (
        '[[device]]\nid = "w1"\nstation = "st1"\ndriver = "profile:gill-windsonic"\nport = "/e"\n'
    )
    assert set(problems(first, again)) == {"device[2]"}


def test_every_problem_is_told_at_once():
    found = problems(XCD + 'gas = "hf"\n', "[surprise]\n", "[store]\nspool_most_mb = 0\n")
    assert set(found) == {"device[1].gas", "surprise", "store.spool_most_mb"}


@pytest.mark.parametrize("start", ["2026-05-01T06:00:00Z", '"2026-05-01T06:00:00Z"', "2026-05-01"])
def test_a_background_may_be_written_with_times_or_text(start):
    given = f"{{ value = 0.5, sigma = 0.1, from = {start}, until = 2026-05-02T06:00:00Z }}"
    config = site(GMC, f'[[device.channel]]\nid = "gamma"\nbackground = {given}\n')
    assert config.model.channels["st1", "gamma"].background.since.startswith("2026-05-01")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ('{ value = 1, sigma = 1, from = "soon", until = 2026-05-02 }', "background.from"),
        ("{ value = 1, sigma = 1, from = 2026-05-02, until = 2026-05-01 }", "background.until"),
        ("{ value = -1, sigma = 1, from = 2026-05-01, until = 2026-05-02 }", "background"),
    ],
)
def test_a_background_that_cannot_be_is_refused(given, path):
    found = problems(GMC, f'[[device.channel]]\nid = "gamma"\nbackground = {given}\n')
    assert list(found) == [f"device[1].channel[0].{path}"]


def test_files_of_secrets_start_at_the_folder_of_the_site_file():
    config = site(
        '[mqtt]\nurl = "mqtts://h"\npassword_file = "secrets/word"\nca_file = "/etc/ca"\n',
        '[influx]\nurl = "http://h"\ntoken_file = "token"\n',
    )
    assert (config.mqtt.password_file, config.mqtt.ca_file) == ("/srv/secrets/word", "/etc/ca")
    assert config.influx.token_file == "/srv/token"


def test_the_hash_knows_the_meaning_and_not_the_place_of_secrets(tmp_path):
    def hash_of(*blocks):
        return parse_site(HEAD + "".join(blocks), tmp_path / "site.toml").model.config_hash

    mqtt = '[mqtt]\nurl = "mqtts://h"\npassword_file = "{}"\n'
    assert hash_of(mqtt.format("a")) == hash_of(mqtt.format("b")) != hash_of()
    signed = '[[alarms.signed]]\nagent = "cl2"\nby = "K"\ndate = 2026-05-0{}\n'
    assert hash_of(signed.format(1)) != hash_of(signed.format(2))


def test_the_hash_knows_what_the_policy_and_playbook_files_say(tmp_path):
    source = Path(__file__).parents[3] / "config/policy/default-1.toml"
    steps = 'name = "n"\n[[step]]\nplay = "store"\nrole = "operator"\ntext = "{}"\n'
    named = '[alarms]\npolicy = "own"\n[playbook]\nfile = "steps.toml"\n'

    def hash_of(policy_id, text):
        (tmp_path / "own.toml").write_text(source.read_text().replace('"default-1"', policy_id))
        (tmp_path / "steps.toml").write_text(steps.format(text))
        return parse_site(HEAD + named, tmp_path / "site.toml").model.config_hash

    assert hash_of('"a"', "x") != hash_of('"b"', "x")
    assert hash_of('"a"', "x") != hash_of('"a"', "y")
    assert hash_of('"a"', "x") == hash_of('"a"', "x")


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"x" * 4_000_001], ids=["not text", "huge"])
def test_a_file_that_is_no_site_is_said(tmp_path, octets):
    path = tmp_path / "site.toml"
    path.write_bytes(octets)
    with pytest.raises(ConfigError) as error:
        load_site(path)
    assert [problem.path for problem in error.value.problems] == [str(path)]
