import asyncio
import struct

import msgspec
import pytest

from cbrn_core.channel import Device, Grade
from cbrn_core.clock import ManualClock
from cbrn_core.errors import ExceptionReply, ReadTimeout
from cbrn_core.reading import Flag, InstrumentAlarm, Quality
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.modbus_device import Detector
from cbrn_drivers.modbus_profile import Heartbeat, register_map

XCD = load_profile("sensepoint-xcd")
REGISTERS = register_map(XCD)
UNIT = 5


def words_of(value: float) -> tuple[int, ...]:
    return struct.unpack(">HH", struct.pack(">f", value))


def xcd_words() -> dict[int, int]:
    """Return the registers of a healthy detector in clean air, by address."""
    words = dict.fromkeys(range(60), 0)
    words[0] = 0x2500 | UNIT
    words[2], words[3] = words_of(0.5)
    words[6], words[10] = 1, 4
    words[16] = 21
    words |= {45 + i: w for i, w in enumerate(struct.unpack(">7H", b"Chlorine".ljust(14)))}
    words[56], words[57] = words_of(24.0)
    return words


class Bench:
    """A detector with its registers in a dict; `asked` are the reads it saw."""

    def __init__(self, channels=("cl2",), registers=REGISTERS):
        self.clock = ManualClock(start_us=1_000_000_000)
        self.words = xcd_words()
        self.refusals: dict[int, int] = {}
        self.silent_at: set[int] = set()
        self.asked: list[tuple[int, int]] = []
        self.counts: list[str] = []
        device = Device(
            id="x1",
            station="st01",
            driver="chemical.modbus_detector",
            profile=XCD.name,
            bus="b",
            channels=tuple(
                XCD.channel(c).as_channel(station="st01", device="x1", grade=Grade.PROFESSIONAL)
                for c in channels
            ),
        )
        self.detector = Detector(
            device,
            registers,
            unit_id=UNIT,
            clock=self.clock,
            read=self.read,
            count=self.counts.append,
        )

    async def read(self, request):
        self.asked.append((request.address, request.size))
        self.clock.advance(0.02)
        places = range(request.address, request.address + request.size)
        if self.silent_at.intersection(places):
            raise ReadTimeout("nothing")
        for place in places:
            if place in self.refusals:
                raise ExceptionReply(self.refusals[place], "refused")
            if place not in self.words:
                raise ExceptionReply(2, "refused")
        return tuple(self.words[place] for place in places)

    def poll(self):
        return asyncio.run(self.detector.poll())


def test_identity_and_gas_are_proven_before_the_first_sample_and_only_then():
    bench = Bench()
    (reading,) = bench.poll()
    assert bench.asked == [(0, 1), (45, 7), (2, 9)]
    assert (reading.channel, reading.value, reading.quality) == ("cl2", 0.5, Quality.GOOD)
    bench.poll()
    assert bench.asked[3:] == [(2, 9)]


def test_a_reading_is_stamped_half_way_between_question_and_answer():
    bench = Bench()
    bench.poll()
    asked_us = bench.clock.now().steady_us
    (reading,) = bench.poll()
    assert reading.time_us == asked_us + 10_000
    assert reading.received_us == asked_us + 20_000


def test_after_silence_the_identity_is_proven_again():
    bench = Bench()
    bench.poll()
    bench.detector.doubt()
    bench.asked.clear()
    bench.poll()
    assert bench.asked[0] == (0, 1)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x2605, "wrong identity: register 40001 says 38, not 37"),
        (0x2507, "wrong identity: it says that it is unit 7, not 5"),
    ],
)
def test_a_wrong_identity_gives_a_fault_and_never_a_number(word, text):
    bench = Bench()
    bench.words[0] = word
    for _ in range(3):
        (reading,) = bench.poll()
        assert (reading.value, reading.quality) == (None, Quality.BAD)
        assert reading.flags == (Flag.INSTRUMENT_FAULT,)
        assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT
        assert reading.detection.text == text
    assert bench.counts == ["identity_wrong"] * 3
    assert (2, 9) not in bench.asked


def test_the_right_instrument_put_back_is_believed_again():
    bench = Bench()
    bench.words[0] = 0x2605
    bench.poll()
    bench.words[0] = 0x2505
    (reading,) = bench.poll()
    assert (reading.value, reading.quality) == (0.5, Quality.GOOD)


@pytest.mark.parametrize("shift", [1, -1])
def test_addresses_off_by_one_are_recognised_and_said_but_not_believed(shift):
    bench = Bench(registers=msgspec.structs.replace(REGISTERS, address_base=40000))
    bench.words = {place + 1 + shift: word for place, word in xcd_words().items()}
    (reading,) = bench.poll()
    assert reading.value is None
    hint = f"addresses are off by one: set address_base = {40000 - shift}"
    assert reading.detection.text.endswith(hint)
    assert bench.counts.count("address_off_by_one") == 1
    bench.poll()
    assert bench.counts.count("address_off_by_one") == 1


def test_an_identity_that_is_refused_is_a_wrong_identity():
    bench = Bench()
    bench.refusals[0] = 2
    (reading,) = bench.poll()
    assert reading.detection.text.startswith("wrong identity: register 40001 is refused")


def test_another_gas_than_configured_is_a_fault():
    bench = Bench()
    bench.words |= {45 + i: w for i, w in enumerate(struct.unpack(">7H", b"Ammonia".ljust(14)))}
    (reading,) = bench.poll()
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.detection.text == "fitted for 'Ammonia', configured for cl2"
    assert bench.counts == ["gas_mismatch"]


def test_the_fitted_gas_decides_for_a_device_of_another_quantity():
    bench = Bench(channels=("nh3",))
    (reading,) = bench.poll()
    assert reading.detection.text == "fitted for 'Chlorine', configured for nh3"


def test_a_gas_name_that_nobody_knows_is_a_warning_on_a_good_value():
    bench = Bench()
    bench.words |= {45 + i: w for i, w in enumerate(struct.unpack(">7H", b"Gas X".ljust(14)))}
    (reading,) = bench.poll()
    assert (reading.value, reading.quality) == (0.5, Quality.GOOD)
    assert reading.flags == (Flag.INSTRUMENT_WARNING,)


def test_a_gas_name_that_cannot_be_read_is_counted_and_costs_no_reading():
    bench = Bench()
    bench.refusals[45] = 2
    (reading,) = bench.poll()
    assert (reading.value, reading.flags) == (0.5, ())
    assert bench.counts == ["gas_name_unreadable"]


def test_a_block_that_is_refused_for_its_gaps_is_read_in_pieces_from_then_on():
    bench = Bench()
    del bench.words[7]
    (reading,) = bench.poll()
    assert reading.value == 0.5
    assert bench.counts == ["reads_split"]
    bench.asked.clear()
    bench.poll()
    assert bench.asked == [(2, 5), (10, 1)]


def test_registers_that_are_not_there_are_a_fault_with_its_code():
    bench = Bench()
    del bench.words[2]
    (reading,) = bench.poll()
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.detection.code == 2
    assert bench.counts == ["refused_2"]


def test_a_device_failure_is_a_fault_and_a_busy_device_is_none():
    bench = Bench()
    bench.refusals[2] = 4
    (reading,) = bench.poll()
    assert reading.detection.code == 4
    bench.refusals[2] = 6
    with pytest.raises(ExceptionReply):
        bench.poll()


@pytest.mark.parametrize("place", [0, 45])
def test_a_device_failure_while_it_proves_itself_is_no_wrong_identity(place):
    bench = Bench()
    bench.refusals[place] = 4
    (reading,) = bench.poll()
    assert (reading.value, reading.detection.code) == (None, 4)
    assert bench.counts == ["refused_4"]
    bench.refusals[place] = 6
    with pytest.raises(ExceptionReply):
        bench.poll()
    bench.refusals.clear()
    assert bench.poll()[0].value == 0.5


def test_temperature_and_supply_come_with_the_first_sample_and_then_now_and_then():
    bench = Bench(channels=("cl2", "enclosure_temperature", "supply"))
    assert [(r.channel, r.value) for r in bench.poll()] == [
        ("cl2", 0.5),
        ("enclosure_temperature", 21),
        ("supply", 24.0),
    ]
    assert len(bench.poll()) == 1
    bench.clock.advance(61)
    assert len(bench.poll()) == 3


def test_a_temperature_that_is_not_answered_never_costs_the_gas_reading():
    bench = Bench(channels=("cl2", "enclosure_temperature"))
    bench.silent_at = {16}
    (reading,) = bench.poll()
    assert reading.value == 0.5
    assert bench.counts == ["slow_unanswered"]
    bench.asked.clear()
    bench.poll()
    assert bench.asked[0] == (0, 1)


def test_a_heart_that_stands_still_makes_the_value_stale():
    fields = REGISTERS.fields | {
        "beat": msgspec.structs.replace(REGISTERS.fields["relays"], register=40008)
    }
    registers = msgspec.structs.replace(
        REGISTERS, fields=fields, heartbeat=Heartbeat(field="beat", stale_after_s=15.0)
    )
    bench = Bench(registers=registers)
    assert bench.poll()[0].quality is Quality.GOOD
    bench.clock.advance(14)
    assert bench.poll()[0].quality is Quality.GOOD
    bench.clock.advance(2)
    (reading,) = bench.poll()
    assert reading.quality is Quality.STALE
    assert Flag.STUCK in reading.flags
    bench.words[7] += 1
    assert bench.poll()[0].quality is Quality.GOOD
