"""`config` and SIGHUP against a daemon in a process of its own."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples.site_samples import chlorine, table

CBRN_GATEWAY = str(Path(sys.executable).with_name("cbrn-gateway"))
DEADLINE_S = 60
SITE = (
    table("gateway", {"id": "gw", "city": "varde", "data_dir": "kept", "config_trial_s": 0.2})
    + table("site", {"id": "torg"})
    + chlorine()
)
MORE = SITE + '[[device.channel]]\nid = "nh3"\nquantity = "nh3"\nunit = "ppm"\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "more.toml").write_text(MORE)
    (tmp_path / "broken.toml").write_text(SITE.replace('"ppm"', '"parrots"'))
    return tmp_path


@pytest.fixture
def daemon(folder):
    """A running daemon; its standard error is kept."""
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [CBRN_GATEWAY, "run", "-c", str(folder / "site.toml")], stderr=said
        )
        try:
            until(lambda: call(folder, "history")[0] == 0, "the daemon")
            yield process
        finally:
            process.terminate()
            process.wait(20)


def call(folder, *arguments):
    """Call `config`; return (exit code, standard output, standard error)."""
    done = subprocess.run(
        [CBRN_GATEWAY, "config", *arguments, "-c", str(folder / "site.toml")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def until(holds, what):
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"{what} did not come"
        time.sleep(0.05)


def history(folder) -> list[dict]:
    code, out, _ = call(folder, "history", "--json")
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def test_a_plan_shows_what_changes_and_needs_no_daemon(folder):
    code, out, _ = call(folder, "plan", str(folder / "more.toml"))
    assert code == 0
    assert "+ channel.st1/nh3: " in out
    code, out, _ = call(folder, "plan", str(folder / "more.toml"), "--json")
    assert json.loads(out)["kept"] == 1
    code, _, err = call(folder, "plan", str(folder / "broken.toml"))
    assert (code, err.partition(": ")[0]) == (2, "device[0].channel[0].unit")
    assert call(folder, "plan", str(folder / "absent.toml"))[0] == 2


def test_without_a_daemon_nothing_is_applied(folder):
    code, _, err = call(folder, "apply", str(folder / "more.toml"))
    assert code == 3
    assert "no daemon is running" in err


@pytest.mark.timeout(240)
def test_apply_and_rollback_change_the_daemon_and_its_site_file(folder, daemon):
    code, out, _ = call(folder, "apply", str(folder / "more.toml"), "--wait", "--actor", "anna")
    assert code == 0
    assert out.splitlines()[-1] == "in force"
    until(lambda: (folder / "site.toml").read_text() == MORE, "the new site file")

    code, out, err = call(folder, "apply", str(folder / "broken.toml"))
    assert (code, out) == (2, "")
    assert err.startswith("device[0].channel[0].unit: ")
    assert [(v["how"], v["actor"]) for v in history(folder)] == [
        ("start", "gateway"),
        ("apply", "anna"),
    ]

    (folder / "site.toml").write_text(SITE.replace('"torg"', '"torg'))
    code, _, err = call(folder, "rollback", "--actor", "bo")
    assert code == 2, "where the site file is no TOML, nobody knows where the daemon is"
    (folder / "site.toml").write_text(MORE)
    code, out, _ = call(folder, "rollback", "--actor", "bo", "--json")
    answer = json.loads(out)
    assert (code, answer["config_hash"]) == (0, history(folder)[0]["config_hash"])
    assert (folder / "site.toml").read_text() == SITE
    assert call(folder, "rollback", "feed")[0] == 1
    assert daemon.poll() is None


@pytest.mark.timeout(240)
def test_a_hangup_applies_the_site_file_and_a_broken_one_changes_nothing(folder, daemon):
    (folder / "site.toml").write_text(MORE)
    daemon.send_signal(signal.SIGHUP)
    until(lambda: [v["how"] for v in history(folder)] == ["start", "reload"], "the reload")
    in_force = history(folder)[-1]["config_hash"]

    (folder / "site.toml").write_text(MORE + "[unknown]\n")
    daemon.send_signal(signal.SIGHUP)
    until(lambda: "unknown table" in (folder / "said.txt").read_text(), "the refusal")
    assert history(folder)[-1]["config_hash"] == in_force
    assert daemon.poll() is None
