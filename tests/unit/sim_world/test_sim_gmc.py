"""The Geiger counter answers as its two documents and published captures say."""

import struct
from datetime import UTC, datetime, timedelta

import pytest

from cbrn_sim.instruments.gmc import Gmc
from cbrn_sim.instruments.gmc_memory import Dialect

CAPTURED_AT = datetime(2023, 11, 10, 12, 15, 5, tzinfo=UTC)


@pytest.fixture
def gmc(well, fixed_tube):
    def make(dialect=Dialect.RFC1201, cps=0, cpm=0, **options):
        return Gmc(
            dialect,
            fixed_tube(cps=cps, cpm=cpm),
            lambda t_s: CAPTURED_AT + timedelta(seconds=t_s),
            well,
            **options,
        )

    return make


@pytest.mark.parametrize(
    ("request_text", "reply_hex"),
    [
        ("<GETVER>>", "474d432d33303053526520312e3134"),
        ("<GETCPM>>", "0017"),
        ("<GETVOLT>>", "2a"),
        ("<GETGYRO>>", "c0c0fec00680aa"),
        ("<GETDATETIME>>", "170b0a0c0f05aa"),
        ("<GETSERIAL>>", "f7f4c578139d08"),
        ("<GETTEMP>>", "160500aa"),
        ("<POWERON>>", ""),
        ("<GETCPS>>", ""),
    ],
)
def test_the_300s_answers_byte_for_byte(gmc, request_text, reply_hex):
    assert gmc(cpm=23).receive(request_text.encode(), 0.0).hex() == reply_hex


@pytest.mark.parametrize(
    ("request_text", "reply_hex"),
    [
        ("<GETVER>>", "474d432d3530302b526520322e3232"),
        ("<GETCPM>>", "000004ba"),
        ("<GETCPS>>", "00000011"),
        ("<GETMAXCPS>>", "00000011"),
        ("<GETCPML>>", "000004ba"),
        ("<GETCPMH>>", "00000000"),
        ("<GETVOLT>>", "342e307600"),
        ("<SETDATEYY\x12>>", "aa"),
        ("<GETTEMP>>", ""),
    ],
)
def test_the_500_plus_answers_byte_for_byte(gmc, request_text, reply_hex):
    counter = gmc(Dialect.RFC1801, cps=17, cpm=1210, battery_v=4.0)
    assert counter.receive(request_text.encode(), 0.0).hex() == reply_hex


def test_the_manuals_example_of_28_counts_a_minute(gmc):
    assert gmc(cpm=28).receive(b"<GETCPM>>", 0.0).hex() == "001c"
    assert gmc(Dialect.RFC1801, cpm=28).receive(b"<GETCPM>>", 0.0).hex() == "0000001c"


def test_the_heartbeat_speaks_each_second_while_it_is_on(gmc):
    counter = gmc(cps=28, heartbeat_flags=0x4000)
    assert counter.emit(1.0) == b""
    assert counter.receive(b"<HEARTBEAT1>>", 1.0) == b""
    assert counter.emit(2.0).hex() == "401c"
    counter.receive(b"<HEARTBEAT0>>", 2.5)
    assert counter.emit(3.0) == b""


def test_the_heartbeat_of_the_500_plus_has_four_bytes(gmc):
    counter = gmc(Dialect.RFC1801, cps=28)
    counter.receive(b"<HEARTBEAT1>>", 0.0)
    assert counter.emit(1.0).hex() == "0000001c"


@pytest.mark.parametrize(
    ("dialect", "length", "order", "points"),
    [
        (Dialect.RFC1201, 256, "<f", [(1615, 10.0), (16150, 100.0), (32300, 200.0)]),
        (Dialect.RFC1801, 512, ">f", [(100, 0.65), (30000, 195.0), (25, 4.85)]),
    ],
)
def test_the_configuration_holds_the_calibration(gmc, dialect, length, order, points):
    block = gmc(dialect).receive(b"<GETCFG>>", 0.0)
    assert len(block) == length
    assert block[0] == 0
    for offset, (cpm, usv_h) in zip((8, 14, 20), points, strict=True):
        assert struct.unpack_from(">H", block, offset) == (cpm,)
        assert struct.unpack_from(order, block, offset + 2)[0] == pytest.approx(usv_h)


def test_the_clock_can_be_set(gmc):
    counter = gmc()
    set_command = bytes.fromhex("3c5345544441544554494d451801081136393e3e")
    assert counter.receive(set_command, 100.0).hex() == "aa"
    reply = counter.receive(b"<GETDATETIME>>", 103.0)
    assert list(reply) == [24, 1, 8, 17, 55, 0, 0xAA]


def test_an_impossible_date_is_acknowledged_and_ignored(gmc):
    counter = gmc()
    before = counter.receive(b"<GETDATETIME>>", 0.0)
    assert counter.receive(b"<SETDATETIME\x18\x0d\x40\x11\x36\x39>>", 0.0).hex() == "aa"
    assert counter.receive(b"<GETDATETIME>>", 0.0) == before


def test_a_command_may_come_in_pieces(gmc):
    counter = gmc(cpm=23)
    assert [counter.receive(piece, 0.0) for piece in (b"<GET", b"CPM", b">", b">")] == [
        b"",
        b"",
        b"",
        b"\x00\x17",
    ]


def test_rubbish_before_a_command_is_skipped(gmc):
    counter = gmc(cpm=23)
    assert counter.receive(b"\xff<<GETX>>\x00<GETCPM>><GETVOLT>>", 0.0).hex() == "00172a"


def test_history_starts_with_its_date_and_holds_each_second(gmc):
    counter = gmc(cps=300)
    counter.emit(1.0)
    counter.emit(2.0)
    reply = counter.receive(b"<SPIR\x00\x00\x00\x00\x18>>", 2.0)
    assert reply.hex() == "55aa00" + "170b0a0c0f05" + "55aa01" + "55aa01012c" * 2 + "ffff"


def test_configuration_writes_are_acknowledged_and_counted(gmc):
    counter = gmc()
    assert counter.receive(b"<ECFG>><WCFG\x08\x01>><CFGUPDATE>>", 0.0).hex() == "aaaaaa"
    assert counter.configuration_writes == 3


def test_a_counter_that_is_off_says_nothing_until_it_is_on(gmc):
    counter = gmc(cpm=23)
    assert counter.receive(b"<POWEROFF>><GETCPM>>", 0.0) == b""
    assert counter.receive(b"<POWERON>><GETCPM>>", 0.0).hex() == "0017"


def test_a_spike_is_in_counts_per_second(gmc, well):
    counter = gmc(cpm=20)
    well.spike(2.0)
    assert counter.receive(b"<GETCPM>><GETCPM>>", 0.0).hex() == "008c0014"


def test_counts_beyond_sixteen_bits_stay_at_the_end(gmc):
    assert gmc(cpm=70_000).receive(b"<GETCPM>>", 0.0).hex() == "ffff"
