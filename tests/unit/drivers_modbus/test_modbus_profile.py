import msgspec
import pytest

from cbrn_core.errors import ConfigError
from cbrn_drivers.catalogue import load_profile, profile_names
from cbrn_drivers.codec.modbus import ReadRequest
from cbrn_drivers.modbus_plan import Plan, line_time_s, registers_at, values_in
from cbrn_drivers.modbus_profile import register_map

XCD = load_profile("sensepoint-xcd")
MODBUS_PROFILES = [n for n in profile_names() if load_profile(n).modbus]


def changed(path: str, value: object):
    """Return the XCD profile with one entry of its [modbus] table changed, added or (None) gone."""
    raw = msgspec.json.decode(msgspec.json.encode(XCD.modbus))
    *folders, name = path.split(".")
    table = raw
    for folder in folders:
        table = table[int(folder)] if isinstance(table, list) else table.setdefault(folder, {})
    if value is None:
        del table[name]
    else:
        table[name] = value
    return msgspec.structs.replace(XCD, modbus=raw)


@pytest.mark.parametrize("name", MODBUS_PROFILES)
def test_every_shipped_register_map_is_sound(name):
    register_map(load_profile(name))


@pytest.mark.parametrize(
    ("path", "value", "where", "why"),
    [
        ("fields.gas.registr", 1, "modbus.fields.gas", "unknown field `registr`"),
        ("fields.gas.register", "40003", "modbus.fields.gas.register", "Expected `int`"),
        ("fields.gas.type", "float", "modbus.fields.gas.type", "Invalid enum value"),
        ("fields.gas.function", 6, "modbus.fields.gas.function", "Invalid enum value"),
        ("fields.gas.register", 400, "modbus.fields.gas", "outside the 40001 block"),
        ("fields.gas.first_bit", 3, "modbus.fields.gas", "a register has 16 bits"),
        ("fields.gas.decimals", "nowhere", "modbus.fields.gas.decimals", "no field 'nowhere'"),
        ("fields", 3, "modbus.fields", "write it as tables"),
        ("word_order", "ABDC", "modbus.word_order", "Invalid enum value"),
        ("identity.field", "nobody", "modbus.identity.field", "no field 'nobody'"),
        ("identity.values", [], "modbus.identity.values", "length >= 1"),
        ("state.normal", None, "modbus.state", "missing required field `normal`"),
        ("outputs.a2", ["alarm9"], "modbus.outputs.a2", "no bit 'alarm9'"),
        ("gas.names.xx", ["x"], "modbus.gas.names", "Invalid enum value 'xx'"),
        ("measurement.0.unit", "ppm", "modbus.measurement[0]", "give unit, or unit_field"),
        ("measurement.0.channels", ["cl2"], "modbus.measurement", "'nh3' is fed 0 times"),
        ("measurement.1.judged", True, "modbus.measurement[1]", "slow needs judged = false"),
        ("optional_channels", ["xx"], "modbus.optional_channels", "no channel 'xx'"),
        ("surprise", 1, "modbus", "unknown field `surprise`"),
    ],
)
def test_a_fault_in_a_register_map_is_reported_with_its_exact_path(path, value, where, why):
    with pytest.raises(ConfigError) as refused:
        register_map(changed(path, value))
    places = [p.path for p in refused.value.problems]
    assert f"profiles/sensepoint-xcd.toml: {where}" in places
    assert why in str(refused.value)


def test_all_faults_are_reported_at_once():
    profile = changed("fields.gas.registr", 1)
    profile.modbus["fields"]["unit"]["type"] = "u17"
    with pytest.raises(ConfigError) as refused:
        register_map(profile)
    assert len(refused.value.problems) == 2


def test_the_registers_of_one_sample_are_read_in_one_block():
    plan = Plan(register_map(XCD), 5, ["cl2"], max_gap=4)
    assert plan.sample == (ReadRequest(5, 3, 2, 9),)
    assert plan.identity == (ReadRequest(5, 3, 0, 1),)
    assert plan.gas_name == (ReadRequest(5, 3, 45, 7),)
    assert plan.slow == ()


def test_without_gaps_only_registers_that_are_needed_are_read():
    plan = Plan(register_map(XCD), 5, ["cl2", "supply"], max_gap=0)
    assert plan.sample == (ReadRequest(5, 3, 2, 5), ReadRequest(5, 3, 10, 1))
    assert plan.slow == (ReadRequest(5, 3, 56, 2),)


def test_a_block_is_never_longer_than_the_detector_allows():
    registers = msgspec.structs.replace(register_map(XCD), max_count=5)
    sizes = [r.size for r in Plan(registers, 5, ["cl2"], max_gap=4).sample]
    assert sizes == [5, 1]


def test_holding_and_input_registers_are_never_merged():
    profile = changed("fields.fault_or_warning", {"register": 30005, "function": 4})
    plan = Plan(register_map(profile), 5, ["cl2"], max_gap=4)
    assert ReadRequest(5, 4, 4, 1) in plan.sample
    assert {r.function for r in plan.sample} == {3, 4}


def test_an_address_base_of_one_less_moves_every_address_up():
    registers = msgspec.structs.replace(register_map(XCD), address_base=40000)
    assert Plan(registers, 5, ["cl2"], max_gap=4).sample == (ReadRequest(5, 3, 3, 9),)


def test_decimals_scale_and_invalid_numbers():
    profile = changed("fields.gas", {"register": 40003, "type": "s16", "decimals": "places"})
    profile.modbus["fields"]["places"] = {"register": 40004}
    profile.modbus["fields"]["temperature_C"] |= {"scale": 0.1, "invalid": [32767]}
    registers = register_map(profile)
    assert Plan(registers, 5, ["cl2"], max_gap=0).sample[0] == ReadRequest(5, 3, 2, 5)
    read = registers_at(ReadRequest(5, 3, 2, 2), (209, 1))
    assert values_in(registers, read)["gas"] == pytest.approx(20.9)
    assert values_in(registers, registers_at(ReadRequest(5, 3, 2, 1), (209,)))["gas"] is None
    assert values_in(registers, registers_at(ReadRequest(5, 3, 2, 2), (209, 77)))["gas"] is None
    read = registers_at(ReadRequest(5, 3, 16, 1), (215,))
    assert values_in(registers, read)["temperature_C"] == pytest.approx(21.5)
    read = registers_at(ReadRequest(5, 3, 16, 1), (32767,))
    assert values_in(registers, read)["temperature_C"] is None


def test_the_time_of_a_read_on_a_serial_line():
    one = [ReadRequest(5, 3, 2, 9)]
    assert line_time_s(one, baudrate=9600, parity="E", stopbits=1) == pytest.approx(38 * 11 / 9600)
