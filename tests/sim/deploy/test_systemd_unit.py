"""The unit of systemd: understood by systemd itself, hardened, and it waits for the watchdog."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "cbrn-gateway.service"
MOST_EXPOSURE = 2.0


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def installed(tmp_path) -> str:
    """Return the unit as it would be where the program it starts is there."""
    started = f"ExecStart={sys.executable}"
    text = re.sub(r"^ExecStart=\S+", started, UNIT.read_text(), flags=re.MULTILINE)
    path = tmp_path / UNIT.name
    path.write_text(text)
    return str(path)


def test_systemd_understands_every_line(installed):
    done = analyze("verify", installed)
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_it_is_hardened(installed):
    done = analyze("security", "--offline=true", "--no-pager", installed)
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert float(exposure) <= MOST_EXPOSURE


def test_the_kernel_may_be_asked_whether_its_clock_is_synchronised_and_nobody_may_set_it():
    filters = values("SystemCallFilter")
    denied = max(at for at, calls in enumerate(filters) if calls.startswith("~"))
    allowed_after = {call for calls in filters[denied + 1 :] for call in calls.split()}
    assert allowed_after == {"adjtimex", "clock_adjtime", "clock_adjtime64"}
    assert values("ProtectClock") == []
    assert values("CapabilityBoundingSet") == values("AmbientCapabilities") == [""]


def values(name: str) -> list[str]:
    """Return what the unit says under a name, in its order: a later line may undo an earlier."""
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_it_is_started_again_for_ever_and_killed_when_it_makes_no_progress():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert float(service["WatchdogSec"]) >= 30
