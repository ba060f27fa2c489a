"""Lines that arrive in one piece are as many samples as they are lines."""

from samples.store_samples import reading

from cbrn_core.clock import Now
from cbrn_drivers.decoded import told_apart

NOW = Now(steady_us=5_000_000, wall_us=9_000_000)


def arrived(channel="wind_speed", value=1.0, time_us=NOW.wall_us):
    return reading(value=value, channel=channel, time_us=time_us, received_us=NOW.steady_us)


def test_two_lines_of_one_channel_keep_their_order_and_both_live():
    first, second, third = told_apart([arrived(value=v) for v in (1.0, 2.0, 3.0)], NOW)
    assert [first.value, second.value, third.value] == [1.0, 2.0, 3.0]
    assert [first.time_us, second.time_us, third.time_us] == [9_000_000, 9_000_001, 9_000_002]


def test_two_channels_of_one_line_keep_one_time():
    line = [arrived("wind_speed"), arrived("wind_direction")]
    apart = told_apart([*line, *line], NOW)
    assert [r.time_us - NOW.wall_us for r in apart] == [0, 0, 1, 1]


def test_the_instruments_own_time_stays_as_it_is():
    own = [arrived(time_us=8_000_000), arrived(time_us=8_000_000)]
    assert told_apart(own, NOW) == own


def test_the_arrival_stays_one():
    assert {r.received_us for r in told_apart([arrived(), arrived()], NOW)} == {NOW.steady_us}
