"""Damaged files at a start: moved aside as a whole, never deleted; what can be read is kept."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from cbrn_core.errors import StorageError, StoreDamaged
from cbrn_gateway.store.database import open_reader
from cbrn_gateway.store.journal_file import JOURNAL_LAYOUT, JournalFile
from cbrn_gateway.store.outbox import Consumer
from cbrn_gateway.store.verify import sound_rows

StoreT = TypeVar("StoreT")

_LOG = logging.getLogger(__name__)

FOLDER = "quarantine"
_COMPANIONS = ("", "-wal", "-shm", "-journal")
_BUILDING = ".salvaged"


class SetAside(NamedTuple):
    """A file that could not be used: `name` without suffix, where it lies now, and why.

    `kept` is how many entries of a journal, or lines of a spool, were read and are kept; None
    for a series.
    """

    name: str
    folder: Path
    reason: str
    kept: int | None = None

    def __str__(self) -> str:
        kept = "" if self.kept is None else f", {self.kept} entries kept"
        return f"{self.name} damaged{kept}, old file in {FOLDER}/{self.folder.name}"


def open_or_set_aside(
    path: Path, open_store: Callable[[Path], StoreT]
) -> tuple[StoreT, SetAside | None]:
    """Open a store; where its file is damaged, move that aside and begin a new one.

    Raises:
        StorageError: the disk refuses even a new file.
    """
    try:
        _refuse_emptied(path)
        return open_store(path), None
    except StoreDamaged as damage:
        aside = SetAside(path.stem, set_aside(path, str(damage)), str(damage))
    return open_store(path), aside


def open_journal_file(
    path: Path, *, epoch: int, consumers: Sequence[Consumer]
) -> tuple[JournalFile, SetAside | None]:
    """Open a journal; a damaged one is moved aside and its verified entries are gone on from.

    They go into a new file first, which takes the place of the old one in a single step: a
    kill in between loses nothing. The new file is a restored journal: a new epoch.

    Raises:
        StorageError: the disk refuses even a new file.
    """
    building = path.with_name(path.name + _BUILDING)
    if building.exists() and not path.exists():
        # an earlier start was killed between its last two steps
        reason = "damaged at an earlier start"
        folder = set_aside(path, reason)
        building.replace(path)
        file = JournalFile(path, epoch=epoch)
        return file, SetAside(path.stem, folder, reason, file.head().seq)
    try:
        _refuse_emptied(path)
        return _with_consumers(path, epoch, consumers), None
    except StoreDamaged as damage:
        return renew_journal_file(path, str(damage), epoch=epoch, consumers=consumers)


def renew_journal_file(
    path: Path, reason: str, *, epoch: int, consumers: Sequence[Consumer]
) -> tuple[JournalFile, SetAside]:
    """Set a damaged journal that nobody has open aside, and go on from its verified entries.

    Raises:
        StorageError: the disk refuses even a new file.
    """
    building = path.with_name(path.name + _BUILDING)
    if not path.exists():
        # an earlier attempt came so far
        file, aside = open_journal_file(path, epoch=epoch, consumers=consumers)
        return file, aside or SetAside(path.stem, path.parent / FOLDER, reason)
    # the old one may have been made in this very second
    kept = _salvage(path, building, epoch + 1, consumers)
    folder = set_aside(path, reason)
    building.replace(path)
    return JournalFile(path, epoch=epoch), SetAside(path.stem, folder, reason, kept)


def set_aside(path: Path, reason: str) -> Path:
    """Move a database with its companions into a folder of its own; return that folder.

    Raises:
        StorageError: it cannot be moved.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = path.parent / FOLDER / f"{stamp}-{path.stem}"
    try:
        number = 1
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{stamp}-{path.stem}-{number}")
        folder.mkdir(parents=True, mode=0o700)
        # the database first: a log left alone is noticed at the next start, a database is not
        for suffix in _COMPANIONS:
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(folder / companion.name)
    except OSError as error:
        raise StorageError(f"{path}: cannot be moved aside to {folder}: {error}") from error
    with suppress(OSError):
        (folder / "reason.txt").write_text(reason + "\n", encoding="utf-8")
    _LOG.error("%s was moved to %s: %s", path.name, folder, reason)
    return folder


def _with_consumers(path: Path, epoch: int, consumers: Sequence[Consumer]) -> JournalFile:
    file = JournalFile(path, epoch=epoch)
    try:
        # writes to pages that an opening alone does not touch
        file.set_consumers(consumers)
    except StorageError:
        file.close()
        raise
    return file


def _refuse_emptied(path: Path) -> None:
    """An empty file is a cut one: SQLite would take it for new and say nothing."""
    if path.is_file() and path.stat().st_size == 0:
        raise StoreDamaged(f"{path}: the file is empty")


def _salvage(path: Path, building: Path, epoch: int, consumers: Sequence[Consumer]) -> int:
    """Write what verifies of a journal, from entry 1 on, into a new file; return how many."""
    for suffix in _COMPANIONS:
        building.with_name(building.name + suffix).unlink(missing_ok=True)
    new = JournalFile(building, epoch=epoch)
    try:
        try:
            old = open_reader(path, JOURNAL_LAYOUT)
        except StorageError:
            return 0
        try:
            cursors = _cursors(old.connection)
            return new.take_over(sound_rows(old.connection), consumers, cursors)
        finally:
            old.close()
    finally:
        new.close()


def _cursors(connection: sqlite3.Connection) -> dict[str, int]:
    try:
        return dict(connection.execute("SELECT name, cursor FROM consumers WHERE view = 'log'"))
    except sqlite3.Error:
        return {}
