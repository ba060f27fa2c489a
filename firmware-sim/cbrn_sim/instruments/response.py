"""How a gas cell answers: first-order lag, noise, resolution, end of range."""

from collections.abc import Callable

import msgspec
import numpy as np

from cbrn_core.channel import T90_PER_TAU


class GasCell(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one cell, all in the unit that the instrument shows.

    Attributes:
        t90_rise_s, t90_fall_s: time to 90 % of a step up or down.
        sigma: standard deviation of the noise of one shown value.
        resolution: the smallest step shown.
        full_scale: the shown value never exceeds it.
        refresh_s: how often the instrument makes a new value.
    """

    t90_rise_s: float = 30.0
    t90_fall_s: float = 45.0
    sigma: float = 0.03
    resolution: float = 0.01
    full_scale: float = 20.0
    refresh_s: float = 1.0


_LAG_STEPS_PER_REFRESH = 4


class GasSensor:
    """A cell in the air: shown value as a function of scenario time.

    The lag runs on a grid that belongs to the cell, so that the values do not depend on
    when or how often anybody asks. Time must not go backwards by more than one refresh.
    """

    def __init__(
        self,
        cell: GasCell,
        true_concentration: Callable[[float], float],
        rng: np.random.Generator,
        *,
        start_s: float = 0.0,
    ) -> None:
        self.cell = cell
        self._true_concentration = true_concentration
        self._rng = rng
        self._start_s = start_s
        self._refreshes = 0
        self._lagged = true_concentration(start_s)
        self._shown = self._show()

    def reading(self, t_s: float) -> float:
        """Return what the instrument shows at `t_s`, never below zero."""
        due = int((t_s - self._start_s) / self.cell.refresh_s)
        while self._refreshes < due:
            self._refresh()
        return self._shown

    def _refresh(self) -> None:
        step_s = self.cell.refresh_s / _LAG_STEPS_PER_REFRESH
        began_s = self._start_s + self._refreshes * self.cell.refresh_s
        for step in range(_LAG_STEPS_PER_REFRESH):
            true = self._true_concentration(began_s + (step + 0.5) * step_s)
            t90_s = self.cell.t90_rise_s if true > self._lagged else self.cell.t90_fall_s
            kept = float(np.exp(-step_s * T90_PER_TAU / t90_s)) if t90_s > 0 else 0.0
            self._lagged = true + (self._lagged - true) * kept
        self._refreshes += 1
        self._shown = self._show()

    def _show(self) -> float:
        noisy = self._lagged + self.cell.sigma * float(self._rng.standard_normal())
        steps = round(noisy / self.cell.resolution)
        return min(max(0.0, steps * self.cell.resolution), self.cell.full_scale)
