"""What a `[[device]]` table says about a Modbus detector, and the wire that follows from it."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from cbrn_core.channel import Device
from cbrn_core.errors import ConfigError, Problem
from cbrn_core.quantities import Quantity
from cbrn_drivers.codec.modbus_registers import WordOrder
from cbrn_drivers.modbus_profile import LineDefaults, RegisterMap
from cbrn_drivers.profile import Profile
from cbrn_drivers.transport.modbus import Framing, Line

MODBUS_TCP_PORT = 502
RTU_UNITS = range(1, 248)
"""Addresses of single devices on a serial line (serial line §2.2)."""

_TcpPort = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a Modbus detector.

    Attributes:
        host: Modbus/TCP; without it `port` is the path of a serial port.
        port: TCP port number (502 unless said), or that path.
        framing: "rtu" with a `host` is RTU over TCP.
        unit_id: 0 and 248 to 255 exist on TCP only.
        baudrate, parity, stopbits: the maker's setting unless said.
        quiet_s: silence wanted on an RTU line after a failed read.
        address_base: printed number of the register at address 0, where the detector is
            off by one from its manual.
        word_order: of 32-bit numbers, where the detector differs from its manual.
        gas: what the detector is fitted for; the first of the profile unless said.
        scale: value of one step, where only the fitted sensor decides it.
        diagnostics: read the slow channels too (temperature, supply).
    """

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] | None = None
    port: _TcpPort | _Path | None = None
    framing: Framing | None = None
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    baudrate: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: Literal[1, 2] | None = None
    timeout_s: Annotated[float, msgspec.Meta(ge=0.02, le=10.0)] = 0.5
    retries: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    quiet_s: Annotated[float, msgspec.Meta(ge=0.0, le=5.0)] = 0.1
    address_base: Annotated[int, msgspec.Meta(ge=0, le=40002)] | None = None
    word_order: WordOrder | None = None
    gas: Quantity | None = None
    scale: Annotated[float, msgspec.Meta(gt=0)] | None = None
    diagnostics: bool = False

    def __post_init__(self) -> None:
        if self.host is None and not isinstance(self.port, str):
            raise ValueError("give host, or the path of a serial port as port")
        if self.host is not None and isinstance(self.port, str):
            raise ValueError("with a host, port is a number")
        if self.framing is Framing.TCP and self.host is None:
            raise ValueError("framing tcp needs a host")
        if self.resolved_framing is Framing.RTU and self.unit_id not in RTU_UNITS:
            raise ValueError("unit_id: 1 to 247 on an RTU line")

    @property
    def resolved_framing(self) -> Framing:
        """Return the framing that was said, or the usual one."""
        if self.framing is not None:
            return self.framing
        return Framing.RTU if self.host is None else Framing.TCP

    @property
    def bus(self) -> str:
        """Return what is equal for devices on one TCP connection or one serial port."""
        if self.host is None:
            return f"serial:{self.port}"
        return f"tcp:{self.host.lower()}:{self.port or MODBUS_TCP_PORT}"

    def line(self, defaults: LineDefaults) -> Line:
        """Return the wire, with the maker's settings where the site says nothing."""
        port = self.port if self.port is not None else MODBUS_TCP_PORT
        return Line(
            host=self.host,
            port=port,
            framing=self.resolved_framing,
            baudrate=self.baudrate or defaults.baudrate,
            parity=self.parity or defaults.parity,
            stopbits=self.stopbits or defaults.stopbits,
            timeout_s=self.timeout_s,
            retries=self.retries,
            quiet_s=self.quiet_s,
        )


def adapted(registers: RegisterMap, options: Options) -> RegisterMap:
    """Return the map as this device has it: its own addressing base and word order."""
    changes: dict[str, object] = {}
    if options.address_base is not None:
        changes["address_base"] = options.address_base
    if options.word_order is not None:
        changes["word_order"] = options.word_order
    return msgspec.structs.replace(registers, **changes)


def present_channels(options: Options, registers: RegisterMap, profile: Profile) -> tuple[str, ...]:
    """Return which of the profile's channels a device with these options has.

    A measurement that can feed several channels feeds the one whose quantity is `gas`,
    the first unless said.

    Raises:
        ConfigError: the model is not made for that gas.
    """
    chosen: list[str] = []
    for measurement in registers.measurement:
        offered = [profile.channel(c) for c in measurement.channels]
        if len(offered) > 1 and options.gas is not None:
            offered = [c for c in offered if c.quantity is options.gas]
        if not offered:
            made_for = ", ".join(profile.channel(c).quantity for c in measurement.channels)
            reason = f"{profile.name} has no {options.gas}; it has {made_for}"
            raise ConfigError([Problem("gas", reason)])
        if options.diagnostics or offered[0].id not in registers.optional_channels:
            chosen.append(offered[0].id)
    return tuple(chosen)


def parse_options(device: Device) -> Options:
    """Return a device's options.

    Raises:
        ConfigError: an unknown key or a value of the wrong kind.
    """
    try:
        return msgspec.convert(device.options, Options)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem(f"device {device.id}", str(error))]) from None


def common_line(devices: Sequence[tuple[str, Line]]) -> Line:
    """Return the line that all devices of a bus agree on.

    Raises:
        ConfigError: they do not; names the settings.
    """
    first_id, first = devices[0]
    problems = [
        Problem(f"device {device_id}.{name}", f"{first_id} on the same wire says otherwise")
        for device_id, line in devices[1:]
        for name in Line.__struct_fields__
        if name not in {"host", "port"} and getattr(line, name) != getattr(first, name)
    ]
    if problems:
        raise ConfigError(problems)
    return first
