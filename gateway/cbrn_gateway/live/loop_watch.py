"""How late the event loop comes: a heartbeat that measures what every timer suffers."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

BEAT_S = 0.025
"""A blockade shorter than the limit by more than one beat is never told as one."""
LATE_S = 0.25
_BEATS_REMEMBERED = 2400
_NINETY_NINE = 0.99
_MS_PER_S = 1000


class LoopWatch:
    """Beats while it runs; `on_late` is called with how late a beat came, in seconds.

    Counters: `loop_lag_max_ms` since the start, `loop_lag_p99_ms` over the last minute of
    beats, `loop_late` beats that came later than 250 ms.
    """

    def __init__(
        self,
        on_late: Callable[[float], None],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._on_late = on_late
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._lags_s: deque[float] = deque(maxlen=_BEATS_REMEMBERED)
        self._longest_s = 0.0
        self._late = 0

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            due_s = self._monotonic_s() + BEAT_S
            await self._sleep(BEAT_S)
            self._note(max(0.0, self._monotonic_s() - due_s))

    def counters(self) -> dict[str, int]:
        """Return how late the loop came, in whole milliseconds, and how often too late."""
        lags_s = sorted(self._lags_s)
        p99_s = lags_s[int(len(lags_s) * _NINETY_NINE)] if lags_s else 0.0
        return {
            "loop_lag_max_ms": round(self._longest_s * _MS_PER_S),
            "loop_lag_p99_ms": round(p99_s * _MS_PER_S),
            "loop_late": self._late,
        }

    def _note(self, lag_s: float) -> None:
        self._lags_s.append(lag_s)
        self._longest_s = max(self._longest_s, lag_s)
        if lag_s > LATE_S:
            self._late += 1
            self._on_late(lag_s)
