"""Gill WindSonic ultrasonic anemometer, Gill polar, Gill UV or NMEA MWV output.

Document: WindSonic user manual 1405-PS-0019, issue 30; see `codec/windsonic.py`. Default
9600 8N1, once a second.

Directions are turned by `north_offset_deg` from the unit's north mark to true north. Below
0.05 m/s there is no direction: null, also where the fixed-field format repeats the last one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import FieldError, FrameError
from cbrn_core.reading import Detection, Flag, InstrumentAlarm, Quality, Reading, worst
from cbrn_core.units import Unit
from cbrn_drivers.codec.framing import LineFramer, after_last_start
from cbrn_drivers.codec.text import decimal
from cbrn_drivers.codec.windsonic import CALM_M_S, STATUS_TEXT, WindLine, decode_line
from cbrn_drivers.decoded import DecodedReading, as_readings, other_instrument
from cbrn_drivers.profile import Profile
from cbrn_drivers.serial_driver import StreamingDriver, only_device
from cbrn_drivers.transport.serial import SerialOptions

PROFILE = "gill-windsonic"

_STARTS = b"\x02$"
_CHANNELS = (("wind_speed", Unit.M_S), ("wind_direction", Unit.DEG))


class Options(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table.

    Attributes:
        north_offset_deg: bearing of the unit's north mark, clockwise from true north.
        node: the node letter that its lines must carry; of another unit no value is taken.
            NMEA lines carry none.
        silence_s: no valid line for this long: the port is opened anew.
    """

    north_offset_deg: Annotated[float, msgspec.Meta(ge=-360, le=360)] = 0.0
    node: Annotated[str, msgspec.Meta(pattern="^[A-Z]$")] | None = None
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 15.0


def bus_key(options: Options) -> str:
    """Return the port."""
    return options.bus


def open_bus(devices: Sequence[Device], clock: Clock) -> "WindSonicDriver":
    """Return the driver of one WindSonic."""
    device, options = only_device(devices, Options)
    return WindSonicDriver(device, options, clock)


def fields(frame: bytes, _options: Mapping[str, str], _profile: Profile) -> dict[str, object]:
    """Return the fields of one line."""
    return _decode(frame).fields()


def decode_readings(
    frame: bytes, options: Mapping[str, str], _profile: Profile
) -> list[DecodedReading]:
    """Return speed and direction of one line; `-o north_offset_deg=12.5`."""
    offset = decimal(options.get("north_offset_deg", "0"), "north_offset_deg")
    return as_decoded(_decode(frame), offset)


def _decode(frame: bytes) -> WindLine:
    line = after_last_start(frame.rstrip(b"\r\n"), _STARTS)
    if not line:
        raise FieldError("begins neither with STX nor with $")
    return decode_line(line)


def as_decoded(line: WindLine, north_offset_deg: float) -> list[DecodedReading]:
    """Return speed in m/s and direction in degrees from true north.

    With the instrument's fault both are bad and carry its status; the values are kept
    where it still sends some. A value that is missing without a reason is uncertain.
    """
    fault = None if line.is_valid else _fault(line.status)
    quality = Quality.GOOD if fault is None else Quality.BAD
    flags = () if fault is None else (Flag.INSTRUMENT_FAULT,)
    speed_m_s = line.speed_m_s
    calm = speed_m_s is not None and speed_m_s < CALM_M_S
    missing = Quality.UNCERTAIN
    direction_deg = None
    if line.direction_deg is not None and not calm:
        direction_deg = (line.direction_deg + north_offset_deg) % 360.0
    return [
        DecodedReading(
            channel="wind_speed",
            value=speed_m_s,
            unit=Unit.M_S,
            quality=worst(quality, missing) if speed_m_s is None else quality,
            flags=flags,
            raw=line.speed,
            detection=fault,
        ),
        DecodedReading(
            channel="wind_direction",
            value=direction_deg,
            unit=Unit.DEG,
            quality=worst(quality, missing) if direction_deg is None and not calm else quality,
            flags=(*flags, Flag.BELOW_LOD) if calm else flags,
            raw=line.direction_deg,
            detection=fault,
        ),
    ]


def _fault(status: str) -> Detection:
    text = STATUS_TEXT.get(status, "reading void" if status == "V" else "unknown fault")
    code = None if status == "V" else int(status, 16)
    return Detection(
        instrument_alarm=InstrumentAlarm.FAULT, code=code, text=f"status {status}: {text}"
    )


class WindSonicDriver(StreamingDriver):
    """A WindSonic on a serial port."""

    def __init__(self, device: Device, options: Options, clock: Clock) -> None:
        super().__init__(device, options, clock, options.silence_s)
        self._north_offset_deg = options.north_offset_deg
        self._node = options.node
        self._framer = LineFramer(_STARTS, limit=128)

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made."""
        return dict(self._counts + Counter(bytes_skipped=self._framer.skipped_bytes))

    async def _close(self) -> None:
        self._framer.reset()
        await super()._close()

    def _decode_chunk(self, chunk: bytes, now: Now) -> list[Reading]:
        readings: list[Reading] = []
        for frame in self._framer.feed(chunk):
            try:
                decoded = self._decoded(decode_line(frame))
            except FrameError as error:
                self._refused(error)
                continue
            readings += as_readings(decoded, self._device, now)
        return readings

    def _decoded(self, line: WindLine) -> list[DecodedReading]:
        if self._node is None or line.sender == self._node:
            return as_decoded(line, self._north_offset_deg)
        self._counts["identity_wrong"] += 1
        return other_instrument(_CHANNELS, line.sender, self._node)
