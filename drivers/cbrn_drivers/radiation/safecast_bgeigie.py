"""Safecast bGeigie, live on its serial port or from the log on its card.

Documents: Safecast bGeigieNanoKit README and firmware, bGeigieMini README (NX), CzechRad
readme; see `codec/bgeigie.py`. 9600 8N1, one line every 5 s, comments begin with `#`.

The value is counts of the last 5 s over 5 s: the counts per minute on the line are a
sliding sum, and its samples are not independent. After a comment `# deadtime=on` the live
time is shortened by the tube's dead time. A receiver without a fix takes nothing away from
the counts: the reading is flagged `no_fix`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import FrameError, InputError, LengthError
from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.times import seconds_to_us
from cbrn_core.units import Unit
from cbrn_drivers.codec.bgeigie import (
    COUNT_INTERVAL_S,
    Sentence,
    dead_time_livetime_s,
    decode_sentence,
    frame_of_line,
)
from cbrn_drivers.codec.framing import LineFramer
from cbrn_drivers.codec.text import ascii_text
from cbrn_drivers.decoded import DecodedReading, as_readings, other_instrument
from cbrn_drivers.profile import Profile
from cbrn_drivers.serial_driver import StreamingDriver, only_device
from cbrn_drivers.transport.serial import SerialOptions

PROFILE = "safecast-bgeigie"
CLOCK_TOLERANCE_S = 30.0
"""A device time further off the machine's clock than this is not trusted."""

_CLOCK_TOLERANCE_US = seconds_to_us(CLOCK_TOLERANCE_S)
_CHANNEL = "gamma"
_COMMENT = b"#"
_LONGEST_LINE_BYTES = 512


class Options(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table.

    Attributes:
        dead_time: shorten the live time by the tube's dead time even without the comment.
        serial: the device id that its sentences must carry; of another one no value is taken.
        silence_s: no valid line for this long: the port is opened anew.
    """

    dead_time: bool = False
    serial: Annotated[int, msgspec.Meta(ge=0)] | None = None
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0


def bus_key(options: Options) -> str:
    """Return the port."""
    return options.bus


def open_bus(devices: Sequence[Device], clock: Clock) -> "BgeigieDriver":
    """Return the driver of one bGeigie."""
    device, options = only_device(devices, Options)
    return BgeigieDriver(device, options, clock)


def open_log(profile: Profile, lines: Iterable[bytes], station: str) -> "LogReader":
    """Return the reader of a `.LOG` file; read the file by bounded lines."""
    return LogReader(profile, lines, station)


def fields(frame: bytes, _options: Mapping[str, str], _profile: Profile) -> dict[str, object]:
    """Return the fields of one line; a comment is returned as such."""
    line = frame_of_line(frame.rstrip(b"\r\n"))
    if line.startswith(_COMMENT):
        return {"comment": ascii_text(line[1:].strip())}
    return decode_sentence(line).fields()


def decode_readings(
    frame: bytes, options: Mapping[str, str], _profile: Profile
) -> list[DecodedReading]:
    """Return the reading of one line, [] for comments and status; `-o dead_time=on`."""
    line = frame_of_line(frame.rstrip(b"\r\n"))
    if line.startswith(_COMMENT):
        return []
    said = decode_sentence(line)
    if not isinstance(said, Sentence):
        return []
    return [as_decoded(said, dead_time=options.get("dead_time") == "on")]


def as_decoded(sentence: Sentence, *, dead_time: bool) -> DecodedReading:
    """Return the reading of one sentence; `raw` is the device's time text."""
    counts = sentence.counts_5s
    livetime_s: float | None = COUNT_INTERVAL_S
    flags: list[Flag] = []
    quality = Quality.GOOD
    if dead_time:
        livetime_s = dead_time_livetime_s(counts)
    if livetime_s is None:
        livetime_s, quality = COUNT_INTERVAL_S, Quality.UNCERTAIN
        flags.append(Flag.OVER_RANGE)
    value: float | None = counts / livetime_s
    if not sentence.rad_valid:
        quality = Quality.UNCERTAIN
        flags.append(Flag.WARMING_UP)
        if counts == 0:
            value, quality = None, Quality.BAD
    fix = _fix(sentence)
    if fix is None or not fix.gnss_fix:
        flags.append(Flag.NO_FIX)
    if sentence.time_us is None:
        flags.append(Flag.CLOCK_UNSYNCED)
    return DecodedReading(
        channel=_CHANNEL,
        value=value,
        unit=Unit.CPS,
        quality=quality,
        flags=tuple(flags),
        time_us=sentence.time_us,
        fix=fix,
        livetime_s=livetime_s,
        raw=sentence.time_text,
    )


def _fix(sentence: Sentence) -> Fix | None:
    if sentence.lat is None or sentence.lon is None:
        return None
    somewhere = (sentence.lat, sentence.lon) != (0.0, 0.0)
    return Fix(
        sentence.lat,
        sentence.lon,
        alt_m=sentence.alt_m,
        gnss_fix=sentence.gps_valid and somewhere,
    )


class _Lines:
    """Decodes lines one after the other; remembers what the comments said."""

    def __init__(self, *, dead_time: bool, serial: int | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._dead_time = dead_time
        self._serial = serial

    def decode(self, line: bytes) -> DecodedReading | None:
        """Return the reading of a line, None where it carries none; raises FrameError."""
        if line.startswith(_COMMENT):
            self.counts["comments"] += 1
            setting = line[1:].replace(b" ", b"").strip().lower()
            if setting.startswith(b"deadtime="):
                self._dead_time = setting == b"deadtime=on"
            return None
        try:
            said = decode_sentence(line)
        except FrameError as error:
            self.counts[f"frame_{error.kind}"] += 1
            raise
        if isinstance(said, Sentence):
            if self._serial not in {None, said.device_id}:
                self.counts["identity_wrong"] += 1
                return self._stranger(said.device_id)
            return as_decoded(said, dead_time=self._dead_time)
        self.counts["status"] += 1
        return None

    def _stranger(self, told: int) -> DecodedReading:
        (reading,) = other_instrument([(_CHANNEL, Unit.CPS)], str(told), str(self._serial))
        return reading


class BgeigieDriver(StreamingDriver):
    """A bGeigie on a serial port."""

    def __init__(self, device: Device, options: Options, clock: Clock) -> None:
        super().__init__(device, options, clock, options.silence_s)
        self._lines = _Lines(dead_time=options.dead_time, serial=options.serial)
        self._framer = LineFramer(b"$", comment=_COMMENT, limit=_LONGEST_LINE_BYTES)

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made."""
        skipped = Counter(bytes_skipped=self._framer.skipped_bytes)
        return {k: n for k, n in (self._lines.counts + skipped).items() if k != "comments"}

    async def _close(self) -> None:
        self._framer.reset()
        await super()._close()

    def _decode_chunk(self, chunk: bytes, now: Now) -> list[Reading]:
        readings: list[Reading] = []
        for line in self._framer.feed(chunk):
            try:
                decoded = self._lines.decode(line)
            except FrameError:
                continue
            if decoded is not None:
                readings += as_readings([_against_clock(decoded, now)], self._device, now)
        return readings


def _against_clock(decoded: DecodedReading, now: Now) -> DecodedReading:
    """Return the reading with its time only where that agrees with the machine's clock."""
    time_us = decoded.time_us
    if Flag.OTHER_INSTRUMENT in decoded.flags:
        return decoded
    if time_us is not None and abs(time_us - now.wall_us) <= _CLOCK_TOLERANCE_US:
        return msgspec.structs.replace(decoded, raw=None)
    flags = tuple(dict.fromkeys((*decoded.flags, Flag.CLOCK_UNSYNCED)))
    return msgspec.structs.replace(decoded, time_us=None, flags=flags)


class LogReader:
    """A log file as readings of one station; `time` and arrival are the device's time.

    A line without a valid time follows the line before by 5 s, flagged; before the first
    valid time it is refused. Arrival never goes backwards, whatever the device's clock does.
    """

    def __init__(
        self, profile: Profile, lines: Iterable[bytes], station: str, *, dead_time: bool = False
    ) -> None:
        self._input = lines
        self._lines = _Lines(dead_time=dead_time)
        self._station = station
        self._device = profile.name
        self._last_us: int | None = None
        self._received_us = 0

    def __iter__(self) -> Iterator[Reading | FrameError | InputError]:
        """Yield readings in order; a line that is refused is yielded as its error."""
        for line in self._input:
            content = line.rstrip(b"\r\n")
            if not content.strip():
                continue
            try:
                reading = self._read(content)
            except (FrameError, InputError) as error:
                yield error
                continue
            if reading is not None:
                self._lines.counts["readings"] += 1
                yield reading

    def counters(self) -> Mapping[str, int]:
        """Return readings, comments, status sentences and refused lines by name."""
        return dict(self._lines.counts)

    def _read(self, content: bytes) -> Reading | None:
        if len(content) > _LONGEST_LINE_BYTES:
            self._lines.counts["frame_length"] += 1
            raise LengthError(f"a line of {len(content)} bytes")
        decoded = self._lines.decode(frame_of_line(content))
        if decoded is None:
            return None
        time_us = decoded.time_us
        if time_us is None:
            time_us = self._next_time_us()
        if time_us < self._received_us:
            self._lines.counts["time_backwards"] += 1
        self._last_us = time_us
        self._received_us = max(self._received_us, time_us)
        return Reading(
            station=self._station,
            channel=decoded.channel,
            time_us=time_us,
            received_us=self._received_us,
            value=decoded.value,
            unit=decoded.unit,
            quality=decoded.quality,
            flags=decoded.flags,
            device=self._device,
            raw=decoded.raw if decoded.time_us is None else None,
            fix=decoded.fix,
            livetime_s=decoded.livetime_s,
        )

    def _next_time_us(self) -> int:
        if self._last_us is None:
            self._lines.counts["no_time"] += 1
            raise InputError("a line before the receiver has told the date")
        return self._last_us + seconds_to_us(COUNT_INTERVAL_S)
