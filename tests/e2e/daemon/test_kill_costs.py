"""What a kill -9 may cost: the instrument's own record against what is on the disk.

A killed process counts nothing itself. So the instrument writes down what it said and when,
and the daemon says at its next start since when readings are missing.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from e2e.evidence import wait_until
from e2e.gateway_process import Daemon, head
from e2e.numbered_wind import NumberedWind
from samples.cycles import NIGHT, cycles
from samples.dice import dice

from cbrn_core.times import format_rfc3339

pytestmark = pytest.mark.timeout(0 if NIGHT else 200)

PERIOD_S = 0.1
MOST_COST_S = 0.2
"""What contracts and design allow: uncommitted readings of so long."""
AROUND_S = 1.0


class Kept:
    """The numbers that the disk holds, and when the last of them came in."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / "series.db"
        statement = (
            "SELECT h.value, h.received_us FROM head h JOIN channels c ON c.id = h.channel_id"
            " WHERE c.channel = 'wind_speed' ORDER BY h.row"
        )
        self.numbers: list[int] = []
        self.until_us = 0
        if path.exists():
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as series:
                rows = series.execute(statement).fetchall()
            self.numbers = [round(value * 100) for value, _ in rows]
            self.until_us = rows[-1][1] if rows else 0


@pytest.fixture
def wind(tmp_path):
    one = NumberedWind(tmp_path / "wind", PERIOD_S)
    yield one
    one.close()


@cycles(5)
def test_a_kill_costs_at_most_200_ms_of_readings_and_the_next_start_says_since_when(
    tmp_path, wind, new_daemon, times
):
    daemon: Daemon = new_daemon(head(tmp_path / "gateway0") + wind.site_tables())
    chance = dice("moments of the kills")
    before = 0
    for _ in range(times):
        daemon.start()
        wait_until(lambda n=before: len(kept(daemon)) > n, "a reading of this run")
        time.sleep(chance.uniform(0.5, 2.5))
        killed_s = time.monotonic()
        daemon.kill()
        found = Kept(daemon.data_dir)
        numbers = found.numbers
        assert len(numbers) == len(set(numbers)), "none is doubled"
        this_run = numbers[before:]
        assert this_run == list(range(this_run[0], this_run[-1] + 1)), "none is lost in between"
        before = len(numbers)
        cost_s = killed_s - wind.said[this_run[-1] - 1].at_s
        assert cost_s <= MOST_COST_S + PERIOD_S + lateness_s(wind, killed_s)
    daemon.start()
    missing = f"readings are missing since {format_rfc3339(found.until_us)}: nothing of the last "
    assert missing in daemon.tail()
    stated_s = float(daemon.tail().partition(missing)[2].split()[0])
    assert time.monotonic() - killed_s >= stated_s - cost_s > 0


def kept(daemon: Daemon) -> list[int]:
    return Kept(daemon.data_dir).numbers


def lateness_s(wind: NumberedWind, around_s: float) -> float:
    """Return how late this machine let the instrument itself come, about then."""
    near = (said for said in list(wind.said) if abs(said.at_s - around_s) < AROUND_S)
    return max(said.late_s for said in near)
