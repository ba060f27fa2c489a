"""What a quiet channel does: its slow offset and the noise from sample to sample."""

from math import sqrt

import msgspec

from cbrn_core.times import US_PER_S

_OFFSET_TIME_S = 900.0
_FASTEST = 0.1
_LONGEST_MEMORY = 300
_LEAST_SAMPLES = 30
_LOD_SIGMAS = 3.0
_MOST_SIGMAS = 4.0


class NoiseMemory(msgspec.Struct, frozen=True, array_like=True):
    """What was learnt of a quiet channel."""

    offset: float
    variance: float
    count: int


class QuietNoise:
    """Offset of the estimate and noise of the readings, learnt outside events.

    `declared_lod` is the channel's own detection limit where it has one; otherwise the
    limit is max(3 σ, resolution), from the declared or the learnt σ. All in one unit. One
    step counts as four σ at the most: the first sample of a rise, which the estimate still
    doubts, is no noise of the channel, and noise that lasts is learnt all the same.
    """

    __slots__ = (
        "_count",
        "_declared",
        "_last",
        "_last_us",
        "_least_sd",
        "_resolution",
        "_variance",
        "offset",
    )

    def __init__(
        self, declared_lod: float | None, declared_sigma: float | None, resolution: float
    ) -> None:
        self.offset = 0.0
        if declared_lod is None and declared_sigma is not None:
            declared_lod = max(_LOD_SIGMAS * declared_sigma, resolution)
        self._declared = declared_lod
        self._resolution = resolution
        self._least_sd = max(declared_sigma or 0.0, resolution)
        self._variance = 0.0
        self._count = 0
        self._last: float | None = None
        self._last_us = 0

    @property
    def sd(self) -> float | None:
        """Return the learnt noise of one reading; None before thirty quiet samples."""
        return sqrt(self._variance) if self._count >= _LEAST_SAMPLES else None

    @property
    def lod(self) -> float | None:
        """Return the detection limit; None while it is neither declared nor learnt."""
        if self._declared is not None:
            return self._declared
        sd = self.sd
        return None if sd is None else max(_LOD_SIGMAS * sd, self._resolution)

    def learn(self, value: float, shown: float, time_us: int) -> None:
        """Take one quiet sample: the estimate, and what the instrument shows."""
        if self._last is not None:
            if self._count < _LONGEST_MEMORY:
                self._count += 1
            step = self._bounded(shown - self._last)
            self._variance += (0.5 * step * step - self._variance) / self._count
            share = (time_us - self._last_us) / (US_PER_S * _OFFSET_TIME_S)
            if share > 0:
                self.offset += min(share, _FASTEST) * (value - self.offset)
        self._last = shown
        self._last_us = time_us

    def _bounded(self, step: float) -> float:
        usual = max(self.sd or 0.0, self._least_sd)
        if usual == 0.0:
            return step
        return min(max(step, -_MOST_SIGMAS * usual), _MOST_SIGMAS * usual)

    def memory(self) -> NoiseMemory:
        """Return what was learnt."""
        return NoiseMemory(self.offset, self._variance, self._count)

    def recall(self, memory: NoiseMemory) -> None:
        """Go on from what was learnt; the next sample follows a break."""
        self.offset, self._variance = memory.offset, memory.variance
        self._count = memory.count
        self.pause()

    def pause(self) -> None:
        """Forget the last sample: the next quiet one follows an event."""
        self._last = None
