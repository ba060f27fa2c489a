"""What a scenario is: a square, a weather, what happens, and what instruments watch it."""

import msgspec

from cbrn_sim.fittings import Fitting
from cbrn_sim.world.chemical import Release
from cbrn_sim.world.people import Path, Person
from cbrn_sim.world.radiation import PointSource
from cbrn_sim.world.square import Square
from cbrn_sim.world.wind import WindClimate


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scripted situation; all times are seconds from its start.

    Attributes:
        story: what happens, one paragraph for people.
        duration_s: after this nothing new happens; instruments go on.
        background_usv_h: per station id; others have `ordinary_background_usv_h`.
        ambient_ppm: agents that are in the air without any release.
        patrols: way of each mobile station.
    """

    name: str
    story: str
    duration_s: float
    square: Square
    wind: WindClimate
    fittings: tuple[Fitting, ...]
    releases: tuple[Release, ...] = ()
    sources: tuple[PointSource, ...] = ()
    people: tuple[Person, ...] = ()
    patrols: dict[str, Path] = {}
    ordinary_background_usv_h: float = 0.12
    background_usv_h: dict[str, float] = {}
    ambient_ppm: dict[str, float] = {}
