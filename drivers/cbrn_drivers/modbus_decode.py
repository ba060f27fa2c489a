"""Modbus frames for `decode`: the codec's own fields, and readings.

Options: `request` (the frame that was answered, hex) or `register` (printed number of the
first one), `unit_id` (who must have answered), `framing` (rtu unless "tcp"),
`address_base`, `gas`.
"""

from collections.abc import Mapping

import msgspec

from cbrn_core.errors import ConfigError, ExceptionReply, FrameError, Problem, UnexpectedReply
from cbrn_drivers.codec.modbus import (
    Frame,
    ReadReply,
    ReadRequest,
    Refusal,
    parse_rtu,
    parse_tcp,
    registers_of,
)
from cbrn_drivers.codec.modbus_registers import RegisterType, number
from cbrn_drivers.decoded import DecodedReading
from cbrn_drivers.modbus_plan import Value, guessed_request, registers_at, values_in
from cbrn_drivers.modbus_profile import HOLDING_BASE, RegisterMap, register_map
from cbrn_drivers.modbus_verdict import readings_of
from cbrn_drivers.profile import ChannelProfile, Profile

FLOAT32_DIGITS = 6
"""Significant digits that every float32 carries."""


def fields(frame: bytes, options: Mapping[str, str], profile: Profile) -> dict[str, object]:
    """Return what one frame says, named as in the profile's register map.

    Raises:
        FrameError: damaged, not Modbus, or not the answer to `request`.
        ConfigError: an option that cannot be used.
    """
    registers = _registers(profile, options)
    parsed = _parsed(frame, options)
    if isinstance(parsed, Refusal):
        return {
            "addr": parsed.unit_id,
            "fc": parsed.function,
            "exception": parsed.code,
            "meaning": parsed.meaning,
        }
    if isinstance(parsed, ReadRequest):
        return {"addr": parsed.unit_id, "fc": parsed.function} | _place(registers, parsed)
    request = _request(registers, parsed, options)
    words = registers_of(request, parsed)
    values = values_in(registers, registers_at(request, words))
    shown = _whole(words)
    for name, value in values.items():
        shown |= _shown(registers, name, value)
    place = {"registers": _place(registers, request)["registers"]}
    return {"addr": parsed.unit_id, "fc": parsed.function} | place | shown


def decode_readings(
    frame: bytes, options: Mapping[str, str], profile: Profile
) -> list[DecodedReading]:
    """Return the readings of one reply, [] for a request.

    Raises:
        FrameError: damaged, not Modbus, not the answer to `request`, or a refusal.
        ConfigError: an option that cannot be used.
    """
    registers = _registers(profile, options)
    parsed = _parsed(frame, options)
    if isinstance(parsed, ReadRequest):
        return []
    if isinstance(parsed, Refusal):
        raise ExceptionReply(parsed.code, f"unit {parsed.unit_id}: {parsed.meaning}")
    request = _request(registers, parsed, options)
    words = registers_of(request, parsed)
    values = values_in(registers, registers_at(request, words))
    scale = _positive(options, "scale")
    return readings_of(registers, values, _channels(registers, profile, options), gas_scale=scale)


def _parsed(frame: bytes, options: Mapping[str, str]) -> Frame:
    parsed = parse_tcp(frame) if options.get("framing") == "tcp" else parse_rtu(frame)
    if "unit_id" in options and parsed.unit_id != _number(options, "unit_id"):
        raise UnexpectedReply(f"unit {parsed.unit_id}, not {options['unit_id']}")
    return parsed


def _request(registers: RegisterMap, reply: ReadReply, options: Mapping[str, str]) -> ReadRequest:
    if "request" in options:
        return _asked(options)
    if "register" not in options:
        return guessed_request(registers, reply)
    first = _number(options, "register")
    base = registers.base(reply.function)
    address = first - base if first >= base else first
    if not 0 <= address <= 0x10000 - len(reply.registers):
        raise ConfigError([Problem("-o register", f"there is no register {first}")])
    return ReadRequest(reply.unit_id, reply.function, address, len(reply.registers))


def _asked(options: Mapping[str, str]) -> ReadRequest:
    try:
        octets = bytes.fromhex(options["request"])
        parsed = parse_tcp(octets) if options.get("framing") == "tcp" else parse_rtu(octets)
    except (ValueError, FrameError) as error:
        raise ConfigError([Problem("-o request", str(error))]) from None
    if not isinstance(parsed, ReadRequest):
        raise ConfigError([Problem("-o request", "this is no request")])
    return parsed


def _registers(profile: Profile, options: Mapping[str, str]) -> RegisterMap:
    registers = register_map(profile)
    if "address_base" not in options:
        return registers
    return msgspec.structs.replace(registers, address_base=_number(options, "address_base"))


def _number(options: Mapping[str, str], key: str) -> int:
    text = options[key].partition("..")[0]
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigError([Problem(f"-o {key}", f"{text!r} is no whole number")]) from None


def _positive(options: Mapping[str, str], key: str) -> float | None:
    if key not in options:
        return None
    try:
        value = float(options[key])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError([Problem(f"-o {key}", f"{options[key]!r} is no positive number")])
    return value


def _channels(
    registers: RegisterMap, profile: Profile, options: Mapping[str, str]
) -> list[ChannelProfile]:
    """Return one channel a measurement: the gas that was said, else the first."""
    gas = options.get("gas")
    chosen = []
    for measurement in registers.measurement:
        offered = [profile.channel(c) for c in measurement.channels]
        chosen.append(next((c for c in offered if c.quantity == gas), offered[0]))
    return chosen


def _place(registers: RegisterMap, request: ReadRequest) -> dict[str, object]:
    """Return the registers as the maker prints them; 4xxxx numbers are names, so a text."""
    base = registers.base(request.function)
    first, last = request.address + base, request.address + base + request.size - 1
    printed = registers.address_base >= HOLDING_BASE - 2
    return {
        "register": str(first) if printed else first,
        "count": request.size,
        "registers": f"{first}..{last}",
    }


def _whole(words: tuple[int, ...]) -> dict[str, object]:
    shown: dict[str, object] = {"words": list(words)}
    if len(words) == 2:
        shown["raw_u32"] = number(words, RegisterType.U32)
    return shown


def _shown(registers: RegisterMap, name: str, value: Value) -> dict[str, object]:
    field = registers.fields[name]
    if isinstance(value, float):
        rounded = float(f"{value:.{FLOAT32_DIGITS}g}")
        finite = rounded - rounded == 0
        return {name: rounded if finite else None}
    shown: dict[str, object] = {name: value}
    if isinstance(value, int):
        shown = {name: field.codes.get(value, value)}
        shown |= {bit: bool(value >> place & 1) for bit, place in field.bits.items()}
    if field.meaning is not None:
        shown["meaning"] = field.meaning.replace("{value}", str(value))
    return shown
