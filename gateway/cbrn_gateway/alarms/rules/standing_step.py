"""A jump that a lagging sensor cannot make: while it stands, the change from it is judged."""

_MISSED_MOST = 1
"""One suspected sample between flagged ones does not end a step; two do."""

_BACK_SHARE = 0.5


class StandingStep:
    """The lowest value since a step was called; it ends when the value is back or gas speaks."""

    __slots__ = ("_baseline", "_height", "_missed")

    def __init__(self) -> None:
        self._baseline: float | None = None
        self._height = 0.0
        self._missed = 0

    @property
    def stands(self) -> bool:
        """Return whether a step stands."""
        return self._baseline is not None

    def change(self, flagged: bool, value: float) -> float:
        """Return what to judge: `value`, or its rise above the new baseline."""
        if flagged:
            if self._baseline is None:
                self._baseline = self._height = value
            self._missed = 0
        elif self._baseline is not None:
            self._missed += 1
        if self._baseline is None:
            return value
        if self._missed > _MISSED_MOST or value < _BACK_SHARE * self._height:
            self._baseline = None
            self._missed = 0
            return value
        self._baseline = min(self._baseline, value)
        return value - self._baseline
