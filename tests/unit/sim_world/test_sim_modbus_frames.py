"""Modbus framing, requests and the detector's register map."""

import struct

import pytest

from cbrn_core.errors import FrameError
from cbrn_sim.instruments.modbus_frames import (
    MbapAssembler,
    RtuAssembler,
    RtuRequest,
    answer,
    crc16,
    rtu_frame,
)
from cbrn_sim.instruments.xcd import SensepointXcd, XcdSettings


@pytest.fixture
def xcd(well):
    def make(ppm=31.5, **settings):
        return SensepointXcd(
            XcdSettings(unit_id=5, **settings), lambda _t_s: ppm, lambda: 1.0, well
        )

    return make


def holding(unit, number, count=1):
    """Read registers by the number that the manual prints."""
    reply = answer(unit, struct.pack(">BHH", 3, number - 40001, count))
    assert reply[:2] == bytes((3, 2 * count))
    return struct.unpack(f">{count}H", reply[2:])


def as_float(words):
    return struct.unpack(">f", struct.pack(">HH", *words))[0]


@pytest.mark.parametrize(
    "frame_hex",
    [
        "0103000800 0245C9",
        "01030400 0000D13A6F",
        "6103002800064C60",
        "61030C43DB8C2E41D9E7FF42433A1B5007",
        "7E0301FA0002EE09",
        "058302 8130",
    ],
)
def test_the_crc_is_that_of_the_published_frames(frame_hex):
    frame = bytes.fromhex(frame_hex)
    assert crc16(frame[:-2]).to_bytes(2, "little") == frame[-2:]


def test_the_detector_answers_the_golden_exchange(xcd):
    (request,) = RtuAssembler().feed(bytes.fromhex("050300020005258D"), 0.0)
    assert request == RtuRequest(5, bytes.fromhex("0300020005"))
    reply = rtu_frame(5, answer(xcd(alarm1=10.0, alarm2=50.0), request.pdu))
    assert reply.hex().upper() == "05030A41FC00000000000100 01B827".replace(" ", "")


def test_the_register_map_is_that_of_the_manual(xcd):
    unit = xcd(ppm=1.25, temperature_deg_c=-7)
    assert holding(unit, 40001, 2) == (0x2505, 0x2505)
    assert as_float(holding(unit, 40003, 2)) == 1.25
    assert holding(unit, 40005, 3) == (0, 0, 1)
    assert as_float(holding(unit, 40009, 2)) == 180.0
    assert holding(unit, 40011) == (4,)
    assert as_float(holding(unit, 40012, 2)) == 1.25
    assert holding(unit, 40017) == (0xFFF9,)
    assert struct.pack(">7H", *holding(unit, 40046, 7)) == b"Chlorine".ljust(14, b"\0")
    assert as_float(holding(unit, 40057, 2)) == 24.0
    assert len(holding(unit, 40001, 58)) == 58


@pytest.mark.parametrize(
    ("pdu_hex", "reply_hex"),
    [
        ("0600000001", "8601"),
        ("1000000001020001", "9001"),
        ("2b0e0100", "ab01"),
        ("0300000000", "8303"),
        ("030000007e", "8303"),
        ("03000000", "8303"),
        ("03000000010000", "8303"),
        ("03003a0001", "8302"),
        ("0300390002", "8302"),
        ("03ffff0001", "8302"),
        ("04000c0001", "8402"),
        ("0400130001", "8402"),
        ("", "8001"),
    ],
)
def test_a_wrong_request_gets_its_exception(xcd, pdu_hex, reply_hex):
    assert answer(xcd(), bytes.fromhex(pdu_hex)).hex() == reply_hex


@pytest.mark.parametrize("code", [4, 6])
def test_an_injected_exception_answers_everything(xcd, well, code):
    unit = xcd()
    well.exception(code)
    assert answer(unit, bytes.fromhex("0300000001")) == bytes((0x83, code))
    well.exception(None)
    assert answer(unit, bytes.fromhex("0300000001"))[0] == 3


def test_its_own_alarms_are_off_unless_set(xcd):
    assert holding(xcd(ppm=999.0), 40006) == (0,)
    assert holding(xcd(ppm=3.0, alarm1=1.0, alarm2=2.0), 40006) == (3,)
    assert holding(xcd(ppm=1.5, alarm1=1.0, alarm2=2.0), 40006) == (1,)


def test_alarms_are_in_the_input_registers_too(xcd):
    reply = answer(xcd(ppm=3.0, alarm1=1.0), bytes.fromhex("04000d0006"))
    assert struct.unpack(">6H", reply[2:]) == (0, 1, 0, 1, 0, 0)


def test_a_fault_and_a_warning_have_their_own_bits(xcd, well):
    unit = xcd()
    well.fault_code(1107)
    assert holding(unit, 40005, 2) == (1107, 1 << 5)
    assert answer(unit, bytes.fromhex("0400110002"))[2:].hex() == "00001000"
    well.fault_code(3)
    assert holding(unit, 40005, 2) == (3, 1 << 4)
    assert answer(unit, bytes.fromhex("0400110002"))[2:].hex() == "00000004"


def test_fault_thirteen_reaches_the_high_word(xcd, well):
    well.fault_code(1113)
    assert answer(xcd(), bytes.fromhex("0400110002"))[2:].hex() == "00040000"


def test_a_latching_detector_keeps_its_bits(xcd, well):
    unit = xcd(ppm=0.0, latching=True)
    well.fault_code(1101)
    holding(unit, 40006)
    well.fault_code(0)
    assert holding(unit, 40005, 2) == (0, 1 << 5)


def test_inhibit_holds_the_value_and_warm_up_shows_zero(well):
    shown = [4.0]
    unit = SensepointXcd(
        XcdSettings(unit_id=5, alarm1=1.0), lambda _t_s: shown[0], lambda: 1.0, well
    )
    assert as_float(holding(unit, 40003, 2)) == 4.0
    well.inhibit()
    shown[0] = 9.0
    assert as_float(holding(unit, 40003, 2)) == 4.0
    assert holding(unit, 40006, 2) == (0, 3)
    well.inhibit(on=False)
    well.warm_up()
    assert as_float(holding(unit, 40003, 2)) == 0.0
    assert holding(unit, 40007) == (2,)


def test_a_spike_is_seen_once_by_who_reads_the_gas(xcd, well):
    unit = xcd(ppm=1.0)
    well.spike(20.0)
    assert holding(unit, 40001) == (0x2505,)
    assert [as_float(holding(unit, 40003, 2)) for _ in range(2)] == [21.0, 1.0]


def test_requests_for_every_unit_are_cut_from_one_stream():
    requests = [rtu_frame(unit, bytes.fromhex("0300000001")) for unit in (9, 10)]
    assembler = RtuAssembler()
    joined = b"".join(requests)
    assert assembler.feed(joined[:5], 0.0) == []
    assert [r.unit_id for r in assembler.feed(joined[5:], 0.001)] == [9, 10]


def test_a_bad_crc_is_dropped_with_its_burst_and_the_next_one_is_answered():
    good = rtu_frame(9, bytes.fromhex("0300000001"))
    assembler = RtuAssembler()
    assert assembler.feed(good[:-1] + b"\0", 0.0) == []
    assert assembler.damaged == 1
    assert len(assembler.feed(good, 1.0)) == 1


def test_silence_ends_a_torn_request():
    good = rtu_frame(9, bytes.fromhex("0300000001"))
    assembler = RtuAssembler()
    assert assembler.feed(good[:4], 0.0) == []
    assert len(assembler.feed(good, 0.2)) == 1
    assert assembler.damaged == 1


def test_a_function_of_unknown_length_ends_where_the_crc_fits():
    frame = rtu_frame(9, bytes.fromhex("2b0e0100"))
    assert RtuAssembler().feed(frame, 0.0) == [RtuRequest(9, bytes.fromhex("2b0e0100"))]


def test_a_multiple_write_is_as_long_as_it_says():
    frame = rtu_frame(9, bytes.fromhex("10000000020400010002"))
    assert RtuAssembler().feed(frame, 0.0) == [RtuRequest(9, bytes.fromhex("10000000020400010002"))]


def test_an_endless_burst_is_forgotten():
    assembler = RtuAssembler()
    for _ in range(1000):
        assembler.feed(b"\x55\x66" * 40, 0.0)
        assert len(assembler._buffer) <= 336
    assert assembler.damaged > 0


def test_tcp_requests_come_in_any_cut():
    stream = b"".join(
        struct.pack(">HHHB", transaction, 0, 6, 5) + bytes.fromhex("0300000001")
        for transaction in (1, 2, 3)
    )
    for cut in range(1, len(stream)):
        assembler = MbapAssembler()
        requests = assembler.feed(stream[:cut]) + assembler.feed(stream[cut:])
        assert [r.transaction for r in requests] == [1, 2, 3]
        assert requests[2].reply(b"\x83\x02").hex() == "00030000000305" + "8302"


@pytest.mark.parametrize("header_hex", ["000100010006", "000100000001", "0001000000ff"])
def test_what_is_not_modbus_is_refused(header_hex):
    with pytest.raises(FrameError, match="not Modbus"):
        MbapAssembler().feed(bytes.fromhex(header_hex) + b"\x05\x03\0\0\0\x01")
