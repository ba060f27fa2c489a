"""What a person's body says stays in the process (safety 16): the one place that blanks it.

Whatever leaves the pipeline for a disk, a recording or an alarm passes here; the live
stream and the time series leave such channels out altogether.
"""

from collections.abc import Sequence

import msgspec

from cbrn_core.quantities import Hazard, hazard_of
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel


def without_body(reading: Reading) -> Reading:
    """Return a reading with when and how well it was measured, and no value."""
    return msgspec.structs.replace(reading, value=None, sigma=None, raw=None)


class BodyChannels:
    """The channels of one site that measure a person."""

    def __init__(self, model: SiteModel) -> None:
        self._keys = frozenset(
            key
            for key, channel in model.channels.items()
            if hazard_of(channel.quantity) is Hazard.PHYSIOLOGICAL
        )

    def blanked(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return the readings, those of a body without their values."""
        keys = self._keys
        if not keys:
            return readings
        return [without_body(r) if (r.station, r.channel) in keys else r for r in readings]
