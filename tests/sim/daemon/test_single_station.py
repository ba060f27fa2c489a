"""One station of twelve: true gas at it alarms at once, a fault of its instrument does not.

The whole daemon runs against simulated instruments on their real wires (Modbus TCP, a
shared RTU bus, pseudo-terminals) in real time; no server is needed.
"""

from itertools import pairwise

import pytest
from sim.daemon.running_square import RunningSquare

from cbrn_core.estimate import Estimate
from cbrn_core.times import format_rfc3339

AEGL_2_PPM = 2.8
STUCK_NEEDS = 65
"""Readings that show a channel to be noisy, before it can be called stuck."""


def first_pair_over(estimates: list[Estimate], level: float) -> list[Estimate]:
    """Return the first two consecutive estimates at or over a level."""
    over = ([a, b] for a, b in pairwise(estimates) if min(a.value, b.value) >= level)
    return next(over)


async def stick_above_nothing(square: RunningSquare, station: str) -> None:
    """Hold a detector at what it shows now, when that is not nothing: there a cell may rest."""
    for _ in range(20):
        square.faults[f"{station}-xcd"].stuck()
        await square.readings(station, 2)
        if square.shown(station)[-1].instrument_value > 0:
            return
        square.faults[f"{station}-xcd"].stuck(on=False)
    raise AssertionError("twenty readings of nothing")


@pytest.mark.asyncio
@pytest.mark.timeout(400)
async def test_true_chlorine_at_one_station_of_twelve_is_a_station_alarm_at_once(tmp_path):
    async with RunningSquare("chlorine_single", 1, tmp_path) as square:

        def alarms():
            return [p for p in square.said("specific") if p["priority"] == 1]

        await square.until(alarms, 150, "a priority 1 alarm")
        first = alarms()[0]
        alert = next(a for a in square.alerts if a["properties"] is first)
        estimates = square.shown("st12")

    assert (first["station"], first["channel"], first["agent"]) == ("st12", "cl2", "cl2")
    assert (first["kind"], first["certainty"], first["scope"]) == (
        "specific",
        "possible",
        "station",
    )
    assert (first["corroboration"], first["purpose"]) == ("single", "actual")
    assert "treat as real" in first["text"]
    assert "signed off by the city" not in first["text"]
    lon, lat = alert["geometry"]["coordinates"]
    assert alert["geometry"]["type"] == "Point"
    # st12 stands 111 m east and 81 m north of the square's origin at 60° N, 10° E.
    assert (lat, lon) == pytest.approx((60.0 + 81 / 111_200, 10.0 + 111 / 55_700), abs=2e-5)

    crossed, second = first_pair_over(estimates, AEGL_2_PPM)
    judged = format_rfc3339(second.received_us)
    assert first["changed_at"] == judged, "judged at the second sample over the level"
    assert first["value"] >= AEGL_2_PPM
    others = [p["text"] for p in square.said("specific", "evolving") if p["station"] != "st12"]
    assert others == []
    assert crossed.quality == "good"


@pytest.mark.asyncio
@pytest.mark.timeout(600)
async def test_a_step_a_spike_and_a_stuck_channel_are_technical_alarms_only(tmp_path):
    async with RunningSquare("quiet", 1, tmp_path) as square:

        def technical(station: str, level: str) -> list[dict]:
            return [
                p
                for p in square.said("technical")
                if (p["station"], p["level"]) == (station, level)
            ]

        watched = ("st01", "st02", "st03")
        await square.until(
            lambda: min(len(square.shown(s)) for s in watched) > STUCK_NEEDS, 300, "a known noise"
        )
        square.faults["st01-xcd"].step(12.0)
        square.faults["st02-xcd"].spike(12.0)
        await square.until(lambda: technical("st01", "step"), 30, "the step")
        await square.until(lambda: technical("st02", "single sample stood out"), 30, "the spike")
        await stick_above_nothing(square, "st03")
        await square.until(lambda: technical("st03", "stuck"), 120, "the stuck channel")

        hazards = [p["text"] for p in square.said("specific", "evolving")]
        loud = {(p["station"], p["level"]) for p in square.said() if p["priority"] != "D"}
        diagnostic = {(p["station"], p["level"]) for p in square.said() if p["priority"] == "D"}

    assert hazards == []
    assert loud == {("st01", "step"), ("st03", "stuck")}
    assert diagnostic == {("st02", "single sample stood out")}
    (spike,) = [p for p in technical("st02", "single sample stood out") if p["version"] == 1]
    assert spike["value"] == pytest.approx(12.0, abs=0.3)
    assert "gas not excluded" in technical("st01", "step")[0]["text"]
