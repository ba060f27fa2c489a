"""`--as PROFILE`: an instrument's own log as the readings of one station."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cbrn_core.errors import ConfigError, InputError, Problem
from cbrn_core.reading import Reading
from cbrn_core.site_model import SiteModel
from cbrn_drivers.catalogue import open_log
from cbrn_drivers.profile import Profile
from cbrn_gateway.recording import LONGEST_LINE_BYTES


def with_profile_channels(model: SiteModel, profile: Profile, station: str) -> SiteModel:
    """Return the site with the profile's channels at `station`; configured ones stay."""
    channels = dict(model.channels)
    for known in profile.channels:
        channel = known.as_channel(station=station, device=profile.name, grade=profile.grade)
        channels.setdefault(channel.key, channel)
    return msgspec.structs.replace(model, channels=channels)


def chosen_station(model: SiteModel, named: str | None) -> str:
    """Return the station that the log belongs to: the named one, else the only one.

    Raises:
        ConfigError: unknown, or several and none named.
    """
    stations = sorted(model.stations)
    if named is not None and named not in model.stations:
        reason = f"there is no station {named!r}; there are {', '.join(stations)}"
        raise ConfigError([Problem("--station", reason)])
    if named is None and len(stations) != 1:
        reason = f"the site has several stations, name one: {', '.join(stations)}"
        raise ConfigError([Problem("--station", reason)])
    return named or stations[0]


class LogSource:
    """Reads a raw instrument log; refused lines are counted, never fatal."""

    def __init__(self, path: Path, profile: Profile, station: str) -> None:
        self._path = path
        self._profile = profile
        self._station = station
        self.started_us: int | None = None
        self.rejected: dict[str, int] = {}

    def readings(self) -> Iterator[Reading]:
        """Yield the readings in order of the log.

        Raises:
            ConfigError: the instrument keeps no log of its own.
            InputError: the file cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                lines = iter(lambda: file.readline(LONGEST_LINE_BYTES), b"")
                log = open_log(self._profile, lines, self._station)
                yield from (item for item in log if isinstance(item, Reading))
                self.rejected = {k: n for k, n in log.counters().items() if k != "readings"}
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error}") from None
