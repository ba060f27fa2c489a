"""The files of one `data_dir`, opened so that neither damage nor a full disk stops a start."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from cbrn_core.errors import StorageError
from cbrn_gateway.config.structs import BYTES_PER_MB, StoreTable
from cbrn_gateway.store.ballast import Ballast
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer
from cbrn_gateway.store.quarantine import SetAside, open_journal_file, open_or_set_aside
from cbrn_gateway.store.retention import Keep
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool

OpenedT = TypeVar("OpenedT")

_LOG = logging.getLogger(__name__)

SPOOL_MOST_ROWS = 20_000_000

_SHARES = {"series_most_mb": 0.5, "spool_most_mb": 0.2}
"""Of the disk that a file may take at most, whatever is configured."""


class Stores(NamedTuple):
    """Opened stores, and the damaged files that had to be moved out of their way."""

    journal: Journal
    spool: Spool
    series: Series
    set_aside: tuple[SetAside, ...]


def open_stores(
    folder: Path, limits: StoreTable, epoch: int, consumers: Sequence[Consumer]
) -> Stores:
    """Open journal, spool and series; `epoch` (UTC seconds) is that of what is begun anew.

    Raises:
        StorageError: the disk refuses even new files, also without the ballast.
    """
    ballast = Ballast(folder, int(limits.ballast_mb * BYTES_PER_MB))
    most_bytes = int(limits.spool_most_mb * BYTES_PER_MB)
    journal_path = folder / "journal.db"

    def spool_at(path: Path) -> Spool:
        return Spool(path, epoch=epoch, max_rows=SPOOL_MOST_ROWS, max_bytes=most_bytes)

    def series_at(path: Path) -> Series:
        series = Series(path)
        try:
            # what every start needs of it, be the check at the opening too short to see it
            series.last_row()
        except StorageError:
            series.close()
            raise
        return series

    def journal_at(path: Path) -> tuple[Journal, SetAside | None]:
        file, aside = open_journal_file(path, epoch=epoch, consumers=consumers)
        return Journal.over(file, path, consumers), aside

    journal, journal_aside = _with_room(ballast, lambda: journal_at(journal_path))
    spool, spool_aside = _with_room(
        ballast, lambda: open_or_set_aside(folder / "spool.db", spool_at)
    )
    if spool_aside is not None:
        kept = spool.take_over(spool_aside.folder / "spool.db")
        spool_aside = spool_aside._replace(kept=kept)
    series, series_aside = _with_room(
        ballast, lambda: open_or_set_aside(folder / "series.db", series_at)
    )
    asides = (journal_aside, spool_aside, series_aside)
    return Stores(journal, spool, series, tuple(aside for aside in asides if aside is not None))


def keep_of(limits: StoreTable) -> Keep:
    """Return what the stores may keep."""
    return Keep(
        series_days=limits.series_most_days,
        series_bytes=int(limits.series_most_mb * BYTES_PER_MB),
        spool_days=limits.spool_most_days,
    )


def fitted(limits: StoreTable, disk_bytes: int) -> tuple[StoreTable, list[str]]:
    """Return limits that a disk of this size can hold, and in plain words what was lowered."""
    lowered = {}
    said = []
    for name, share in _SHARES.items():
        wished_mb = getattr(limits, name)
        most_mb = round(share * disk_bytes / BYTES_PER_MB)
        if 0 < most_mb < wished_mb:
            lowered[name] = float(most_mb)
            said.append(
                f"store.{name}: {wished_mb:g} MB is more than {share:.0%} of the disk "
                f"({disk_bytes // BYTES_PER_MB} MB): {most_mb} MB are kept"
            )
    return msgspec.structs.replace(limits, **lowered), said


def _with_room(ballast: Ballast, open_store: Callable[[], OpenedT]) -> OpenedT:
    """Open a store; where the disk refuses, once more without the ballast."""
    try:
        return open_store()
    except StorageError as error:
        if not ballast.release():
            raise
        _LOG.error("the ballast was released for a start: %s", error)
    return open_store()
