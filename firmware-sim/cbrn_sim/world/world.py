"""The world of one run: scenario and seed in, truth out."""

import msgspec

from cbrn_sim.world.chemical import Cloud
from cbrn_sim.world.radiation import PointSource
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.square import Point
from cbrn_sim.world.wind import Wind, WindField


class TrueRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A release as it was, for pictures and for judging an estimate."""

    agent: str
    lat: float
    lon: float
    height_m: float
    start_s: float
    end_s: float
    mass_g: float
    rate_g_s: float | None


class TrueSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it was; `track` holds (t_s, lat, lon) waypoints."""

    nuclide: str
    usv_h_at_1_m: float
    carried_by: str | None
    track: tuple[tuple[float, float, float], ...]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What really happened in a run. Nothing of the gateway may see it."""

    scenario: str
    seed: int
    wind_m_s: float
    wind_from_deg: float
    releases: tuple[TrueRelease, ...]
    sources: tuple[TrueSource, ...]


class World:
    """Everything an instrument could sense; `t_s` is scenario time in seconds."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self._wind = WindField(scenario.wind, seed)
        self._clouds = tuple(Cloud(release, self._wind) for release in scenario.releases)
        carried = tuple(
            PointSource(
                nuclide=person.nuclide or "unknown",
                usv_h_at_1_m=person.carries_usv_h_at_1_m,
                path=person.path,
            )
            for person in scenario.people
            if person.carries_usv_h_at_1_m > 0
        )
        self._sources = scenario.sources + carried

    @property
    def point_sources(self) -> tuple[PointSource, ...]:
        """Return every source, resting or carried, in the order of `truth().sources`."""
        return self._sources

    def concentration_ppm(self, agent: str, point: Point, t_s: float) -> float:
        """Return the true concentration of one agent, ambient included."""
        released = (
            cloud.concentration_ppm(point, t_s)
            for cloud in self._clouds
            if cloud.release.agent == agent
        )
        return self.scenario.ambient_ppm.get(agent, 0.0) + sum(released)

    def dose_rate_usv_h(self, point: Point, t_s: float) -> float:
        """Return the true ambient dose equivalent rate in µSv/h, background included."""
        station = self.scenario.square.nearest_station(point)
        background = self.scenario.background_usv_h.get(
            station, self.scenario.ordinary_background_usv_h
        )
        return background + sum(s.dose_rate_usv_h(point, t_s) for s in self._sources)

    def wind(self, t_s: float) -> Wind:
        """Return the wind over the square."""
        return self._wind.at(t_s)

    def truth(self) -> Truth:
        """Return the record of what really happens."""
        return Truth(
            scenario=self.scenario.name,
            seed=self.seed,
            wind_m_s=self.scenario.wind.speed_m_s,
            wind_from_deg=self.scenario.wind.from_deg,
            releases=tuple(self._true_release(cloud) for cloud in self._clouds),
            sources=self._true_sources(),
        )

    def _true_release(self, cloud: Cloud) -> TrueRelease:
        release = cloud.release
        place = self.scenario.square.position(release.point)
        return TrueRelease(
            agent=release.agent,
            lat=place.lat,
            lon=place.lon,
            height_m=place.height_m,
            start_s=release.start_s,
            end_s=release.end_s,
            mass_g=release.mass_g,
            rate_g_s=release.mass_g / release.duration_s if release.duration_s > 0 else None,
        )

    def _true_sources(self) -> tuple[TrueSource, ...]:
        carriers = [None] * len(self.scenario.sources) + [
            person.id for person in self.scenario.people if person.carries_usv_h_at_1_m > 0
        ]
        return tuple(
            TrueSource(
                nuclide=source.nuclide,
                usv_h_at_1_m=source.usv_h_at_1_m,
                carried_by=carrier,
                track=self._track(source),
            )
            for source, carrier in zip(self._sources, carriers, strict=True)
        )

    def _track(self, source: PointSource) -> tuple[tuple[float, float, float], ...]:
        places = (
            (point.t_s, self.scenario.square.position(point.point))
            for point in source.path.waypoints
        )
        return tuple((t_s, place.lat, place.lon) for t_s, place in places)
