"""Opening SQLite files so that nothing is lost: checks, transactions, errors in plain words."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from cbrn_core.errors import StorageError, StoreDamaged

_BUSY_TIMEOUT_S = 2.0
_CHECK_LIMIT_S = 2.0
_CHECK_STEP_OPCODES = 10_000
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_LOG_PAGES = 1_000
_SHORT_LOG_PAGES = 200
_INCREMENTAL = 2
_PRIMARY_CODE = 0xFF

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: nothing was written, free some space",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write: check it and its file system",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is damaged or is no database",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check folder and permissions",
    sqlite3.SQLITE_READONLY: "the file may not be written: check permissions and mount",
    sqlite3.SQLITE_BUSY: "another process holds the file",
}
_SET_ASIDE = (
    "nothing was deleted; move it aside together with its -wal and -shm files and start "
    "again, or restore a backup"
)


class Layout(NamedTuple):
    """What a kind of file holds.

    `application_id` tells our files apart; `synchronous` is FULL (survives a power cut)
    or NORMAL (a power cut may cost the last commits, never the file); `schema` is SQL
    statements separated by semicolons, `upgrades` those that lead from an older version to
    the next one. A reader takes an older file as it is. A file that `gives_back` can return
    pages that fell free to the disk, where it was made so.
    """

    name: str
    application_id: int
    version: int
    synchronous: str
    schema: str
    upgrades: Mapping[int, str] = MappingProxyType({})
    gives_back: bool = False


class Database:
    """One connection to one file; used by one thread at a time.

    Attributes:
        rollbacks: how many transactions were undone; caches of row ids made before the
            last one may be wrong.
        gives_back: whether free pages can be returned to the disk.
        damage: why the file must be set aside, None while nothing is known.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, layout: Layout) -> None:
        self.path = path
        self.damage: StoreDamaged | None = None
        self._layout = layout
        self.connection = connection
        self.rollbacks = 0
        self.gives_back = False
        self._inside = False

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything inside or nothing; an inner transaction joins the outer one.

        Raises:
            StorageError: the file refused; it is as it was before.
        """
        if self._inside:
            yield self.connection
            return
        with self._errors():
            self._undo()
            self.connection.execute("BEGIN IMMEDIATE")
            self._inside = True
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                self.rollbacks += 1
                self._undo()
                raise
            finally:
                self._inside = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for queries; raises StorageError."""
        with self._errors():
            yield self.connection

    @contextmanager
    def moment(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for queries that all see the same state; raises StorageError."""
        with self._errors():
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self._undo()

    def file_bytes(self) -> int:
        """Return the size of the file, without its log; raises StorageError."""
        return self._pages("page_count")

    def unused_bytes(self) -> int:
        """Return how much of the file fell free and is used again first; raises StorageError."""
        return self._pages("freelist_count")

    def give_back(self, most_bytes: int) -> int:
        """Return free pages to the disk; return how many bytes; raises StorageError."""
        with self.transaction() as connection:
            before_bytes = self.file_bytes()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(
                f"PRAGMA incremental_vacuum({most_bytes // page_bytes + 1})"
            ).fetchall()
            return before_bytes - self.file_bytes()

    def keep_log_short(self, *, short: bool) -> None:
        """Let the write-ahead log take less of the disk, for more work; raises StorageError."""
        pages = _SHORT_LOG_PAGES if short else _LOG_PAGES
        with self.reading() as connection:
            connection.execute(f"PRAGMA wal_autocheckpoint={pages}")

    def begin_anew(self) -> None:
        """Go on with a new file, once the damaged one was closed and moved; raises StorageError."""
        fresh = open_writer(self.path, self._layout)
        self.connection, self.gives_back = fresh.connection, fresh.gives_back
        self.rollbacks += 1
        self.damage = None

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self.connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with storage_errors(self.path):
                yield
        except StoreDamaged as damage:
            self.damage = damage
            raise

    def _pages(self, which: str) -> int:
        with self.reading() as connection:
            (pages,) = connection.execute(f"PRAGMA {which}").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        size_bytes: int = pages * page_bytes
        return size_bytes

    def _undo(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")


def open_writer(path: Path, layout: Layout) -> Database:
    """Open a file for writing, made new where there is none.

    Raises:
        StoreDamaged: damaged, of another kind, or written by a newer version; nothing
            is deleted or overwritten.
        StorageError: the disk refuses.
    """
    _refuse_orphaned_wal(path)
    with storage_errors(path):
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    database = Database(path, connection, layout)
    try:
        _prepare(database, layout)
    except BaseException:
        connection.close()
        raise
    return database


def open_reader(path: Path, layout: Layout) -> Database:
    """Open a file for reading, also while another process writes it; raises StorageError."""
    if not path.is_file():
        raise StorageError(f"{path}: there is no {layout.name}")
    _refuse_orphaned_wal(path)
    with storage_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    database = Database(path, connection, layout)
    try:
        with database.reading():
            version = _layout_version(database, layout)
    except BaseException:
        connection.close()
        raise
    if version is None:
        connection.close()
        raise StorageError(f"{path}: holds no {layout.name} yet")
    return database


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into StorageError that says what to do; the cause stays."""
    try:
        yield
    except sqlite3.Error as error:
        code = _primary_code(error)
        advice = _ADVICE.get(code, "the store failed")
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise StoreDamaged(f"{path}: {advice}: {_SET_ASIDE} ({error})") from error
        raise StorageError(f"{path}: {advice} ({error})") from error


def is_disk_full(error: StorageError) -> bool:
    """Return whether a write failed for want of space (then the ballast may help)."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and _primary_code(cause) == sqlite3.SQLITE_FULL


def may_want_room(error: StorageError) -> bool:
    """Return whether a write was refused for what may be want of space: a quota says no more."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    return is_disk_full(error) or code in {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE


def _refuse_orphaned_wal(path: Path) -> None:
    """SQLite deletes a write-ahead log whose database is missing or empty; we never do."""
    wal = path.with_name(path.name + "-wal")
    has_wal = wal.is_file() and wal.stat().st_size > 0
    is_empty = not path.is_file() or path.stat().st_size == 0
    if has_wal and is_empty:
        raise StoreDamaged(
            f"{path}: the file is missing or empty, but {wal.name} still holds entries: "
            f"{_SET_ASIDE}"
        )


def _prepare(database: Database, layout: Layout) -> None:
    connection = database.connection
    with storage_errors(database.path):
        version = _layout_version(database, layout)
        _quick_check(database)
        if layout.gives_back:
            # of a new file only, and before its first page is written
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StorageError(f"{database.path}: this file system allows no write-ahead log")
        connection.execute(f"PRAGMA synchronous={layout.synchronous}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA cache_size=-2000")
        (vacuum,) = connection.execute("PRAGMA auto_vacuum").fetchone()
        database.gives_back = vacuum == _INCREMENTAL
    if version != layout.version:
        _make(database, layout, version)


def _make(database: Database, layout: Layout, version: int | None) -> None:
    """Bring a new file, or one of an older layout, to the layout; all or nothing."""
    steps = [layout.schema]
    if version is not None:
        steps = [layout.upgrades[older] for older in range(version, layout.version)]
    with database.transaction() as connection:
        for statement in ";".join(steps).split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={layout.application_id}")
        connection.execute(f"PRAGMA user_version={layout.version}")


def _layout_version(database: Database, layout: Layout) -> int | None:
    """Return None for a new, empty file; raises StorageError for a foreign one."""
    connection = database.connection
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if not (application_id or version or objects):
        return None
    if application_id != layout.application_id:
        raise StoreDamaged(f"{database.path}: holds something else than a {layout.name}")
    if version != layout.version and version not in layout.upgrades:
        raise StoreDamaged(
            f"{database.path}: layout {version} of the {layout.name}, this program knows "
            f"{layout.version}: use the version that wrote it, or move the file aside"
        )
    return int(version)


def _quick_check(database: Database) -> None:
    """Look for damage, for at most a bounded time: a start may not wait for a large file."""
    connection = database.connection
    until_s = time.monotonic() + _CHECK_LIMIT_S
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _CHECK_STEP_OPCODES)
    try:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if _primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        finding = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if finding != "ok":
        raise StoreDamaged(f"{database.path}: the file is damaged: {_SET_ASIDE} ({finding})")
