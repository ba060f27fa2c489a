"""Safecast bGeigie sentences: every firmware's field order, and what must be refused."""

import msgspec
import pytest

from cbrn_core.errors import ChecksumError, FieldError, FrameError, LengthError, UnexpectedReply
from cbrn_core.reading import Flag, Quality
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.codec.bgeigie import Sentence, decode_sentence
from cbrn_drivers.codec.checksum import xor8
from cbrn_drivers.radiation.safecast_bgeigie import as_decoded, decode_readings, fields

HEAD = "BNRDD,2023,2013-11-01T23:51:55Z,45,2,138,A"
PLACE = "3729.6509,N,13956.5519,E,256.40,A"


def sealed(body):
    return f"${body}*{xor8(body.encode()):02X}".encode()


def sentence(body):
    decoded = decode_sentence(sealed(body))
    assert isinstance(decoded, Sentence)
    return decoded


@pytest.mark.parametrize(
    ("header", "tail", "satellites", "hdop", "fix_quality"),
    [
        ("BNRDD", "5,300", 5, 3.0, None),
        ("BNRDD", "109,9", 9, 1.09, None),
        ("BNRDD", "125,0", 0, 1.25, None),
        ("BNRDD", "5,1.28", 5, 1.28, None),
        ("CZRDD", "7,95", 7, 0.95, None),
        ("BMRDD", "2.0,1", None, 2.0, 1),
        ("BGRDD", "16.0,0", None, 16.0, 0),
        ("BNXRDD", "5,1.28,1", 5, 1.28, 1),
    ],
)
def test_the_last_fields_are_read_as_each_firmware_writes_them(
    header, tail, satellites, hdop, fix_quality
):
    said = sentence(f"{HEAD.replace('BNRDD', header)},{PLACE},{tail}")
    assert (said.satellites, said.hdop, said.fix_quality) == (satellites, hdop, fix_quality)


@pytest.mark.parametrize(
    ("place", "lat", "lon"),
    [
        ("5218.7185,N,445.6503,E", 52.311975, 4.760838),
        ("4232.4106,N,-8312.4727,W", 42.540177, -83.207878),
        ("0117.8067,S,10351.2284,E", -1.296778, 103.853807),
    ],
)
def test_unpadded_and_doubly_signed_angles_are_read(place, lat, lon):
    said = sentence(f"{HEAD},{place},4.80,A,6,132")
    assert (said.lat, said.lon) == (pytest.approx(lat, abs=1e-6), pytest.approx(lon, abs=1e-6))


@pytest.mark.parametrize(
    "time", ["2012-00-00T00:00:00Z", "2000-00-00T00:00:00Z", "2000-01-01T00:00:00Z"]
)
def test_a_date_from_before_the_receiver_knows_it_is_no_time(time):
    said = sentence(f"BNRDD,2023,{time},45,2,138,A,{PLACE},5,300")
    assert said.time_us is None
    assert said.fields()["time"] is None
    reading = as_decoded(said, dead_time=False)
    assert Flag.CLOCK_UNSYNCED in reading.flags
    assert reading.raw == time


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (sealed(f"{HEAD},37.494,139.94,256.40,A,5,300"), LengthError),
        (sealed(f"{HEAD},{PLACE},5,300,1"), LengthError),
        (f"${HEAD},{PLACE},5,300".encode(), LengthError),
        (f"${HEAD},{PLACE},5,300*00".encode(), ChecksumError),
        (f"${HEAD},{PLACE},5,300*7".encode(), ChecksumError),
        (f"${HEAD},{PLACE},5,300*7D0".encode(), ChecksumError),
        (f"${HEAD},{PLACE},5,300*+D".encode(), ChecksumError),
        (sealed(f"GPRMC,{PLACE}"), UnexpectedReply),
        (sealed(f"{HEAD},{PLACE},5,x"), FieldError),
        (sealed(f"{HEAD},{PLACE},5,1_0"), FieldError),
        (sealed(f"{HEAD},3729.65.09,N,13956.5519,E,256.40,A,5,300"), FieldError),
        (sealed(f"{HEAD},3761.0000,N,13956.5519,E,256.40,A,5,300"), FieldError),
        (sealed(f"{HEAD},9129.0000,N,13956.5519,E,256.40,A,5,300"), FieldError),
        (sealed(f"{HEAD},3729.6509,N,-13956.5519,E,256.40,A,5,300"), FieldError),
        (sealed(f"{HEAD},3729.6509,X,13956.5519,E,256.40,A,5,300"), FieldError),
        (sealed(f"{HEAD},{PLACE[:-1]}Q,5,300"), FieldError),
        (sealed(HEAD.replace(",45,", ",-45,") + f",{PLACE},5,300"), FieldError),
        (sealed(HEAD.replace(",45,", ",nan,") + f",{PLACE},5,300"), FieldError),
        (sealed(HEAD.replace("-11-01T", "/11/01 ") + f",{PLACE},5,300"), FieldError),
        (b"", FieldError),
        (b"$", LengthError),
        (b"$*00", UnexpectedReply),
        (b"\xff\xfe", FieldError),
    ],
)
def test_a_damaged_sentence_is_refused_by_its_kind(line, error):
    with pytest.raises(error):
        decode_sentence(line)


def test_a_checksum_in_small_letters_is_accepted():
    line = sealed(f"{HEAD},{PLACE},5,300")
    assert decode_sentence(line[:-2] + line[-2:].lower()) == decode_sentence(line)


def test_the_value_is_counts_of_five_seconds_over_their_live_time():
    reading = as_decoded(sentence(f"{HEAD},{PLACE},5,300"), dead_time=False)
    assert (reading.value, reading.livetime_s) == (0.4, 5.0)
    assert reading.quality is Quality.GOOD
    assert reading.flags == ()


def test_dead_time_shortens_the_live_time_as_the_firmware_corrects_its_counts():
    said = sentence(f"BNRDD,1,2013-11-01T23:51:55Z,60000,5000,5000,A,{PLACE},5,300")
    reading = as_decoded(said, dead_time=True)
    per_minute = 60000
    assert reading.value * 60 == pytest.approx(per_minute / (1 - per_minute * 1.8833e-6))
    assert reading.value * reading.livetime_s == pytest.approx(5000)


def test_more_counts_than_a_dead_tube_can_give_are_over_range_and_not_lost():
    said = sentence(f"BNRDD,1,2013-11-01T23:51:55Z,9,90000,90000,A,{PLACE},5,300")
    reading = as_decoded(said, dead_time=True)
    assert reading.value == 18000.0
    assert Flag.OVER_RANGE in reading.flags
    assert reading.quality is Quality.UNCERTAIN


def test_a_counter_that_warms_up_is_uncertain_and_keeps_its_counts():
    said = sentence(f"{HEAD[:-1]}V,{PLACE},5,300")
    reading = as_decoded(said, dead_time=False)
    assert reading.value == 0.4
    assert reading.quality is Quality.UNCERTAIN
    assert Flag.WARMING_UP in reading.flags


def test_no_counts_and_void_is_no_zero_background():
    said = sentence(f"BNRDD,1,2013-11-01T23:51:55Z,0,0,0,V,{PLACE},5,300")
    reading = as_decoded(said, dead_time=False)
    assert reading.value is None
    assert reading.quality is Quality.BAD


@pytest.mark.parametrize("place", [PLACE[:-1] + "V", ",,,,,V", "0000.0000,N,00000.0000,E,0.00,A"])
def test_a_receiver_without_a_fix_takes_nothing_from_the_counts(place):
    reading = as_decoded(sentence(f"{HEAD},{place},0,9999"), dead_time=False)
    assert reading.value == 0.4
    assert reading.quality is Quality.GOOD
    assert Flag.NO_FIX in reading.flags
    assert reading.fix is None or reading.fix.gnss_fix is False


def test_status_sentences_and_comments_are_told_apart_from_measurements():
    profile = load_profile("safecast-bgeigie")
    status = sealed("BNXSTS,0300,2013-11-01T23:51:55Z,23,45,3900,1")
    assert fields(status, {}, profile)["header"] == "BNXSTS"
    assert fields(b"# format=1.2.9nano\r\n", {}, profile) == {"comment": "format=1.2.9nano"}
    assert decode_readings(status, {}, profile) == []
    assert decode_readings(b"# NEW LOG", {}, profile) == []


def test_noise_before_the_last_start_is_passed_over():
    good = sealed(f"{HEAD},{PLACE},5,300")
    profile = load_profile("safecast-bgeigie")
    assert fields(b"\x00\xff$BNRDD,20" + good, {}, profile) == fields(good, {}, profile)


def test_a_reading_survives_json():
    reading = as_decoded(sentence(f"{HEAD},{PLACE},5,300"), dead_time=False)
    assert msgspec.json.decode(msgspec.json.encode(reading))["value"] == 0.4


def test_every_single_bit_error_is_refused():
    line = sealed(f"{HEAD},{PLACE},5,300")
    good = decode_sentence(line)
    for position in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[position] ^= 1 << bit
            try:
                assert decode_sentence(bytes(flipped)) == good
            except FrameError:
                continue
