"""A site's own instrument profiles: the folder `profiles/` beside its site file."""

import os.path
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cbrn_core.errors import ConfigError, Problem
from cbrn_drivers.catalogue import load_profile, own_profile
from cbrn_drivers.profile import Profile
from cbrn_gateway.config.tables import parse_toml, read_text

FOLDER = "profiles"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class OwnProfiles:
    """Each file is read once, when the first device names it.

    `given`: texts by name that stand for the folder, as it was at another time.

    Attributes:
        used: tables of the profiles that the devices of the site name, by name.
        texts: the same as they were written.
    """

    def __init__(
        self,
        site_folder: Path,
        problems: list[Problem],
        given: Mapping[str, str] | None = None,
    ) -> None:
        self.used: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, str] = {}
        self._given = given
        self._folder = site_folder / FOLDER
        self._problems = problems
        self._read: dict[str, Profile | None] = {}

    def find(self, name: str) -> Profile | None:
        """Return the site's own or the built-in profile of a name.

        None where the site's own cannot be used: the problem is then on the list.

        Raises:
            ConfigError: there is no such profile.
        """
        if name not in self._read:
            self._read[name] = self._own(name) if self._is_there(name) else self._built_in(name)
        return self._read[name]

    def names(self) -> list[str]:
        """Return the names of the site's own profiles, sorted, whether or not a device has one.

        A file that no device could name is none.
        """
        stems = (path.stem for path in self._folder.glob("*.toml"))
        return sorted(stem for stem in stems if _NAME.fullmatch(stem))

    def _is_there(self, name: str) -> bool:
        if _NAME.fullmatch(name) is None:
            return False
        if self._given is not None:
            return name in self._given
        return os.path.lexists(self._folder / f"{name}.toml")

    def _built_in(self, name: str) -> Profile:
        try:
            return load_profile(name)
        except ConfigError as error:
            beside = f"; nor is there {FOLDER}/{name}.toml beside the site file"
            problems = [Problem(p.path, p.reason + beside) for p in error.problems]
            raise ConfigError(problems) from None

    def _own(self, name: str) -> Profile | None:
        where = f"{FOLDER}/{name}.toml"
        text = self._text(name, where)
        tables = None if text is None else parse_toml(text, where, self._problems)
        if text is None or tables is None:
            return None
        try:
            profile = own_profile(name, tables)
        except ConfigError as error:
            self._problems += error.problems
            return None
        self.used[name], self.texts[name] = tables, text
        return profile

    def _text(self, name: str, where: str) -> str | None:
        if self._given is not None:
            return self._given[name]
        return read_text(self._folder / f"{name}.toml", where, self._problems)
