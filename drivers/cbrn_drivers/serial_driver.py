"""What all serial instruments share: the port's life, counters, and the progress watchdog."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import ConfigError, Disconnected, FrameError, Problem, ReadTimeout
from cbrn_core.reading import Reading
from cbrn_core.times import seconds_to_us
from cbrn_drivers.decoded import told_apart
from cbrn_drivers.transport.serial import SerialOptions, SerialPort, open_port

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


class SerialDriver:
    """One serial port with one instrument; a family adds `_greet` and `batches`.

    Args:
        silence_s: without a valid frame for this long, the wire counts as broken.
    """

    def __init__(
        self, device: Device, options: SerialOptions, clock: Clock, silence_s: float
    ) -> None:
        self._device = device
        self._options = options
        self._clock = clock
        self._silence_s = silence_s
        self._port: SerialPort | None = None
        self._counts: Counter[str] = Counter()
        self._progress_us = 0

    async def __aenter__(self) -> Self:
        """Open the port and greet the instrument; raises TransportError."""
        await self._close()
        self._port = await open_port(self._options)
        greeted = False
        try:
            await self._greet(self._port)
            greeted = True
        finally:
            if not greeted:
                await self._close()
        self._progressed(self._clock.now())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        await self._close()

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made."""
        return dict(self._counts)

    async def _greet(self, port: SerialPort) -> None:
        """Bring the instrument into the wanted mode; most need nothing."""

    async def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await port.close()

    def _open_port(self) -> SerialPort:
        if self._port is None:
            raise Disconnected("not open")
        return self._port

    def _refused(self, error: FrameError) -> None:
        self._counts[f"frame_{error.kind}"] += 1

    def _skipped(self, count: int) -> None:
        if count:
            self._counts["bytes_skipped"] += count

    def _progressed(self, now: Now) -> None:
        self._progress_us = now.steady_us

    def _check_progress(self, now: Now) -> None:
        """Raise ReadTimeout when bytes may come, but no valid frame for too long."""
        if now.steady_us - self._progress_us >= seconds_to_us(self._silence_s):
            raise ReadTimeout(f"{self._device.id}: no valid frame for {self._silence_s:g} s")


class StreamingDriver(SerialDriver):
    """An instrument that talks by itself: chunks in, readings out."""

    def _decode_chunk(self, chunk: bytes, now: Now) -> list[Reading]:
        """Return the readings that the chunk completes; counts what it refuses."""
        raise NotImplementedError

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield readings as they arrive; raises TransportError."""
        port = self._open_port()
        while True:
            chunk = await port.read(self._silence_s)
            now = self._clock.now()
            readings = told_apart(self._decode_chunk(chunk, now), now)
            if readings:
                self._progressed(now)
                yield readings
            else:
                self._check_progress(now)


def only_device(devices: Sequence[Device], options_type: type[OptionsT]) -> tuple[Device, OptionsT]:
    """Return the one device of a serial port, and its options.

    Raises:
        ConfigError: several devices claim the port, or the options do not fit.
    """
    if len(devices) != 1:
        names = ", ".join(d.id for d in devices)
        raise ConfigError([Problem("device", f"one port has one instrument, not {names}")])
    try:
        return devices[0], msgspec.convert(devices[0].options, options_type)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem(f"device {devices[0].id}", str(error))]) from None
