from cbrn_gateway.store.backlog import Backlog

NAMES = ("reading", "estimate", "alarm")


def test_rows_come_out_in_the_order_they_came():
    backlog = Backlog(NAMES, 10)
    backlog.put("reading", [1, 2])
    backlog.put("alarm", ["a"])
    backlog.put("reading", [3])
    assert len(backlog) == 4
    assert backlog.take() == {"reading": [1, 2, 3], "estimate": [], "alarm": ["a"]}
    assert len(backlog) == 0


def test_the_oldest_readings_make_room_first():
    backlog = Backlog(NAMES, 4)
    backlog.put("alarm", ["a"])
    backlog.put("reading", [1, 2, 3, 4, 5])
    assert backlog.take() == {"reading": [3, 4, 5], "estimate": [], "alarm": ["a"]}
    assert backlog.dropped == {"reading": 2}


def test_nothing_of_more_consequence_goes_while_readings_wait():
    backlog = Backlog(NAMES, 3)
    backlog.put("estimate", ["e1", "e2"])
    backlog.put("reading", [1])
    backlog.put("alarm", ["a1", "a2"])
    assert backlog.take() == {"reading": [], "estimate": ["e2"], "alarm": ["a1", "a2"]}
    assert backlog.dropped == {"reading": 1, "estimate": 1}


def test_a_flood_of_alarms_is_bounded_and_counted_too():
    backlog = Backlog(NAMES, 2)
    backlog.put("alarm", range(5))
    assert backlog.take()["alarm"] == [3, 4]
    assert backlog.dropped == {"alarm": 3}


def test_rows_given_back_stand_before_the_new_ones():
    backlog = Backlog(NAMES, 10)
    backlog.put("reading", [1, 2])
    taken = backlog.take()
    backlog.put("reading", [3])
    backlog.give_back(taken)
    assert backlog.take()["reading"] == [1, 2, 3]


def test_rows_given_back_respect_the_bound():
    backlog = Backlog(NAMES, 3)
    backlog.put("reading", [1, 2])
    taken = backlog.take()
    backlog.put("reading", [3, 4])
    backlog.give_back(taken)
    assert backlog.take()["reading"] == [2, 3, 4]
    assert backlog.dropped == {"reading": 1}
