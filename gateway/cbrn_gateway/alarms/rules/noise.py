"""What a quiet channel does: its slow offset and the noise from sample to sample."""

from math import sqrt

import msgspec

from cbrn_core.times import US_PER_S

_OFFSET_TIME_S = 900.0
_FASTEST = 0.1
_LONGEST_MEMORY = 300
_LEAST_SAMPLES = 30
_LOD_SIGMAS = 3.0


class NoiseMemory(msgspec.Struct, frozen=True, array_like=True):
    """What was learnt of a quiet channel."""

    offset: float
    variance: float
    count: int


class QuietNoise:
    """Offset of the estimate and noise of the readings, learnt outside events.

    `declared_lod` is the channel's own detection limit where it has one; otherwise the
    limit is max(3 σ, resolution), from the declared or the learnt σ. All in one unit.
    """

    __slots__ = ("_count", "_declared", "_last", "_last_us", "_resolution", "_variance", "offset")

    def __init__(
        self, declared_lod: float | None, declared_sigma: float | None, resolution: float
    ) -> None:
        self.offset = 0.0
        if declared_lod is None and declared_sigma is not None:
            declared_lod = max(_LOD_SIGMAS * declared_sigma, resolution)
        self._declared = declared_lod
        self._resolution = resolution
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
            step = shown - self._last
            self._variance += (0.5 * step * step - self._variance) / self._count
            share = (time_us - self._last_us) / (US_PER_S * _OFFSET_TIME_S)
            if share > 0:
                self.offset += min(share, _FASTEST) * (value - self.offset)
        self._last = shown
        self._last_us = time_us

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
