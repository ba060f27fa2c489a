"""The site files that were in force, with when and by whom, as files in `data_dir`.

With each go the texts of the site's own profiles that it names, each text kept once.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from cbrn_core.errors import InputError, StorageError

FOLDER = "config"
MOST_KEPT = 100
_LIST = "versions.jsonl"
_PROFILES = "profiles"
_NO_PROFILES: Mapping[str, str] = {}


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text of the site file that came into force.

    Attributes:
        how: start, apply, reload (SIGHUP) or rollback.
        replaces: the version that a rollback took out of force.
        own_profiles: SHA-256 of each of the site's own profiles, by name; one that was
            kept by a program of before does not say them.
    """

    number: int
    config_hash: str
    time: str
    actor: str
    how: str
    text_sha256: str
    replaces: int | None = None
    reason: str | None = None
    own_profiles: dict[str, Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]] = {}

    @property
    def content(self) -> tuple[object, ...]:
        """Return what is equal for versions that say the same, written the same."""
        return (self.text_sha256, *sorted(self.own_profiles.items()))


class Versions:
    """The newest hundred, oldest first; the last one is in force."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def all(self) -> list[Version]:
        """Return what is known; a damaged line costs that version only.

        Raises:
            StorageError: the folder cannot be read.
        """
        try:
            lines = (self._folder / _LIST).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self._folder}: {error}") from None
        return [version for line in lines if (version := _decoded(line)) is not None]

    def add(
        self,
        text: str,
        config_hash: str,
        *,
        time: str,
        actor: str,
        how: str,
        replaces: int | None = None,
        reason: str | None = None,
        own_profiles: Mapping[str, str] = _NO_PROFILES,
    ) -> Version:
        """Keep a text that has come into force; one that is in force already is not kept twice.

        `own_profiles`: texts by name.

        Raises:
            StorageError: it cannot be written.
        """
        known = self.all()
        version = Version(
            number=known[-1].number + 1 if known else 1,
            config_hash=config_hash,
            time=time,
            actor=actor,
            how=how,
            text_sha256=_digest(text),
            replaces=replaces,
            reason=reason,
            own_profiles={name: _digest(own) for name, own in own_profiles.items()},
        )
        if known and known[-1].content == version.content and known[-1].config_hash == config_hash:
            return known[-1]
        kept = [*known, version][-MOST_KEPT:]
        try:
            self._write_profiles(version, own_profiles)
            write_whole(self._file(version), text.encode())
            lines = b"".join(msgspec.json.encode(v) + b"\n" for v in kept)
            write_whole(self._folder / _LIST, lines)
            for old in known[: -MOST_KEPT + 1]:
                self._file(old).unlink(missing_ok=True)
            self._drop_profiles(kept)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error}") from None
        return version

    def text(self, version: Version) -> str:
        """Return the site file of a version.

        Raises:
            InputError: it is not there any more, or not as it was.
        """
        return _kept(self._file(version), version.text_sha256, f"version {version.number}")

    def own_profiles(self, version: Version) -> dict[str, str] | None:
        """Return the texts of a version's own profiles by name, None where it does not say them.

        Raises:
            InputError: one is not there any more, or not as it was.
        """
        return {
            name: _kept(self._profile(digest), digest, f"profile {name} of {version.number}")
            for name, digest in version.own_profiles.items()
        } or None

    def choose(self, wanted: str | None) -> Version:
        """Return the newest other version whose hash begins so, else the one to go back to.

        Going back passes over what a rollback has taken out of force before.

        Raises:
            InputError: there is none.
        """
        known = self.all()
        if not known:
            raise InputError("no configuration is on record")
        *earlier, current = known
        others = [v for v in earlier if _differs(v, current)]
        if wanted is not None:
            found = [v for v in others if v.config_hash.startswith(wanted)]
            if not wanted or not found:
                raise InputError(f"no earlier configuration {wanted!r} is on record")
            return found[-1]
        rejected = {v.replaces for v in (*earlier, current)}
        bad = {v.content for v in earlier if v.number in rejected}
        found = [v for v in others if v.content not in bad]
        if not found:
            raise InputError("no earlier configuration is on record")
        return found[-1]

    def _file(self, version: Version) -> Path:
        return self._folder / f"{version.number:06d}-{version.config_hash[:12]}.toml"

    def _profile(self, digest: str) -> Path:
        return self._folder / _PROFILES / f"{digest}.toml"

    def _write_profiles(self, version: Version, texts: Mapping[str, str]) -> None:
        folder = self._folder / _PROFILES if texts else self._folder
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, text in texts.items():
            write_whole(self._profile(version.own_profiles[name]), text.encode())

    def _drop_profiles(self, kept: Iterable[Version]) -> None:
        """Let go of the texts that no version names any more."""
        named = {digest for version in kept for digest in version.own_profiles.values()}
        for file in (self._folder / _PROFILES).glob("*.toml"):
            if file.stem not in named:
                file.unlink(missing_ok=True)


def _differs(version: Version, current: Version) -> bool:
    """Return whether going back to a version may change anything that is kept with it."""
    if version.text_sha256 != current.text_sha256:
        return True
    is_other = version.own_profiles != current.own_profiles
    return is_other and version.config_hash != current.config_hash


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(path: Path, digest: str, what: str) -> str:
    """Return a text that was kept; raises InputError where it is not as it was."""
    try:
        text = path.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{what} cannot be read: {error}") from None
    if _digest(text) != digest:
        raise InputError(f"the file of {what} was changed")
    return text


def _decoded(line: bytes) -> Version | None:
    try:
        return msgspec.json.decode(line, type=Version)
    except msgspec.DecodeError:
        return None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as it was or as it shall be, whatever happens."""
    new = path.with_name(f".{path.name}.new")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
