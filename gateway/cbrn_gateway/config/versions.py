"""The site files that were in force, with when and by whom, as files in `data_dir`."""

import hashlib
import os
from pathlib import Path

import msgspec

from cbrn_core.errors import InputError, StorageError

FOLDER = "config"
MOST_KEPT = 100
_LIST = "versions.jsonl"


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text of the site file that came into force.

    Attributes:
        how: start, apply, reload (SIGHUP) or rollback.
        replaces: the version that a rollback took out of force.
    """

    number: int
    config_hash: str
    time: str
    actor: str
    how: str
    text_sha256: str
    replaces: int | None = None
    reason: str | None = None


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
    ) -> Version:
        """Keep a text that has come into force; one that is in force already is not kept twice.

        Raises:
            StorageError: it cannot be written.
        """
        known = self.all()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if known and (known[-1].text_sha256, known[-1].config_hash) == (digest, config_hash):
            return known[-1]
        version = Version(
            number=known[-1].number + 1 if known else 1,
            config_hash=config_hash,
            time=time,
            actor=actor,
            how=how,
            text_sha256=digest,
            replaces=replaces,
            reason=reason,
        )
        kept = [*known, version][-MOST_KEPT:]
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._file(version), text.encode())
            lines = b"".join(msgspec.json.encode(v) + b"\n" for v in kept)
            write_whole(self._folder / _LIST, lines)
            for old in known[: -MOST_KEPT + 1]:
                self._file(old).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error}") from None
        return version

    def text(self, version: Version) -> str:
        """Return the site file of a version.

        Raises:
            InputError: it is not there any more, or not as it was.
        """
        try:
            text = self._file(version).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"version {version.number} cannot be read: {error}") from None
        if hashlib.sha256(text.encode()).hexdigest() != version.text_sha256:
            raise InputError(f"the file of version {version.number} was changed")
        return text

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
        others = [v for v in earlier if v.text_sha256 != current.text_sha256]
        if wanted is not None:
            found = [v for v in others if v.config_hash.startswith(wanted)]
            if not wanted or not found:
                raise InputError(f"no earlier configuration {wanted!r} is on record")
            return found[-1]
        rejected = {v.replaces for v in (*earlier, current)}
        bad = {v.text_sha256 for v in earlier if v.number in rejected}
        found = [v for v in others if v.text_sha256 not in bad]
        if not found:
            raise InputError("no earlier configuration is on record")
        return found[-1]

    def _file(self, version: Version) -> Path:
        return self._folder / f"{version.number:06d}-{version.config_hash[:12]}.toml"


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
