"""Commands as a technician gives them: exit codes, clear words, never a traceback."""

import json
import re
from pathlib import Path

import pytest
from samples.alert_samples import MODEL, alarm, condition

import cbrn_gateway.cli
from cbrn_core.alarm import AlarmState, Priority
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.cli import COMMANDS, main
from cbrn_gateway.config.load import load_site, parse_site
from cbrn_gateway.store.journal_file import JournalFile

EXAMPLE = Path(__file__).parents[3] / "config/sites/sandholm-torvet/site.toml"


@pytest.fixture
def call(monkeypatch, capfd):
    """Call the command line; return (exit code, standard output, standard error)."""

    def called(*arguments):
        monkeypatch.setattr("sys.argv", ["cbrn-gateway", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        assert "\x1b" not in captured.out + captured.err, "no colour where there is no terminal"
        return leaving.value.code or 0, captured.out, captured.err

    return called


@pytest.fixture
def site(tmp_path):
    """A site file with its data_dir beside it; nothing runs there."""
    path = tmp_path / "site.toml"
    text = EXAMPLE.read_text().replace('"/var/lib/cbrn-gateway"', '"kept"')
    path.write_text(text)
    (tmp_path / "kept").mkdir()
    return path


@pytest.fixture
def journalled(site):
    """Write alarms into the journal of a site whose daemon has ended."""

    def written(*alarms):
        journal = JournalFile(site.parent / "kept/journal.db", epoch=1)
        journal.append([render_alert(one, MODEL) for one in alarms])
        journal.close()

    return written


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "demo"])
def test_every_command_explains_itself(call, name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert len(out.splitlines()) > 5


def test_a_command_that_does_not_exist_is_bad_usage(call):
    assert call("dance")[0] == 2
    assert call("run")[0] == 2
    assert call("run", "-c", "x", "--log-level", "loud")[0] == 2


def test_a_site_file_that_is_not_there_is_bad_usage(call, tmp_path):
    for command in ("check", "run"):
        code, _, err = call(command, "-c", tmp_path / "none.toml")
        assert code == 2
        assert "none.toml: " in err


def test_check_passes_with_warnings_and_prints_them_as_json(call):
    code, out, err = call("check", "-c", EXAMPLE)
    assert code == 0
    assert "ok: policy default-1, 4 stations, 5 devices, 7 channels" in out
    warned = re.findall("^warning: (.*?): ", err, re.MULTILINE)
    code, out, err = call("check", "-c", EXAMPLE, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["path"] for row in rows] == warned
    assert {row["severity"] for row in rows} == {"warning"}
    assert err == ""


def test_check_of_a_wrong_file_gives_each_path_and_exit_2(call, site):
    site.write_text(site.read_text().replace('gas = "cl2"', 'gas = "furlong"') + "[surprise]\n")
    code, out, err = call("check", "-c", site)
    assert code == 2
    assert [line.split(":")[0] for line in err.splitlines()] == ["surprise", "device[4].gas"]
    code, out, _ = call("check", "-c", site, "--json")
    assert code == 2
    assert {json.loads(line)["severity"] for line in out.splitlines()} == {"error"}


def test_words_of_a_file_cannot_steer_the_terminal(call, site):
    site.write_text(site.read_text() + '["\\u001b[2Jx"]\n')
    assert call("check", "-c", site)[0] == 2
    assert call("run", "-c", site)[0] == 2


def test_run_refuses_wires_that_cannot_be_shared_before_it_touches_anything(call, site):
    text = site.read_text().replace("_FONTENE-", "_KIOSK-").replace("FTDI_FT232R_USB_UART_K", "K")
    site.write_text(text.replace("usb-1a86_USB_Serial_KIOSK", "usb-KIOSK"))
    code, _, err = call("run", "-c", site)
    assert code == 2
    assert "device[1].port: " in err
    assert list((site.parent / "kept").iterdir()) == []


def test_run_says_so_when_its_folder_cannot_be_written(call, site):
    (site.parent / "kept").rmdir()
    (site.parent / "kept").write_text("a file where the folder should be")
    code, _, err = call("run", "-c", site)
    assert code == 1
    assert "data_dir" in err
    assert "cannot be written" in err


def test_a_starter_is_valid_as_it_is_and_with_everything_switched_on(call, tmp_path):
    folder = tmp_path / "new"
    options = ("--gateway", "gw-7", "--city", "varde", "--site", "torg")
    code, out, _ = call("init", folder, *options, "--lat", "59.1", "--lon", "10.2")
    assert code == 0
    assert "next: edit" in out
    model = load_site(folder / "site.toml").model
    assert (model.gateway, model.city, model.site.id) == ("gw-7", "varde", "torg")
    assert model.stations["st1"].position.lat == 59.1
    assert call("check", "-c", folder / "site.toml")[0] == 0
    everything = (folder / "site.toml").read_text().replace("\n#: ", "\n")
    whole = parse_site(everything, folder / "site.toml")
    assert len(whole.model.devices) == 5
    assert whole.mqtt is not None
    assert whole.influx is not None
    assert "@" not in (folder / "README.md").read_text()
    packaged = Path(cbrn_gateway.cli.__file__).parents[1] / "alarms/policies/default-1.toml"
    assert (folder / "policy/default-1.toml").read_bytes() == packaged.read_bytes()
    assert (folder / "secrets").stat().st_mode & 0o077 == 0


def test_a_starter_without_a_place_warns_that_it_has_none(call, tmp_path):
    assert call("init", tmp_path / "new")[0] == 0
    _, _, err = call("check", "-c", tmp_path / "new/site.toml")
    assert "station[0].position: still the place that init wrote" in err


def test_a_starter_overwrites_nothing(call, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    code, _, err = call("init", tmp_path)
    assert code == 1
    assert "README.md" in err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "options",
    [
        ("--gateway", "a b"),
        ("--lat", "1"),
        ("--lat", "0", "--lon", "0"),
        ("--lat", "91", "--lon", "0"),
        ("--timezone", "Mars/Olympus"),
        ("--timezone", 'UTC"\n[x]'),
    ],
)
def test_a_starter_with_impossible_words_is_not_written(call, tmp_path, options):
    assert call("init", tmp_path / "new", *options)[0] == 2
    assert not (tmp_path / "new").exists()


def test_open_alarms_are_listed_while_no_daemon_runs(call, site, journalled):
    journalled(alarm())
    code, out, err = call("alerts", "list", "-c", site)
    assert code == 0
    assert "no daemon is running" in err
    (row,) = out.splitlines()[1:]
    assert row.split()[:2] == ["1", "unack"]
    assert f"{alarm().id[:8]}@{alarm().version}" in row
    assert "+02:00" in row, "local time with its offset"
    code, out, _ = call("alerts", "list", "-c", site, "--json")
    (feature,) = [json.loads(line) for line in out.splitlines()]
    assert (feature["id"], feature["properties"]["schema"]) == (alarm().id, "cbrn-alert/1")


def test_alarms_are_listed_by_priority_then_the_newest_and_drills_last(call, site, journalled):
    raised = alarm().raised_us
    journalled(
        alarm(condition(priority=Priority.P2), id="b" * 32),
        alarm(condition(purpose="exercise"), id="c" * 32),
        alarm(id="d" * 32),
        alarm(id="e" * 32, raised_us=raised + 5_000_000),
        alarm(id="f" * 32, state=AlarmState.NORMAL),
    )

    def listed(*options):
        out = call("alerts", "list", "-c", site, "--json", *options)[1]
        return [json.loads(line)["id"][0] for line in out.splitlines()]

    assert listed() == ["e", "d", "b", "c"]
    assert sorted(listed("--all")) == ["b", "c", "d", "e", "f"]


def test_without_a_journal_there_is_nothing_to_list(call, site):
    code, _, err = call("alerts", "list", "-c", site)
    assert code == 1
    assert "no daemon has run here yet" in err


@pytest.mark.parametrize(
    "order",
    [
        ("ack", "abc"),
        ("shelve", "abc", "--reason", "x"),
        ("unshelve", "abc"),
        ("resolve", "abc", "--reason", "x"),
        ("comment", "abc", "x"),
    ],
)
def test_an_order_without_a_daemon_names_what_is_missing(call, site, order):
    code, _, err = call("alerts", *order, "-c", site)
    assert code == 3
    assert "no daemon is running in" in err
    assert "cbrn-gateway run -c" in err


def test_orders_that_make_no_sense_are_bad_usage(call, site):
    assert call("alerts", "ack", "abc@x", "-c", site)[0] == 2
    assert call("alerts", "shelve", "abc", "-c", site)[0] == 2
    assert call("alerts", "shelve", "abc", "-c", site, "-m", "x", "--for", "soon")[0] == 2


def test_a_recording_never_overwrites(call, site, tmp_path):
    out = tmp_path / "evidence.jsonl"
    out.write_text("evidence")
    code, _, err = call("record", "-c", site, "-o", out)
    assert code == 1
    assert "holds something already" in err
    assert out.read_text() == "evidence"


def test_a_site_without_wires_cannot_be_recorded(call, tmp_path):
    assert call("init", tmp_path / "new")[0] == 0
    site_file = tmp_path / "new/site.toml"
    code, _, err = call("record", "-c", site_file, "-o", tmp_path / "x", "--duration", "5")
    assert code == 2
    assert "nothing to record" in err
