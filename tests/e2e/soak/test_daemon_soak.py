"""The whole daemon through hours of gas and random faults, on clocks 25 times as fast.

Twelve hours pass in half an hour at night, 35 minutes in one and a half in CI. Instruments
on their wires, stores on disk, broker and database are real, and so are the time-outs of
the loop (journal 0.5 s, TCP, keep-alive) and the pauses between bytes on a wire.
"""

import json
import os
import statistics
import subprocess
from math import inf

import msgspec
import pytest
from e2e.evidence import (
    Sample,
    alerts,
    first_hearings,
    is_reading_line,
    newest_versions,
    points,
    quarantined,
    spooled,
    status_of,
    stored,
    version_of,
    versions_of,
    wait_until,
    wait_until_all_is_stored,
)
from e2e.gateway_process import CBRN_GATEWAY
from e2e.log_gaps import ask_for_what_is_missing
from e2e.soak.soak_site import Size, SoakSite, Told
from e2e.soak.soak_square import GAMMA
from e2e.soak.troubles import Happening, Troubles
from samples.cycles import NIGHT

from cbrn_gateway.alarms.texts_types import StoreLevel

pytestmark = [
    pytest.mark.needs_mosquitto,
    pytest.mark.needs_influxd,
    pytest.mark.timeout(0 if NIGHT else 300),
]

SPEED = 25.0
SEED = int(os.environ.get("CBRN_SOAK_SEED", "1"))
ROUND_S = 1200.0
ROUNDS = 36 if NIGHT else 1
KILLS_S = (1500.0, 2700.0) if NIGHT else (100.0, 200.0)
"""Early, so that the last life is long enough to see it grow."""

SETTLES_S = 300.0
WARM_S, LOOK_S = (3600.0, 3600.0) if NIGHT else (900.0, 200.0)
"""When the last life's size is looked at first, and over how long."""

MAY_GROW_BYTES = 5_000_000
MAY_OPEN_MORE = 6
MOST_AT_THE_END = 5
MOST_SPLIT = 500
"""Readings of one second."""

MOST_UNDERWAY = 32
"""Entries of the log that were sent and not yet acknowledged when the broker died."""

LARGEST_LOG_BYTES = 40_000_000
MACHINE_S = 1.0
"""What this machine may take for itself, on a real clock: 25 times as long on the fast one."""

DELAY_S, ELEVATED_DELAY_S = 15.0, 75.0
"""From the exposure to the alarm; a field below the danger-area boundary is held for 60 s."""

BOUNDARY_USV_H, AEGL_2_PPM = 25.0, 2.8

RETURNS_S = 300.0
"""After the field: its mean fades by a factor of e a minute, and the off-delay is 60 s."""

STANDING = ("unack", "ack")
FADES_S = 600.0
"""How long an exposure may still be told as new: its running means, its alarm after a restart."""

EXPECTED_TROUBLE = {
    *("not in service", "clock not synchronised"),  # this site, this machine
    *("no reading", "instrument fault", "stuck", "single sample stood out"),
    *("cannot detect", "no contact", "path not proven", "clock set", *StoreLevel),
    *("configuration not in force", "gateway held up"),
}


class Evidence(msgspec.Struct):
    """What a soak left behind."""

    troubles: Troubles
    told: list[Told]
    sizes: list[Size]
    log: list[dict]
    asked_for: list[dict]
    heard: list[dict]
    journal: list[dict]
    taken: list[Sample]
    points: list[Sample]
    quarantine: list[tuple[bytes, str]]
    spool: list[bytes]
    counters: dict[str, int]
    verify: subprocess.CompletedProcess
    exit_code: int
    blocked: str
    log_bytes: dict[str, int]
    daemon_log: str

    def last_life(self) -> list[Size]:
        return [size for size in self.sizes if size.pid == self.sizes[-1].pid]

    def counted(self, *names: str) -> int:
        return sum(self.counters.get(name, 0) for name in names)

    def not_in_series(self) -> int:
        """Return how many readings a full disk cost the series store, new ones and oldest ones."""
        return self.counted("series_unstored_reading", "series_made_way")

    def untold(self) -> list[dict]:
        """Return what the last turn journalled when the link had ended: the next start tells it."""
        told = versions_of(self.log + self.asked_for)
        return [a for a in self.journal[-MOST_AT_THE_END:] if version_of(a) not in told]

    def first_half(self) -> list[Size]:
        life = self.last_life()
        return life[: len(life) // 2]

    def windows(self) -> tuple[list[Size], list[Size]]:
        """Return the sizes of the last life when it was warm, and at its end."""
        life = self.last_life()
        begun_s, ended_s = life[0].passed_s + WARM_S, life[-1].passed_s
        warm = [size for size in life if begun_s <= size.passed_s < begun_s + LOOK_S]
        return warm, [size for size in life if size.passed_s >= ended_s - LOOK_S]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    with SoakSite(tmp_path_factory.mktemp("soak"), SEED, SPEED) as site:
        troubles = Troubles(site)
        planned = troubles.plan(ROUNDS, ROUND_S) + [(at_s, "killed") for at_s in KILLS_S]
        troubles.carry_out(sorted(planned))
        wait_until(lambda: site.time.passed_s() > ROUNDS * ROUND_S + SETTLES_S, "all settles")
        site.square.stop()
        data_dir = site.daemon.data_dir
        wait_until_all_is_stored(data_dir)
        wait_until(lambda: not any(map(is_reading_line, spooled(data_dir))), "all is delivered")
        asked_for = ask_for_what_is_missing(site.soc, site.broker)
        code, _ = site.daemon.terminate()
        wait_until(lambda: (status_of(site.soc) or {}).get("state") == "offline", "the farewell")
        diary = site.diary()
        blocked = site.folder / "blocking-calls.txt"
        verify = [CBRN_GATEWAY, "verify", str(data_dir), "--json"]
        return Evidence(
            troubles=troubles,
            told=[entry for entry in diary if isinstance(entry, Told)],
            sizes=[entry for entry in diary if isinstance(entry, Size)],
            log=alerts(site.soc, "/log/"),
            asked_for=[entry for entry in asked_for if entry.get("type") == "Feature"],
            heard=alerts(site.soc),
            journal=site.journal(),
            taken=stored(data_dir),
            points=points(site.influx),
            quarantine=quarantined(data_dir),
            spool=spooled(data_dir),
            counters=(status_of(site.soc) or {})["counters"],
            verify=subprocess.run(verify, capture_output=True, check=False),
            exit_code=code,
            blocked=blocked.read_text() if blocked.exists() else "",
            log_bytes={p.name: p.stat().st_size for p in data_dir.glob("*-wal")},
            daemon_log=site.daemon.log.read_text(errors="replace"),
        )


@pytest.fixture(autouse=True)
def _story(evidence: Evidence) -> None:
    """Show with a failure what happened."""
    print(f"CBRN_SOAK_SEED={SEED}", *evidence.troubles.story, sep="\n")


def test_it_ends_in_order(evidence):
    assert evidence.exit_code == 0
    assert "Traceback" not in evidence.daemon_log
    assert evidence.blocked == ""


def test_the_journal_verifies(evidence):
    assert evidence.verify.returncode == 0, evidence.verify.stdout
    assert len(json.loads(evidence.verify.stdout)["epochs"]) == 1


def test_each_exposure_was_alarmed_in_time(evidence):
    exposures = [what for what in evidence.troubles.happened if what.what in ("cl2", GAMMA)]
    assert len(exposures) == ROUNDS * sum(kind in ("puff", "field") for kind in Troubles.ROUND)
    assert [what for what in exposures if not was_alarmed(evidence, what)] == []


def sees_again_s(evidence: Evidence, what: Happening) -> float:
    """Return until when it was told that nothing watches there; 0 where something does.

    Time-outs are real and the clock is not: to find a silent instrument again takes minutes.
    """
    place = (what.station, what.what, "no reading")
    said = [
        told
        for told in evidence.told
        if (told.said["station"], told.said["channel"], told.said["level"]) == place
    ]
    before = [told for told in said if told.passed_s <= what.began_s]
    if not before or before[-1].said["state"] not in STANDING:
        return 0.0
    ends = (told.passed_s for told in said[len(before) :] if told.said["state"] not in STANDING)
    return next(ends, inf)


def was_alarmed(evidence: Evidence, what: Happening) -> bool:
    """Return whether its station was told to be above the level, or blind, soon after it began."""
    sees_s = sees_again_s(evidence, what)
    if sees_s > what.began_s + what.lasts_s:
        return True
    began_s = max(
        [what.began_s, sees_s]
        + [up_s for up_s in evidence.troubles.up_again_s if 0 < up_s - what.began_s < what.lasts_s]
    )
    is_elevated = what.what == GAMMA and what.level < BOUNDARY_USV_H
    delay_s = ELEVATED_DELAY_S if is_elevated else DELAY_S
    until_s = began_s + delay_s + MACHINE_S * SPEED
    level = AEGL_2_PPM if what.what == "cl2" else what.level / 2
    return any(
        what.began_s < told.passed_s <= until_s
        and told.said["station"] == what.station
        and told.said["kind"] in ("specific", "evolving")
        and told.said["priority"] in (1, 2)
        and told.said["state"] in STANDING
        and (told.said["now"] or 0.0) >= level
        for told in evidence.told
    )


def test_an_alarm_returns_when_the_field_is_gone(evidence):
    fields = [what for what in evidence.troubles.happened if what.what == GAMMA]
    standing = [what for what in fields if not has_returned(evidence, what)]
    assert standing == []


def has_returned(evidence: Evidence, what: Happening) -> bool:
    ended_s = what.began_s + what.lasts_s
    return any(
        ended_s < told.passed_s < ended_s + RETURNS_S + MACHINE_S * SPEED
        and (told.said["station"], told.said["hazard"]) == (what.station, "radiological")
        and told.said["state"] in ("rtn_unack", "latched", "normal")
        for told in evidence.told
    )


def test_an_alert_says_when_it_was_told_whatever_the_clock_showed_before(evidence):
    """While the clock is being set nobody knows; what was due while it was down is told as due."""
    sets = evidence.troubles.clock_set_s + evidence.troubles.up_again_s
    settled = [
        told
        for told in evidence.told
        if not any(0 <= told.passed_s - set_s < MACHINE_S * SPEED for set_s in sets)
    ]
    assert [told for told in settled if not -1.0 < told.age_s < MACHINE_S * SPEED] == []


def test_no_alarm_of_gas_or_radiation_rose_without_a_cause(evidence):
    rose = {told.id: told for told in reversed(evidence.told) if told.said["kind"] != "technical"}
    assert rose
    causeless = [told for told in rose.values() if not has_cause(evidence, told)]
    assert causeless == []


def has_cause(evidence: Evidence, told: Told) -> bool:
    """Return whether there was gas or radiation where it is told to be.

    The mobile Geiger counter passes every station.
    """
    what = GAMMA if told.said["hazard"] == "radiological" else told.said["agent"]
    station = told.said["station"]
    return any(
        cause.what == what
        and (station in (None, "mob01") or station == cause.station)
        and cause.began_s <= told.passed_s <= cause.began_s + cause.lasts_s + FADES_S
        for cause in evidence.troubles.happened
    )


def test_no_trouble_was_told_that_nobody_made(evidence):
    told = {t.said["level"] for t in evidence.told if t.said["kind"] == "technical"}
    assert told <= EXPECTED_TROUBLE
    assert {"no reading", "clock set", "no contact"} <= told
    assert told & set(StoreLevel)


def test_every_journalled_alert_is_told_once_and_in_order(evidence):
    first = first_hearings(evidence.log)
    places = [alert["properties"]["seq"] for alert in first]
    assert places == sorted(set(places))
    again = len(evidence.log) - len(first)
    assert again <= MOST_UNDERWAY * evidence.troubles.outages, "only what an outage met underway"
    told = len(evidence.journal) - len(evidence.untold())
    known = versions_of(evidence.log + evidence.asked_for)
    assert known == versions_of(evidence.journal[:told]), "what a killed broker lost was asked for"
    assert newest_versions(evidence.heard) == newest_versions(evidence.journal[:told])


def test_no_version_of_an_alarm_is_left_out_or_told_twice(evidence):
    versions: dict[str, list[int]] = {}
    for alert in evidence.journal:
        alarm_id, version = version_of(alert)
        versions.setdefault(alarm_id, []).append(version)
    wrong = {k: v for k, v in versions.items() if v != list(range(1, len(v) + 1))}
    assert wrong == {}


def test_no_reading_was_lost_unless_it_was_counted_and_none_doubled(evidence):
    assert len(evidence.taken) == len(set(evidence.taken))
    counters = evidence.counters
    read = sum(n for name, n in counters.items() if name.endswith(".readings"))
    lost = evidence.not_in_series() + evidence.counted("unknown_channel", "inbox_full")
    kept = len(evidence.taken) - evidence.troubles.stored_before + lost
    steps = len(evidence.troubles.clock_set_s)
    assert 0 <= read - kept <= (steps if NIGHT else 0), "where a clock shows a microsecond twice"


def test_influxdb_holds_the_same_readings_but_for_those_that_are_counted(evidence):
    """While the disk fills up one of the two files may take what the other refuses.

    The newest readings are shown before they are spooled: some that no file took are there.
    """
    assert len(evidence.points) == len(set(evidence.points))
    only_there = len(set(evidence.points) - set(evidence.taken))
    only_here = len(set(evidence.taken) - set(evidence.points))
    not_here = evidence.not_in_series()
    not_there = evidence.counted("spool_unstored_reading", "spool_evicted_reading")
    shown_live = only_there - only_here - (not_here - not_there)
    assert 0 <= shown_live <= not_there, (only_there, only_here)
    rest = only_there + only_here - shown_live - evidence.counted("series_made_way")
    assert rest <= MOST_SPLIT * evidence.troubles.disks_full
    assert evidence.quarantine == []
    assert len(evidence.spool) == len(evidence.untold())
    assert not any(map(is_reading_line, evidence.spool))


def test_it_does_not_grow(evidence):
    warm, last = evidence.windows()
    assert len(warm) > 5
    assert len(last) > 5
    grown = median_of("resident_bytes", last) - median_of("resident_bytes", warm)
    print(f"grown by {grown / 1e6:+.2f} MB to {median_of('resident_bytes', last) / 1e6:.1f} MB")
    assert grown < MAY_GROW_BYTES
    for what in ("files", "threads", "tasks"):
        before = max(getattr(size, what) for size in evidence.first_half())
        assert median_of(what, last) <= before + MAY_OPEN_MORE, what
    assert all(size < LARGEST_LOG_BYTES for size in evidence.log_bytes.values()), evidence.log_bytes


def median_of(what: str, sizes: list[Size]) -> float:
    return statistics.median(getattr(size, what) for size in sizes)
