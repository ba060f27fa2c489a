"""Winsen ZE03: scales by gas, mode answers, and what must be refused."""

import pytest

from cbrn_core.errors import ChecksumError, ConfigError, FieldError, LengthError, UnexpectedReply
from cbrn_core.reading import Flag, Quality
from cbrn_core.units import Unit
from cbrn_drivers.catalogue import channel_ids, load_driver, load_profile, parse_options
from cbrn_drivers.chemical.winsen_ze03 import as_decoded, decode_readings
from cbrn_drivers.codec.checksum import negated_sum8
from cbrn_drivers.codec.winsen import GASES, decode_frame

PROFILE = load_profile("winsen-ze03")


def sealed(*body):
    return bytes((0xFF, *body, negated_sum8(bytes(body))))


@pytest.mark.parametrize("gas", ["co", "nh3", "h2s", "hf"])
def test_a_count_is_one_ppm_for_these_cells(gas):
    (reading,) = decode_readings(sealed(0x86, 1, 4, 0, 0, 0, 0), {"gas": gas}, PROFILE)
    assert (reading.channel, reading.value, reading.unit) == (gas, 260.0, Unit.PPM)


@pytest.mark.parametrize("gas", ["so2", "no2", "cl2", "o3"])
def test_a_count_is_a_tenth_of_a_ppm_for_these_cells(gas):
    (reading,) = decode_readings(sealed(0x86, 0, 31, 0, 0, 0, 0), {"gas": gas}, PROFILE)
    assert reading.value == pytest.approx(3.1)
    assert reading.unit is Unit.PPM


def test_oxygen_is_a_tenth_of_a_volume_percent():
    (reading,) = decode_readings(sealed(0x86, 0, 209, 0, 0, 0, 0), {"gas": "o2"}, PROFILE)
    assert reading.value == pytest.approx(20.9)
    assert reading.unit is Unit.PCT_VOL


def test_without_the_cell_nothing_is_guessed():
    with pytest.raises(ConfigError, match="cl2"):
        decode_readings(sealed(0x86, 0, 31, 0, 0, 0, 0), {}, PROFILE)


def test_the_profile_has_a_channel_for_every_gas_and_a_device_has_one():
    assert {c.id for c in PROFILE.channels} == set(GASES)
    assert all(c.unit is GASES[c.id].unit for c in PROFILE.channels)
    assert all(c.quantity is GASES[c.id].quantity for c in PROFILE.channels)
    driver = load_driver("chemical.winsen_ze03")
    options = parse_options(driver, {"port": "/dev/ttyS0", "gas": "cl2"})
    assert channel_ids(driver, options, PROFILE) == ("cl2",)


def test_bytes_that_should_be_zero_make_a_reading_uncertain_and_do_not_hide_it():
    reading = as_decoded(decode_frame(sealed(0x86, 0, 31, 0, 0, 0, 7)), "cl2")
    assert reading.value == pytest.approx(3.1)
    assert reading.quality is Quality.UNCERTAIN


def test_a_module_that_warms_up_says_so_and_keeps_its_value():
    reading = as_decoded(decode_frame(sealed(0x86, 0, 31, 0, 0, 0, 0)), "cl2", warming_up=True)
    assert reading.value == pytest.approx(3.1)
    assert reading.flags == (Flag.WARMING_UP,)
    assert reading.quality is Quality.UNCERTAIN


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"", LengthError),
        (sealed(0x86, 0, 5, 0, 0, 0, 0)[:8], LengthError),
        (sealed(0x86, 0, 5, 0, 0, 0, 0) + b"\x00", LengthError),
        (b"\xfe" + sealed(0x86, 0, 5, 0, 0, 0, 0)[1:], FieldError),
        (sealed(0x86, 0, 5, 0, 0, 0, 0)[:8] + b"\x00", ChecksumError),
        (sealed(0x17, 4, 0, 0, 0x25, 0x13, 0x88), UnexpectedReply),
    ],
)
def test_a_damaged_or_foreign_frame_is_refused_by_its_kind(frame, error):
    with pytest.raises(error):
        decode_frame(frame)


def test_every_single_bit_error_is_refused():
    frame = sealed(0x86, 0, 31, 0, 0, 0, 0)
    for position in range(9):
        for bit in range(8):
            flipped = bytearray(frame)
            flipped[position] ^= 1 << bit
            with pytest.raises((ChecksumError, FieldError)):
                decode_frame(bytes(flipped))
