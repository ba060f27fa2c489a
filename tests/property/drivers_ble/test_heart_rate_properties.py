"""Any octets are a value or a FrameError; any order of events keeps the links' rules."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import FrameError
from cbrn_core.reading import Quality
from cbrn_drivers.codec.heart_rate import (
    Contact,
    decode_battery,
    decode_location,
    decode_measurement,
)
from cbrn_drivers.transport.ble_slots import MOST_WAIT_S, Slots
from cbrn_drivers.wearable.heart_rate import FASTEST_BPM, as_decoded

MANY = examples(2000)
any_value = st.one_of(st.binary(max_size=24), st.binary(max_size=600))


@MANY
@given(any_value)
def test_any_octets_are_a_measurement_or_a_frame_error(octets):
    try:
        measured = decode_measurement(octets)
    except FrameError:
        return
    msgspec.json.encode(measured.fields())
    said = as_decoded(measured)
    assert said.value is None or 0 < said.value <= FASTEST_BPM
    assert (said.value is None) == (said.quality is Quality.BAD)
    assert bool(said.flags) == (said.quality is not Quality.GOOD)


@MANY
@given(st.binary(max_size=4))
def test_any_octets_are_a_place_and_a_level_or_frame_errors(octets):
    for decode in (decode_location, decode_battery):
        try:
            value = decode(octets)
        except FrameError:
            continue
        assert 0 <= value <= 100


@MANY
@given(
    rate_bpm=st.integers(0, 0xFFFF),
    contact=st.sampled_from(Contact),
    energy_kj=st.none() | st.integers(0, 0xFFFF),
    rr_1024=st.lists(st.integers(0, 0xFFFF), max_size=9),
    is_wide=st.booleans(),
)
def test_what_is_encoded_by_the_document_comes_back(rate_bpm, contact, energy_kj, rr_1024, is_wide):
    is_wide = is_wide or rate_bpm > 0xFF
    bits = {Contact.NOT_SUPPORTED: 0, Contact.NOT_DETECTED: 4, Contact.DETECTED: 6}[contact]
    flags = is_wide | bits | (8 if energy_kj is not None else 0) | (16 if rr_1024 else 0)
    octets = bytes((flags,)) + rate_bpm.to_bytes(2 if is_wide else 1, "little")
    if energy_kj is not None:
        octets += energy_kj.to_bytes(2, "little")
    octets += b"".join(interval.to_bytes(2, "little") for interval in rr_1024)
    measured = decode_measurement(octets)
    assert (measured.rate_bpm, measured.contact) == (rate_bpm, contact)
    assert (measured.energy_kj, measured.rr_1024) == (energy_kj, tuple(rr_1024))


NAMES = "abcdef"
events = st.lists(
    st.tuples(
        st.sampled_from(["seen", "grant", "yield", "fail", "progress", "unsee", "wait"]),
        st.sampled_from(NAMES),
        st.integers(0, 40_000_000),
    ),
    max_size=60,
)


class Story:
    """Slots beside a plain account of who holds a link."""

    def __init__(self, priorities, most):
        self.slots, self.most = Slots(priorities, most), most
        self.held, self.now_us = set(), 0

    def happen(self, verb, name, elapsed_us):
        match verb:
            case "wait":
                self.now_us += elapsed_us
            case "seen":
                self.slots.seen(name, self.now_us)
            case "unsee":
                self.slots.unsee(name)
            case "progress" if name in self.held:
                self.slots.progressed(name, self.now_us)
            case "fail" if name in self.held:
                self.held.discard(name)
                self.slots.failed(name, self.now_us)
            case "grant":
                self.grant()
            case "yield":
                self.pass_on()

    def grant(self):
        granted = self.slots.grant(self.now_us)
        assert self.held.isdisjoint(granted)
        self.held |= set(granted)

    def pass_on(self):
        for loser in self.slots.yielding(self.now_us):
            assert loser in self.held
            self.held.discard(loser)
            self.slots.yielded(loser, self.now_us)
        self.grant()


@examples(500)
@given(
    priorities=st.fixed_dictionaries({name: st.integers(1, 3) for name in NAMES}),
    most=st.integers(1, 4),
    events=events,
)
def test_links_are_never_too_many_and_the_important_are_never_kept_out(priorities, most, events):
    story = Story(priorities, most)
    for event in events:
        story.happen(*event)
        assert story.slots.held == len(story.held) <= most
    story.now_us += int(MOST_WAIT_S * 1e6) + 1
    for name in NAMES:
        story.slots.seen(name, story.now_us)
    story.grant()
    story.pass_on()
    assert len(story.held) == most
    assert sorted(priorities[n] for n in story.held) == sorted(priorities.values())[:most]
