"""Gill WindSonic: units, calm, faults, north mark, UV and NMEA output."""

import pytest

from cbrn_core.errors import ChecksumError, FieldError, FrameError, LengthError, UnexpectedReply
from cbrn_core.reading import Flag, InstrumentAlarm, Quality
from cbrn_core.units import Unit
from cbrn_drivers.codec.checksum import xor8
from cbrn_drivers.codec.windsonic import decode_line
from cbrn_drivers.weather.gill_windsonic import as_decoded


def gill(body):
    return b"\x02" + body.encode() + b"\x03" + f"{xor8(body.encode()):02X}".encode()


def nmea(body):
    return f"${body}*{xor8(body.encode()):02X}".encode()


def wind(line, north_offset_deg=0.0):
    return as_decoded(decode_line(line), north_offset_deg)


@pytest.mark.parametrize(
    ("letter", "speed", "m_s"),
    [
        ("M", "010.00", 10.0),
        ("N", "010.00", 5.14444),
        ("P", "010.00", 4.4704),
        ("K", "036.00", 10.0),
        ("F", "1000.00", 5.08),
    ],
)
def test_every_unit_becomes_metres_per_second(letter, speed, m_s):
    reading, _ = wind(gill(f"Q,090,{speed},{letter},00,"))
    assert reading.value == pytest.approx(m_s, rel=1e-5)
    assert reading.unit is Unit.M_S
    assert reading.raw == float(speed)


@pytest.mark.parametrize(
    ("direction", "offset", "true"), [(350, 20, 10), (10, -20, 350), (5, 0, 5)]
)
def test_the_direction_is_turned_from_the_north_mark_to_true_north(direction, offset, true):
    _, reading = wind(gill(f"Q,{direction:03d},002.74,M,00,"), offset)
    assert reading.value == pytest.approx(true)


@pytest.mark.parametrize("direction", ["", "160"])
def test_in_a_calm_there_is_no_direction_not_even_the_last_one(direction):
    speed, reading = wind(gill(f"Q,{direction},000.04,M,00,"))
    assert speed.value == pytest.approx(0.04)
    assert reading.value is None
    assert reading.flags == (Flag.BELOW_LOD,)
    assert reading.quality is Quality.GOOD


def test_a_missing_direction_in_a_wind_is_uncertain():
    _, reading = wind(gill("Q,,005.00,M,00,"))
    assert reading.value is None
    assert reading.quality is Quality.UNCERTAIN


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ("01", 1, "axis 1"),
        ("02", 2, "axis 2"),
        ("04", 4, "both axes"),
        ("08", 8, "memory"),
        ("09", 9, "ROM"),
        ("0A", 10, "unknown"),
    ],
)
def test_a_status_makes_both_readings_bad_and_carries_its_code(status, code, text):
    for reading in wind(gill(f"Q,229,002.74,M,{status},")):
        assert reading.quality is Quality.BAD
        assert Flag.INSTRUMENT_FAULT in reading.flags
        assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT
        assert reading.detection.code == code
        assert text in reading.detection.text


def test_a_fault_without_values_is_null_and_bad():
    speed, direction = wind(gill("Q,,,M,04,"))
    assert speed.value is direction.value is None
    assert speed.quality is direction.quality is Quality.BAD


def test_uv_gives_the_speed_and_no_direction():
    speed, direction = wind(gill("Q,+003.00,-004.00,M,00,"))
    assert speed.value == pytest.approx(5.0)
    assert direction.value is None
    assert decode_line(gill("Q,+003.00,-004.00,M,00,")).fields()["v"] == -4.0


@pytest.mark.parametrize(
    ("unit", "m_s"), [("N", 5.14444), ("M", 10.0), ("K", 2.77778), ("S", 4.4704)]
)
def test_nmea_units_become_metres_per_second(unit, m_s):
    speed, direction = wind(nmea(f"IIMWV,120,R,010.00,{unit},A"))
    assert speed.value == pytest.approx(m_s, rel=1e-5)
    assert direction.value == 120.0


@pytest.mark.parametrize(
    ("status", "valid"), [("A", True), ("00", True), ("V", False), ("04", False)]
)
def test_nmea_carries_either_kind_of_status(status, valid):
    line = decode_line(nmea(f"IIMWV,120,R,002.10,M,{status}"))
    assert line.fields()["valid"] is valid
    assert (as_decoded(line, 0.0)[0].quality is Quality.BAD) is not valid


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", FieldError),
        (b"\x02", LengthError),
        (b"\x02Q,229,002.74,M,00,", LengthError),
        (gill("Q,229,002.74,M,00,")[:-1], ChecksumError),
        (gill("Q,229,002.74,M,00"), LengthError),
        (gill("Q,229,002.74,M,00,1"), LengthError),
        (gill("q,229,002.74,M,00,"), FieldError),
        (gill("Q,361,002.74,M,00,"), FieldError),
        (gill("Q,229,-02.74,M,00,"), FieldError),
        (gill("Q,229,nan,M,00,"), FieldError),
        (gill("Q,229,002.74,X,00,"), FieldError),
        (gill("Q,229,002.74,M,0,"), FieldError),
        (nmea("IIMWV,120,R,002.10,M"), LengthError),
        (nmea("IIMWV,120,Z,002.10,M,A"), FieldError),
        (nmea("IIMWV,120,R,002.10,M,X"), FieldError),
        (nmea("GPGGA,1,2,3,4,5"), UnexpectedReply),
        (b"Q,229,002.74,M,00,", FieldError),
    ],
)
def test_a_damaged_line_is_refused_by_its_kind(line, error):
    with pytest.raises(error):
        decode_line(line)


def test_every_single_bit_error_is_refused():
    line = gill("Q,229,002.74,M,00,")
    good = decode_line(line)
    for position in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[position] ^= 1 << bit
            try:
                assert decode_line(bytes(flipped)) == good
            except FrameError:
                continue
