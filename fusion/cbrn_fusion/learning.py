"""Learning a channel's own noise, and whether it repeats readings, from its first samples."""

from math import inf

import msgspec

from cbrn_fusion.channel_model import ChannelModel

SETTLE_SAMPLES = 60
FIRST_GUESS = 8
"""Without a known sigma, samples before this one pass through unfiltered."""

_LEAST_CHANGES = 10
_GREATEST_MEMORY = 240
_MAD_TO_SIGMA_OF_DIFFERENCE = 1.4826 / 2**0.5


class Learning(msgspec.Struct):
    """Differences of successive quiet readings, bounded in number.

    Attributes:
        differences: absolute differences [channel's unit], newest last.
        least_change: smallest one that is not zero: the resolution where none is declared.
    """

    differences: list[float] = msgspec.field(default_factory=list)
    changes: int = 0
    least_change: float = inf

    def add(self, difference: float) -> bool:
        """Take |z − z_previous|; return whether the variance should be learnt anew."""
        self.differences.append(difference)
        if len(self.differences) > _GREATEST_MEMORY:
            del self.differences[0]
        finer = 0 < difference < self.least_change
        if difference > 0:
            self.changes += 1
        if finer:
            self.least_change = difference
        seen = len(self.differences)
        milestone = seen + 1 in {FIRST_GUESS, 2 * FIRST_GUESS} or seen == SETTLE_SAMPLES
        return finer or milestone or (difference > 0 and seen > SETTLE_SAMPLES)

    @property
    def complete(self) -> bool:
        """Return whether enough was seen, of which enough was not zero."""
        return len(self.differences) >= SETTLE_SAMPLES and self.changes >= _LEAST_CHANGES

    @property
    def exhausted(self) -> bool:
        """Return whether a channel with a known sigma has been watched long enough."""
        return len(self.differences) >= SETTLE_SAMPLES

    def variance(self, model: ChannelModel) -> float:
        """Return R [unit²]: robust, never below the quantisation seen or declared.

        Half the spread of the differences that are not zero counts too, so that an
        instrument which repeats each reading several times is not thought noiseless.
        """
        ordered = sorted(self.differences)
        nonzero = [d for d in ordered if d > 0]
        spread = _middle(ordered)
        if len(nonzero) >= 3:
            spread = max(spread, _middle(nonzero) / 2)
        sigma = _MAD_TO_SIGMA_OF_DIFFERENCE * spread
        seen = self.least_change if self.least_change < inf else 0.0
        quantum = model.resolution if model.resolution > 0 else seen
        return max(sigma**2, quantum**2 / 12, model.variance_floor)

    def repeats(self, sigma: float, resolution: float) -> bool:
        """Return whether most readings repeat the one before although the noise forbids it.

        Such an instrument renews its value slower than it is asked, and every true rise
        looks like a staircase: no step may be called on it.
        """
        if sigma < resolution / 2 or self.changes < _LEAST_CHANGES // 2:
            return False
        return self.changes < len(self.differences) / 2


def _middle(ordered: list[float]) -> float:
    count = len(ordered)
    if count == 0:
        return 0.0
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
