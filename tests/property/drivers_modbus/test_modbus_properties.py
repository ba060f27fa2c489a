import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import FrameError
from cbrn_core.reading import Quality
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.codec.modbus import (
    ReadReply,
    ReadRequest,
    Refusal,
    crc16,
    parse_rtu,
    parse_tcp,
    rtu_request,
)
from cbrn_drivers.codec.modbus_registers import RegisterType, WordOrder, number
from cbrn_drivers.modbus_decode import decode_readings, fields
from cbrn_drivers.modbus_plan import blocks
from cbrn_drivers.modbus_profile import register_map

NAMES = ("sensepoint-xcd", "raeguard", "scd30", "polytron-8000")
PROFILES = {name: load_profile(name) for name in NAMES}
XCD = register_map(PROFILES["sensepoint-xcd"])
MANY = examples(2000)


def sealed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "little")


replies = st.builds(
    lambda unit, function, words: (
        bytes([unit, function, 2 * len(words)]) + struct.pack(f">{len(words)}H", *words)
    ),
    st.integers(0, 255),
    st.sampled_from([3, 4]),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125),
)
frames = st.one_of(
    st.binary(max_size=300),
    st.binary(min_size=3, max_size=254).map(sealed),
    replies.map(sealed),
)


@MANY
@given(frame=frames)
def test_any_bytes_are_a_frame_or_a_frame_error(frame):
    for parse in (parse_rtu, parse_tcp):
        try:
            parsed = parse(frame)
        except FrameError:
            continue
        assert isinstance(parsed, ReadReply | ReadRequest | Refusal)


@MANY
@given(frame=frames, name=st.sampled_from(NAMES), register=st.none() | st.integers(40001, 40060))
def test_any_bytes_give_fields_and_readings_or_a_frame_error(frame, name, register):
    told = {} if register is None or name != NAMES[0] else {"register": str(register)}
    try:
        assert fields(frame, told, PROFILES[name])
        readings = decode_readings(frame, told, PROFILES[name])
    except FrameError:
        return
    for reading in readings:
        assert reading.value is None or reading.value - reading.value == 0
        assert reading.value is not None or reading.quality is not Quality.GOOD


@MANY
@given(
    unit=st.integers(0, 255),
    function=st.sampled_from([3, 4]),
    address=st.integers(0, 0xFFFF - 125),
    size=st.integers(1, 125),
)
def test_a_request_that_is_written_is_read_back(unit, function, address, size):
    request = ReadRequest(unit, function, address, size)
    assert parse_rtu(rtu_request(request)) == request


@given(value=st.floats(width=32, allow_nan=False), order=st.sampled_from(WordOrder))
def test_a_float_survives_every_word_order(value, order):
    octets = struct.pack(">f", value)
    wire = bytes(octets["ABCD".index(letter)] for letter in order)
    assert number(struct.unpack(">HH", wire), RegisterType.FLOAT32, order) == value


@given(
    names=st.sets(st.sampled_from(sorted(XCD.fields)), min_size=1),
    max_gap=st.integers(0, 20),
)
def test_the_blocks_cover_every_wanted_register_once_and_stay_within_their_limits(names, max_gap):
    planned = blocks(XCD, 5, names, max_gap)
    covered = [r.address + i for r in planned for i in range(r.size)]
    assert len(covered) == len(set(covered))
    assert all(r.size <= XCD.max_count for r in planned)
    for name in names:
        first = XCD.address(XCD.fields[name])
        assert set(range(first, first + XCD.fields[name].count)) <= set(covered)
    for before, after in pairwise(planned):
        gap = after.address - (before.address + before.size)
        assert gap > max_gap or after.address + after.size - before.address > XCD.max_count
