"""What a reading carries beside its value, cut down to what may be worked with.

Wires and networks bring any number and any text. A field that cannot be is left out and
counted; the reading itself goes on, with whatever alarm it carries.
"""

import re
from math import isfinite

import msgspec

from cbrn_core.reading import Bars, Detection, Flag, Reading
from cbrn_gateway.pipeline.drops import Drop, DropCounter

LONGEST_LIVETIME_S = 86_400.0
_LONGEST_TEXT = 500
_GREATEST_CODE = 2**31 - 1
_GREATEST_NUMBER = 2**53 - 1
"""What survives JSON; as a time in µs the year 2255."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def plausible(reading: Reading, at_us: int, drops: DropCounter) -> Reading:
    """Return the reading without live time, number or detection fields that cannot be.

    A time that no calendar of ours has is replaced by `at_us`, its arrival.
    """
    if not 0 <= reading.time_us <= _GREATEST_NUMBER:
        drops.add(Drop.BAD_TIME)
        flags = (*reading.flags, Flag.CLOCK_UNSYNCED)
        reading = msgspec.structs.replace(reading, time_us=at_us, flags=flags)
    livetime_s, seq, detection = reading.livetime_s, reading.seq, reading.detection
    if seq is None and detection is None and (livetime_s is None or _is_livetime(livetime_s)):
        return reading
    if livetime_s is not None and not _is_livetime(livetime_s):
        drops.add(Drop.BAD_LIVETIME)
        livetime_s = None
    if seq is not None and not 0 <= seq <= _GREATEST_NUMBER:
        drops.add(Drop.BAD_SEQUENCE)
        seq = None
    if detection is not None:
        detection = _plausible(detection, drops)
    return msgspec.structs.replace(reading, livetime_s=livetime_s, seq=seq, detection=detection)


def _is_livetime(livetime_s: float) -> bool:
    return isfinite(livetime_s) and 0 < livetime_s <= LONGEST_LIVETIME_S


def _plausible(detection: Detection, drops: DropCounter) -> Detection:
    agent, bars, code, text = detection.agent, detection.bars, detection.code, detection.text
    changed = msgspec.structs.replace(
        detection,
        agent=agent if agent is not None and _NAME.fullmatch(agent) else None,
        bars=min(max(bars, Bars.LEAST.value), Bars.MOST.value),
        code=code if code is not None and abs(code) <= _GREATEST_CODE else None,
        text=None if text is None else text[:_LONGEST_TEXT],
    )
    if changed != detection:
        drops.add(Drop.BAD_DETECTION)
    return changed
