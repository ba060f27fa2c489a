"""What the values of one poll mean: readings with their quality, flags and detection."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import isfinite
from typing import NamedTuple

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel
from cbrn_core.quantities import Hazard, Quantity, hazard_of
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality, worst
from cbrn_core.units import Unit, UnitError, convert
from cbrn_drivers.decoded import DecodedReading
from cbrn_drivers.modbus_plan import Value
from cbrn_drivers.modbus_profile import Measurement, RegisterMap
from cbrn_drivers.profile import ChannelProfile

Values = Mapping[str, Value]
AnyChannel = Channel | ChannelProfile


class Standing(NamedTuple):
    """What the instrument says about itself; `lost` means that its value means nothing."""

    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()
    alarm: InstrumentAlarm = InstrumentAlarm.NONE
    code: int | None = None
    texts: tuple[str, ...] = ()
    lost: bool = False

    def but(
        self,
        quality: Quality,
        flag: Flag,
        text: str | None = None,
        *,
        alarm: InstrumentAlarm | None = None,
        code: int | None = None,
        lost: bool = False,
    ) -> "Standing":
        """Return this made worse; what was known before stays."""
        return Standing(
            worst(self.quality, quality),
            self.flags if flag in self.flags else (*self.flags, flag),
            alarm or self.alarm,
            self.code if code is None else code,
            self.texts if text is None else (*self.texts, text),
            self.lost or lost,
        )

    def detection(self, quantity: Quantity) -> Detection | None:
        """Return what goes with a reading, None where the instrument says nothing."""
        if self.alarm is InstrumentAlarm.NONE and self.code is None and not self.texts:
            return None
        is_gas = hazard_of(quantity) is Hazard.CHEMICAL
        warned = self.alarm in {InstrumentAlarm.A1, InstrumentAlarm.A2}
        return Detection(
            agent=quantity.value if is_gas and warned else None,
            instrument_alarm=self.alarm,
            code=self.code,
            text="; ".join(self.texts) or None,
        )


def readings_of(
    registers: RegisterMap,
    values: Values,
    channels: Iterable[AnyChannel],
    *,
    gas_scale: float | None = None,
    before: Standing = Standing(),  # noqa: B008 - immutable
) -> list[DecodedReading]:
    """Return one reading for each channel whose field is among the values.

    Args:
        registers: the model's map.
        values: fields of one poll.
        channels: those of the device.
        gas_scale: resolution where only the device's options know it.
        before: what the driver already knows (a gas it cannot check, a heart that stands).
    """
    by_id = {c.id: c for c in channels}
    judged = _standing(registers, values, before)
    readings = []
    for channel_id, measurement in registers.measurements_of(by_id):
        if measurement.field in values:
            standing = judged if measurement.judged else Standing()
            scale = gas_scale if measurement.scale_is_option else 1.0
            readings.append(_reading(measurement, values, by_id[channel_id], standing, scale))
    return readings


def fault_readings(
    registers: RegisterMap, channels: Iterable[AnyChannel], text: str, code: int | None = None
) -> list[DecodedReading]:
    """Return a reading without value for each judged channel, saying why nothing is known."""
    by_id = {c.id: c for c in channels}
    standing = Standing().but(
        Quality.BAD,
        Flag.INSTRUMENT_FAULT,
        text,
        alarm=InstrumentAlarm.FAULT,
        code=code,
        lost=True,
    )
    return [
        _stated(by_id[channel_id], None, by_id[channel_id].unit, None, standing)
        for channel_id, measurement in registers.measurements_of(by_id)
        if measurement.judged
    ]


class GasMatch(StrEnum):
    """How the instrument's own name of its gas compares with the configured one."""

    SAME = "same"
    OTHER = "other"
    UNNAMED = "unnamed"
    UNKNOWN = "unknown"


def gas_match(registers: RegisterMap, values: Values, quantity: Quantity) -> tuple[GasMatch, str]:
    """Return whether the fitted gas is the configured one, and the name as it stands there."""
    if registers.gas is None:
        return GasMatch.SAME, ""
    shown = str(values.get(registers.gas.field) or "")
    plain = _plain(shown)
    if not plain:
        return GasMatch.UNNAMED, shown
    for named, spellings in registers.gas.names.items():
        if plain in {_plain(s) for s in spellings}:
            return (GasMatch.SAME if named is quantity else GasMatch.OTHER), shown
    return GasMatch.UNKNOWN, shown


def _plain(name: str) -> str:
    return "".join(c for c in name.upper() if c.isalnum())


def _standing(registers: RegisterMap, values: Values, before: Standing) -> Standing:
    """Return the instrument's own word; its gas alarm outlasts a fault, never the inhibit."""
    standing = _with_fault(registers, values, before)
    outputs = registers.outputs
    if outputs is not None and isinstance(word := values.get(outputs.field), int):
        bits = registers.fields[outputs.field].bits
        for alarm, names in ((InstrumentAlarm.A2, outputs.a2), (InstrumentAlarm.A1, outputs.a1)):
            if any(word >> bits[name] & 1 for name in names):
                standing = standing._replace(alarm=alarm)
                break
    return _with_state(registers, values, standing)


def _with_fault(registers: RegisterMap, values: Values, standing: Standing) -> Standing:
    fault = registers.fault
    code = values.get(fault.field) if fault is not None else None
    output_fault, output_warning = _output_bits(registers, values)
    if fault is None or not isinstance(code, int):
        return _with_outputs(standing, output_fault, output_warning, lost=fault is None)
    if code == fault.none:
        # The fault output latches while no fault is active: the cell measures, so its value
        # stays, but somebody has to look.
        return _with_outputs(standing, output_fault, output_warning, lost=False)
    if fault.fault[0] <= code <= fault.fault[1]:
        number = code - fault.fault_offset
        return standing.but(
            Quality.BAD,
            Flag.INSTRUMENT_FAULT,
            f"instrument fault {number}",
            alarm=InstrumentAlarm.FAULT,
            code=number,
            lost=True,
        )
    if fault.warning is not None and fault.warning[0] <= code <= fault.warning[1]:
        warned = standing.but(
            Quality.GOOD, Flag.INSTRUMENT_WARNING, f"instrument warning {code}", code=code
        )
        return _with_outputs(warned, output_fault, warning=False, lost=False)
    return standing.but(
        Quality.UNCERTAIN,
        Flag.INSTRUMENT_FAULT,
        f"fault code {code} is unknown",
        alarm=InstrumentAlarm.FAULT,
        code=code,
    )


def _output_bits(registers: RegisterMap, values: Values) -> tuple[bool, bool]:
    outputs = registers.outputs
    word = values.get(outputs.field) if outputs is not None else None
    if outputs is None or not isinstance(word, int):
        return False, False
    bits = registers.fields[outputs.field].bits
    return (
        any(word >> bits[name] & 1 for name in outputs.fault),
        any(word >> bits[name] & 1 for name in outputs.warning),
    )


def _with_outputs(standing: Standing, fault: bool, warning: bool, *, lost: bool) -> Standing:
    if fault:
        return standing.but(
            Quality.BAD if lost else Quality.UNCERTAIN,
            Flag.INSTRUMENT_FAULT,
            "fault output set" if lost else "fault output set, no active fault",
            alarm=InstrumentAlarm.FAULT,
            lost=lost,
        )
    if warning:
        return standing.but(Quality.GOOD, Flag.INSTRUMENT_WARNING, "warning output set")
    return standing


def _with_state(registers: RegisterMap, values: Values, standing: Standing) -> Standing:
    state = registers.state
    code = values.get(state.field) if state is not None else None
    if state is None or not isinstance(code, int) or code in state.normal:
        return standing
    lost = code in state.frozen
    if code in state.warming_up:
        return standing.but(Quality.UNCERTAIN, Flag.WARMING_UP, lost=lost)
    if code in state.under_test:
        return standing.but(Quality.UNCERTAIN, Flag.UNDER_TEST, lost=lost)
    for flag, codes in (
        (Flag.INHIBITED, state.inhibited),
        (Flag.CALIBRATING, state.calibrating),
    ):
        if code in codes:
            return _blocked(standing, flag, lost=lost)
    reason = f"state {code} is unknown"
    return standing.but(Quality.UNCERTAIN, Flag.INSTRUMENT_WARNING, reason)


def _blocked(standing: Standing, flag: Flag, *, lost: bool) -> Standing:
    """A technician has blocked it: its outputs are his, but a fault stays to be seen."""
    alarm = standing.alarm
    if alarm in {InstrumentAlarm.A1, InstrumentAlarm.A2}:
        standing = standing._replace(texts=(*standing.texts, f"{alarm} set while {flag}"))
    if alarm is not InstrumentAlarm.FAULT:
        alarm = InstrumentAlarm.INHIBIT
    return standing.but(Quality.BAD, flag, alarm=alarm, lost=lost)


def _reading(
    measurement: Measurement,
    values: Values,
    channel: AnyChannel,
    standing: Standing,
    scale: float | None,
) -> DecodedReading:
    raw = values[measurement.field]
    unit = _unit(measurement, values, channel)
    if isinstance(raw, str) or raw is None or not isfinite(raw):
        return _stated(channel, None, channel.unit, None, _no_value(standing, "gives no number"))
    if unit is None:
        code = values.get(measurement.unit_field or "")
        reason = f"unit code {code} is unknown"
        return _stated(channel, None, channel.unit, raw, _no_value(standing, reason))
    if scale is None:
        return _stated(channel, None, unit, raw, _no_value(standing, "its step is not known"))
    value = raw * scale
    try:
        limit = _limit(channel, unit)
    except UnitError:
        reason = f"reads in {unit}, configured in {channel.unit}"
        return _stated(channel, None, channel.unit, raw, _no_value(standing, reason))
    if limit is not None and value >= limit and not standing.lost:
        return _stated(channel, limit, unit, raw, standing.but(Quality.GOOD, Flag.OVER_RANGE))
    return _stated(channel, value, unit, raw, standing)


def _no_value(standing: Standing, reason: str) -> Standing:
    alarm = standing.alarm
    if alarm in {InstrumentAlarm.NONE, InstrumentAlarm.INHIBIT}:
        alarm = InstrumentAlarm.FAULT
    return standing.but(Quality.BAD, Flag.INSTRUMENT_FAULT, reason, alarm=alarm, lost=True)


def _stated(
    channel: AnyChannel,
    value: float | None,
    unit: Unit,
    raw: float | None,
    standing: Standing,
) -> DecodedReading:
    return DecodedReading(
        channel=channel.id,
        value=None if standing.lost else value,
        unit=unit,
        quality=standing.quality,
        flags=standing.flags,
        raw=raw,
        detection=standing.detection(channel.quantity),
    )


def _unit(measurement: Measurement, values: Values, channel: AnyChannel) -> Unit | None:
    if measurement.unit_field is None:
        return measurement.unit
    if measurement.unit_field not in values:
        # Only a lone frame leaves it out; a poll always reads it.
        return channel.unit
    code = values.get(measurement.unit_field)
    return measurement.units.get(code) if isinstance(code, int) else None


def _limit(channel: AnyChannel, unit: Unit) -> float | None:
    """Return the upper end of the channel's range in the wire's unit, None where not known.

    Raises:
        UnitError: the two units measure different things.
    """
    convert(1.0, channel.unit, unit, molar_mass_g_mol=1.0)
    if channel.range is None:
        return None
    agent = AGENTS.get(channel.quantity)
    mass = agent.molar_mass_g_mol if agent is not None else None
    try:
        return convert(channel.range[1], channel.unit, unit, molar_mass_g_mol=mass)
    except UnitError:
        return None
