"""The progress watchdog of a wire: a transport that says it is connected may lie."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from math import ceil

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.errors import ReadTimeout
from cbrn_core.reading import Quality, Reading
from cbrn_core.times import US_PER_S

PERIODS = 3
LEAST_S = 5.0
UNKNOWN_S = 180.0
"""While the rhythm is not known yet: some instruments speak once a minute, some warm up first."""

GREETING_S = 30.0
"""After a connection, until the first reading of a wire whose rhythm is known or configured."""

_USABLE = frozenset({Quality.GOOD, Quality.UNCERTAIN})
_INTERVALS = 10
_LOOKS = 4
_LOOK_EVERY_S = 1.0
_CONFIRM_S = 0.25
_BEAT_S = 0.25
"""Looks fall on multiples of this, so that hundreds of wires share a wake-up of the loop."""


def tells_something(batch: Sequence[Reading]) -> bool:
    """Return whether a batch shows that its wire works: a usable value, or why there is none.

    An instrument that says it is ill, inhibited or warming up does so over a wire that works:
    to open that anew for hours would mend nothing, might start the instrument anew, and would
    tear holes into what it says. A null that nobody explains shows nothing.
    """
    return any(
        (reading.value is not None and reading.quality in _USABLE)
        or reading.flags
        or reading.detection is not None
        for reading in batch
    )


class ProgressWatch:
    """Breaks off what runs inside it when the wire has given no reading for too long.

    Too long is three times the longest of the last ten intervals between readings (or the
    longest period that is configured, where that is more), at least 5 s. What a profile says
    of a period does not count: instruments are set otherwise. A period that is configured for
    every instrument of the wire tells when a wire is silent from the start; how long it may
    be silent later is learnt, since the period may be configured wrong.
    """

    def __init__(self, devices: Iterable[Device], clock: Clock, least_s: float = LEAST_S) -> None:
        self._clock = clock
        self._least_s = least_s
        periods_s = [device.period_s for device in devices]
        self._period_s = max((s for s in periods_s if s is not None), default=0.0)
        self._is_configured = bool(periods_s) and None not in periods_s
        self._intervals_us: deque[int] = deque(maxlen=_INTERVALS)
        self._heard_us: int | None = None
        self._began_us = 0

    def heard(self, batch: Sequence[Reading]) -> None:
        """Note that readings have come that tell something."""
        now_us = batch[-1].received_us
        if self._heard_us is not None:
            self._intervals_us.append(now_us - self._heard_us)
        self._heard_us = now_us

    @property
    def allowed_s(self) -> float:
        """Return how long the wire may be without a reading now."""
        if len(self._intervals_us) < _INTERVALS:
            is_first = self._is_configured and self._heard_us is None
            return max(GREETING_S if is_first else UNKNOWN_S, PERIODS * self._period_s)
        period_s = max(*self._intervals_us, self._period_s * US_PER_S) / US_PER_S
        greeting_s = GREETING_S if self._heard_us is None else 0.0
        return max(PERIODS * period_s, self._least_s, greeting_s)

    @asynccontextmanager
    async def guarding(self) -> AsyncIterator[None]:
        """Watch one connection.

        Raises:
            ReadTimeout: no reading for `allowed_s`.
        """
        self._heard_us = None
        self._began_us = self._clock.now().steady_us
        looking: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(None) as limit:
                looking = asyncio.create_task(self._look(limit))
                yield
        except TimeoutError:
            if limit.expired():
                raise ReadTimeout(f"no reading for {self._silent_s():.0f} s") from None
            raise
        finally:
            if looking is not None:
                looking.cancel()

    async def _look(self, limit: asyncio.Timeout) -> None:
        """Let the limit pass once the wire is overdue, twice seen: the loop itself may be late."""
        while True:
            await asyncio.sleep(_to_beat(min(self.allowed_s / _LOOKS, _LOOK_EVERY_S)))
            if self._silent_s() > self.allowed_s:
                await asyncio.sleep(_CONFIRM_S)
                if self._silent_s() > self.allowed_s:
                    limit.reschedule(asyncio.get_running_loop().time())
                    return

    def _silent_s(self) -> float:
        since_us = self._began_us if self._heard_us is None else self._heard_us
        return (self._clock.now().steady_us - since_us) / US_PER_S


def _to_beat(seconds: float) -> float:
    """Return how long it is to the first beat that is not before so many seconds."""
    now_s = asyncio.get_running_loop().time()
    return ceil((now_s + seconds) / _BEAT_S) * _BEAT_S - now_s
