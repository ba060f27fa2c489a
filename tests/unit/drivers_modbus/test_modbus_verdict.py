import math

import msgspec
import pytest

from cbrn_core.quantities import Quantity
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality
from cbrn_core.units import Unit
from cbrn_drivers.catalogue import load_profile
from cbrn_drivers.modbus_profile import register_map
from cbrn_drivers.modbus_verdict import GasMatch, fault_readings, gas_match, readings_of

XCD = load_profile("sensepoint-xcd")
REGISTERS = register_map(XCD)
CL2 = XCD.channel("cl2")
NORMAL = {"gas": 1.25, "fault_or_warning": 0, "state_bits": 0, "monitor_state": 1, "unit": 4}


def judged(channel=CL2, registers=REGISTERS, **values):
    (reading,) = readings_of(registers, NORMAL | values, [channel])
    return reading


def test_a_normal_reading_is_good_and_says_nothing_else():
    reading = judged()
    assert (reading.value, reading.unit, reading.quality) == (1.25, Unit.PPM, Quality.GOOD)
    assert reading.flags == ()
    assert reading.detection is None
    assert reading.raw == 1.25


@pytest.mark.parametrize("code", [1101, 1113, 1199])
def test_a_fault_takes_the_value_away_and_names_its_number(code):
    reading = judged(fault_or_warning=code, state_bits=1 << 5)
    assert reading.value is None
    assert reading.quality is Quality.BAD
    assert reading.flags == (Flag.INSTRUMENT_FAULT,)
    assert reading.raw == 1.25
    assert reading.detection == Detection(
        instrument_alarm=InstrumentAlarm.FAULT,
        code=code - 1100,
        text=f"instrument fault {code - 1100}",
    )


def test_a_warning_is_told_but_the_value_stays_good():
    reading = judged(fault_or_warning=12, state_bits=1 << 4)
    assert (reading.value, reading.quality) == (1.25, Quality.GOOD)
    assert reading.flags == (Flag.INSTRUMENT_WARNING,)
    assert reading.detection == Detection(code=12, text="instrument warning 12")


def test_a_latched_fault_output_without_an_active_fault_leaves_the_cell_its_voice():
    reading = judged(state_bits=1 << 5)
    assert (reading.value, reading.quality) == (1.25, Quality.UNCERTAIN)
    assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT


def test_a_fault_output_is_a_fault_where_the_model_has_no_fault_number():
    registers = msgspec.structs.replace(REGISTERS, fault=None)
    reading = judged(registers=registers, state_bits=1 << 5)
    assert (reading.value, reading.quality) == (None, Quality.BAD)


def test_a_fault_code_out_of_every_range_is_doubted_not_muted():
    reading = judged(fault_or_warning=5000)
    assert (reading.value, reading.quality) == (1.25, Quality.UNCERTAIN)
    assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT
    assert reading.detection.text == "fault code 5000 is unknown"


def test_warm_up_is_uncertain():
    reading = judged(monitor_state=2)
    assert (reading.value, reading.quality) == (1.25, Quality.UNCERTAIN)
    assert reading.flags == (Flag.WARMING_UP,)


@pytest.mark.parametrize(("state", "flag"), [(3, Flag.INHIBITED), (12, Flag.CALIBRATING)])
def test_inhibit_and_calibration_are_bad_and_said_by_the_instrument(state, flag):
    reading = judged(monitor_state=state)
    assert reading.quality is Quality.BAD
    assert reading.flags == (flag,)
    assert reading.detection.instrument_alarm is InstrumentAlarm.INHIBIT


def test_a_value_that_stands_still_in_a_state_is_not_passed_on():
    state = msgspec.structs.replace(REGISTERS.state, frozen=(3,))
    registers = msgspec.structs.replace(REGISTERS, state=state)
    assert judged(registers=registers, monitor_state=3).value is None


def test_a_fault_during_inhibit_is_still_a_fault():
    reading = judged(monitor_state=3, fault_or_warning=1103)
    assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT
    assert set(reading.flags) == {Flag.INSTRUMENT_FAULT, Flag.INHIBITED}


def test_an_unknown_state_is_doubted_and_keeps_its_value():
    reading = judged(monitor_state=9)
    assert (reading.value, reading.quality) == (1.25, Quality.UNCERTAIN)
    assert reading.detection.text == "state 9 is unknown"


@pytest.mark.parametrize(
    ("bits", "alarm"), [(1, InstrumentAlarm.A1), (2, InstrumentAlarm.A2), (3, InstrumentAlarm.A2)]
)
def test_the_instruments_own_alarm_goes_with_a_good_value(bits, alarm):
    reading = judged(state_bits=bits)
    assert (reading.value, reading.quality) == (1.25, Quality.GOOD)
    assert reading.detection == Detection(agent="cl2", instrument_alarm=alarm)


def test_a_fault_never_hides_the_instruments_high_alarm():
    reading = judged(state_bits=2 | 1 << 5, fault_or_warning=1101)
    assert reading.detection.instrument_alarm is InstrumentAlarm.A2
    assert reading.detection.code == 1
    assert reading.value is None
    assert Flag.INSTRUMENT_FAULT in reading.flags


def test_warm_up_never_hides_the_instruments_high_alarm():
    assert judged(state_bits=2, monitor_state=2).detection.instrument_alarm is InstrumentAlarm.A2


def test_an_alarm_output_during_inhibit_is_written_down():
    reading = judged(state_bits=2, monitor_state=3)
    assert reading.detection.instrument_alarm is InstrumentAlarm.INHIBIT
    assert reading.detection.text == "a2 set while inhibited"


@pytest.mark.parametrize(("code", "unit"), [(1, Unit.MG_M3), (3, Unit.PCT_VOL), (4, Unit.PPM)])
def test_the_unit_is_the_one_in_the_register(code, unit):
    assert judged(unit=code).unit is unit


def test_a_unit_that_cannot_be_the_gas_is_a_fault_not_a_number():
    reading = judged(unit=5)
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.detection.text == "reads in %LEL, configured in ppm"


def test_an_unknown_unit_code_is_a_fault_not_a_number():
    reading = judged(unit=7)
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.detection.text == "unit code 7 is unknown"
    assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT


def test_an_unknown_unit_never_hides_the_instruments_high_alarm():
    assert judged(unit=7, state_bits=2).detection.instrument_alarm is InstrumentAlarm.A2


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_a_fault(number):
    reading = judged(gas=number)
    assert (reading.value, reading.raw, reading.quality) == (None, None, Quality.BAD)
    assert reading.detection.instrument_alarm is InstrumentAlarm.FAULT


def test_over_range_is_the_limit_with_its_flag():
    channel = msgspec.structs.replace(CL2, range=(0.0, 5.0))
    reading = judged(channel, gas=7.5)
    assert (reading.value, reading.raw, reading.quality) == (5.0, 7.5, Quality.GOOD)
    assert reading.flags == (Flag.OVER_RANGE,)
    assert judged(channel, gas=4.99).flags == ()


def test_the_range_is_compared_in_the_unit_of_the_wire():
    channel = msgspec.structs.replace(CL2, range=(0.0, 5.0))
    assert judged(channel, gas=14.4, unit=1).flags == ()
    reading = judged(channel, gas=14.6, unit=1)
    assert reading.flags == (Flag.OVER_RANGE,)
    assert reading.value == pytest.approx(14.491, abs=0.001)
    assert reading.unit is Unit.MG_M3


def test_a_fault_reading_is_made_for_the_gas_only():
    channels = [CL2, XCD.channel("supply")]
    (reading,) = fault_readings(REGISTERS, channels, "wrong identity")
    assert (reading.channel, reading.value, reading.quality) == ("cl2", None, Quality.BAD)
    assert reading.detection.text == "wrong identity"


def test_temperature_and_supply_are_not_judged_by_the_cells_fault():
    channels = [XCD.channel("enclosure_temperature"), XCD.channel("supply")]
    readings = readings_of(REGISTERS, {"temperature_C": -12, "supply": 23.9}, channels)
    assert [(r.channel, r.value, r.quality) for r in readings] == [
        ("enclosure_temperature", -12, Quality.GOOD),
        ("supply", 23.9, Quality.GOOD),
    ]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("Chlorine", GasMatch.SAME),
        ("CL2", GasMatch.SAME),
        (" cl 2 ", GasMatch.SAME),
        ("AMMONIA", GasMatch.OTHER),
        ("H2S", GasMatch.OTHER),
        ("", GasMatch.UNNAMED),
        ("Unobtainium", GasMatch.UNKNOWN),
    ],
)
def test_the_fitted_gas_is_compared_with_the_configured_one(name, match):
    assert gas_match(REGISTERS, {"gas_name": name}, Quantity.CL2)[0] is match


def test_a_step_that_only_the_sensor_decides_is_never_guessed():
    profile = load_profile("raeguard")
    registers = register_map(profile)
    channel = profile.channel("voc")
    (reading,) = readings_of(registers, {"raw_u32": 209}, [channel], gas_scale=0.1)
    assert reading.value == pytest.approx(20.9)
    (reading,) = readings_of(registers, {"raw_u32": 209}, [channel])
    assert (reading.value, reading.raw) == (None, 209)
