"""What the picture shows, in metres and words, not yet in pixels. Types only."""

from typing import NamedTuple

Place = tuple[float, float]
"""Metres east and north of the south-west corner."""


class Line(NamedTuple):
    """One channel: its value, and how good and old that is."""

    value: str
    quality: str
    is_good: bool


class StationMark(NamedTuple):
    """A station with its worst open alarm; priority None where there is none."""

    id: str
    name: str
    place: Place
    priority: int | None
    mobile: bool
    lines: tuple[Line, ...]


class AlarmLine(NamedTuple):
    """One alarm in words."""

    priority: int
    headline: str
    detail: str


class WindNow(NamedTuple):
    """Measured wind: direction it blows from, and the words."""

    from_deg: float
    words: str


class Cloud(NamedTuple):
    """Where the simulated cloud is at least so strong."""

    words: str
    is_extreme: bool
    rings: tuple[tuple[Place, ...], ...]


class TrueMark(NamedTuple):
    """A point of the simulation's truth, with the way that led there and goes on."""

    words: tuple[str, ...]
    place: Place
    walked: tuple[Place, ...] = ()
    ahead: tuple[Place, ...] = ()


class Extent(NamedTuple):
    """What part of the plane is drawn."""

    west_m: float
    south_m: float
    east_m: float
    north_m: float


class Scene(NamedTuple):
    """Everything of one picture."""

    title: str
    subtitle: str
    drawn_at: str
    extent: Extent
    zones: tuple[tuple[str, tuple[Place, ...]], ...]
    stations: tuple[StationMark, ...]
    wind: WindNow | None
    clouds: tuple[Cloud, ...]
    truths: tuple[TrueMark, ...]
    alarms: tuple[AlarmLine, ...]
    more_alarms: int
