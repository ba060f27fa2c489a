"""Which registers to read together, and how much of the wire's time that takes."""

from collections.abc import Iterable, Mapping, Sequence

from cbrn_drivers.codec.modbus import ReadReply, ReadRequest
from cbrn_drivers.codec.modbus_registers import RegisterType, bit_field, number, text
from cbrn_drivers.modbus_profile import RegisterField, RegisterMap

Registers = Mapping[tuple[int, int], int]
"""(function, address on the wire) -> word."""

Value = int | float | str | None
"""None: the register holds one of the field's `invalid` numbers."""

RTU_REQUEST_OCTETS = 8
RTU_REPLY_OCTETS = 5
SILENT_CHARACTERS = 7.0
"""3.5 characters of silence before each of the two frames (serial line §2.5.1.1)."""


class Plan:
    """The reads that one device needs; `unit_id` is already in the requests.

    `identity` proves the instrument, `sample` is read every period, `slow` now and then.
    """

    def __init__(
        self, registers: RegisterMap, unit_id: int, channel_ids: Iterable[str], max_gap: int
    ) -> None:
        fed = [m for _, m in registers.measurements_of(channel_ids)]
        self.identity = blocks(registers, unit_id, _identity_fields(registers), max_gap)
        fast = {name for m in fed if not m.slow for name in (m.field, m.unit_field) if name}
        slow = {name for m in fed if m.slow for name in (m.field, m.unit_field) if name}
        for role in (registers.state, registers.fault, registers.outputs, registers.heartbeat):
            if role is not None:
                fast.add(role.field)
        self.gas_name = blocks(
            registers, unit_id, [registers.gas.field] if registers.gas else [], max_gap
        )
        self.sample = blocks(registers, unit_id, _with_decimals(registers, fast), max_gap)
        self.slow = blocks(registers, unit_id, _with_decimals(registers, slow), max_gap)


def blocks(
    registers: RegisterMap, unit_id: int, names: Iterable[str], max_gap: int
) -> tuple[ReadRequest, ...]:
    """Return the fewest reads that cover the fields, skipping no gap above `max_gap`."""
    spans = sorted(
        (field.function, registers.address(field), registers.address(field) + field.count)
        for field in (registers.fields[name] for name in set(names))
    )
    merged: list[tuple[int, int, int]] = []
    for function, first, end in spans:
        if merged:
            last_function, last_first, last_end = merged[-1]
            fits = max(end, last_end) - last_first <= registers.max_count
            if function == last_function and first - last_end <= max_gap and fits:
                merged[-1] = (function, last_first, max(end, last_end))
                continue
        merged.append((function, first, end))
    return tuple(ReadRequest(unit_id, f, first, end - first) for f, first, end in merged)


def registers_at(request: ReadRequest, words: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return the words of a reply by function and address."""
    return {(request.function, request.address + i): word for i, word in enumerate(words)}


def values_in(registers: RegisterMap, words: Registers) -> dict[str, Value]:
    """Return the value of every field whose registers are all there."""
    raw = {
        name: _raw(registers, field, words)
        for name, field in registers.fields.items()
        if _covered(registers, field, words)
    }
    return {name: _scaled(registers.fields[name], value, raw) for name, value in raw.items()}


def line_time_s(
    requests: Iterable[ReadRequest], *, baudrate: int, parity: str, stopbits: int
) -> float:
    """Return how long the reads and their replies occupy a serial line at the least."""
    bits_per_character = 1 + 8 + (parity != "N") + stopbits
    characters = sum(
        RTU_REQUEST_OCTETS + RTU_REPLY_OCTETS + 2 * r.size + SILENT_CHARACTERS for r in requests
    )
    return characters * bits_per_character / baudrate


def guessed_request(registers: RegisterMap, reply: ReadReply) -> ReadRequest:
    """Return the read that a reply without its request most likely answers.

    That is the read of a sample with as many registers, else one from the first measured
    register on.
    """
    every = [c for m in registers.measurement for c in m.channels]
    plan = Plan(registers, reply.unit_id, every, registers.max_gap)
    for request in plan.sample + plan.identity + plan.gas_name + plan.slow:
        if request.function == reply.function and request.size == len(reply.registers):
            return request
    first = registers.fields[registers.measurement[0].field]
    address = registers.address(first)
    return ReadRequest(reply.unit_id, reply.function, address, len(reply.registers))


def _identity_fields(registers: RegisterMap) -> list[str]:
    identity = registers.identity
    if identity is None:
        return []
    return [n for n in (identity.field, identity.address_field) if n is not None]


def _with_decimals(registers: RegisterMap, names: Iterable[str]) -> set[str]:
    chosen = set(names)
    decimals = (registers.fields[name].decimals for name in chosen)
    return chosen | {d for d in decimals if d is not None}


def _covered(registers: RegisterMap, field: RegisterField, words: Registers) -> bool:
    first = registers.address(field)
    return all((field.function, first + i) in words for i in range(field.count))


def _raw(registers: RegisterMap, field: RegisterField, words: Registers) -> Value:
    first = registers.address(field)
    own = [words[field.function, first + i] for i in range(field.count)]
    if field.type is RegisterType.TEXT:
        return text(own)
    raw: int | float = number(own, field.type, field.order or registers.word_order)
    if isinstance(raw, int) and field.width < 16:
        raw = bit_field(raw, field.first_bit, field.width)
    return None if raw in field.invalid else raw


def _scaled(field: RegisterField, raw: Value, others: Mapping[str, Value]) -> Value:
    if raw is None or isinstance(raw, str):
        return raw
    if field.decimals is not None:
        decimals = others.get(field.decimals)
        # Without its decimals the number may be wrong by powers of ten: no value.
        if not isinstance(decimals, int) or not 0 <= decimals <= 9:
            return None
        return raw * field.scale / float(10**decimals)
    return raw if field.scale == 1.0 else raw * field.scale
