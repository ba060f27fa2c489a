"""A file that turns out to be damaged while it is written: set aside, a new one goes on.

Nothing ends for it: alarms do not need these files, and filters keep their state.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from cbrn_core.errors import StorageError
from cbrn_gateway.store.database import Database
from cbrn_gateway.store.quarantine import SetAside, set_aside
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool, SpoolReader

AGAIN_AFTER_S = 60.0
"""A disk that damages each new file as well must not fill up with them."""

RETRY_S = 1.0
_READER_S = 2.0


class Healing:
    """Sets series and spool aside where they are damaged; used by the writer's thread alone.

    `reading` is the thread of the spool's reader.
    """

    def __init__(
        self,
        series: Series,
        spool: Spool,
        reader: SpoolReader,
        reading: Executor,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._series = series
        self._spool = spool
        self._reader = reader
        self._reading = reading
        self._monotonic_s = monotonic_s
        self._not_before_s = {series.database: 0.0, spool.database: 0.0}
        self._folders: dict[Database, Path] = {}

    @property
    def is_due(self) -> bool:
        """Return whether a file is damaged and may be set aside now."""
        return any(self._is_due(file) for file in self._not_before_s)

    def heal(self) -> SetAside:
        """Set aside one file that is damaged; return it.

        Raises:
            StorageError: the disk refuses; it is tried again in a second.
        """
        file = next(file for file in self._not_before_s if self._is_due(file))
        self._not_before_s[file] = self._monotonic_s() + RETRY_S
        aside = self._renewed(file, str(file.damage))
        self._not_before_s[file] = self._monotonic_s() + AGAIN_AFTER_S
        self._folders.pop(file)
        return aside

    def _is_due(self, file: Database) -> bool:
        return file.damage is not None and self._monotonic_s() >= self._not_before_s[file]

    def _renewed(self, file: Database, reason: str) -> SetAside:
        is_spool = file is self._spool.database
        if is_spool:
            # a reader that closes later would take the new file's log for its own
            self._in_reader(self._reader.close)
        file.close()
        # an earlier attempt may have come so far
        if file not in self._folders:
            self._folders[file] = set_aside(file.path, reason)
        folder = self._folders[file]
        kept = None
        if is_spool:
            self._spool.begin_anew(int(time.time()))
            kept = self._spool.take_over(folder / file.path.name)
            self._in_reader(self._reader.reopen)
        else:
            file.begin_anew()
        return SetAside(file.path.stem, folder, reason, kept)

    def _in_reader(self, job: Callable[[], None]) -> None:
        try:
            self._reading.submit(job).result(_READER_S)
        except TimeoutError as error:
            raise StorageError("the spool's reader does not answer") from error
