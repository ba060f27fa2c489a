"""Pulse counting: Poisson arrivals, dead time, bins of fixed length."""

from collections import deque
from collections.abc import Callable

import numpy as np


class PulseCounter:
    """Counts of a tube in bins of scenario time, drawn on the counter's own grid.

    Dead time is of the non-paralysable kind, m = n / (1 + n·dead): the mean is exact,
    the slight narrowing of the spread is not simulated. The tube has been on since
    `on_since_s`, so that a sliding sum need not be young at the start of a scenario.
    """

    def __init__(
        self,
        rate_cps: Callable[[float], float],
        rng: np.random.Generator,
        *,
        bin_s: float = 1.0,
        window_bins: int = 60,
        dead_time_s: float = 0.0,
        on_since_s: float = -60.0,
    ) -> None:
        self._rate_cps = rate_cps
        self._rng = rng
        self._bin_s = bin_s
        self._dead_time_s = dead_time_s
        self._on_since_s = on_since_s
        self._window: deque[int] = deque(maxlen=window_bins)
        self.bins_run = 0
        self.total = 0
        self.most = 0

    def counts(self, t_s: float) -> int:
        """Return the counts of the last complete bin before `t_s`; 0 before the first."""
        self.advance(t_s)
        return self._window[-1] if self._window else 0

    def window_counts(self, t_s: float) -> int:
        """Return the sum over the sliding window of complete bins."""
        self.advance(t_s)
        return sum(self._window)

    def advance(self, t_s: float) -> None:
        """Draw every bin that is complete at `t_s`."""
        # A tick that arrives a rounding error early still closes its bin.
        due = int((t_s - self._on_since_s) / self._bin_s + 1e-9)
        while self.bins_run < due:
            middle_s = self._on_since_s + (self.bins_run + 0.5) * self._bin_s
            arriving_cps = self._rate_cps(middle_s)
            seen_cps = arriving_cps / (1.0 + arriving_cps * self._dead_time_s)
            drawn = int(self._rng.poisson(seen_cps * self._bin_s))
            self._window.append(drawn)
            self.total += drawn
            self.most = max(self.most, drawn)
            self.bins_run += 1
