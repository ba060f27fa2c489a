"""Streams are cut into frames; damage costs the damaged frame and nothing else."""

import pytest

from cbrn_drivers.codec.framing import FixedFramer, LineFramer, after_last_start
from cbrn_drivers.codec.winsen import is_module_frame

FRAME = bytes.fromhex("FF8600050000000075")
OTHER = bytes.fromhex("FF86001F000000005B")


def winsen():
    return FixedFramer(0xFF, 9, is_module_frame)


def test_lines_end_with_any_line_end_and_blank_ones_are_passed_over():
    assert LineFramer(b"$").feed(b"$a\r\n\r\n$b\n$c\r$d") == [b"$a", b"$b", b"$c"]


def test_a_line_may_arrive_byte_by_byte():
    framer = LineFramer(b"$")
    frames = [f for byte in b"$BNRDD,1*00\r\n" for f in framer.feed(bytes((byte,)))]
    assert frames == [b"$BNRDD,1*00"]


def test_a_frame_that_was_cut_off_costs_itself_and_not_the_one_behind():
    framer = LineFramer(b"$\x02")
    assert framer.feed(b"$BNRD\x02Q,1$good\r\n") == [b"$good"]
    assert framer.skipped_bytes == len(b"$BNRD\x02Q,1")


def test_a_line_without_a_start_is_skipped_and_counted():
    framer = LineFramer(b"$")
    assert framer.feed(b"rubbish\r\n$a\n") == [b"$a"]
    assert framer.skipped_bytes == 7


def test_a_comment_is_handed_out_whole_unless_a_frame_starts_in_it():
    framer = LineFramer(b"$", comment=b"#")
    assert framer.feed(b"# NEW LOG\r\n#$frame\r\n") == [b"# NEW LOG", b"$frame"]
    assert framer.skipped_bytes == 1


@pytest.mark.parametrize("starts", [b"", b"$"])
def test_a_stream_without_line_ends_stays_small(starts):
    framer = LineFramer(starts, limit=64)
    for _ in range(1000):
        assert framer.feed(b"x" * 100) == []
    assert framer.skipped_bytes >= 100_000 - 64
    assert len(framer._rest) <= 64


def test_after_endless_noise_the_next_frame_is_found_on_the_same_line():
    framer = LineFramer(b"$", limit=64)
    framer.feed(b"x" * 1000)
    assert framer.feed(b"xx$good\r\n") == [b"$good"]


def test_without_a_start_character_the_tail_of_an_endless_line_is_no_frame():
    framer = LineFramer(b"", limit=64)
    framer.feed(b"x" * 1000)
    assert framer.feed(b"tail\r\nwhole\r\n") == [b"whole"]


def test_a_frame_longer_than_the_limit_is_skipped():
    framer = LineFramer(b"$", limit=8)
    assert framer.feed(b"$123456789\n$ok\n") == [b"$ok"]


def test_a_reset_forgets_half_a_line():
    framer = LineFramer(b"$")
    framer.feed(b"$half")
    framer.reset()
    assert framer.feed(b"$whole\n") == [b"$whole"]
    assert framer.skipped_bytes == 5


def test_text_after_the_last_start_is_kept():
    assert after_last_start(b"a$b$c", b"$") == b"$c"
    assert after_last_start(b"abc", b"$") == b""
    assert after_last_start(b"abc", b"") == b"abc"


def test_binary_frames_are_found_wherever_the_stream_is_cut():
    stream = FRAME + OTHER
    for cut in range(len(stream) + 1):
        framer = winsen()
        assert framer.feed(stream[:cut]) + framer.feed(stream[cut:]) == [FRAME, OTHER]
        assert framer.skipped_bytes == 0


def test_one_byte_is_dropped_at_a_time_so_that_no_good_frame_is_lost():
    framer = winsen()
    assert framer.feed(b"\xff" + FRAME[:4] + OTHER + b"\x00\xff") == [OTHER]
    assert framer.skipped_bytes == 6
    assert framer.feed(FRAME[1:]) == [FRAME]


def test_every_single_byte_loss_costs_one_frame():
    for lost in range(9):
        framer = winsen()
        stream = FRAME + OTHER[:lost] + OTHER[lost + 1 :] + FRAME + FRAME
        frames = framer.feed(stream)
        assert frames[0] == FRAME
        assert frames[-1] == FRAME
        assert set(frames) == {FRAME}


def test_noise_without_a_start_byte_is_dropped_at_once():
    framer = winsen()
    framer.feed(b"\x00" * 10_000)
    assert framer.skipped_bytes == 10_000
    assert len(framer._buffer) == 0


def test_noise_of_start_bytes_stays_small():
    framer = winsen()
    framer.feed(b"\xff" * 10_000)
    assert len(framer._buffer) < 9
    assert framer.feed(FRAME) == [FRAME]
