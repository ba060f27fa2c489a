"""Gamma radiation: a background that differs by place, and point sources that may move."""

import msgspec

from cbrn_sim.world.people import Path
from cbrn_sim.world.square import Point

CS137_USV_H_AT_1_M_PER_GBQ = 92.7
"""Caesium-137, bare: 3.7 GBq gives 343 µSv/h at one metre."""

_CLOSEST_M = 0.1


class PointSource(msgspec.Struct, frozen=True, kw_only=True):
    """An unshielded source; its strength is the dose rate at one metre."""

    nuclide: str
    usv_h_at_1_m: float
    path: Path

    def dose_rate_usv_h(self, point: Point, t_s: float) -> float:
        """Return what it adds at `point`: inverse square, no shielding, no air in the way."""
        place = self.path.at(t_s)
        if place is None:
            return 0.0
        return self.usv_h_at_1_m / max(place.distance_m(point), _CLOSEST_M) ** 2


def caesium_137(activity_gbq: float, path: Path) -> PointSource:
    """Return a bare caesium-137 source of an activity in GBq."""
    strength = activity_gbq * CS137_USV_H_AT_1_M_PER_GBQ
    return PointSource(nuclide="Cs-137", usv_h_at_1_m=strength, path=path)
