from collections import Counter
from itertools import pairwise

from cbrn_core.times import US_PER_S
from cbrn_drivers.modbus_schedule import BEAT_US, PROBE_SHARE, REREAD_AFTER_US, PollSchedule

PERIOD_US = 1 * US_PER_S
POLL_US = 40_000
TIMEOUT_US = 600_000


def run(schedule: PollSchedule, until_us: int, dead: set[str], now_us: int = 0):
    """Play a bus; return (polls by device, microseconds spent on the dead)."""
    polls: Counter[str] = Counter()
    spent_us = 0
    while now_us < until_us:
        turn = schedule.next(now_us)
        if turn.at_us > now_us:
            now_us = turn.at_us
            continue
        started_us = now_us
        schedule.started(turn.device_id, now_us)
        polls[turn.device_id] += 1
        if turn.device_id in dead:
            now_us += TIMEOUT_US
            spent_us += TIMEOUT_US
            schedule.missed(turn.device_id, started_us, now_us)
        else:
            now_us += POLL_US
            schedule.answered(turn.device_id, now_us)
    return polls, spent_us


def ten() -> PollSchedule:
    return PollSchedule({f"d{i}": PERIOD_US for i in range(10)}, 0)


def test_ten_healthy_devices_keep_their_rhythm():
    schedule = ten()
    polls, _ = run(schedule, 100 * US_PER_S, set())
    assert set(polls.values()) == {100}
    assert schedule.skipped == 0


def test_one_dead_device_of_ten_costs_the_others_nothing():
    schedule = ten()
    polls, spent_us = run(schedule, 600 * US_PER_S, {"d3"})
    assert min(polls[name] for name in polls if name != "d3") >= 0.99 * 600
    assert spent_us <= 600 * US_PER_S * PROBE_SHARE + 3 * TIMEOUT_US
    assert schedule.silent == 1
    assert not schedule.all_silent


def test_five_dead_devices_of_ten_share_the_probe_slots():
    schedule = ten()
    dead = {f"d{i}" for i in range(5)}
    polls, spent_us = run(schedule, 600 * US_PER_S, dead)
    assert min(polls[name] for name in polls if name not in dead) >= 0.95 * 600
    assert spent_us <= 600 * US_PER_S * PROBE_SHARE + 15 * TIMEOUT_US
    assert min(polls[name] for name in dead) > 5


def test_a_device_that_answers_again_has_its_place_back_at_once():
    schedule = ten()
    run(schedule, 300 * US_PER_S, {"d3"})
    polls, _ = run(schedule, 400 * US_PER_S, set(), now_us=300 * US_PER_S)
    assert schedule.silent == 0
    assert polls["d3"] >= 60


def test_missed_slots_are_skipped_and_counted_never_queued():
    schedule = PollSchedule({"d": PERIOD_US}, 0)
    schedule.started("d", 0)
    schedule.answered("d", 3_500_000)
    schedule.started("d", 3_500_000)
    assert schedule.skipped == 2
    assert schedule.next(3_600_000).at_us == 4_000_000


def test_a_late_poll_does_not_move_the_phase():
    schedule = PollSchedule({"d": PERIOD_US}, 0)
    schedule.started("d", 0)
    schedule.started("d", 1_700_000)
    assert schedule.next(1_800_000).at_us == 2_000_000
    assert schedule.skipped == 0


def both_polled_at_zero() -> PollSchedule:
    schedule = PollSchedule({"a": PERIOD_US, "b": PERIOD_US}, 0)
    for name in ("a", "b"):
        schedule.started(name, 0)
        schedule.answered(name, 10_000)
    return schedule


def test_a_hurried_device_is_next_and_once_only_between_two_slots():
    schedule = both_polled_at_zero()
    assert schedule.hurry("b")
    assert schedule.hurry("b")
    assert schedule.next(20_000) == ("b", REREAD_AFTER_US)
    schedule.started("b", REREAD_AFTER_US)
    schedule.answered("b", REREAD_AFTER_US)
    assert not schedule.hurry("b")
    assert schedule.next(REREAD_AFTER_US) == ("a", PERIOD_US)
    schedule.started("b", PERIOD_US)
    assert schedule.hurry("b")


def test_a_device_that_is_due_does_not_wait_for_one_that_may_not_be_read_yet():
    schedule = PollSchedule({"a": PERIOD_US, "b": PERIOD_US}, 0)
    schedule.started("b", 0)
    assert schedule.hurry("b")
    assert schedule.next(REREAD_AFTER_US - 1) == ("a", 0)
    assert schedule.next(REREAD_AFTER_US) == ("b", REREAD_AFTER_US)


def test_an_unknown_or_silent_device_cannot_hurry():
    schedule = PollSchedule({"a": PERIOD_US, "b": PERIOD_US}, 0)
    assert not schedule.hurry("nobody")
    for i in range(3):
        schedule.missed("a", i, i + 1)
    assert not schedule.hurry("a")
    assert not schedule.all_silent


def test_a_bus_is_given_up_only_when_nobody_answers():
    schedule = PollSchedule({"a": PERIOD_US, "b": PERIOD_US}, 0)
    schedule.missed("a", 0, 1)
    schedule.missed("b", 1, 2)
    assert not schedule.all_silent
    schedule.missed("a", 2, 3)
    assert schedule.all_silent
    schedule.answered("b", 4)
    assert not schedule.all_silent
    schedule.missed("a", 5, 6)
    schedule.missed("a", 7, 8)
    assert not schedule.all_silent


def test_after_the_wire_was_opened_again_everybody_has_a_fresh_chance():
    schedule = PollSchedule({"a": PERIOD_US}, 0)
    for i in range(3):
        schedule.missed("a", i * 10, i * 10 + 1)
    schedule.forgive(5_000_000)
    assert schedule.silent == 0
    assert schedule.next(5_000_000) == ("a", 5_000_000)


def slots_us(period_us: int, opened_us: int, phase: float, number: int = 20) -> list[int]:
    """Return when a device that always answers at once is polled."""
    schedule = PollSchedule({"d": period_us}, opened_us, phase)
    found = []
    for _ in range(number):
        found.append(schedule.next(opened_us).at_us)
        schedule.started("d", found[-1] + 700)
        schedule.answered("d", found[-1] + 900)
    return found


def test_a_wire_is_polled_at_once_and_then_on_beats_that_others_share():
    for opened_us in (1, 17_345, 200_000, 999_999):
        first, *others = slots_us(PERIOD_US, opened_us, 0.4)
        assert first == opened_us
        assert all(slot_us % BEAT_US == 0 for slot_us in others)
        assert PERIOD_US / 2 <= others[0] - first <= 1.5 * PERIOD_US


def test_wires_that_were_opened_together_are_spread_over_the_period():
    places = {slots_us(PERIOD_US, 17, n / 100)[1] % PERIOD_US for n in range(100)}
    assert places == set(range(0, PERIOD_US, BEAT_US))


def test_a_rhythm_that_no_beat_divides_is_kept_all_the_same():
    for phase in (0.0, 0.3, 0.999):
        _, *slots = slots_us(330_000, 5_000, phase)
        assert {later - earlier for earlier, later in pairwise(slots)} == {330_000}
