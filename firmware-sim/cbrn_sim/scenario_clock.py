"""Time of a scenario: real time, or faster for tests."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class ScenarioClock:
    """Seconds since the start of the scenario; stands at 0 until started.

    `speed` above 1 makes everything happen sooner: periods, lags, walks and the
    instruments' own date and time.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        starts_at: datetime | None = None,
    ) -> None:
        if speed < 1:
            raise ValueError("a scenario runs in real time or faster")
        self.speed = speed
        self._steady_s = steady_s
        self._started_s: float | None = None
        self._starts_at = starts_at or datetime.now(UTC)

    def start(self) -> None:
        """Let the scenario begin now."""
        self._started_s = self._steady_s()

    def elapsed_s(self) -> float:
        """Return scenario time in seconds."""
        if self._started_s is None:
            return 0.0
        return (self._steady_s() - self._started_s) * self.speed

    def date(self, t_s: float) -> datetime:
        """Return the UTC date and time that an instrument's own clock shows at `t_s`."""
        return self._starts_at + timedelta(seconds=t_s)

    async def sleep_until(self, t_s: float) -> None:
        """Wait for a moment of the scenario; returns at once when it has passed."""
        await asyncio.sleep(max(0.0, (t_s - self.elapsed_s()) / self.speed))
