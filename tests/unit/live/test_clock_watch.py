import asyncio

import pytest
from samples.alert_samples import alarm

from cbrn_core.alarm import Reason
from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.live.clock_watch import LATEST_S, UNSYNCED_AFTER_S, ClockWatch
from cbrn_gateway.live.system_clock import (
    WAIT_AFTER_BOOT_S,
    Machine,
    SystemClock,
    kernel_synchronised,
    machine_of,
    uptime_s,
)

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


class Kernel:
    """What a kernel says of its clock, on a machine that was booted a while ago."""

    def __init__(self, clock, *, says: bool | None, uptime_s: float = 0.0) -> None:
        self.says = says
        began_us = clock.now().steady_us
        self.machine = Machine(
            lambda: self.says,
            lambda: uptime_s + (clock.now().steady_us - began_us) / US_PER_S,
        )


def watched(clock, *, synchronised: bool | None = True, uptime_s: float = 0.0):
    told = Told()
    kernel = Kernel(clock, says=synchronised, uptime_s=uptime_s)
    watch = ClockWatch(clock, told, kernel.machine)
    watch.kernel = kernel
    return watch, told


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
    clock.step_wall(60)
    clock.is_stand_in = True
    watch, told = watched(clock)
    assert watch.shift_us == 0
    clock.is_stand_in = False
    look(watch, clock, 1)
    assert told.said[0][0] is Reason.CLOCK_SET
    assert watch.shift_us == 60 * US_PER_S


def test_samples_wait_for_the_right_time_for_ten_minutes_at_most(clock):
    assert not watched(clock)[0].is_holding()
    clock.is_stand_in = True
    watch, told = watched(clock, synchronised=None)
    look(watch, clock, int(UNSYNCED_AFTER_S) - 1)
    assert watch.is_holding()
    look(watch, clock, 1)
    assert not watch.is_holding()
    assert told.said == [(Reason.CLOCK_UNSYNCED, "")]


@pytest.mark.asyncio
@pytest.mark.parametrize("refused", [False, True])
async def test_samples_are_moved_once_when_the_clock_is_believed(refused):
    clock = ManualClock(START_US, gate)
    clock.step_wall(3600)
    clock.is_stand_in = True
    watch, _ = watched(clock)
    shifts = []

    async def put_right(shift_us: int, base_us: int) -> int:
        assert base_us == 0
        shifts.append(shift_us)
        assert watch.may_move()
        if refused:
            raise StorageError("the disk is full")
        return 7

    watch.put_right = put_right
    assert watch.may_move()
    watching = asyncio.create_task(watch.run())
    for second in range(10):
        clock.is_stand_in = second < 3
        # nothing may be taken for final between being believed and being moved
        assert shifts or watch.may_move()
        await asyncio.sleep(0)
        clock.advance(1.0)
        await asyncio.sleep(0)
    watching.cancel()
    assert shifts == [3600 * US_PER_S]
    assert watch.restamped == (0 if refused else 7)
    assert not watch.is_holding()
    assert not watch.may_move()


def gate():
    opened = asyncio.Event()
    return opened.wait(), opened.set


@pytest.mark.asyncio
async def test_a_clock_that_is_vouched_for_late_gives_this_run_its_right_time():
    clock = ManualClock(START_US, gate)
    clock.step_wall(-60)
    watch, _ = watched(clock, synchronised=False, uptime_s=WAIT_AFTER_BOOT_S)
    moves = []

    async def put_right(*move: int) -> int:
        moves.append(move)
        return 7

    watch.put_right = put_right
    watching = asyncio.create_task(watch.run())
    for second in range(1500):
        if second == 1400:
            clock.step_wall(3660)
            watch.kernel.says = True
        await asyncio.sleep(0)
        assert watch.may_move() is (not moves)
        clock.advance(1.0)
        await asyncio.sleep(0)
    watching.cancel()
    assert moves == [(3660 * US_PER_S, -60 * US_PER_S)]


def test_a_kernel_that_never_vouches_keeps_nothing_waiting_for_ever(clock):
    watch, told = watched(clock, synchronised=False, uptime_s=WAIT_AFTER_BOOT_S)
    assert not watch.is_holding()
    assert watch.is_doubted()
    look(watch, clock, int(LATEST_S) - 1)
    assert watch.may_move()
    look(watch, clock, 1)
    assert not watch.may_move()
    clock.step_wall(3600)
    watch.kernel.says = True
    clock.advance(1.0)
    assert not watch.look()
    assert not watch.is_doubted()
    assert (Reason.CLOCK_UNSYNCED, "") in told.said


@pytest.mark.parametrize("synchronised", [True, None])
def test_a_clock_that_is_vouched_for_or_not_spoken_of_is_not_doubted(clock, synchronised):
    watch, _ = watched(clock, synchronised=synchronised)
    look(watch, clock, 3)
    assert not watch.is_doubted()
    assert not watch.may_move()


def test_a_clock_in_which_the_kernel_loses_faith_is_doubted_until_it_vouches_again(clock):
    watch, _ = watched(clock)
    for says in (False, True):
        watch.kernel.says = says
        look(watch, clock, 1)
        assert watch.is_doubted() is not says
        assert not watch.may_move()


def test_a_daemon_that_is_started_again_on_the_same_boot_holds_nothing(clock):
    clock.is_stand_in = True
    assert watched(clock, uptime_s=WAIT_AFTER_BOOT_S - 1)[0].is_holding()
    assert not watched(clock, uptime_s=WAIT_AFTER_BOOT_S)[0].is_holding()


class Board:
    """A machine with a wall clock, and a kernel that may vouch for it."""

    def __init__(self, wall_us: int, *, synchronised: bool | None, uptime_s: float = 20.0) -> None:
        self.wall_us = wall_us
        self.is_synchronised = synchronised
        self.ran_us = 0
        self._uptime_s = uptime_s

    def clock(self, floor_us: int = 0) -> SystemClock:
        return SystemClock(
            floor_us,
            Machine(lambda: self.is_synchronised, lambda: self._uptime_s),
            monotonic_ns=lambda: self.ran_us * 1000,
            wall_ns=lambda: self.wall_us * 1000,
        )

    def run(self, seconds: float) -> None:
        self.ran_us += int(seconds * US_PER_S)
        self.wall_us += int(seconds * US_PER_S)


LATE_2026_US = 1_795_000_000 * US_PER_S


@pytest.mark.parametrize("synchronised", [False, None])
@pytest.mark.parametrize("floor_us", [0, LATE_2026_US])
def test_a_clock_that_begins_in_1970_is_not_believed_until_it_is_set(synchronised, floor_us):
    board = Board(5 * US_PER_S, synchronised=synchronised)
    clock = board.clock(floor_us)
    board.run(2 * WAIT_AFTER_BOOT_S)
    now = clock.now()
    assert now.is_stand_in
    assert now.wall_us == now.steady_us >= floor_us
    board.wall_us = now.steady_us + HOUR_US
    assert clock.now().wall_us == board.wall_us
    assert not clock.now().is_stand_in


def test_a_clock_of_the_past_is_believed_where_the_kernel_vouches_for_it():
    now = Board(5 * US_PER_S, synchronised=True).clock().now()
    assert (now.wall_us, now.is_stand_in) == (5 * US_PER_S, False)


@pytest.mark.parametrize("synchronised", [True, None])
def test_a_clock_that_was_in_the_future_once_is_believed_again_when_it_is_right(synchronised):
    board = Board(LATE_2026_US, synchronised=synchronised)
    clock = board.clock(floor_us=LATE_2026_US + 50 * 365 * 24 * HOUR_US)
    assert clock.now().wall_us == LATE_2026_US
    assert clock.now().steady_us > LATE_2026_US + HOUR_US


@pytest.mark.parametrize("floor_us", [LATE_2026_US - HOUR_US, LATE_2026_US + HOUR_US])
def test_a_clock_that_was_saved_at_the_last_end_is_not_believed_until_the_kernel_vouches(floor_us):
    board = Board(LATE_2026_US, synchronised=False)
    clock = board.clock(floor_us)
    begun_us = max(LATE_2026_US, floor_us)
    board.run(30)
    assert clock.now() == (now := clock.now())
    assert (now.wall_us, now.is_stand_in) == (begun_us + 30 * US_PER_S, True)
    board.is_synchronised = True
    board.run(1)
    assert clock.now().wall_us == board.wall_us
    board.is_synchronised = False
    board.run(1)
    assert not clock.now().is_stand_in


def test_a_saved_clock_that_is_set_by_hand_is_believed_though_no_kernel_vouches():
    board = Board(LATE_2026_US, synchronised=False)
    clock = board.clock()
    board.run(30)
    assert clock.now().is_stand_in
    board.wall_us += HOUR_US
    assert (clock.now().wall_us, clock.now().is_stand_in) == (board.wall_us, False)


def test_a_kernel_that_never_vouches_is_waited_for_ten_minutes_after_the_boot_and_never_again():
    board = Board(LATE_2026_US, synchronised=False, uptime_s=WAIT_AFTER_BOOT_S - 100)
    clock = board.clock()
    board.run(99)
    assert clock.now().is_stand_in
    board.run(2)
    assert (clock.now().wall_us, clock.now().is_stand_in) == (board.wall_us, False)
    later = Board(LATE_2026_US, synchronised=False, uptime_s=WAIT_AFTER_BOOT_S)
    assert not later.clock().now().is_stand_in


@pytest.mark.parametrize(("synchronised", "told_of"), [(False, True), (True, False), (None, False)])
def test_a_clock_that_stays_unsynchronised_is_told_after_ten_minutes(clock, synchronised, told_of):
    watch, told = watched(clock, synchronised=synchronised)
    look(watch, clock, int(UNSYNCED_AFTER_S) - 1)
    assert told.said == []
    look(watch, clock, 1)
    assert (told.said == [(Reason.CLOCK_UNSYNCED, "")]) is told_of


def test_the_kernel_is_asked_without_setting_anything():
    assert kernel_synchronised() in {True, False, None}
    assert uptime_s() > 0


def test_a_kernel_whose_clock_the_host_keeps_is_not_asked():
    assert machine_of(kept_by_host=True).synchronised() is None
    assert machine_of(kept_by_host=False).synchronised is kernel_synchronised


def test_the_end_of_a_shelf_lies_ahead_whichever_run_began_it(clock):
    watch, _ = watched(clock)
    until_us = START_US + HOUR_US
    shelved = alarm(raised_us=START_US - HOUR_US, changed_us=START_US - US_PER_S, until_us=until_us)
    clock.step_wall(-7200)
    look(watch, clock, 1)
    assert watch.stamped(shelved).until_us == until_us - 2 * HOUR_US
    assert watch.stamped(shelved).changed_us == START_US - US_PER_S


def test_a_clock_that_is_set_is_told_to_who_shows_times_to_come(clock):
    watch, _ = watched(clock)
    shifts = []
    watch.on_set = lambda: shifts.append(watch.shift_us)
    look(watch, clock, 3)
    clock.step_wall(3600)
    look(watch, clock, 3)
    assert shifts == [HOUR_US]
