"""Fixed gas detectors on Modbus: one driver per wire, many detectors, polled by a schedule.

Detectors that do not answer are asked in probe slots of at most 5 % of the bus's time; the
others keep their rhythm.

Documents: MODBUS Application Protocol V1.1b3 and MODBUS over Serial Line V1.02; the register
map of each model is cited in its profile.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self
from zlib import crc32

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.errors import (
    ConfigError,
    ExceptionReply,
    FrameError,
    Problem,
    ReadTimeout,
)
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_drivers.catalogue import profile_of
from cbrn_drivers.codec.modbus import GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT, ReadRequest
from cbrn_drivers.modbus_decode import decode_readings, fields
from cbrn_drivers.modbus_device import Detector
from cbrn_drivers.modbus_options import (
    Options,
    adapted,
    common_line,
    parse_options,
    present_channels,
)
from cbrn_drivers.modbus_plan import Plan, line_time_s
from cbrn_drivers.modbus_profile import RegisterMap, register_map
from cbrn_drivers.modbus_schedule import PollSchedule
from cbrn_drivers.profile import Profile
from cbrn_drivers.transport.modbus import Framing, Line, ModbusLink

__all__ = [
    "PROFILE",
    "Driver",
    "Options",
    "bus_key",
    "channel_ids",
    "check_profile",
    "decode_readings",
    "fields",
    "open_bus",
]

PROFILE = "sensepoint-xcd"
DEFAULT_PERIOD_S = 1.0
MOST_BUS_LOAD = 0.7
"""Share of a serial line's time that the reads of a configuration may need."""


class _Seat(msgspec.Struct, frozen=True):
    """One configured device, ready to be polled."""

    device: Device
    options: Options
    registers: RegisterMap
    line: Line
    period_s: float


class Driver:
    """One wire with its detectors."""

    def __init__(self, seats: Sequence[_Seat], clock: Clock) -> None:
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._link = ModbusLink(seats[0].line, clock)
        self._detectors = {
            seat.device.id: Detector(
                seat.device,
                seat.registers,
                unit_id=seat.options.unit_id,
                clock=clock,
                read=self._read,
                count=self._count,
                gas_scale=seat.options.scale,
            )
            for seat in seats
        }
        periods_us = {seat.device.id: seconds_to_us(seat.period_s) for seat in seats}
        # the same at every start, and another one for the next wire
        phase = crc32(seats[0].line.place.encode()) / 2**32
        self._schedule = PollSchedule(periods_us, clock.now().steady_us, phase)
        self._nap: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the wire; each detector proves its identity before its first sample."""
        await self._link.open()
        for detector in self._detectors.values():
            detector.doubt()
        self._schedule.forgive(self._clock.now().steady_us)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the wire."""
        await self._link.close()

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield the readings of one detector at a time.

        Raises:
            Disconnected: the wire is gone, or gives nothing but wrong replies.
            ReadTimeout: no detector of the bus answers any more.
        """
        while True:
            now_us = self._clock.now().steady_us
            turn = self._schedule.next(now_us)
            wait_us = turn.at_us - now_us
            if wait_us > 0:
                await self._rest(wait_us / US_PER_S)
                continue
            readings = await self._visit(self._detectors[turn.device_id])
            if readings:
                yield readings

    def reread(self, device_id: str) -> bool:
        """Let a device be polled out of turn, once between two slots; call it on the loop.

        False where it has had that already, does not answer, or is not on this wire.
        """
        accepted = self._schedule.hurry(device_id)
        if accepted and self._nap is not None:
            self._nap.cancel()
        return accepted

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made; `silent` is as of now."""
        return {
            **self._counts,
            "slots_skipped": self._schedule.skipped,
            "late_replies": self._link.late_replies,
            "silent": self._schedule.silent,
        }

    async def _visit(self, detector: Detector) -> list[Reading]:
        device_id = detector.device.id
        started_us = self._clock.now().steady_us
        self._schedule.started(device_id, started_us)
        try:
            readings = await detector.poll()
        except ExceptionReply:
            self._count("busy")
            readings = []
        except (ReadTimeout, FrameError) as error:
            self._count("timeout" if isinstance(error, ReadTimeout) else error.kind)
            detector.doubt()
            now_us = self._clock.now().steady_us
            garbled = isinstance(error, FrameError)
            self._schedule.missed(device_id, started_us, now_us, garbled=garbled)
            if self._schedule.all_silent:
                raise ReadTimeout(f"none of {len(self._detectors)} detectors answers") from error
            return []
        self._schedule.answered(device_id, self._clock.now().steady_us)
        return readings

    async def _read(self, request: ReadRequest) -> tuple[int, ...]:
        try:
            return await self._link.read(request)
        except ExceptionReply as error:
            if error.code in {GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT}:
                raise ReadTimeout(f"behind the gateway: {error}") from error
            raise

    async def _rest(self, seconds: float) -> None:
        """Sleep until the next turn, or until somebody is in a hurry."""
        nap = self._nap = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({nap})
        finally:
            self._nap = None
            nap.cancel()

    def _count(self, name: str) -> None:
        self._counts[name] += 1


def open_bus(devices: Sequence[Device], clock: Clock) -> Driver:
    """Return the driver of one wire and its detectors; opens nothing yet.

    Raises:
        ConfigError: options that contradict each other or the profile, two devices with
            one unit id, or a serial line that would be busy for more than 70 %.
    """
    seats = [_seat(device) for device in devices]
    common_line([(seat.device.id, seat.line) for seat in seats])
    _refuse_same_unit(seats)
    _refuse_overload(seats)
    return Driver(seats, clock)


def bus_key(options: msgspec.Struct) -> str:
    """Return what is equal for devices on one TCP connection or one serial port."""
    if not isinstance(options, Options):
        raise TypeError("options of another driver")
    return options.bus


def channel_ids(options: msgspec.Struct, profile: Profile) -> tuple[str, ...]:
    """Return which of the profile's channels a device with these options has.

    Raises:
        ConfigError: the model is not made for that gas.
    """
    if not isinstance(options, Options):
        raise TypeError("options of another driver")
    return present_channels(options, register_map(profile), profile)


def check_profile(profile: Profile) -> None:
    """Raise ConfigError, with every path, where the register map cannot be used."""
    register_map(profile)


def _seat(device: Device) -> _Seat:
    options = parse_options(device)
    profile = profile_of(device, PROFILE)
    registers = adapted(register_map(profile), options)
    where = f"device {device.id}"
    problems = [
        Problem(f"{where}.scale", f"{profile.name} needs it: the wire does not say it")
        for m in registers.measurement
        if m.scale_is_option and options.scale is None
    ]
    problems += [
        Problem(f"{where}.channel", f"{profile.name} has no channel {c.id!r}")
        for c in device.channels
        if not any(c.id in m.channels for m in registers.measurement)
    ]
    problems += [
        Problem(f"{where}.address_base", f"register {field.register} would lie at {address}")
        for field in registers.fields.values()
        if not 0 <= (address := registers.address(field)) <= 0xFFFF
    ]
    if problems:
        raise ConfigError(problems)
    line = options.line(registers.line)
    return _Seat(device, options, registers, line, _period_s(device, registers))


def _period_s(device: Device, registers: RegisterMap) -> float:
    if device.period_s is not None:
        return device.period_s
    by_id = {c.id: c for c in device.channels}
    fast = [by_id[i].period_s for i, m in registers.measurements_of(by_id) if not m.slow]
    return min((p for p in fast if p is not None), default=DEFAULT_PERIOD_S)


def _refuse_same_unit(seats: Sequence[_Seat]) -> None:
    owners: dict[int, str] = {}
    for seat in seats:
        owner = owners.setdefault(seat.options.unit_id, seat.device.id)
        if owner != seat.device.id:
            reason = f"{owner} on the same wire is unit {seat.options.unit_id} already"
            raise ConfigError([Problem(f"device {seat.device.id}.unit_id", reason)])


def _refuse_overload(seats: Sequence[_Seat]) -> None:
    line = seats[0].line
    if line.framing is not Framing.RTU or line.host is not None:
        return
    load = 0.0
    for seat in seats:
        ids = [c.id for c in seat.device.channels]
        plan = Plan(seat.registers, seat.options.unit_id, ids, seat.registers.max_gap)
        busy_s = line_time_s(
            plan.sample, baudrate=line.baudrate, parity=line.parity, stopbits=line.stopbits
        )
        load += busy_s / seat.period_s
    if load > MOST_BUS_LOAD:
        reason = f"{len(seats)} devices need {load:.0%} of {line.place} (at most 70 %)"
        raise ConfigError([Problem("period_s", reason)])
