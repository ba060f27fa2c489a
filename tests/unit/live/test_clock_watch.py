import pytest
from samples.alert_samples import alarm

from cbrn_core.alarm import Reason
from cbrn_core.clock import ManualClock
from cbrn_core.times import US_PER_S
from cbrn_gateway.live.clock_watch import UNSYNCED_AFTER_S, ClockWatch, kernel_synchronised

START_US = 1_780_000_000_000_000
HOUR_US = 3600 * US_PER_S


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[Reason, str]] = []

    def failing(self, reason, _about, detail) -> None:
        self.said.append((reason, detail))


@pytest.fixture
def clock():
    return ManualClock(START_US)


def watched(clock, *, synchronised: bool | None = True):
    told = Told()
    return ClockWatch(clock, told, lambda: synchronised), told


def look(watch, clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1.0)
        watch.look()


@pytest.mark.parametrize(
    ("step_s", "words"), [(3600, "+60 min"), (-3600, "-60 min"), (3, "+3.0 s")]
)
def test_a_clock_that_is_set_is_told_once_with_how_far(clock, step_s, words):
    watch, told = watched(clock)
    look(watch, clock, 5)
    clock.step_wall(step_s)
    look(watch, clock, 5)
    assert told.said == [(Reason.CLOCK_SET, f"by {words}")]


def test_a_clock_that_is_only_slewed_is_not_told(clock):
    watch, told = watched(clock)
    for _ in range(100):
        clock.step_wall(0.0005)
        look(watch, clock, 1)
    assert told.said == []
    assert watch.shift_us == 0


def test_alerts_of_this_run_show_the_right_time_once_the_clock_is_set(clock):
    watch, _ = watched(clock)
    raised = alarm(raised_us=START_US + US_PER_S, changed_us=START_US + 2 * US_PER_S)
    assert watch.stamped(raised) == raised
    clock.step_wall(3600)
    look(watch, clock, 1)
    assert watch.stamped(raised).raised_us == START_US + US_PER_S + HOUR_US
    assert watch.stamped(raised).changed_us == START_US + 2 * US_PER_S + HOUR_US
    clock.step_wall(-3600)
    look(watch, clock, 1)
    assert watch.stamped(raised) == raised


def test_what_an_earlier_run_stamped_stays_as_it_was(clock):
    watch, _ = watched(clock)
    clock.step_wall(3600)
    look(watch, clock, 1)
    from_before = alarm(raised_us=START_US - US_PER_S, changed_us=START_US + US_PER_S)
    assert watch.stamped(from_before).raised_us == START_US - US_PER_S
    assert watch.stamped(from_before).changed_us == START_US + US_PER_S + HOUR_US


def test_a_boot_in_the_past_does_not_stamp_alerts_with_it(clock):
    clock.step_wall(-10 * 86_400)
    watch, told = watched(clock)
    assert watch.shift_us == 0
    clock.step_wall(10 * 86_400 + 60)
    look(watch, clock, 1)
    assert told.said[0][0] is Reason.CLOCK_SET
    assert watch.shift_us == 60 * US_PER_S


@pytest.mark.parametrize(("synchronised", "told_of"), [(False, True), (True, False), (None, False)])
def test_a_clock_that_stays_unsynchronised_is_told_after_ten_minutes(clock, synchronised, told_of):
    watch, told = watched(clock, synchronised=synchronised)
    look(watch, clock, int(UNSYNCED_AFTER_S) - 1)
    assert told.said == []
    look(watch, clock, 1)
    assert (told.said == [(Reason.CLOCK_UNSYNCED, "")]) is told_of


def test_the_kernel_is_asked_without_setting_anything():
    assert kernel_synchronised() in {True, False, None}
