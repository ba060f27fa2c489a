"""Every driver and every profile keeps the rules of `drivers/README.md`."""

import contextlib
import functools
import inspect
import json
import re
from pathlib import Path

import msgspec
import pytest

from cbrn_core.errors import ConfigError, FrameError
from cbrn_core.quantities import canonical_unit
from cbrn_core.units import UnitError, convert
from cbrn_drivers.catalogue import driver_keys, load_driver, load_profile, profile_names
from cbrn_drivers.instruments import README, with_table

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
FIGURES = (
    "t90_s",
    "tau_rise_s",
    "tau_fall_s",
    "sigma",
    "range",
    "lod",
    "usv_h_per_cps",
)


def golden_frames():
    for path in sorted(GOLDEN.glob("*.json")):
        document = json.loads(path.read_text())
        try:
            profile = load_profile(document["device"])
        except ConfigError:
            continue
        for frame in document["frames"]:
            yield pytest.param(profile, frame, id=f"{path.stem}-{frame['id']}")


def bytes_of(frame):
    if "input_hex" in frame:
        return bytes.fromhex(frame["input_hex"])
    return frame["input_text"].encode("latin-1")


def damaged(frame):
    """Every beginning of a frame, and every single-bit error of its first 64 bytes."""
    yield from (frame[:n] for n in range(len(frame)))
    for position in range(min(len(frame), 64)):
        for bit in range(8):
            flipped = bytearray(frame)
            flipped[position] ^= 1 << bit
            yield bytes(flipped)


@pytest.mark.parametrize("key", driver_keys())
def test_a_driver_says_which_document_it_follows(key):
    driver = load_driver(key)
    assert re.search(r"\bDocuments?:|\bSources?:", inspect.getdoc(driver)), "cite the document"


@pytest.mark.parametrize("key", driver_keys())
def test_a_driver_offers_what_the_catalogue_expects(key):
    driver = load_driver(key)
    assert load_profile(driver.PROFILE).driver == key
    assert issubclass(driver.Options, msgspec.Struct)
    assert driver.Options.__struct_config__.forbid_unknown_fields
    for name, parameters in {
        "open_bus": ["devices", "clock"],
        "bus_key": ["options"],
        "fields": ["frame", "options", "profile"],
        "decode_readings": ["frame", "options", "profile"],
    }.items():
        found = [p.lstrip("_") for p in inspect.signature(getattr(driver, name)).parameters]
        assert found == parameters, name


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_names_a_driver_that_exists(name):
    assert load_profile(name).driver in driver_keys()


@pytest.mark.parametrize("name", profile_names())
def test_every_figure_of_a_profile_has_a_source(name):
    for channel in load_profile(name).channels:
        given = {f for f in FIGURES if getattr(channel, f) is not None}
        given |= {"also_answers_to"} if channel.also_answers_to else set()
        missing = given - channel.source.keys()
        assert not missing, f"{channel.id}: no source for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", profile_names())
def test_a_dose_factor_stands_only_with_counts(name):
    for channel in load_profile(name).channels:
        assert channel.usv_h_per_cps is None or channel.counting


@pytest.mark.parametrize("name", profile_names())
def test_every_channel_has_a_unit_of_its_quantity(name):
    for channel in load_profile(name).channels:
        try:
            convert(1.0, channel.unit, canonical_unit(channel.quantity), molar_mass_g_mol=50.0)
        except UnitError as error:
            pytest.fail(f"{channel.id}: {error}")


def test_no_two_profiles_answer_to_one_name():
    names = [n for p in profile_names() for n in (p, *load_profile(p).aliases)]
    assert len(names) == len(set(names))


def test_the_table_of_instruments_is_up_to_date():
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m cbrn_drivers.instruments"


@pytest.mark.parametrize(("profile", "frame"), list(golden_frames()))
def test_no_damage_to_a_published_frame_gives_anything_but_a_frame_error(profile, frame):
    driver = load_driver(profile.driver)
    options = {"profile": profile.name, "gas": "cl2"}
    if "request" in frame:
        options["request"] = frame["request"]
    for broken in damaged(bytes_of(frame)):
        for decode in (
            functools.partial(driver.fields, broken, options, profile),
            functools.partial(driver.decode_readings, broken, options, profile),
        ):
            with contextlib.suppress(FrameError):
                decode()
