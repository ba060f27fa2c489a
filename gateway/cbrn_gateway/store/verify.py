"""Verification of a journal file: every byte of every entry, the chain, its end, its index."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cbrn_core.errors import ChainBroken, StorageError
from cbrn_gateway.store.chain import (
    VerifyReport,
    chain_fields,
    check_link,
    decode,
    verify_entries,
)
from cbrn_gateway.store.database import open_reader
from cbrn_gateway.store.journal_file import JOURNAL_LAYOUT, Head, JournalEntry, entry_row
from cbrn_gateway.store.outbox import alert_rank

_NOTHING = VerifyReport(entries=0, first_seq=None, last_seq=None, epochs=(), ok=True)


def verify_journal(path: Path) -> VerifyReport:
    """Judge a journal file without changing it, also while the gateway runs.

    What is wrong with the content is in the report.

    Raises:
        StorageError: there is no journal at `path`.
    """
    if not path.is_file():
        raise StorageError(f"{path}: there is no journal")
    try:
        database = open_reader(path, JOURNAL_LAYOUT)
    except StorageError as error:
        return _with_problem(_NOTHING, 1, str(error))
    report = _NOTHING
    try:
        with database.reading() as connection:
            # one read transaction, because a running gateway appends between two queries
            connection.execute("BEGIN")
            report = verify_rows(_rows(connection))
            return _with_end(report, connection) if report.ok else report
    except StorageError as error:
        return _with_problem(report, (report.last_seq or 0) + 1, str(error))
    finally:
        database.close()


def verify_rows(rows: Iterable[JournalEntry]) -> VerifyReport:
    """Judge the rows of a journal from its start, in the order of seq. Pure."""
    return verify_entries(_entry(row) for row in rows)


def sound_rows(connection: sqlite3.Connection) -> Iterator[JournalEntry]:
    """Yield the rows of a journal from entry 1 up to the first that does not verify."""
    before: Mapping[str, Any] | None = None
    try:
        for row in _rows(connection):
            entry = _entry(row)
            if before is None and row.seq != 1:
                return
            check_link(entry, before)
            yield row
            before = entry
    except ChainBroken:
        return


def _rows(connection: sqlite3.Connection) -> Iterator[JournalEntry]:
    last_seq = 0
    try:
        for row in connection.execute("SELECT * FROM entries ORDER BY seq"):
            entry = JournalEntry(*row)
            yield entry
            last_seq = entry.seq
    except sqlite3.DatabaseError as error:
        at_seq = last_seq + 1
        raise ChainBroken(
            at_seq, f"entry {at_seq} cannot be read, the file is damaged there: {error}"
        ) from error


def _entry(row: JournalEntry) -> Mapping[str, Any]:
    """Return the entry of a row whose every byte is as it was written."""
    try:
        entry = row.decode()
        written = entry_row(entry)
    except (StorageError, KeyError, TypeError) as error:
        raise ChainBroken(row.seq, f"entry {row.seq} was changed: {error}") from error
    if written != row:
        raise ChainBroken(
            row.seq, f"entry {row.seq} was changed: its row is not what its content says"
        )
    return entry


def _with_end(report: VerifyReport, connection: sqlite3.Connection) -> VerifyReport:
    """Compare with what the journal remembers of its end: the chain cannot see a cut tail."""
    head = Head(*connection.execute("SELECT epoch, seq, hash FROM head").fetchone())
    last_seq = report.last_seq or 0
    if head.seq > last_seq:
        problem = f"the last entries are missing: the journal ends at {last_seq}, not {head.seq}"
        return _with_problem(report, last_seq + 1, problem)
    if head.seq < last_seq:
        problem = f"entries after {head.seq} were added behind the journal's end"
        return _with_problem(report, head.seq + 1, problem)
    body = connection.execute("SELECT body FROM entries WHERE seq = ?", (head.seq,)).fetchone()
    if body is not None and chain_fields(decode(body[0]))["hash"] != head.hash:
        problem = f"entry {head.seq}, the newest, is not the one that the journal remembers"
        return _with_problem(report, head.seq, problem)
    return _with_index(report, connection)


def _with_index(report: VerifyReport, connection: sqlite3.Connection) -> VerifyReport:
    """Compare the list of newest alert versions, from which alarms live on, with the entries."""
    (missing,) = connection.execute(
        "SELECT MIN(seq) FROM entries e WHERE alarm_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM newest n WHERE n.alarm_id = e.alarm_id AND n.version >= e.version)"
    ).fetchone()
    if missing is not None:
        problem = f"entry {missing} is not in the list of newest alerts"
        return _with_problem(report, missing, problem)
    listed = connection.execute(
        "SELECT n.seq, n.alarm_id, n.version, n.drill, n.priority, n.is_open, e.body"
        " FROM newest n LEFT JOIN entries e ON e.seq = n.seq ORDER BY n.seq"
    )
    for seq, *rank, body in listed:
        if body is None or alert_rank(decode(body)) != tuple(rank):
            problem = f"the list of newest alerts does not match entry {seq}"
            return _with_problem(report, seq, problem)
    return report


def _with_problem(report: VerifyReport, seq: int, problem: str) -> VerifyReport:
    return msgspec.structs.replace(report, ok=False, bad_seq=seq, problem=problem)
