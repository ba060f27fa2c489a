"""What heart-rate wearables send, octet by octet, and what is made of it."""

import json
from pathlib import Path

import pytest

from cbrn_core.channel import Device
from cbrn_core.clock import ManualClock, Now
from cbrn_core.errors import ConfigError, FieldError, FrameError, LengthError
from cbrn_core.reading import Flag, Quality
from cbrn_drivers.catalogue import channel_ids, load_driver, load_profile, parse_options
from cbrn_drivers.codec.heart_rate import (
    BodyLocation,
    Contact,
    HeartRate,
    decode_battery,
    decode_location,
    decode_measurement,
)
from cbrn_drivers.decode import decode_line, decode_lines
from cbrn_drivers.transport.ble_peripheral import Notified, Polled
from cbrn_drivers.wearable.heart_rate import HeartRateDriver, _Seat, as_decoded

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "ble_hrs.json"
FRAMES = json.loads(GOLDEN.read_text())["frames"]
DRIVER = load_driver("wearable.heart_rate")
PROFILE = load_profile("bluetooth-heart-rate")
ADDRESS = "C0:FF:EE:00:00:01"


def device(name="strap", **options):
    table = {"address": ADDRESS, **options}
    present = channel_ids(DRIVER, parse_options(DRIVER, table), PROFILE)
    return Device(
        id=name,
        station="w01",
        driver=PROFILE.driver,
        profile=PROFILE.name,
        bus="ble",
        channels=tuple(
            PROFILE.channel(c).as_channel(station="w01", device=name, grade=PROFILE.grade)
            for c in present
        ),
        options=table,
    )


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["id"])
def test_a_published_value_gives_the_published_fields(frame):
    assert decode_line("ble_hrs", frame["input_hex"], "hex", {}, fields=True) == frame["expect"]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["id"])
def test_a_published_value_gives_its_heart_rate(frame):
    (reading,) = decode_lines("ble_hrs", frame["input_hex"], "hex", {}, fields=False)
    assert (reading["channel"], reading["value"]) == ("heart_rate", frame["expect"]["hr_bpm"])
    assert (reading["unit"], reading["quality"]) == ("bpm", "good")


def test_there_are_as_many_values_as_the_protocol_document_has():
    assert len(FRAMES) == 4


@pytest.mark.parametrize(
    ("flags", "contact"),
    [
        (0x00, Contact.NOT_SUPPORTED),
        (0x02, Contact.NOT_SUPPORTED),
        (0x04, Contact.NOT_DETECTED),
        (0x06, Contact.DETECTED),
    ],
)
def test_contact_counts_only_where_the_sensor_can_tell(flags, contact):
    assert decode_measurement(bytes((flags, 60))).contact is contact


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x00",
        b"\x01\x50",
        b"\x08\x50",
        b"\x08\x50\x01",
        b"\x09\x50\x00\x01",
        b"\x00" * 513,
    ],
)
def test_a_value_that_ends_too_early_or_is_too_long_is_refused(octets):
    with pytest.raises(LengthError):
        decode_measurement(octets)


def test_all_fields_at_once_keep_their_places():
    octets = bytes.fromhex("1f 2c01 d204 0004 ff03")
    expected = HeartRate(300, Contact.DETECTED, 1234, (1024, 1023))
    assert decode_measurement(octets) == expected


def test_reserved_bits_and_an_odd_last_octet_are_ignored():
    assert decode_measurement(b"\xe0\x46\x99\x99").rate_bpm == 70
    assert decode_measurement(b"\x10\x46\x00\x04\x07").rr_1024 == (1024,)
    assert decode_measurement(b"\x10\x46").rr_1024 == ()


def test_the_place_on_the_body_is_named_or_refused():
    assert decode_location(b"\x01") is BodyLocation.CHEST
    with pytest.raises(FieldError):
        decode_location(b"\x07")
    for wrong in (b"", b"\x01\x01"):
        with pytest.raises(LengthError):
            decode_location(wrong)


def test_a_battery_level_is_a_percentage_or_refused():
    assert decode_battery(b"\x64") == 100
    with pytest.raises(FieldError):
        decode_battery(b"\x65")
    with pytest.raises(LengthError):
        decode_battery(b"")


def test_decode_takes_the_characteristic_as_an_option():
    assert decode_line("ble_hrs", "01", "hex", {"uuid": "2a38"}, fields=True) == {
        "location": "chest"
    }
    (battery,) = decode_lines("ble_hrs", "57", "hex", {"uuid": "2A19"}, fields=False)
    assert (battery["channel"], battery["value"], battery["unit"]) == ("battery", 87.0, "%")
    wrong = decode_line("ble_hrs", "57", "hex", {"uuid": "1234"}, fields=True)
    assert wrong["error"] == "field"


def measured(rate_bpm, contact=Contact.DETECTED):
    return as_decoded(HeartRate(rate_bpm, contact, None, ()))


def test_a_rate_on_the_skin_is_good():
    said = measured(61)
    assert (said.value, said.quality, said.flags, said.detection) == (61.0, Quality.GOOD, (), None)


def test_a_rate_off_the_skin_is_uncertain_and_says_why():
    said = measured(61, Contact.NOT_DETECTED)
    assert (said.value, said.quality) == (61.0, Quality.UNCERTAIN)
    assert said.flags == (Flag.INSTRUMENT_WARNING,)
    assert said.detection.text == "no skin contact"


@pytest.mark.parametrize("rate_bpm", [0, 301, 65535])
@pytest.mark.parametrize("contact", list(Contact))
def test_what_can_be_no_hearts_rate_is_no_value(rate_bpm, contact):
    said = measured(rate_bpm, contact)
    assert (said.value, said.quality, said.raw) == (None, Quality.BAD, rate_bpm)
    assert said.flags == (Flag.INSTRUMENT_WARNING,)


def test_no_word_about_a_value_holds_the_value():
    for rate_bpm in (173, 301, 65535):
        for contact in Contact:
            said = measured(rate_bpm, contact)
            assert said.detection is None or str(rate_bpm) not in said.detection.text


def test_values_of_one_moment_keep_apart_in_order():
    seat = _Seat(device())
    at = Now(5, 1_000_000)
    times = [seat.measured(Notified(ADDRESS, bytes((0, 60 + k)), at))[0].time_us for k in range(4)]
    assert times == [1_000_000, 1_000_001, 1_000_002, 1_000_003]


def test_a_clock_that_is_set_back_takes_the_times_with_it():
    seat = _Seat(device())
    first = seat.measured(Notified(ADDRESS, b"\x00\x3c", Now(5, 9_000_000)))[0]
    second = seat.measured(Notified(ADDRESS, b"\x00\x3c", Now(6, 4_000_000)))[0]
    assert (first.time_us, second.time_us) == (9_000_000, 4_000_000)


def test_battery_and_signal_are_readings_only_where_they_are_channels():
    polled = Polled(ADDRESS, b"\x57", -70, Now(5, 5))
    assert [r.channel for r in _Seat(device()).polled(polled)] == ["battery"]
    both = _Seat(device(signal=True)).polled(polled)
    assert [(r.channel, r.value) for r in both] == [("battery", 87.0), ("signal", -70.0)]
    assert _Seat(device(battery=False)).polled(polled) == []
    assert _Seat(device(battery=False)).peripheral().polled is None


def test_what_a_wearable_does_not_tell_is_null():
    said = _Seat(device(signal=True)).polled(Polled(ADDRESS, None, None, Now(5, 5)))
    assert [(r.value, r.quality) for r in said] == [(None, Quality.UNCERTAIN)] * 2


def test_a_battery_level_that_is_none_is_refused():
    with pytest.raises(FrameError):
        _Seat(device()).polled(Polled(ADDRESS, b"\xff", None, Now(5, 5)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"address": "C0:FF:EE:00:00"}, "address"),
        ({"address": "strap"}, "address"),
        ({"adapter": "usb0"}, "adapter"),
        ({"priority": 0}, "priority"),
        ({"silence_s": 0.0}, "silence_s"),
        ({"links_most": 0}, "links_most"),
        ({"spare_adapter": "eth0"}, "spare_adapter"),
        ({"adress": "x"}, "adress"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(options, reason):
    with pytest.raises(ConfigError, match=reason):
        parse_options(DRIVER, {"address": ADDRESS, **options})


def test_wearables_of_one_adapter_share_a_bus_however_it_is_written():
    keys = {
        DRIVER.bus_key(parse_options(DRIVER, {"address": ADDRESS, "adapter": adapter}))
        for adapter in ("AA:00:00:00:00:01", "aa:00:00:00:00:01", "hci0")
    }
    assert keys == {"ble:aa:00:00:00:00:01", "ble:hci0"}


def test_one_address_twice_is_refused():
    twice = [device("a"), device("b", address=ADDRESS.lower())]
    with pytest.raises(ConfigError, match="has the address"):
        DRIVER.open_bus(twice, ManualClock())


@pytest.mark.parametrize(
    "options", [{"links_most": 3}, {"power_cycle": True}, {"spare_adapter": "hci1"}]
)
def test_what_holds_for_the_adapter_is_said_alike_by_all(options):
    other = device("b", address="C0:FF:EE:00:00:02", **options)
    with pytest.raises(ConfigError, match=next(iter(options))):
        DRIVER.open_bus([device("a"), other], ManualClock())


def test_an_adapter_is_not_its_own_spare():
    with pytest.raises(ConfigError, match="spare_adapter: hci0 is the adapter itself"):
        DRIVER.open_bus([device("a", spare_adapter="hci0")], ManualClock())


def test_nothing_is_opened_and_no_bluetooth_library_loaded_to_make_a_driver():
    driver = DRIVER.open_bus([device()], ManualClock())
    assert isinstance(driver, HeartRateDriver)
    assert driver.counters() == {"links": 0, "waiting_for_link": 0}
