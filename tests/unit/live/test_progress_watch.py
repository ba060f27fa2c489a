"""How long a wire may give no reading, and which readings count."""

import pytest

from cbrn_core.channel import Device
from cbrn_core.clock import ManualClock
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality, Reading
from cbrn_core.units import Unit
from cbrn_gateway.live.progress import (
    GREETING_S,
    LEAST_S,
    UNKNOWN_S,
    ProgressWatch,
    tells_something,
)

START_US = 1_000_000_000


def device(number: int, period_s: float | None) -> Device:
    return Device(
        id=f"d{number}",
        station="st1",
        driver="chemical.winsen_ze03",
        profile=None,
        bus="wire",
        channels=(),
        period_s=period_s,
    )


def watch(*periods_s: float | None) -> ProgressWatch:
    devices = [device(number, period_s) for number, period_s in enumerate(periods_s)]
    return ProgressWatch(devices, ManualClock(START_US))


def reading(value: float | None = None, at_s: float = 0.0, **more) -> Reading:
    at_us = START_US + round(at_s * 1e6)
    known = {"station": "st1", "channel": "cl2", "unit": Unit.PPM, "value": value}
    return Reading(**(known | {"time_us": at_us, "received_us": at_us} | more))


def speaks(watch: ProgressWatch, times: int, every_s: float) -> None:
    for number in range(times):
        watch.heard([reading(1.0, number * every_s)])


def test_a_wire_of_unknown_rhythm_is_left_in_peace_for_minutes():
    assert watch(None).allowed_s == UNKNOWN_S
    assert watch().allowed_s == UNKNOWN_S


def test_a_wire_that_is_silent_from_the_start_is_missed_soon_where_its_period_is_configured():
    assert watch(1.0).allowed_s == GREETING_S
    assert watch(1.0, 20.0).allowed_s == 60.0


def test_one_instrument_without_a_period_leaves_the_whole_wire_unknown():
    assert watch(1.0, None).allowed_s == UNKNOWN_S


def test_a_period_that_is_configured_wrong_breaks_no_wire_that_has_begun_to_speak():
    slow = watch(1.0)
    speaks(slow, 3, every_s=25.0)
    assert slow.allowed_s == UNKNOWN_S
    speaks(slow, 11, every_s=25.0)
    assert slow.allowed_s == 75.0


def test_a_known_rhythm_allows_three_of_its_longest_intervals():
    quick = watch(None)
    speaks(quick, 11, every_s=0.1)
    assert quick.allowed_s == LEAST_S
    steady = watch(None)
    speaks(steady, 11, every_s=4.0)
    assert steady.allowed_s == 12.0


@pytest.mark.parametrize(
    "said",
    [
        reading(1.0),
        reading(1.0, quality=Quality.UNCERTAIN),
        reading(quality=Quality.BAD, flags=(Flag.INSTRUMENT_FAULT,)),
        reading(quality=Quality.BAD, flags=(Flag.WARMING_UP,)),
        reading(
            quality=Quality.BAD, detection=Detection(instrument_alarm=InstrumentAlarm.FAULT, code=7)
        ),
        reading(9.0, quality=Quality.BAD, flags=(Flag.OVER_RANGE,)),
    ],
)
def test_a_value_or_the_reason_why_there_is_none_shows_that_the_wire_works(said):
    assert tells_something([reading(), said])


@pytest.mark.parametrize(
    "said",
    [
        reading(),
        reading(quality=Quality.UNCERTAIN),
        reading(quality=Quality.BAD),
        reading(1.0, quality=Quality.BAD),
        reading(1.0, quality=Quality.STALE),
    ],
)
def test_what_nobody_explains_shows_nothing(said):
    assert not tells_something([said])
    assert not tells_something([])
