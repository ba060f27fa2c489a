"""Serial codecs: any bytes give a value or a FrameError; damage never invents a frame."""

from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import ConfigError, FrameError, InputError
from cbrn_core.reading import Reading
from cbrn_drivers.catalogue import load_driver, load_profile, open_log
from cbrn_drivers.codec import gmc
from cbrn_drivers.codec.bgeigie import Sentence, Status, decode_sentence
from cbrn_drivers.codec.checksum import negated_sum8, xor8
from cbrn_drivers.codec.framing import FixedFramer, LineFramer
from cbrn_drivers.codec.gmc import Dialect
from cbrn_drivers.codec.gmc_replies import _BY_REQUEST, decode_reply, reply_readings
from cbrn_drivers.codec.windsonic import WindLine, decode_line
from cbrn_drivers.codec.winsen import ModuleFrame, decode_frame, is_module_frame
from cbrn_drivers.decode import decode_line as decode_input

MANY = examples(2000)

SERIAL_PROFILES = (
    "gmc_rfc1201",
    "gmc_rfc1801",
    "gmc_800",
    "safecast_bgeigie",
    "winsen_ze03",
    "gill_windsonic",
)


def nmea(body: bytes) -> bytes:
    return b"$" + body + b"*" + f"{xor8(body):02X}".encode()


def gill(body: bytes) -> bytes:
    return b"\x02" + body + b"\x03" + f"{xor8(body):02X}".encode()


def winsen(body: bytes) -> bytes:
    return b"\xff" + body + bytes((negated_sum8(body),))


numbers = st.one_of(
    st.integers(-(10**13), 10**13).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
)
scraps = st.one_of(
    numbers,
    st.sampled_from(["", "A", "V", "N", "S", "E", "W", "M", "R", "00", "2012-00-00T00:00:00Z"]),
    st.text(
        st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=","), max_size=12
    ),
)
headers = st.sampled_from(["BNRDD", "BMRDD", "BNXRDD", "BNXSTS", "IIMWV", "WIMWV", "Q", "A"])
comma_texts = st.builds(
    lambda head, values: ",".join([head, *values]).encode(), headers, st.lists(scraps, max_size=17)
)
any_line = st.one_of(
    st.binary(max_size=200), comma_texts, comma_texts.map(nmea), comma_texts.map(gill)
)


@MANY
@given(any_line)
def test_any_bytes_are_a_bgeigie_sentence_or_a_frame_error(line):
    try:
        said = decode_sentence(line)
    except FrameError:
        return
    assert isinstance(said, Sentence | Status)
    msgspec.json.encode(said.fields())


@MANY
@given(any_line)
def test_any_bytes_are_a_wind_line_or_a_frame_error(line):
    try:
        said = decode_line(line)
    except FrameError:
        return
    assert isinstance(said, WindLine)
    assert said.speed is None or said.speed >= 0
    msgspec.json.encode(said.fields())


@MANY
@given(st.one_of(st.binary(max_size=12), st.binary(min_size=7, max_size=7).map(winsen)))
def test_any_bytes_are_a_module_frame_or_a_frame_error(frame):
    try:
        said = decode_frame(frame)
    except FrameError:
        return
    assert isinstance(said, ModuleFrame)
    assert 0 <= said.count <= 0xFFFF


replies = st.one_of(
    st.binary(max_size=16),
    st.binary(min_size=256, max_size=256),
    st.binary(min_size=512, max_size=512),
    st.binary(max_size=20).map(lambda b: b"<" + b + b">>"),
    st.binary(max_size=20).map(lambda b: b"GMC-" + b),
)
requests = st.one_of(st.none(), st.sampled_from(sorted(_BY_REQUEST)), st.text(max_size=8))


@MANY
@given(replies, requests, st.sampled_from(list(Dialect)), scraps)
def test_any_bytes_answer_a_counters_request_or_are_a_frame_error(reply, request, dialect, cpm):
    options = {"cpm": cpm} | ({} if request is None else {"request": f"<{request}>>"})
    try:
        fields = decode_reply(reply, options, dialect)
    except FrameError:
        return
    msgspec.json.encode(fields)
    for reading in reply_readings(fields):
        assert reading.value >= 0


@given(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1))
def test_counts_come_back_as_they_were_sent(narrow, wide):
    assert gmc.decode_count(narrow.to_bytes(2, "big"), Dialect.RFC1201) == narrow
    assert gmc.decode_count(wide.to_bytes(4, "big"), Dialect.RFC1801) == wide
    heartbeat = gmc.decode_heartbeat(narrow.to_bytes(2, "big"), Dialect.RFC1201)
    assert heartbeat == narrow % 0x4000


@st.composite
def bgeigie_lines(draw):
    counts, minute = draw(st.integers(0, 999)), draw(st.integers(0, 59))
    time = f"2023-05-06T07:{minute:02d}:10Z"
    body = (
        f"BNRDD,12,{time},{counts * 12},{counts},{counts},A,5003.1563,N,01430.9260,E,242.8,A,4,210"
    )
    return nmea(body.encode()) + b"\r\n"


@st.composite
def wind_lines(draw):
    direction, speed = draw(st.integers(0, 359)), draw(st.integers(0, 6000))
    body = f"Q,{direction:03d},{speed / 100:06.2f},M,00,".encode()
    if draw(st.booleans()):
        return gill(body) + b"\r\n"
    return nmea(f"IIMWV,{direction:03d},R,{speed / 100:06.2f},M,A".encode()) + b"\r\n"


@st.composite
def module_frames(draw):
    return winsen(b"\x86" + draw(st.integers(0, 10_000)).to_bytes(2, "big") + bytes(4))


@st.composite
def damage(draw, frame, *, insertion):
    """Return a frame with one kind of damage, as lines and loose plugs give it."""
    kinds = ["flip", "drop", "cut", "noise"] + (["insert"] if insertion else [])
    kind = draw(st.sampled_from(kinds))
    at = draw(st.integers(0, len(frame) - 1))
    if kind == "flip":
        flipped = frame[at] ^ (1 << draw(st.integers(0, 7)))
        return frame[:at] + bytes((flipped,)) + frame[at + 1 :]
    if kind == "drop":
        return frame[:at] + frame[at + 1 :]
    if kind == "cut":
        return frame[:at]
    if kind == "noise":
        return draw(st.binary(min_size=1, max_size=6)) + frame
    return frame[:at] + draw(st.binary(min_size=1, max_size=1)) + frame[at:]


@st.composite
def streams(draw, frames, *, insertion=True):
    """Return what was sent, what arrived, and the frames that nothing has touched."""
    sent = draw(st.lists(frames, min_size=1, max_size=6))
    arrived, untouched, whole_before = b"", [], True
    for frame in sent:
        whole = draw(st.booleans())
        arrived += frame if whole else draw(damage(frame, insertion=insertion))
        if whole and whole_before:
            untouched.append(frame)
        whole_before = whole
    return sent, arrived, untouched


def chunks(stream, cuts):
    edges = [0, *sorted(c % (len(stream) + 1) for c in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def decoded(frames, decode):
    good = []
    for frame in frames:
        try:
            good.append(decode(frame))
        except FrameError:
            continue
    return good


def check_subset(sent, received, untouched):
    assert not Counter(map(repr, received)) - Counter(map(repr, sent))
    assert not Counter(map(repr, untouched)) - Counter(map(repr, received))


LINES = {
    "bgeigie": (bgeigie_lines, decode_sentence, lambda: LineFramer(b"$", comment=b"#")),
    "windsonic": (wind_lines, decode_line, lambda: LineFramer(b"\x02$", limit=128)),
}
cuts = st.lists(st.integers(0, 2000), max_size=6)


@pytest.mark.parametrize("name", LINES)
def test_a_mangled_stream_of_lines_gives_a_subset_of_what_was_sent(name):
    frames, decode, framer = LINES[name]

    @MANY
    @given(streams(frames()), cuts)
    def check(stream, cuts):
        sent, arrived, untouched = stream
        fresh = framer()
        lines = [line for chunk in chunks(arrived + b"\n", cuts) for line in fresh.feed(chunk)]
        received = decoded([x for x in lines if not x.startswith(b"#")], decode)
        whole = [decode(x.rstrip()) for x in sent]
        check_subset(whole, received, [decode(x.rstrip()) for x in untouched])

    check()


@MANY
@given(streams(module_frames(), insertion=False), cuts)
def test_a_mangled_stream_of_module_frames_gives_a_subset_of_what_was_sent(stream, cuts):
    sent, arrived, untouched = stream
    framer = FixedFramer(0xFF, 9, is_module_frame)
    received = [f for chunk in chunks(arrived, cuts) for f in framer.feed(chunk)]
    check_subset(sent, received, untouched)


@given(st.binary(max_size=400), cuts)
def test_the_cut_of_a_stream_into_chunks_changes_nothing(stream, cuts):
    for make in (
        lambda: LineFramer(b"$\x02", comment=b"#", limit=600),
        lambda: FixedFramer(0xFF, 9, is_module_frame),
    ):
        whole, pieces = make(), make()
        expected = whole.feed(stream)
        assert [f for chunk in chunks(stream, cuts) for f in pieces.feed(chunk)] == expected
        assert pieces.skipped_bytes == whole.skipped_bytes


@given(st.binary(max_size=3000), cuts)
def test_every_byte_of_a_stream_is_in_a_frame_skipped_or_waiting(stream, cuts):
    framer = FixedFramer(0xFF, 9, is_module_frame)
    frames = [f for chunk in chunks(stream, cuts) for f in framer.feed(chunk)]
    assert 9 * len(frames) + framer.skipped_bytes + len(framer._buffer) == len(stream)
    assert len(framer._buffer) < 9


@given(st.lists(st.one_of(any_line, bgeigie_lines(), st.just(b"# deadtime=on")), max_size=12))
def test_any_log_gives_readings_and_counted_refusals(lines):
    log = open_log(load_profile("safecast_bgeigie"), lines, "walk")
    entries = list(log)
    counters = log.counters()
    readings = [e for e in entries if isinstance(e, Reading)]
    refused = [e for e in entries if isinstance(e, FrameError | InputError)]
    assert len(entries) == len(readings) + len(refused)
    assert counters.get("readings", 0) == len(readings)
    named = {k: n for k, n in counters.items() if k.startswith("frame_") or k == "no_time"}
    assert sum(named.values()) == len(refused)
    assert [r.received_us for r in readings] == sorted(r.received_us for r in readings)


option_sets = st.dictionaries(
    st.sampled_from(["request", "dialect", "gas", "cpm", "north_offset_deg", "dead_time"]),
    st.one_of(scraps, st.sampled_from(["<GETCPM>>", "<GETCFG>>", "rfc1201", "cl2", "on"])),
    max_size=3,
)
typed_lines = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=40).map(bytes.hex),
    any_line.map(lambda b: b.decode("latin-1")),
)


@given(
    st.sampled_from(SERIAL_PROFILES),
    typed_lines,
    st.sampled_from(["hex", "text"]),
    option_sets,
    st.booleans(),
)
def test_any_line_typed_into_decode_gives_json_or_a_configuration_error(
    profile, line, mode, options, fields
):
    try:
        output = decode_input(profile, line, mode, options, fields=fields)
    except ConfigError:
        return
    msgspec.json.encode(output)


@given(
    st.dictionaries(st.text(max_size=10), st.one_of(st.integers(), st.text(max_size=5)), max_size=4)
)
def test_any_options_are_accepted_or_are_a_configuration_error(table):
    from cbrn_drivers.catalogue import parse_options

    for key in (
        "radiation.gmc",
        "radiation.safecast_bgeigie",
        "chemical.winsen_ze03",
        "weather.gill_windsonic",
    ):
        try:
            parse_options(load_driver(key), {"port": "/dev/x", "gas": "cl2"} | table)
        except ConfigError:
            continue
