"""GQ GMC: dialects, counts, voltages, calibration, and what must be refused."""

import struct
from pathlib import Path

import pytest

from cbrn_core.errors import FieldError, FrameError, LengthError, UnexpectedReply
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.codec import gmc
from cbrn_drivers.codec.gmc import Calibration, Dialect
from cbrn_drivers.codec.gmc_replies import decode_reply, reply_readings
from cbrn_drivers.radiation import gmc as driver


@pytest.mark.parametrize(
    ("text", "model", "firmware", "dialect"),
    [
        ("GMC-300SRe 1.14", "GMC-300S", "Re 1.14", Dialect.RFC1201),
        ("GMC-320Re 4.26", "GMC-320", "Re 4.26", Dialect.RFC1201),
        ("GMC-320SRe 1.15", "GMC-320S", "Re 1.15", Dialect.RFC1201),
        ("GMC-SE Re 1.05", "GMC-SE", "Re 1.05", Dialect.RFC1201),
        ("GMC-500+Re 2.22", "GMC-500+", "Re 2.22", Dialect.RFC1801),
        ("GMC-600+Re 2.52", "GMC-600+", "Re 2.52", Dialect.RFC1801),
        ("GMC-800Re1.08", "GMC-800", "Re1.08", Dialect.GMC800),
    ],
)
def test_every_version_seen_in_the_field_names_its_model_and_dialect(
    text, model, firmware, dialect
):
    version = gmc.decode_version(text.encode())
    assert (version.version, version.model, version.firmware) == (text, model, firmware)
    assert gmc.dialect_of(version.model) is dialect


@pytest.mark.parametrize("reply", [b"", b"GMC", b"\x00" * 14, b"G" * 40, b"GMC-300\xff Re 1"])
def test_a_version_that_is_no_text_of_the_right_length_is_refused(reply):
    with pytest.raises(FrameError):
        gmc.decode_version(reply)


def test_a_version_of_another_maker_is_refused():
    with pytest.raises(UnexpectedReply):
        gmc.decode_version(b"RadPro 2.0.1 xx")


def test_a_model_without_a_document_is_refused_and_not_guessed():
    with pytest.raises(UnexpectedReply, match="dialect"):
        gmc.dialect_of("GMC-900")


@pytest.mark.parametrize(
    ("reply", "volts"), [(b"\x62", 9.8), (b"4.0v\x00", 4.0), (b"3.97v", 3.97), (b"3.95v", 3.95)]
)
def test_both_spellings_of_a_voltage_are_read(reply, volts):
    assert gmc.decode_voltage(reply) == pytest.approx(volts)


@pytest.mark.parametrize("reply", [b"", b"4.0", b"-3.9v", b"nan v", b"3.97V", b"\xff" * 5])
def test_a_voltage_of_another_shape_is_refused(reply):
    with pytest.raises(FrameError):
        gmc.decode_voltage(reply)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("length", [0, 1, 3, 5, 8])
def test_a_count_of_the_wrong_length_is_refused(dialect, length):
    with pytest.raises(LengthError):
        gmc.decode_count(bytes(length), dialect)


def test_a_heartbeat_has_no_reserved_bits_in_rfc1201_and_all_bits_in_rfc1801():
    assert gmc.decode_heartbeat(b"\xc0\x1c", Dialect.RFC1201) == 28
    assert gmc.decode_heartbeat(b"\x00\x00\xc0\x1c", Dialect.RFC1801) == 0xC01C


def rfc1801_config(*points):
    config = bytearray(512)
    for offset, (cpm, usv_h) in zip((8, 14, 20), points, strict=True):
        struct.pack_into(">Hf", config, offset, cpm, usv_h)
    return bytes(config)


def test_a_calibration_point_below_the_one_before_is_skipped():
    config = rfc1801_config((100, 0.65), (30000, 195.0), (25, 4.85))
    points = gmc.decode_calibration(config, Dialect.RFC1801).points
    assert [cpm for cpm, _ in points] == [100, 30000]


def test_the_calibration_is_linear_between_its_points_and_goes_on_behind_the_last():
    calibration = Calibration(((100, 1.0), (200, 3.0)))
    assert calibration.dose_rate_usv_h(50) == pytest.approx(0.5)
    assert calibration.dose_rate_usv_h(100) == pytest.approx(1.0)
    assert calibration.dose_rate_usv_h(150) == pytest.approx(2.0)
    assert calibration.dose_rate_usv_h(400) == pytest.approx(7.0)
    assert calibration.usv_h_per_cps == pytest.approx(0.6)


def test_the_configuration_of_a_gmc_800_has_its_points_elsewhere():
    config = bytearray(512)
    for i, (cpm, usv_h) in enumerate(
        [(60, 0.39), (240, 1.56), (1000, 6.5), (0, 0), (0, 0), (0, 0)]
    ):
        struct.pack_into(">I", config, 73 + 4 * i, cpm)
        struct.pack_into(">f", config, 97 + 4 * i, usv_h)
    points = gmc.decode_calibration(bytes(config), Dialect.GMC800).points
    assert points == (
        (60, pytest.approx(0.39)),
        (240, pytest.approx(1.56)),
        (1000, pytest.approx(6.5)),
    )


@pytest.mark.parametrize("config", [bytes(512), b"\xff" * 512])
def test_an_erased_configuration_has_no_calibration(config):
    with pytest.raises(FieldError):
        gmc.decode_calibration(config, Dialect.RFC1801)


def test_a_half_configuration_is_refused():
    with pytest.raises(LengthError):
        gmc.decode_calibration(bytes(511), Dialect.RFC1801)


@pytest.mark.parametrize("reply", ["170d0a0c0f05aa", "17020a18000000", "170b0a0c0f05ab", "170b0a"])
def test_an_impossible_clock_is_refused(reply):
    with pytest.raises(FrameError):
        gmc.decode_datetime(bytes.fromhex(reply))


def test_a_temperature_has_a_sign():
    assert gmc.decode_temperature(bytes((23, 5, 0, 0xAA))) == pytest.approx(23.5)
    assert gmc.decode_temperature(bytes((7, 2, 1, 0xAA))) == pytest.approx(-7.2)


def test_the_request_decides_what_two_bytes_mean():
    cpm = decode_reply(b"\x40\x17", {"request": "<GETCPM>>"}, Dialect.RFC1201)
    cps = decode_reply(b"\x40\x17", {"request": "<HEARTBEAT1>>"}, Dialect.RFC1201)
    assert (cpm, cps) == ({"cpm": 0x4017}, {"cps": 23})


def test_counts_of_a_second_and_of_a_minute_carry_their_live_time():
    (second,) = reply_readings({"cps": 3})
    (minute,) = reply_readings({"cpm": 90})
    assert (second.value, second.livetime_s) == (3.0, 1.0)
    assert (minute.value, minute.livetime_s) == (1.5, 60.0)
    assert second.channel == minute.channel == "gamma"


def test_a_reply_without_its_request_is_a_count_or_is_refused():
    assert decode_reply(b"\x00\x17", {}, Dialect.RFC1201) == {"cpm": 23}
    with pytest.raises(LengthError, match="request"):
        decode_reply(b"\x00\x17\x00", {}, Dialect.RFC1201)


def test_an_unknown_request_is_refused_with_the_list_of_those_that_have_a_reply():
    with pytest.raises(FieldError, match="GETCPM"):
        decode_reply(b"\x00\x17", {"request": "<REBOOT>>"}, Dialect.RFC1201)


def test_an_unknown_dialect_is_refused():
    with pytest.raises(FieldError, match="rfc1801"):
        driver.fields(b"\x00\x17", {"dialect": "rfc9999"}, load_profile("gq-gmc-500"))


def test_the_driver_holds_no_command_that_writes_the_configuration():
    source = Path(driver.__file__).read_text(encoding="utf-8")
    for command in ("ECFG", "WCFG", "CFGUPDATE", "FACTORYRESET", "SETDATE", "POWEROFF", "KEY"):
        assert f"<{command}" not in source
