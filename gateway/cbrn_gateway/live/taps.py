"""Listening to the daemon: readings as the pipeline gets them, octets as the wires carry them.

Each listener has a bounded queue: one that is too slow loses lines, counted and told in
its own stream; the daemon never waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339
from cbrn_drivers.transport.wiretap import Direction, WireListener
from cbrn_gateway.pipeline.pipeline import Event
from cbrn_gateway.privacy import BodyChannels
from cbrn_gateway.recording import encode_gap, encode_header, encode_reading

MOST_QUEUED_BYTES = 16_000_000
MOST_REMEMBERED_BYTES = 1_000_000
MOST_LISTENERS = 8
LONGEST_PIECE_BYTES = 16_384


class Wanted(StrEnum):
    """What a listener wants to hear."""

    READINGS = "readings"
    WIRE = "wire"


class TapRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-tap/1`: the line that makes a connection of the control socket a stream."""

    schema: Literal["cbrn-tap/1"]
    wants: Wanted


class WireRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a raw recording: octets of one device, as they went over its wire.

    `device` is None for what is heard on a shared line before anything was asked.
    """

    time: str
    device: str | None
    bus: str
    direction: Direction
    hex: str


class Tap:
    """The queue of one listener, oldest line first."""

    def __init__(self, wanted: Wanted, most_bytes: int = MOST_QUEUED_BYTES) -> None:
        self.wanted = wanted
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0
        self._lost = 0
        self._filled = asyncio.Event()

    def put(self, line: bytes) -> None:
        """Queue a line without its end; once one did not fit, all are lost until `take`."""
        if self._lost or self._held_bytes + len(line) > self._most_bytes:
            self._lost += 1
            return
        self._lines.append(line)
        self._held_bytes += len(line)
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for something to send; return it as whole lines, the gap after it."""
        await self._filled.wait()
        self._filled.clear()
        lines = list(self._lines)
        self._lines.clear()
        self._held_bytes = 0
        if self._lost:
            lines.append(encode_gap(self._lost))
            self._lost = 0
        return b"".join(line + b"\n" for line in lines)


class Taps:
    """All listeners of one daemon; costs nothing while there are none.

    None hears a value of a person's body: a driver of wearables tells no octets, and its
    readings come without their values.
    """

    def __init__(self, model: SiteModel, clock: Clock) -> None:
        self._gateway = model.gateway
        self._config_hash = model.config_hash
        self._bodies = BodyChannels(model)
        self._clock = clock
        self._reached_us: int | None = None
        self._since_start: list[bytes] | None = None
        self._since_start_bytes = 0
        self._readings: list[Tap] = []
        self._wire: list[Tap] = []

    def open(self, line: bytes) -> Tap | None:
        """Return the new tap that a line of the control socket asks for; None if it does not."""
        try:
            wanted = msgspec.json.decode(line, type=TapRequest).wants
        except msgspec.DecodeError:
            return None
        if len(self._readings) + len(self._wire) >= MOST_LISTENERS:
            return None
        return self.add(wanted)

    def add(self, wanted: Wanted) -> Tap:
        """Return a new tap."""
        tap = Tap(wanted)
        if wanted is Wanted.WIRE:
            self._wire.append(tap)
        else:
            self._readings.append(tap)
            for line in self._said_before():
                tap.put(line)
        return tap

    def close(self, tap: Tap) -> None:
        """Forget a listener that has left."""
        for taps in (self._readings, self._wire):
            if tap in taps:
                taps.remove(tap)

    def begin(self, started_us: int, *, fresh: bool = False) -> None:
        """Say when the pipeline began to watch (steady); earlier listeners hear from there.

        A `fresh` pipeline knew nothing before: while that is little, a listener gets all
        since then, so that a replay of what it wrote down is exactly what was.
        """
        self._reached_us = started_us
        header = self._header(started_us)
        self._since_start = [header] if fresh else None
        for tap in self._readings:
            tap.put(header)

    def reconfigure(self, model: SiteModel) -> None:
        """Speak of another configuration from here on; nothing before it is told any more."""
        self._config_hash = model.config_hash
        self._bodies = BodyChannels(model)
        self._since_start = None

    def turn(self, now_us: int, events: Sequence[Event]) -> None:
        """Tell what goes into this turn of the pipeline, in the order in which it does."""
        self._reached_us = now_us
        if not self._readings and self._since_start is None:
            return
        readings = [event for event in events if isinstance(event, Reading)]
        for reading in self._bodies.blanked(readings):
            line = encode_reading(reading)
            self._remember(line)
            for tap in self._readings:
                tap.put(line)

    def listen(self, bus: str, devices: Sequence[Device]) -> WireListener:
        """Return who overhears one wire and tells the listeners which device it was."""
        names = {device.options.get("unit_id", 1): device.id for device in devices}
        only = devices[0].id if len(devices) == 1 else None

        def heard(direction: Direction, octets: bytes, unit_id: int | None) -> None:
            device = names.get(unit_id, only)
            for start in range(0, len(octets) if self._wire else 0, LONGEST_PIECE_BYTES):
                piece = octets[start : start + LONGEST_PIECE_BYTES]
                self._tell(bus, device, direction, piece)

        return heard

    def _said_before(self) -> list[bytes]:
        if self._since_start is not None:
            return self._since_start
        return [] if self._reached_us is None else [self._header(self._reached_us)]

    def _remember(self, line: bytes) -> None:
        if self._since_start is None:
            return
        self._since_start_bytes += len(line)
        if self._since_start_bytes > MOST_REMEMBERED_BYTES:
            self._since_start = None
        else:
            self._since_start.append(line)

    def _tell(self, bus: str, device: str | None, direction: Direction, octets: bytes) -> None:
        row = WireRow(
            time=format_rfc3339(self._clock.now().wall_us),
            device=device,
            bus=bus,
            direction=direction,
            hex=octets.hex(),
        )
        line = msgspec.json.encode(row)
        for tap in self._wire:
            tap.put(line)

    def _header(self, started_us: int) -> bytes:
        return encode_header(started_us, self._gateway, self._config_hash)
