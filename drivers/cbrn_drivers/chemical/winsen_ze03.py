"""Winsen ZE03 electrochemical module: CO, NH3, H2S, HF, SO2, NO2, Cl2, O3 or O2.

Documents: fega/winsen-ze03-arduino-library and 7ax/wokwi-chip-ze03-nh3; see
`codec/winsen.py`. 9600 8N1, 3.3 V.

The frame does not say which cell is fitted: `gas` must be told. The module has no status:
a fault shows as silence or as a value that does not move. Makers disagree on the mode
commands, so the driver sends one and then looks at what arrives: in a silence it asks.

Nor does it say which module it is: two that were exchanged cannot be told apart here.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.errors import ConfigError, FieldError, FrameError, Problem, ReadTimeout
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_drivers.codec.framing import FixedFramer
from cbrn_drivers.codec.winsen import (
    COMMAND_ACTIVE,
    COMMAND_QUESTION,
    COMMAND_READ,
    FRAME_BYTES,
    GASES,
    START,
    FrameType,
    Gas,
    ModuleFrame,
    decode_frame,
    host_command,
    is_module_frame,
)
from cbrn_drivers.decoded import DecodedReading, as_readings, told_apart
from cbrn_drivers.profile import Profile
from cbrn_drivers.serial_driver import SerialDriver, only_device
from cbrn_drivers.transport.serial import SerialOptions, SerialPort

PROFILE = "winsen-ze03"
WARM_UP_S = 180.0
ACTIVE_PERIOD_S = 1.0

_PATIENCE_PERIODS = 2.5
_MODE_COMMANDS = {"active": COMMAND_ACTIVE, "question": COMMAND_QUESTION}

GasId = Literal["co", "nh3", "h2s", "hf", "so2", "no2", "cl2", "o3", "o2"]


class Options(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table.

    Attributes:
        gas: the cell that is fitted.
        mode: which mode to command; `as_is` sends no mode command.
        warm_up_s: readings are uncertain this long after connecting; 0 for a module that
            stays powered while the gateway restarts.
        silence_s: no valid frame for this long: the port is opened anew.
    """

    gas: GasId
    mode: Literal["active", "question", "as_is"] = "active"
    warm_up_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = WARM_UP_S
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 15.0


def bus_key(options: Options) -> str:
    """Return the port."""
    return options.bus


def channel_ids(options: Options, _profile: Profile) -> tuple[str, ...]:
    """Return the one channel of the fitted cell, named as its gas."""
    return (options.gas,)


def open_bus(devices: Sequence[Device], clock: Clock) -> "Ze03Driver":
    """Return the driver of one module."""
    device, options = only_device(devices, Options)
    return Ze03Driver(device, options, clock)


def fields(frame: bytes, _options: Mapping[str, str], _profile: Profile) -> dict[str, object]:
    """Return the fields of one frame, from the module or from the host."""
    command = host_command(frame)
    if command is not None:
        return {"host_command": command}
    return decode_frame(frame).fields()


def decode_readings(
    frame: bytes, options: Mapping[str, str], _profile: Profile
) -> list[DecodedReading]:
    """Return the reading of one frame, [] for commands; needs `-o gas=cl2` or the like."""
    gas_id = options.get("gas", "")
    if gas_id not in GASES:
        reason = f"say which cell is fitted; there are {', '.join(sorted(GASES))}"
        raise ConfigError([Problem("-o gas", reason)])
    if host_command(frame) is not None:
        return []
    said = decode_frame(frame)
    return [as_decoded(said, gas_id)] if said.type is FrameType.READ else []


def as_decoded(frame: ModuleFrame, gas_id: str, *, warming_up: bool = False) -> DecodedReading:
    """Return the reading of one frame; bytes that should be zero and are not make it uncertain."""
    gas: Gas = GASES[gas_id]
    return DecodedReading(
        channel=gas_id,
        value=frame.count * gas.per_count,
        unit=gas.unit,
        quality=Quality.UNCERTAIN if warming_up or any(frame.reserved) else Quality.GOOD,
        flags=(Flag.WARMING_UP,) if warming_up else (),
        raw=float(frame.count),
    )


class Ze03Driver(SerialDriver):
    """A ZE03 on a serial port."""

    def __init__(self, device: Device, options: Options, clock: Clock) -> None:
        super().__init__(device, options, clock, options.silence_s)
        self._gas_id = options.gas
        self._mode = options.mode
        self._warm_up_us = seconds_to_us(options.warm_up_s)
        self._period_s = max(device.period_s or ACTIVE_PERIOD_S, ACTIVE_PERIOD_S)
        self._framer = FixedFramer(START, FRAME_BYTES, is_module_frame)
        self._connected_us = 0

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made."""
        framer = self._framer
        found = Counter(bytes_skipped=framer.skipped_bytes, frame_checksum=framer.failed_frames)
        return dict(self._counts + found)

    async def _greet(self, port: SerialPort) -> None:
        command = _MODE_COMMANDS.get(self._mode)
        if command is not None:
            await port.write(command)
        self._connected_us = self._clock.now().steady_us

    async def _close(self) -> None:
        self._framer.reset()
        await super()._close()

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield readings as they arrive, asking for them in question mode or in a silence."""
        port = self._open_port()
        if self._mode == "question":
            await port.write(COMMAND_READ)
        while True:
            readings = await self._listen(port)
            if readings:
                yield readings
                if self._mode == "question":
                    await self._clock.sleep(self._rest_of_period_s())
                    await port.write(COMMAND_READ)

    async def _listen(self, port: SerialPort) -> list[Reading]:
        """Return what the next bytes complete; in a silence, ask.

        Raises:
            TransportError: the port is lost, or has given no reading for too long.
        """
        try:
            chunk = await port.read(self._period_s * _PATIENCE_PERIODS)
        except ReadTimeout:
            self._counts["silences"] += 1
            await port.write(COMMAND_READ)
            self._check_progress(self._clock.now())
            return []
        now = self._clock.now()
        warming_up = now.steady_us - self._connected_us < self._warm_up_us
        decoded: list[DecodedReading] = []
        for frame in self._framer.feed(chunk):
            try:
                said = decode_frame(frame)
            except FrameError as error:
                self._refused(error)
                continue
            if said.type is FrameType.READ:
                decoded.append(as_decoded(said, self._gas_id, warming_up=warming_up))
            elif not said.ok:
                self._refused(FieldError("mode refused"))
        readings = told_apart(as_readings(decoded, self._device, now), now)
        if readings:
            self._progressed(now)
        else:
            self._check_progress(now)
        return readings

    def _rest_of_period_s(self) -> float:
        """Return what is left of the period since the last reading."""
        elapsed_us = self._clock.now().steady_us - self._progress_us
        return max(0.0, self._period_s - elapsed_us / US_PER_S)
