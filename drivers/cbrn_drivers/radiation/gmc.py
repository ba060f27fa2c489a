"""GQ GMC Geiger counters on USB serial.

Documents: GQ-RFC1201 v1.40 and GQ-RFC1801 v1.00; see `codec/gmc.py`. 8N1; 115200 baud, but
57600 on GMC-300 V3.xx and earlier.

The value is counts of one second: read each second with `<GETCPS>>` where the document
has it (RFC1801), else taken from the heartbeat (RFC1201). Counts per minute are a 60 s
sliding sum on the instrument; mode `cpm` therefore reads them once a minute. The gateway
never sends the commands that write the configuration.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import (
    ConnectFailed,
    FieldError,
    FrameError,
    LengthError,
    ReadTimeout,
    TransportError,
)
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_core.units import Unit
from cbrn_drivers.codec import gmc as codec
from cbrn_drivers.codec.gmc import Calibration, Dialect, Version
from cbrn_drivers.codec.gmc_replies import decode_reply, reply_readings
from cbrn_drivers.decoded import DecodedReading, as_readings, other_instrument
from cbrn_drivers.profile import Profile
from cbrn_drivers.serial_driver import SerialDriver, only_device
from cbrn_drivers.transport.serial import SerialOptions, SerialPort

PROFILE = "gq-gmc-500"

HEARTBEAT_END_S = 1.1
"""After `<HEARTBEAT0>>` one more record may come within a second."""
IDLE_S = 0.1
REPLY_TIMEOUT_S = 1.0
CONFIG_TIMEOUT_S = 5.0
COUNT_PERIOD_S = 1.0
CPM_PERIOD_S = 60.0
IDENTITY_PERIOD_S = 2.0
"""While another counter is there: how often it is asked anew who it is."""

SERIAL_BYTES = 7
MOST_CPS = 100_000
"""No Geiger-Müller tube counts more: a higher figure is a shifted reply."""

_GREETINGS = 3
_MOST_RECORDS = 10
_PROFILE_DIALECTS = {
    "gq-gmc-300": Dialect.RFC1201,
    "gq-gmc-500": Dialect.RFC1801,
    "gq-gmc-800": Dialect.GMC800,
}


class Options(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table.

    Attributes:
        dialect: `auto` asks the instrument for its model.
        mode: `auto` polls where the dialect has `<GETCPS>>`, else listens to the heartbeat.
        serial: 14 hexadecimal digits, as `<GETSERIAL>>` answers; of another counter no
            value is taken.
        battery_period_s: how often the battery is read.
        silence_s: no valid count for this long: the port is opened anew.
    """

    baudrate: Annotated[int, msgspec.Meta(ge=1200, le=921_600)] = 115_200
    dialect: Literal["auto", "rfc1201", "rfc1801", "gmc800"] = "auto"
    mode: Literal["auto", "heartbeat", "poll", "cpm"] = "auto"
    serial: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{14}$")] | None = None
    battery_period_s: Annotated[float, msgspec.Meta(ge=10)] = 600.0
    silence_s: Annotated[float, msgspec.Meta(ge=2, le=3600)] = 10.0


def bus_key(options: Options) -> str:
    """Return the port."""
    return options.bus


def open_bus(devices: Sequence[Device], clock: Clock) -> "GmcDriver":
    """Return the driver of one counter."""
    device, options = only_device(devices, Options)
    return GmcDriver(device, options, clock)


def fields(frame: bytes, options: Mapping[str, str], _profile: Profile) -> dict[str, object]:
    """Return the fields of one reply.

    `-o request=<GETCPM>>` says what was asked; without it a `<…>>` frame is a command of
    the host, text a version, and a reply of the length of a count is counts per minute.
    `-o dialect=rfc1201` overrides the profile's. `-o cpm=23` with `<GETCFG>>` adds the
    dose rate that the calibration in the reply gives for that count rate.
    """
    return decode_reply(frame, options, _dialect(options))


def decode_readings(
    frame: bytes, options: Mapping[str, str], _profile: Profile
) -> list[DecodedReading]:
    """Return the readings of one reply; options as for `fields`."""
    return reply_readings(decode_reply(frame, options, _dialect(options)))


def _dialect(options: Mapping[str, str]) -> Dialect:
    text = options.get("dialect")
    if text is None:
        return _PROFILE_DIALECTS.get(options.get("profile", ""), Dialect.RFC1801)
    if text not in set(Dialect):
        raise FieldError(f"dialect {text!r} is none of {', '.join(Dialect)}")
    return Dialect(text)


class GmcDriver(SerialDriver):
    """A counter on a serial port.

    Attributes:
        version: what the instrument said of itself; None before the first connection.
        calibration: counts to dose rate as set in the instrument; None where unreadable.
            For the technician: readings stay counts, the site's factor is configuration.
    """

    def __init__(self, device: Device, options: Options, clock: Clock) -> None:
        super().__init__(device, options, clock, options.silence_s)
        self.version: Version | None = None
        self.calibration: Calibration | None = None
        self._serial = None if options.serial is None else options.serial.lower()
        self._stranger: str | None = None
        self._said_dialect = options.dialect
        self._said_mode = options.mode
        self._battery_period_us = seconds_to_us(options.battery_period_s)
        self._battery_due_us = 0
        self._dialect = Dialect.RFC1801
        self._period_s = max(device.period_s or COUNT_PERIOD_S, COUNT_PERIOD_S)

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield counts each period and the battery now and then; raises TransportError."""
        port = self._open_port()
        while self._stranger is not None:
            self._progressed(self._clock.now())
            yield self._of_another(self._stranger)
            await self._clock.sleep(IDENTITY_PERIOD_S)
            self._stranger = await self._other_serial(port)
        if self._mode == "heartbeat":
            await port.write(b"<HEARTBEAT1>>")
        while True:
            started_us = self._clock.now().steady_us
            readings = await self._count(port)
            now = self._clock.now()
            if readings:
                self._progressed(now)
                readings += await self._battery(port)
                yield readings
            else:
                self._check_progress(now)
            if self._mode != "heartbeat":
                await self._rest(started_us)

    @property
    def _mode(self) -> str:
        if self._said_mode != "auto":
            return self._said_mode
        return "heartbeat" if self._dialect is Dialect.RFC1201 else "poll"

    async def _greet(self, port: SerialPort) -> None:
        await port.write(b"<HEARTBEAT0>>")
        self._skipped(await port.drain_input(HEARTBEAT_END_S, limit_s=3 * HEARTBEAT_END_S))
        self.version = await self._identify(port)
        try:
            said = self._said_dialect
            model = self.version.model
            self._dialect = codec.dialect_of(model) if said == "auto" else Dialect(said)
        except FrameError as error:
            raise ConnectFailed(f"{self._device.id}: {error}") from error
        self._stranger = await self._other_serial(port)
        self.calibration = await self._read_calibration(port)

    async def _other_serial(self, port: SerialPort) -> str | None:
        """Return the serial number where it is not ours; raises ConnectFailed without one."""
        if self._serial is None:
            return None
        for _ in range(_GREETINGS):
            try:
                reply = await self._ask(port, b"<GETSERIAL>>", SERIAL_BYTES, REPLY_TIMEOUT_S)
            except ReadTimeout:
                self._counts["no_reply"] += 1
            except FrameError as error:
                self._refused(error)
                self._skipped(await port.drain_input(IDLE_S, limit_s=REPLY_TIMEOUT_S))
            else:
                told = codec.decode_serial(reply)
                self._counts["identity_wrong"] += told != self._serial
                return None if told == self._serial else told
        raise ConnectFailed(f"{self._device.id} does not tell its serial number")

    def _of_another(self, told: str) -> list[Reading]:
        decoded = other_instrument([("gamma", Unit.CPS)], told, str(self._serial))
        return as_readings(decoded, self._device, self._clock.now())

    async def _identify(self, port: SerialPort) -> Version:
        reason = ""
        for _ in range(_GREETINGS):
            await port.write(b"<GETVER>>")
            try:
                reply = await port.read_until_idle(REPLY_TIMEOUT_S, IDLE_S, limit=64)
                return codec.decode_version(reply)
            except ReadTimeout:
                reason = f"no answer at {self._options.baudrate} baud"
            except FrameError as error:
                self._refused(error)
                reason = str(error)
                self._skipped(await port.drain_input(IDLE_S, limit_s=REPLY_TIMEOUT_S))
        raise ConnectFailed(f"{self._device.id} is no GMC: {reason}")

    async def _read_calibration(self, port: SerialPort) -> Calibration | None:
        """Return the instrument's own calibration; a failure is counted, counts go on."""
        try:
            config = await self._ask(
                port, b"<GETCFG>>", codec.config_bytes(self._dialect), CONFIG_TIMEOUT_S
            )
            return codec.decode_calibration(config, self._dialect)
        except ReadTimeout:
            self._counts["no_reply"] += 1
        except FrameError as error:
            self._refused(error)
        return None

    async def _ask(self, port: SerialPort, request: bytes, length: int, timeout_s: float) -> bytes:
        """Return a reply of known length, sent on its own.

        Raises:
            LengthError: more bytes came than the reply has: the stream is out of step.
        """
        self._skipped(port.discard_input())
        await port.write(request)
        reply = await port.read_exactly(length, timeout_s)
        await asyncio.sleep(0)
        surplus = port.discard_input()
        if surplus:
            raise LengthError(f"{surplus} bytes behind the reply to {request.decode()}")
        return reply

    async def _count(self, port: SerialPort) -> list[Reading]:
        """Return the next count, [] when it was refused and counted."""
        try:
            if self._mode == "heartbeat":
                return await self._heartbeats(port)
            return await self._polled(port)
        except ReadTimeout:
            self._counts["no_reply"] += 1
            if self._mode == "heartbeat":
                await port.write(b"<HEARTBEAT1>>")
        except FrameError as error:
            self._refused(error)
            self._skipped(await port.drain_input(IDLE_S, limit_s=REPLY_TIMEOUT_S))
        return []

    async def _polled(self, port: SerialPort) -> list[Reading]:
        in_cpm = self._mode == "cpm" or self._dialect is Dialect.RFC1201
        request = b"<GETCPM>>" if in_cpm else b"<GETCPS>>"
        length = codec.count_bytes(self._dialect)
        reply = await self._ask(port, request, length, REPLY_TIMEOUT_S)
        livetime_s = CPM_PERIOD_S if in_cpm else COUNT_PERIOD_S
        rate = codec.decode_count(reply, self._dialect) / livetime_s
        return self._readings([rate], livetime_s, self._clock.now())

    async def _heartbeats(self, port: SerialPort) -> list[Reading]:
        length = codec.count_bytes(self._dialect)
        chunk = await port.read_until_idle(3 * COUNT_PERIOD_S, IDLE_S, _MOST_RECORDS * length)
        now = self._clock.now()
        if len(chunk) % length:
            self._skipped(len(chunk))
            raise LengthError(f"{len(chunk)} bytes are no whole heartbeats")
        records = [chunk[i : i + length] for i in range(0, len(chunk), length)]
        rates = [codec.decode_heartbeat(record, self._dialect) for record in records]
        return self._readings([float(r) for r in rates], COUNT_PERIOD_S, now)

    def _readings(self, rates_cps: list[float], livetime_s: float, now: Now) -> list[Reading]:
        """Return consecutive rates, the last of them just measured."""
        implausible = [rate for rate in rates_cps if rate > MOST_CPS]
        if implausible:
            raise FieldError(f"{implausible[0]:.0f} counts a second")
        behind = len(rates_cps) - 1
        decoded = [
            msgspec.structs.replace(
                reply_readings({"cps": rate})[0],
                livetime_s=livetime_s,
                time_us=now.wall_us - (behind - i) * seconds_to_us(livetime_s),
            )
            for i, rate in enumerate(rates_cps)
        ]
        return as_readings(decoded, self._device, now)

    async def _battery(self, port: SerialPort) -> list[Reading]:
        """Return the battery voltage when it is due, between two counts."""
        now = self._clock.now()
        if now.steady_us < self._battery_due_us:
            return []
        self._battery_due_us = now.steady_us + self._battery_period_us
        length = 1 if self._dialect is Dialect.RFC1201 else 5
        try:
            reply = await self._ask(port, b"<GETVOLT>>", length, REPLY_TIMEOUT_S)
            volts = codec.decode_voltage(reply)
        except ReadTimeout:
            self._counts["no_reply"] += 1
            return []
        except FrameError as error:
            self._refused(error)
            return []
        return as_readings(reply_readings({"battery_V": volts}), self._device, self._clock.now())

    async def _rest(self, started_us: int) -> None:
        period_s = self._period_s
        if self._mode == "cpm" or self._dialect is Dialect.RFC1201:
            period_s = max(period_s, CPM_PERIOD_S)
        elapsed_s = (self._clock.now().steady_us - started_us) / US_PER_S
        await self._clock.sleep(max(0.0, period_s - elapsed_s))

    async def _close(self) -> None:
        port = self._port
        if port is not None and self._mode == "heartbeat":
            try:
                await port.write(b"<HEARTBEAT0>>")
            except TransportError:
                self._counts["lost_in_use"] += 1
        await super()._close()
