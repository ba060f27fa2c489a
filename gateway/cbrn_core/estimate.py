"""Estimates: what the filters believe about one channel."""

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Purpose, Quality
from cbrn_core.units import Unit


class Estimate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Posterior of one channel after one reading, in the quantity's canonical unit.

    Attributes:
        value: posterior mean of the concentration or rate behind the instrument's lag.
        sigma: one standard deviation of it.
        nis: normalised innovation squared of the reading, one degree of freedom.
        instrument_value: what the instrument itself shows, in the same unit.
        trend_per_min: change of `value` per minute over the recent past, None when unknown.
    """

    station: str
    channel: str
    time_us: int
    received_us: int
    value: float
    sigma: float
    unit: Unit
    nis: float
    quality: Quality
    flags: tuple[Flag, ...] = ()
    instrument_value: float | None = None
    trend_per_min: float | None = None
    fix: Fix | None = None
    purpose: Purpose = Purpose.ACTUAL

    @property
    def key(self) -> ChannelKey:
        """Return (station, channel)."""
        return (self.station, self.channel)
