"""The `[modbus]` table of a profile: which registers say what, as strict structs.

A new detector is a new `.toml`; nothing here knows any model.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit
from cbrn_drivers.codec.modbus import MOST_REGISTERS, READ_INPUT
from cbrn_drivers.codec.modbus_registers import WORDS, RegisterType, WordOrder
from cbrn_drivers.profile import Positive, Profile, place_and_reason

HOLDING_BASE = 40001
INPUT_BELOW_HOLDING = 10000
"""Manuals print holding registers as 4xxxx and input registers as 3xxxx."""

_BIT = Annotated[int, msgspec.Meta(ge=0, le=15)]
_TableT = TypeVar("_TableT", bound=msgspec.Struct)


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of every table below: immutable and strict."""


class RegisterField(Table, frozen=True, kw_only=True):
    """One named value in the registers.

    Attributes:
        register: number as the maker prints it (see `RegisterMap.address_base`).
        length: registers of a text.
        first_bit, width: part of a u16 register.
        scale: value = raw x scale (x 10^-decimals, where another field says them).
        invalid: raw numbers that mean "no value".
        codes: raw number -> word shown by `decode --fields`.
        bits: name -> bit of a `bits` register.
        meaning: sentence with {value}, shown by `decode --fields`.
    """

    register: Annotated[int, msgspec.Meta(ge=0, le=106_000)]
    type: RegisterType = RegisterType.U16
    function: Literal[3, 4] = 3
    order: WordOrder | None = None
    length: Annotated[int, msgspec.Meta(ge=1, le=32)] = 1
    first_bit: _BIT = 0
    width: Annotated[int, msgspec.Meta(ge=1, le=16)] = 16
    scale: float = 1.0
    decimals: str | None = None
    invalid: tuple[int, ...] = ()
    codes: dict[int, str] = {}
    bits: dict[str, _BIT] = {}
    meaning: str | None = None

    @property
    def count(self) -> int:
        """Return how many registers the value takes."""
        return self.length if self.type is RegisterType.TEXT else WORDS.get(self.type, 1)


class Identity(Table, frozen=True, kw_only=True):
    """What proves that the right instrument answers, at the right addressing base.

    `address_field` holds the instrument's own unit id.
    """

    field: str
    values: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
    address_field: str | None = None


class State(Table, frozen=True, kw_only=True):
    """Codes of what the instrument is doing; `frozen` lists those in which its value stands."""

    field: str
    normal: tuple[int, ...]
    warming_up: tuple[int, ...] = ()
    inhibited: tuple[int, ...] = ()
    calibrating: tuple[int, ...] = ()
    under_test: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()


class Fault(Table, frozen=True, kw_only=True):
    """Ranges (both ends included) of a number that is a warning, a fault, or `none`.

    The fault's own number is the register's minus `fault_offset`.
    """

    field: str
    none: int = 0
    warning: tuple[int, int] | None = None
    fault: tuple[int, int]
    fault_offset: int = 0


class Outputs(Table, frozen=True, kw_only=True):
    """Names of the bits of one status register that are the instrument's own outputs."""

    field: str
    a1: tuple[str, ...] = ()
    a2: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()


class Heartbeat(Table, frozen=True, kw_only=True):
    """A register that must change, else the instrument's values stand still."""

    field: str
    stale_after_s: Positive


class GasName(Table, frozen=True, kw_only=True):
    """A text that names the fitted gas; compared without case, blanks and punctuation."""

    field: str
    names: dict[Quantity, tuple[str, ...]]


class Measurement(Table, frozen=True, kw_only=True):
    """A field that becomes readings.

    Attributes:
        channels: ids of the profile's channels that it feeds; a device has one of them.
        unit, unit_field with units: fixed, or a register whose code says it.
        judged: whether state, faults and outputs speak of this value.
        slow: read with the slow ones, every `slow_period_s`.
        scale_is_option: the wire does not say the resolution; the device's option must.
    """

    field: str
    channels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    unit: Unit | None = None
    unit_field: str | None = None
    units: dict[int, Unit] = {}
    judged: bool = True
    slow: bool = False
    scale_is_option: bool = False

    def __post_init__(self) -> None:
        if (self.unit is None) == (self.unit_field is None):
            raise ValueError("give unit, or unit_field with units")
        if self.unit_field is not None and not self.units:
            raise ValueError("unit_field needs units")
        if self.slow and self.judged:
            raise ValueError("slow needs judged = false: state and faults are read with the sample")


class LineDefaults(Table, frozen=True, kw_only=True):
    """How the instrument leaves the factory, on a serial line."""

    baudrate: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] = 19200
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1


class RegisterMap(Table, frozen=True, kw_only=True):
    """All of a model's `[modbus]`.

    Attributes:
        address_base: printed number of the register at address 0 of function 3; function
            4 begins 10000 below it where registers are printed as 4xxxx.
        optional_channels: exist only where the device says `diagnostics = true`.
        max_gap, max_count: how far apart registers may lie that one read takes along, and
            how many registers one read may take.
        unverified: what in this table nobody has yet seen on a device.
    """

    fields: dict[str, RegisterField]
    measurement: Annotated[tuple[Measurement, ...], msgspec.Meta(min_length=1)]
    address_base: Annotated[int, msgspec.Meta(ge=0, le=HOLDING_BASE)] = HOLDING_BASE
    word_order: WordOrder = WordOrder.ABCD
    max_gap: Annotated[int, msgspec.Meta(ge=0, le=64)] = 4
    max_count: Annotated[int, msgspec.Meta(ge=1, le=MOST_REGISTERS)] = 64
    slow_period_s: Positive = 60.0
    line: LineDefaults = LineDefaults()
    identity: Identity | None = None
    state: State | None = None
    fault: Fault | None = None
    outputs: Outputs | None = None
    heartbeat: Heartbeat | None = None
    gas: GasName | None = None
    optional_channels: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    def address(self, field: RegisterField) -> int:
        """Return the field's first address on the wire."""
        return field.register - self.base(field.function)

    def base(self, function: int) -> int:
        """Return the printed number of address 0 for a function."""
        printed_as_4xxxx = self.address_base >= HOLDING_BASE - 2
        if function == READ_INPUT and printed_as_4xxxx:
            return self.address_base - INPUT_BELOW_HOLDING
        return self.address_base

    def measurements_of(self, channel_ids: Iterable[str]) -> Iterator[tuple[str, Measurement]]:
        """Yield (channel id, measurement) for the channels of one device."""
        for channel_id in channel_ids:
            for measurement in self.measurement:
                if channel_id in measurement.channels:
                    yield channel_id, measurement


def register_map(profile: Profile) -> RegisterMap:
    """Return the profile's register map.

    Raises:
        ConfigError: with the exact path of every fault that was found.
    """
    problems: list[Problem] = []
    root = f"profiles/{profile.name}.toml: modbus"
    raw = dict(profile.modbus)
    tables = raw.pop("fields", {})
    fields: dict[str, RegisterField] = {}
    if not isinstance(tables, dict):
        problems.append(Problem(f"{root}.fields", "write it as tables [modbus.fields.<name>]"))
        tables = {}
    for name, table in tables.items():
        field = _table(table, RegisterField, f"{root}.fields.{name}", problems)
        if field is not None:
            fields[name] = field
    shell = _table(raw | {"fields": {}}, RegisterMap, root, problems)
    if shell is None or problems:
        raise ConfigError(problems)
    registers = msgspec.structs.replace(shell, fields=fields)
    problems += [
        Problem(f"{root}.{path}", reason) for path, reason in _contradictions(registers, profile)
    ]
    if problems:
        raise ConfigError(problems)
    return registers


def _table(raw: object, kind: type[_TableT], path: str, problems: list[Problem]) -> _TableT | None:
    try:
        return msgspec.convert(raw, kind, str_keys=True)
    except msgspec.ValidationError as error:
        where, reason = place_and_reason(error)
        problems.append(Problem(path + where, reason))
    return None


def _contradictions(registers: RegisterMap, profile: Profile) -> Iterator[tuple[str, str]]:
    for path, name in _references(registers):
        if name not in registers.fields:
            yield path, f"there is no field {name!r}"
    for name, field in registers.fields.items():
        for reason in _field_faults(registers, field):
            yield f"fields.{name}", reason
    yield from _channel_faults(registers, profile)
    yield from _output_faults(registers)


def _references(registers: RegisterMap) -> Iterator[tuple[str, str]]:
    """Yield (path, name of the field it refers to)."""
    for role in ("identity", "state", "fault", "outputs", "heartbeat", "gas"):
        table: Any = getattr(registers, role)
        if table is not None:
            yield f"{role}.field", table.field
    if registers.identity is not None and registers.identity.address_field is not None:
        yield "identity.address_field", registers.identity.address_field
    for index, measurement in enumerate(registers.measurement):
        yield f"measurement[{index}].field", measurement.field
        if measurement.unit_field is not None:
            yield f"measurement[{index}].unit_field", measurement.unit_field
    for name, field in registers.fields.items():
        if field.decimals is not None:
            yield f"fields.{name}.decimals", field.decimals


def _field_faults(registers: RegisterMap, field: RegisterField) -> Iterator[str]:
    first = registers.address(field)
    if first < 0 or first + field.count > 0x10000:
        reason = f"register {field.register} is outside the {registers.address_base} block"
        yield reason
    if field.first_bit + field.width > 16:
        yield "first_bit + width: a register has 16 bits"
    if (field.width != 16 or field.first_bit) and field.type is not RegisterType.U16:
        yield "first_bit, width: only of a u16"
    if field.bits and field.type is not RegisterType.BITS:
        yield "bits: only of type bits"
    if field.count > registers.max_count:
        yield f"longer than max_count = {registers.max_count}"


def _channel_faults(registers: RegisterMap, profile: Profile) -> Iterator[tuple[str, str]]:
    known = {c.id for c in profile.channels}
    fed: list[str] = []
    for index, measurement in enumerate(registers.measurement):
        fed += measurement.channels
        for channel_id in measurement.channels:
            if channel_id not in known:
                yield f"measurement[{index}].channels", f"there is no channel {channel_id!r}"
    for channel_id in sorted(known):
        if fed.count(channel_id) != 1:
            reason = f"channel {channel_id!r} is fed {fed.count(channel_id)} times, not once"
            yield "measurement", reason
    for channel_id in registers.optional_channels:
        if channel_id not in known:
            yield "optional_channels", f"there is no channel {channel_id!r}"


def _output_faults(registers: RegisterMap) -> Iterator[tuple[str, str]]:
    outputs = registers.outputs
    if outputs is None or outputs.field not in registers.fields:
        return
    bits: Mapping[str, int] = registers.fields[outputs.field].bits
    for role in ("a1", "a2", "warning", "fault"):
        for name in getattr(outputs, role):
            if name not in bits:
                yield f"outputs.{role}", f"{outputs.field} has no bit {name!r}"
