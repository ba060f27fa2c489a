"""What instruments exist: profiles by name, drivers by module name; no registry to edit."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol, cast

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock
from cbrn_core.errors import ConfigError, DriverError, InputError, Problem
from cbrn_core.protocols import Driver
from cbrn_core.reading import Reading
from cbrn_drivers.decoded import DecodedReading
from cbrn_drivers.profile import Profile, place_and_reason

PROFILE_FOLDER = Path(__file__).parent / "profiles"
HAZARDS = ("radiation", "chemical", "biological", "weather", "wearable")
"""Sub-packages that hold one driver module per instrument family."""

_OWN_DEFAULTS = {
    "grade": "professional",
    "confidence": "C",
    "maker": "not stated",
    "model": "not stated",
}


class DriverModule(Protocol):
    """What every module `cbrn_drivers.<hazard>.<family>` offers.

    Attributes:
        Options: struct of the driver's own keys of a `[[device]]` table; unknown keys
            are refused.
        PROFILE: name of the profile that `driver = "<hazard>.<family>"` uses.

    A family whose options choose the channels (the gas of a cell) also has
    `channel_ids(options, profile)`; one whose instruments write a log of their own has
    `open_log(profile, lines, station)`; one that reads a table of its own in the profile
    has `check_profile(profile)`; one whose wire must be left in peace between two attempts
    to open it has `REOPEN_WAIT_S`: use the functions of these names below.
    In `fields` and `decode_readings`, `options` carries what the wire does not
    (`decode -o KEY=VALUE`), and always `profile`, the profile's name.
    """

    Options: type[msgspec.Struct]
    PROFILE: str

    def open_bus(self, devices: Sequence[Device], clock: Clock) -> Driver:
        """Return the driver of one wire and its instruments; opens nothing yet."""
        ...

    def bus_key(self, options: msgspec.Struct) -> str:
        """Return a text that is equal for devices on one wire; `options` is an `Options`."""
        ...

    def fields(
        self, frame: bytes, options: Mapping[str, str], profile: Profile
    ) -> dict[str, object] | list[object]:
        """Return the codec's own fields of one frame; raises FrameError."""
        ...

    def decode_readings(
        self, frame: bytes, options: Mapping[str, str], profile: Profile
    ) -> list[DecodedReading]:
        """Return the readings of one frame, [] where it carries none; raises FrameError."""
        ...


class InstrumentLog(Protocol):
    """A raw log file, read once from its beginning."""

    def __iter__(self) -> Iterator[Reading | DriverError | InputError]:
        """Yield readings in order; a line that is refused is yielded as its error."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was read and what was refused so far, by name."""
        ...


def profile_names() -> list[str]:
    """Return the names of all profiles, sorted."""
    return sorted(p.stem for p in PROFILE_FOLDER.glob("*.toml"))


def load_profile(name_or_alias: str) -> Profile:
    """Return a profile by its name or by one of its aliases.

    Raises:
        ConfigError: no such profile (lists what exists), or the file is damaged.
    """
    names = profile_names()
    if name_or_alias in names:
        return _read_profile(name_or_alias)
    for name in names:
        profile = _read_profile(name)
        if name_or_alias in profile.aliases:
            return profile
    reason = f"no profile {name_or_alias!r}; there are {', '.join(names)}"
    raise ConfigError([Problem("profile", reason)])


def own_profile(name: str, tables: Mapping[str, object]) -> Profile:
    """Return a site's own profile, as strict as a built-in one.

    What only an instrument of the trade has may be left out: grade (professional, as of
    every generic instrument), confidence (C), maker and model.

    Raises:
        ConfigError: with the path in the profile: not one, or a name that is taken.
    """
    path = f"profiles/{name}.toml"
    if name in _built_in_names():
        reason = f"there is a built-in profile {name!r}: give yours another name"
        raise ConfigError([Problem(path, reason)])
    try:
        profile = msgspec.convert(_OWN_DEFAULTS | dict(tables), Profile, str_keys=True)
    except msgspec.ValidationError as error:
        where, reason = place_and_reason(error)
        raise ConfigError([Problem(f"{path}: {where.removeprefix('.')}", reason)]) from None
    if profile.name != name:
        raise ConfigError([Problem(f"{path}: name", f"is {profile.name!r}, not that of the file")])
    if profile.aliases:
        reason = "a site's own profile is named by its file alone"
        raise ConfigError([Problem(f"{path}: aliases", reason)])
    _check_family(profile, path)
    return profile


def profile_of(device: Device, usual: str) -> Profile:
    """Return the profile of a configured device, `usual` where it names none.

    Raises:
        ConfigError: no such profile, or it is damaged.
    """
    if device.own_profile:
        return own_profile(device.profile or "", device.own_profile)
    return load_profile(device.profile or usual)


def driver_keys() -> list[str]:
    """Return `<hazard>.<family>` of every driver module, sorted; imports none of them."""
    root = Path(__file__).parent
    return sorted(
        f"{hazard}.{module.name}"
        for hazard in HAZARDS
        for module in pkgutil.iter_modules([str(root / hazard)])
        if not module.name.startswith("_")
    )


def load_driver(driver_key: str) -> DriverModule:
    """Import and return the module of `<hazard>.<family>`.

    Raises:
        ConfigError: no such driver; lists what exists.
    """
    keys = driver_keys()
    if driver_key not in keys:
        reason = f"no driver {driver_key!r}; there are {', '.join(keys)}"
        raise ConfigError([Problem("driver", reason)])
    module = importlib.import_module(f"cbrn_drivers.{driver_key}")
    return cast("DriverModule", module)


def parse_options(driver: DriverModule, table: Mapping[str, object]) -> msgspec.Struct:
    """Return the driver's own keys of a `[[device]]` table as its `Options`.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong kind.
    """
    try:
        return msgspec.convert(dict(table), driver.Options)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem("options", str(error))]) from None


def channel_ids(driver: DriverModule, options: msgspec.Struct, profile: Profile) -> tuple[str, ...]:
    """Return which of the profile's channels a device with these options really has."""
    chosen = getattr(driver, "channel_ids", None)
    if chosen is None:
        return tuple(c.id for c in profile.channels)
    return cast("Callable[[msgspec.Struct, Profile], tuple[str, ...]]", chosen)(options, profile)


def reopen_wait_s(driver: DriverModule, usual_s: float) -> float:
    """Return how long at most to wait before a wire of this family is opened anew."""
    return float(getattr(driver, "REOPEN_WAIT_S", usual_s))


def open_log(profile: Profile, lines: Iterable[bytes], station: str) -> InstrumentLog:
    """Return the reader of an instrument's own log file; its readings belong to `station`.

    Raises:
        ConfigError: instruments of this profile write no log that can be read.
    """
    reader = getattr(load_driver(profile.driver), "open_log", None)
    if reader is None:
        raise ConfigError([Problem("profile", f"{profile.name} has no log format")])
    opened = cast("Callable[[Profile, Iterable[bytes], str], InstrumentLog]", reader)
    return opened(profile, lines, station)


def _check_family(profile: Profile, path: str) -> None:
    """Raise ConfigError where no driver can read instruments of this profile."""
    try:
        driver = load_driver(profile.driver)
    except ConfigError as error:
        problems = [Problem(f"{path}: {p.path}", p.reason) for p in error.problems]
        raise ConfigError(problems) from None
    check = getattr(driver, "check_profile", None)
    if check is not None:
        cast("Callable[[Profile], None]", check)(profile)
    elif profile.modbus:
        reason = f"{profile.driver} is no Modbus driver"
        raise ConfigError([Problem(f"{path}: modbus", reason)])


@cache
def _built_in_names() -> frozenset[str]:
    names = profile_names()
    return frozenset(names).union(*(_read_profile(name).aliases for name in names))


@cache
def _read_profile(name: str) -> Profile:
    path = PROFILE_FOLDER / f"{name}.toml"
    try:
        profile = msgspec.toml.decode(path.read_bytes(), type=Profile)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(f"profiles/{name}.toml", str(error))]) from None
    if profile.name != name:
        reason = f"name is {profile.name!r}, not that of the file"
        raise ConfigError([Problem(f"profiles/{name}.toml", reason)])
    return profile
