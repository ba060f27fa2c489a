"""Who gets a link, who waits, and how far a peripheral climbs that will not work."""

import pytest

from cbrn_core.clock import ManualClock
from cbrn_drivers.transport.ble_slots import (
    CYCLE_AT,
    FORGET_AT,
    FORGIVEN_AFTER_S,
    MOST_WAIT_S,
    SIGHTING_HOLDS_S,
    TELL_AT,
    Rung,
    Slots,
)


class Bench:
    """Slots on a clock that the test turns, without jitter."""

    def __init__(self, most=2, **priorities):
        self.clock = ManualClock(1_000_000_000)
        self.slots = Slots(priorities, most, jitter=lambda _, longest: longest)

    @property
    def us(self):
        return self.clock.now().steady_us

    def seen(self, *addresses):
        return [self.slots.seen(address, self.us) for address in addresses]

    def grant(self):
        return self.slots.grant(self.us)

    def fail(self, address):
        return self.slots.failed(address, self.us)

    def wait_out(self, address):
        """Turn the clock to where the peripheral may be tried again, and let it be heard."""
        self.clock.advance(MOST_WAIT_S)
        self.seen(address)


def test_only_what_was_heard_gets_a_link():
    bench = Bench(a=2, b=2)
    assert bench.grant() == []
    bench.seen("b")
    assert bench.grant() == ["b"]
    assert bench.slots.held == 1


def test_what_is_not_ours_is_not_noted():
    assert Bench(a=2).seen("x") == [False]


def test_no_more_links_than_the_adapter_holds():
    bench = Bench(most=3, **{f"s{i}": 2 for i in range(9)})
    bench.seen(*(f"s{i}" for i in range(9)))
    assert len(bench.grant()) == 3
    assert bench.grant() == []
    assert bench.slots.waiting(bench.us) == 6


def test_responders_come_first_and_then_who_waits_longest():
    bench = Bench(most=3, late=2, early=2, responder=1, other=3)
    bench.seen("other", "early")
    bench.clock.advance(1)
    bench.seen("late", "responder")
    assert bench.grant() == ["responder", "early", "late"]


def test_a_responder_takes_the_link_of_the_least_important_once():
    bench = Bench(most=2, low=3, middle=2, responder=1)
    bench.seen("low", "middle")
    bench.grant()
    bench.clock.advance(5)
    bench.seen("responder")
    assert bench.slots.is_looking
    assert bench.grant() == []
    assert bench.slots.yielding(bench.us) == ["low"]
    assert bench.slots.yielding(bench.us) == [], "told once"
    bench.slots.yielded("low", bench.us)
    assert bench.grant() == ["responder"]


def test_two_responders_take_two_links():
    bench = Bench(most=2, a=3, b=2, r1=1, r2=1)
    bench.seen("a", "b")
    bench.grant()
    bench.seen("r1", "r2")
    assert bench.slots.yielding(bench.us) == ["a", "b"]


def test_equals_never_take_links_from_one_another():
    bench = Bench(most=1, a=2, b=2)
    bench.seen("a")
    bench.grant()
    bench.seen("b")
    assert bench.slots.yielding(bench.us) == []
    assert not bench.slots.is_looking


def test_a_responder_that_fails_and_is_not_heard_again_takes_nobodys_link():
    bench = Bench(most=1, low=3, responder=1)
    bench.seen("responder", "low")
    assert bench.grant() == ["responder"]
    bench.fail("responder")
    assert bench.grant() == ["low"]
    bench.clock.advance(2)
    assert bench.slots.yielding(bench.us) == []
    bench.seen("responder")
    assert bench.slots.yielding(bench.us) == ["low"]


def test_a_dead_one_waits_longer_each_time_and_leaves_its_link_to_others():
    bench = Bench(most=1, dead=2, alive=2)
    bench.seen("dead", "alive")
    assert bench.grant() == ["alive"]
    bench.slots.failed("alive", bench.us)
    assert bench.grant() == ["dead"]
    bench.clock.advance(2)
    bench.fail("dead")
    assert bench.grant() == ["alive"]


def test_waits_double_and_stay_within_half_a_minute():
    bench = Bench(most=1, dead=2)
    waits_s = []
    for _ in range(12):
        bench.seen("dead")
        assert bench.grant() == ["dead"]
        bench.fail("dead")
        due_us = bench.slots.next_us(bench.us)
        waits_s.append((due_us - bench.us) / 1e6)
        assert bench.grant() == []
        bench.clock.advance(waits_s[-1])
    assert waits_s == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


def test_the_ladder_has_its_rungs_in_order():
    bench = Bench(most=1, dead=2)
    rungs = []
    for _ in range(TELL_AT + 1):
        bench.seen("dead")
        bench.grant()
        rungs.append(bench.fail("dead"))
        bench.wait_out("dead")
    expected = {FORGET_AT: Rung.FORGET, CYCLE_AT: Rung.CYCLE, TELL_AT: Rung.TELL}
    assert rungs[:-1] == [expected.get(n, Rung.RECONNECT) for n in range(1, TELL_AT + 1)]
    assert rungs[-1] is Rung.TELL, "it goes on being told"


def test_a_valid_value_starts_the_ladder_anew():
    bench = Bench(most=1, a=2)
    for _ in range(3 * TELL_AT):
        bench.seen("a")
        assert bench.grant() == ["a"]
        bench.slots.progressed("a", bench.us)
        assert bench.fail("a") is Rung.RECONNECT
        bench.wait_out("a")


def test_what_failed_long_ago_is_forgiven_when_it_is_heard_again():
    bench = Bench(most=1, a=2)
    for _ in range(FORGET_AT - 1):
        bench.seen("a")
        bench.grant()
        bench.fail("a")
        bench.wait_out("a")
    bench.clock.advance(FORGIVEN_AFTER_S + 1)
    bench.seen("a")
    bench.grant()
    assert bench.fail("a") is Rung.RECONNECT


def test_one_that_was_carried_away_is_not_tried():
    bench = Bench(most=1, a=1, b=3)
    bench.seen("a")
    bench.clock.advance(SIGHTING_HOLDS_S + 1)
    bench.seen("b")
    assert bench.grant() == ["b"]
    assert bench.slots.waiting(bench.us) == 0


def test_a_link_that_worked_until_now_is_tried_again_without_being_heard():
    bench = Bench(most=1, a=2)
    bench.seen("a")
    bench.grant()
    bench.clock.advance(10 * SIGHTING_HOLDS_S)
    bench.slots.progressed("a", bench.us)
    bench.fail("a")
    bench.clock.advance(1)
    assert bench.grant() == ["a"]


def test_what_bluez_forgot_must_be_heard_first():
    bench = Bench(most=1, a=2)
    bench.seen("a")
    bench.slots.unsee("a")
    assert bench.grant() == []
    bench.seen("a")
    assert bench.grant() == ["a"]


def test_after_the_adapter_was_opened_again_nothing_is_linked_or_seen():
    bench = Bench(most=1, a=2, b=1)
    bench.seen("a", "b")
    bench.grant()
    bench.slots.reopened()
    assert bench.slots.held == 0
    assert bench.grant() == []
    bench.seen("a", "b")
    assert bench.grant() == ["b"], "priorities stay"


def test_opening_the_adapter_anew_leaves_everybody_on_the_rung_that_was_reached():
    bench = Bench(most=1, dead=2)
    rungs = []
    for _ in range(TELL_AT):
        bench.slots.reopened()
        bench.seen("dead")
        assert bench.grant() == ["dead"], "and it may be tried at once"
        rungs.append(bench.fail("dead"))
    assert rungs[FORGET_AT - 1] is Rung.FORGET
    assert rungs[CYCLE_AT - 1] is Rung.CYCLE
    assert rungs[TELL_AT - 1] is Rung.TELL
    bench.slots.reopened()
    bench.seen("dead")
    bench.grant()
    bench.slots.progressed("dead", bench.us)
    assert bench.fail("dead") is Rung.RECONNECT, "a valid value leads down again"


def test_over_another_adapter_everybody_begins_at_the_foot_of_the_ladder():
    bench = Bench(most=1, dead=2)
    for _ in range(TELL_AT):
        bench.seen("dead")
        bench.grant()
        bench.fail("dead")
        bench.wait_out("dead")
    bench.slots.forgive()
    bench.grant()
    assert bench.fail("dead") is Rung.RECONNECT


def test_nothing_is_hopeless_while_somebody_who_is_heard_has_hardly_been_tried():
    bench = Bench(most=2, dead=2, new=2)
    assert not bench.slots.all_fail(bench.us), "nobody is heard"
    for _ in range(FORGET_AT):
        assert not bench.slots.all_fail(bench.us)
        bench.seen("dead")
        bench.grant()
        bench.fail("dead")
        bench.wait_out("dead")
    assert bench.slots.all_fail(bench.us)
    bench.seen("new")
    assert not bench.slots.all_fail(bench.us)
    bench.clock.advance(SIGHTING_HOLDS_S + 1)
    bench.seen("dead")
    assert bench.slots.all_fail(bench.us), "the new one has gone again"


@pytest.mark.parametrize(("linked", "looks"), [((), True), (("a",), True), (("a", "b"), False)])
def test_it_looks_for_others_while_a_link_would_be_theirs(linked, looks):
    bench = Bench(most=2, a=2, b=2, c=2)
    bench.seen(*linked)
    bench.grant()
    assert bench.slots.is_looking is looks


def test_jitter_only_shortens_a_wait():
    slots = Slots({"a": 2}, 1)
    slots.seen("a", 0)
    slots.grant(0)
    slots.failed("a", 0)
    due_us = slots.next_us(0)
    assert due_us is not None
    assert 500_000 <= due_us <= 1_000_000
